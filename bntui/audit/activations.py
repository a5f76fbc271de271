"""Computes activation functions and their derivatives, with bounds on float32's error in both.

The rounding error of an elementary function (exp, tanh, erf) is taken as ``ULPS`` units in the last place, an upper
bound for PyTorch's vectorized versions (SLEEF, MKL, CUDA).  Each formula adds what it loses by cancellation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.bounded import Bounded

Values = NDArray[Any]

LEAK: Final = 0.01
"""Slope of the leaky ReLU below 0."""
ULPS: Final = 4.0
"""Maximum error of an elementary function in units in the last place (two unit roundoffs each)."""
ERF: Final = 24.0
"""Maximum error of erf in unit roundoffs: PyTorch vectorizes Abramowitz and Stegun's 7.1.26, accurate to 1.5e-7."""
_erf = np.frompyfunc(math.erf, 1, 1)


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation function, and its derivative computed from input ``x`` and output ``y``."""

    function: Callable[[Bounded], Bounded]
    derivative: Callable[[Bounded, Bounded], Bounded]
    saturates: tuple[float, float] | None = None
    """Values outside this interval are within 1 % of the range's width of one of its ends."""


def _logistic(x: Values) -> Values:
    low = np.abs(x)  # the arrays are large, and new memory costs more than arithmetic
    np.exp(np.negative(low, out=low), out=low)
    result: Values = np.where(x >= 0, 1.0, low)
    low += 1
    result /= low
    return result


def sigmoid(x: Bounded) -> Bounded:
    """1 / (1 + exp(-x)), without overflow."""
    y = _logistic(x.value)
    steepest = _nearest(x, lambda v: np.exp(-v) / (1 + np.exp(-v)) ** 2)
    return x.function(y, steepest, 4 * ULPS * x.unit * y, _logistic)


def _sigmoid_slope(_x: Bounded, y: Bounded) -> Bounded:
    """y (1 - y)."""
    return y.function(y.value * (1 - y.value), 1.0, 3 * y.unit * np.abs(y.value), lambda v: v * (1 - v))


def tanh(x: Bounded) -> Bounded:
    """The hyperbolic tangent."""
    y = np.tanh(x.value)
    return x.function(y, _nearest(x, lambda v: 1 - np.tanh(v) ** 2), 2 * ULPS * x.unit * np.abs(y), np.tanh)


def _tanh_slope(_x: Bounded, y: Bounded) -> Bounded:
    """1 - y²; near the ends the subtraction cancels and leaves mostly rounding error."""
    rounding = 3 * y.unit * np.ones_like(y.value)
    return y.function(1 - y.value**2, 2 * np.minimum(y.reach, 2), rounding, lambda v: 1 - v * v)


def _nearest(x: Bounded, slope: Callable[[Values], Values]) -> Values:
    """The largest slope within each value's bound, for a function that is steepest at 0."""
    return np.ones(()) if x.is_exact else slope(np.maximum(np.abs(x.value) - x.error, 0))


def _rectified(leak: float) -> Activation:
    def rectified(x: Values) -> Values:
        return np.where(x < 0, leak * x, x)

    def function(x: Bounded) -> Bounded:
        y = rectified(x.value)
        return x.function(y, 1.0, 2 * x.unit * np.abs(y) * (leak > 0), rectified)

    def slope(x: Bounded, _y: Bounded) -> Bounded:
        """If float32 may have been on either side of the kink, either slope is possible."""
        value = np.where(x.value > 0, 1.0, leak)
        spread = x.spread
        either = (np.abs(x.value) <= spread) & (spread > 0)
        made = Bounded.exact(value, x.unit)
        if not either.any() and not leak:
            return made
        found = made.function(value, 1.0, (1 - leak) * either + x.unit * leak)
        return found if x.trials is None else found.tried()

    return Activation(function, slope)


def _below(x: Values) -> tuple[Values, Values]:
    """Φ(x) and φ(x) of the normal distribution."""
    error = np.asarray(_erf(x / math.sqrt(2)), np.float64)
    return 0.5 * (1 + error), np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def gelu(x: Bounded) -> Bounded:
    """x Φ(x); below 0, 1 + erf subtracts nearly equal numbers and loses precision in float32."""
    share, _density = _below(x.value)
    y = x.value * share
    rounding = x.unit * (ERF / 2 * np.abs(x.value) + 2 * ULPS * np.abs(y))
    return x.function(y, 1.13, rounding, lambda v: v * _below(v)[0])


def _gelu_slope(x: Bounded, _y: Bounded) -> Bounded:
    """Φ(x) + x φ(x), with the same cancellation; the magnitude of its own derivative is at most 0.8."""
    share, density = _below(x.value)
    steep = np.abs(x.value) * density
    rounding = x.unit * (ERF / 2 + ULPS * (share + steep * (2 + x.value * x.value)))

    def again(v: Values) -> Values:
        below, at = _below(v)
        result: Values = below + v * at
        return result

    return x.function(share + x.value * density, 0.8, rounding, again)


def _softsign(x: Bounded) -> Bounded:
    y = x.value / (1 + np.abs(x.value))
    return x.function(y, 1.0, 4 * x.unit * np.abs(y), lambda v: v / (1 + np.abs(v)))


def _softsign_slope(x: Bounded, _y: Bounded) -> Bounded:
    """(1 + |x|)⁻²; autograd computes 1 / (1 + |x|) - |x| / (1 + |x|)², which loses precision by cancellation."""
    below = 1 / (1 + np.abs(x.value))
    return x.function(below**2, 2.0, 8 * x.unit * below, lambda v: (1 + np.abs(v)) ** -2)


ACTIVATIONS: Final = {
    "sigmoid": Activation(sigmoid, _sigmoid_slope, (0.01, 0.99)),
    "tanh": Activation(tanh, _tanh_slope, (-0.98, 0.98)),
    "relu": _rectified(0.0),
    "leaky_relu": _rectified(LEAK),
    "gelu": Activation(gelu, _gelu_slope),
    "softsign": Activation(_softsign, _softsign_slope, (-0.98, 0.98)),
    "none": Activation(lambda x: x, lambda x, _y: Bounded.exact(np.ones_like(x.value), x.unit)),
}
"""Every activation in the scenario schema."""

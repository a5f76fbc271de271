"""What does each activation function give, and what is its derivative?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]

LEAK: Final = 0.01
"""Slope of the leaky ReLU below 0."""
_erf = np.frompyfunc(math.erf, 1, 1)


@dataclass(frozen=True, slots=True)
class Activation:
    """A function, and its derivative from input ``x`` and output ``y``."""

    function: Callable[[Values], Values]
    derivative: Callable[[Values, Values], Values]
    saturates: tuple[float, float] | None = None
    """Values outside are within 1 % of the range's width, from one of its ends."""


def sigmoid(x: Values) -> Values:
    """1 / (1 + exp(-x)), without overflow."""
    with np.errstate(over="ignore", under="ignore"):
        low = np.exp(-np.abs(x))
        result: Values = np.where(x >= 0, 1 / (1 + low), low / (1 + low))
    return result


def _normal(x: Values) -> Values:
    """Φ: the normal distribution's probability below x."""
    wide = np.asarray(x, np.float64)
    error: Values = np.asarray(_erf(wide / math.sqrt(2)), np.float64)
    return (0.5 * (1 + error)).astype(x.dtype)


def _gelu_slope(x: Values, _y: Values) -> Values:
    slope: Values = _normal(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return slope


ACTIVATIONS: Final = {
    "sigmoid": Activation(sigmoid, lambda _x, y: y * (1 - y), (0.01, 0.99)),
    "tanh": Activation(np.tanh, lambda _x, y: 1 - y * y, (-0.98, 0.98)),
    "relu": Activation(lambda x: np.where(x < 0, 0 * x, x), lambda x, y: (y > 0).astype(x.dtype)),
    "leaky_relu": Activation(
        lambda x: np.where(x < 0, x.dtype.type(LEAK) * x, x), lambda x, y: np.where(y > 0, 1, LEAK).astype(x.dtype)
    ),
    "gelu": Activation(lambda x: x * _normal(x), _gelu_slope),
    "softsign": Activation(lambda x: x / (1 + np.abs(x)), lambda x, _y: (1 + np.abs(x)) ** -2, (-0.98, 0.98)),
    "none": Activation(lambda x: x, lambda x, _y: np.ones_like(x)),
}
"""Every activation of the scenario's schema."""

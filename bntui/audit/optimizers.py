"""Recomputes the parameters after a step with the optimizers' rules, as given in their papers and PyTorch's
documentation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.bounded import LARGEST, TINY, Bounded, euclidean, gamma, tightened

Values = NDArray[Any]
Memory = Mapping[str, Values]
"""Running averages of a parameter, and its ``step``."""
Moved = tuple[Bounded, dict[str, Values]]
"""A parameter after the step, and its averages."""

EPSILON: Final = 1e-8
FEW: Final = 8
"""Number of roundings in the scalar factors of a step: rates, bias corrections, powers."""


def sgd(config: Mapping[str, Any], p: Values, g: Bounded, memory: Memory, lr: float) -> Moved:
    """p - lr·v, v = momentum·v + g (g alone in the first step); Nesterov uses g + momentum·v."""
    momentum = config["momentum"]
    g = decayed(config, p, g)
    if not momentum:
        return moved(p, g, lr), {}
    before = memory.get("momentum_buffer")
    v = g if before is None else g + rounded(momentum * before, g.unit)
    way = g + v * rounded(np.asarray(momentum), g.unit) if config["nesterov"] else v
    return moved(p, way, lr), {"momentum_buffer": v.value}


def adam(config: Mapping[str, Any], p: Values, g: Bounded, memory: Memory, lr: float) -> Moved:
    """Kingma and Ba, arXiv:1412.6980, algorithm 1; weight decay is added to the gradient."""
    return _adaptive(config, p, decayed(config, p, g), memory, lr)


def adamw(config: Mapping[str, Any], p: Values, g: Bounded, memory: Memory, lr: float) -> Moved:
    """Loshchilov and Hutter, arXiv:1711.05101: the decay is subtracted from the parameter."""
    decay = lr * config["weight_decay"]
    after, averages = _adaptive(config, p * (1 - decay), g, memory, lr)
    # the factor, its product with p, and the difference are each rounded relative to p, or to its decay if that is more
    lost = 3 * g.unit * max(1.0, decay) * np.abs(p) if decay else np.zeros_like(p)
    return after.function(after.value, 1.0, lost), averages


def _adaptive(config: Mapping[str, Any], p: Values, g: Bounded, memory: Memory, lr: float) -> Moved:
    first, second = config["betas"]
    time = float(memory["step"].ravel()[0]) + 1
    unbias = 1 - first**time, 1 - second**time
    m = first * memory["exp_avg"] + (1 - first) * g.value
    v = second * memory["exp_avg_sq"] + (1 - second) * g.value**2
    way = quotient(
        Affine(first * memory["exp_avg"] / unbias[0], (1 - first) / unbias[0]),
        Affine(second * memory["exp_avg_sq"] / unbias[1], (1 - second) / unbias[1]),
        g,
    )
    return moved(p, way, lr, np.abs(m / unbias[0]) + g.error), {"exp_avg": m, "exp_avg_sq": v}


def rmsprop(config: Mapping[str, Any], p: Values, g: Bounded, memory: Memory, lr: float) -> Moved:
    """Tieleman and Hinton, 2012: divide by the root of a running mean of squares, then apply momentum if configured."""
    g = decayed(config, p, g)
    alpha = config["alpha"]
    square = alpha * memory["square_avg"] + (1 - alpha) * g.value**2
    away = quotient(Affine(np.zeros_like(p), 1.0), Affine(alpha * memory["square_avg"], 1 - alpha), g)
    if not config["momentum"]:
        return moved(p, away, lr, g.reach), {"square_avg": square}
    buffer = away + rounded(config["momentum"] * memory["momentum_buffer"], g.unit)
    return moved(p, buffer, lr), {"square_avg": square, "momentum_buffer": buffer.value}


class Affine(tuple[Values, float]):
    """``offset + factor·g`` or ``offset + factor·g²``: a running average as a function of this step's gradient."""

    __slots__ = ()

    def __new__(cls, offset: Values, factor: float) -> Affine:
        return super().__new__(cls, (offset, factor))


def quotient(above: Affine, below: Affine, g: Bounded) -> Bounded:
    """``(a + b g) / (√(c + d g²) + ε)``, bounded over all possible float32 gradients.

    Adam and RMSprop turn a gradient that is pure rounding error into a full step.  By the mean value theorem, the
    quotient changes by at most (b + Q √d) / (√(c + d g²) + ε) per unit of g, where Q = √(a²/c + b²/d) bounds the
    magnitude of the quotient itself (Cauchy-Schwarz).
    """
    (a, b), (c, d) = above, below
    root = np.sqrt(c + d * g.value**2)
    value = (a + b * g.value) / (root + EPSILON)
    with np.errstate(all="ignore"):
        of_offset = np.where(a == 0, 0.0, a * a / c)
        of_factor = b * b / d if d else (math.inf if b else 0.0)
        most, most_apart = np.sqrt(of_offset + of_factor), np.sqrt(of_offset) + math.sqrt(of_factor)
    least = np.maximum(np.abs(g.value) - g.error, 0)
    lowest = np.sqrt(c + d * least**2) + EPSILON
    reach = np.fmin(most, (np.abs(a) + b * g.reach) / lowest)
    slope = (b + reach * math.sqrt(d)) / lowest
    grown = np.where(g.error > 0, np.fmin(slope * g.error, np.abs(value) + reach), 0.0)
    # both averages are sums of two products with relative rounding errors, then divided
    size = np.fmin(most_apart, (np.abs(a) + b * g.reach) / lowest)
    rounding = FEW * g.unit * (size + np.abs(value) + reach * (g.error > 0)) + TINY
    rounding = rounding + np.where((a != 0) | (g.reach > 0), TINY / lowest, 0.0)  # averages below float32's range
    rounding = np.where(c + d * g.reach**2 > LARGEST, np.inf, rounding)
    return tightened(value, grown + rounding, np.asarray(np.inf), g.unit)


def decayed(config: Mapping[str, Any], p: Values, g: Bounded) -> Bounded:
    """The gradient including the L2 penalty."""
    decay = config["weight_decay"]
    return g + rounded(decay * p, g.unit) if decay else g


def rounded(values: Values, unit: float) -> Bounded:
    """A rounded product of a recorded value and a rounded rate, which may overflow."""
    lost = np.where(np.abs(values) <= LARGEST, 3 * unit * np.abs(values), np.inf)
    return Bounded.exact(values, unit).function(values, 1.0, lost)


def moved(p: Values, way: Bounded, lr: float, above: Values | None = None) -> Bounded:
    """``p - lr·way``, with the rate, its product, and the difference rounded.

    Args:
        above: magnitude of the numerator if ``way`` is a quotient: PyTorch multiplies it by the rate before it divides.
    """
    step = way * rounded(np.asarray(lr), way.unit)
    after = p - lr * way.value
    lost = step.error + FEW * way.unit * np.abs(step.value) + 2 * way.unit * np.maximum(np.abs(p), np.abs(after))
    largest = np.maximum(np.abs(p), lr * way.reach if above is None else np.maximum(lr * way.reach, lr * above))
    lost = np.where(largest <= LARGEST, lost, np.inf)
    return tightened(after, lost + TINY * (lost > 0), np.asarray(np.inf), way.unit)


OPTIMIZERS: Final[dict[str, Callable[[Mapping[str, Any], Values, Bounded, Memory, float], Moved]]] = {
    "sgd": sgd,
    "adam": adam,
    "adamw": adamw,
    "rmsprop": rmsprop,
}
"""Every optimizer in the scenario schema."""


def clipped(config: Mapping[str, Any], gradients: Mapping[str, Bounded]) -> dict[str, Bounded]:
    """The gradients after clipping, as the optimizer receives them."""
    result = dict(gradients)
    if config.get("clip_norm") is not None:
        factor = _clipping(config["clip_norm"], gradients)
        result = {name: g * factor for name, g in result.items()}
    limit = config.get("clip_value")
    if limit is not None:
        result = {name: g.function(np.clip(g.value, -limit, limit), 1.0, g.unit * limit) for name, g in result.items()}
    return result


def _clipping(limit: float, gradients: Mapping[str, Bounded]) -> Bounded:
    """min(1, limit / (‖g‖ + 1e-6)), where ‖g‖ is the norm of all gradients' norms, computed in float32."""
    whole = math.sqrt(sum(euclidean(g.value) ** 2 for g in gradients.values()))
    unit = next(iter(gradients.values())).unit
    longest = max(g.value.size for g in gradients.values())
    off = math.sqrt(sum(g.length()[1] ** 2 for g in gradients.values()))
    off += (gamma(longest + len(gradients) + FEW, unit)) * (whole + off)
    if whole + off > math.sqrt(LARGEST):  # the float32 sum of squares may be infinite, and the factor 0
        value = min(1.0, limit / (whole + 1e-6)) if math.isfinite(whole) else 0.0
        return Bounded(np.asarray(value), np.asarray(math.inf), np.asarray(math.inf), unit)
    if not math.isfinite(whole) or math.isnan(off):
        return Bounded(np.asarray(math.nan), np.asarray(math.inf), np.asarray(math.inf), unit)
    value, low = (min(1.0, limit / (length + 1e-6)) for length in (whole, whole + off))
    high = min(1.0, limit / (max(whole - off, 0.0) + 1e-6))
    error = np.asarray(max(high - value, value - low) + 4 * unit * value)
    return Bounded(np.asarray(value), error, error, unit)

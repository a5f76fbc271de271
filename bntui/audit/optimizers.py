"""Where does a step bring the parameters?  The optimizers' rules, as their papers and PyTorch's manual have them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
Memory = Mapping[str, Values]
"""Running averages of one parameter, and its ``step``."""
Moved = tuple[Values, dict[str, Values]]
"""The parameter after the step, and its averages."""

EPSILON: Final = 1e-8


def sgd(config: Mapping[str, Any], p: Values, g: Values, memory: Memory, lr: float) -> Moved:
    """p - lr·v, v = momentum·v + g (the first time g alone); Nesterov looks ahead: g + momentum·v."""
    momentum = config["momentum"]
    g = g + config["weight_decay"] * p
    if not momentum:
        return p - lr * g, {}
    before = memory.get("momentum_buffer")
    v = g if before is None else momentum * before + g
    return p - lr * (g + momentum * v if config["nesterov"] else v), {"momentum_buffer": v}


def adam(config: Mapping[str, Any], p: Values, g: Values, memory: Memory, lr: float) -> Moved:
    """Kingma and Ba, arXiv:1412.6980, algorithm 1; weight decay is added to the gradient."""
    return _adaptive(config, p, g + config["weight_decay"] * p, memory, lr)


def adamw(config: Mapping[str, Any], p: Values, g: Values, memory: Memory, lr: float) -> Moved:
    """Loshchilov and Hutter, arXiv:1711.05101: the decay is taken off the parameter."""
    return _adaptive(config, p * (1 - lr * config["weight_decay"]), g, memory, lr)


def _adaptive(config: Mapping[str, Any], p: Values, g: Values, memory: Memory, lr: float) -> Moved:
    first, second = config["betas"]
    time = float(memory["step"].ravel()[0]) + 1
    m = first * memory["exp_avg"] + (1 - first) * g
    v = second * memory["exp_avg_sq"] + (1 - second) * g * g
    unbiased = m / (1 - first**time), v / (1 - second**time)
    return p - lr * unbiased[0] / (np.sqrt(unbiased[1]) + EPSILON), {"exp_avg": m, "exp_avg_sq": v}


def rmsprop(config: Mapping[str, Any], p: Values, g: Values, memory: Memory, lr: float) -> Moved:
    """Tieleman and Hinton, 2012: by the root of a running mean of squares; then momentum, where asked."""
    g = g + config["weight_decay"] * p
    square = config["alpha"] * memory["square_avg"] + (1 - config["alpha"]) * g * g
    away = g / (np.sqrt(square) + EPSILON)
    if not config["momentum"]:
        return p - lr * away, {"square_avg": square}
    buffer = config["momentum"] * memory["momentum_buffer"] + away
    return p - lr * buffer, {"square_avg": square, "momentum_buffer": buffer}


OPTIMIZERS: Final[dict[str, Callable[[Mapping[str, Any], Values, Values, Memory, float], Moved]]] = {
    "sgd": sgd,
    "adam": adam,
    "adamw": adamw,
    "rmsprop": rmsprop,
}
"""Every optimizer of the scenario's schema."""


def clipped(config: Mapping[str, Any], gradients: Mapping[str, Values]) -> tuple[dict[str, Values], float]:
    """The gradients as the optimizer gets them, and by what clipping the norm multiplied them."""
    factor = 1.0
    if config.get("clip_norm") is not None:
        total = math.sqrt(sum(float((g * g).sum()) for g in gradients.values()))
        factor = min(1.0, config["clip_norm"] / (total + 1e-6)) if not math.isnan(total) else math.nan
    limit = config.get("clip_value")
    result = {name: g * factor for name, g in gradients.items()}
    if limit is not None:
        result = {name: np.clip(g, -limit, limit) for name, g in result.items()}
    return result, factor

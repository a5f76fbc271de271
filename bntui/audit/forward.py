"""What does each stage give for what enters it?  The formulas, in the precision of the values that come in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bntui.audit.activations import ACTIVATIONS
from bntui.audit.network import Stage, State
from bntui.audit.normalize import arranged, per_feature, standardized
from bntui.audit.recurrence import unroll
from bntui.audit.tolerances import SMALLEST, Precision

Values = NDArray[Any]
Draws = Mapping[int, Values]
"""What was drawn, by the stage's place: what dropout kept, in the shape of its input; noise's scale and shift, stacked;
the inputs once there is noise in them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of stage: what it gives, and how far float32 may be from it."""

    forward: Callable[[Stage, Values, State, Values | None], Values]
    """Stage, input, parameters and buffers, what was drawn; batch statistics where it normalizes."""
    slack: Callable[[Stage, Values, Values, State, Precision], Values]
    """Stage, input, output, parameters, precision: an absolute tolerance for each value of the output."""
    evaluate: Callable[[Stage, Values, State], Values] | None = None
    """In evaluation mode, where that is something else."""


def columns(stage: Stage, x: Values, weight: Values) -> tuple[Values, tuple[int, int]]:
    """What the kernel sees at each of its places, ``(B * H * W, C * k * k)``, and how many places: ``(H, W)``."""
    kernel, stride = weight.shape[2:], stage.options.get("stride", 1)
    pad = padding(stage, weight)
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = sliding_window_view(padded, kernel, axis=(2, 3))[:, :, ::stride, ::stride]
    size = windows.shape[2], windows.shape[3]
    return np.moveaxis(windows, 1, 3).reshape(len(x) * size[0] * size[1], -1), size


def padding(stage: Stage, weight: Values) -> int:
    """Zeros around the image; "same" is half of an odd kernel."""
    given = stage.options.get("padding", 0)
    return int(weight.shape[2] // 2 if given == "same" else given)


def images(flat: Values, samples: int, size: tuple[int, int]) -> Values:
    """Rows ``(B * H * W, C)`` as images ``(B, C, H, W)``."""
    return np.moveaxis(flat.reshape(samples, *size, -1), 3, 1)


def _linear(stage: Stage, x: Values, state: State, _mask: Values | None) -> Values:
    result: Values = x @ state[stage.name("weight")].T + state[stage.name("bias")]
    return result


def _conv(stage: Stage, x: Values, state: State, _mask: Values | None) -> Values:
    weight = state[stage.name("weight")]
    seen, size = columns(stage, x, weight)
    return images(seen @ weight.reshape(len(weight), -1).T + state[stage.name("bias")], len(x), size)


def _norm(stage: Stage, x: Values, state: State, _mask: Values | None) -> Values:
    gamma, beta = (per_feature(stage, state[stage.name(name)], x.ndim) for name in ("weight", "bias"))
    result: Values = standardized(stage, x).values.reshape(x.shape) * gamma + beta
    return result


def _norm_evaluated(stage: Stage, x: Values, state: State) -> Values:
    """With the running statistics; layer and group normalization do as in training."""
    if stage.info.norm != "batch":
        return _norm(stage, x, state, None)
    names = ("weight", "bias", "running_mean", "running_var")
    gamma, beta, mean, var = (per_feature(stage, state[stage.name(name)], x.ndim) for name in names)
    if stage.info.per_step:  # beyond the last time step that there are statistics of, those of the last one
        steps = np.minimum(np.arange(x.shape[1]), len(mean) - 1)
        mean, var = mean[steps], var[steps]
    result: Values = (x - mean) / np.sqrt(var + x.dtype.type(stage.options["eps"])) * gamma + beta
    return result


def _activation(stage: Stage, x: Values, state: State, _mask: Values | None) -> Values:
    if stage.info.kind == "recurrent":
        return unroll(stage, x, state).states
    return ACTIVATIONS[stage.info.activation].function(x)


def _recurrent_evaluated(stage: Stage, x: Values, state: State) -> Values:
    if stage.info.kind == "recurrent":
        return unroll(stage, x, state, training=False).states
    return ACTIVATIONS[stage.info.activation].function(x)


def squares(stage: Stage, x: Values) -> Values:
    """An image's pooling squares, ``(B, C, H, W, pool * pool)``; what does not fill one is left out."""
    side = stage.options["pool"]
    height, width = x.shape[2] // side, x.shape[3] // side
    cut = x[:, :, : height * side, : width * side].reshape(*x.shape[:2], height, side, width, side)
    return np.swapaxes(cut, 3, 4).reshape(*x.shape[:2], height, width, side * side)


def _pool(stage: Stage, x: Values, _state: State, _mask: Values | None) -> Values:
    result: Values = squares(stage, x).max(-1)
    return result


def _dropout(stage: Stage, x: Values, _state: State, mask: Values | None) -> Values:
    assert mask is not None
    result: Values = x * (mask.astype(x.dtype) / x.dtype.type(1 - stage.info.dropout))
    return result


def _noise(_stage: Stage, x: Values, _state: State, drawn: Values | None) -> Values:
    assert drawn is not None
    scale, shift = drawn.astype(x.dtype)
    result: Values = scale * x + shift
    return result


def _noise_slack(_stage: Stage, x: Values, y: Values, _state: State, precision: Precision) -> Values:
    result: Values = 16 * precision.unit * (2 * np.abs(x) + np.abs(y)) + SMALLEST
    return result


def _noisy(_stage: Stage, x: Values, _state: State, drawn: Values | None) -> Values:
    assert drawn is not None
    return drawn.astype(x.dtype)


def _flatten(_stage: Stage, x: Values, _state: State, _mask: Values | None) -> Values:
    return x.reshape(len(x), -1)


def _last(_stage: Stage, x: Values, _state: State, _mask: Values | None) -> Values:
    return x[:, -1]


def _rows(_stage: Stage, x: Values, _state: State, _mask: Values | None) -> Values:
    return np.swapaxes(x, 1, 2).reshape(len(x), x.shape[2], -1)


def _same(_stage: Stage, x: Values, _state: State) -> Values:
    return x


def _none(_stage: Stage, _x: Values, y: Values, _state: State, _precision: Precision) -> Values:
    return np.zeros_like(y)


def _few(stage: Stage, x: Values, y: Values, _state: State, precision: Precision) -> Values:
    """A few roundings of the value; GELU takes the difference of what may be nearly alike: of its input."""
    of = np.maximum(np.abs(x), np.abs(y)) if stage.info.activation == "gelu" and x.shape == y.shape else np.abs(y)
    result: Values = 16 * precision.unit * of + SMALLEST
    return result


def _activation_slack(stage: Stage, x: Values, y: Values, state: State, precision: Precision) -> Values:
    if stage.info.kind != "recurrent":
        return _few(stage, x, y, state, precision)
    return unroll(stage, x, state, recorded=y).slack(precision)


def _product_slack(norms: Values, weight: Values, bias: Values, y: Values, unit: float, factors: float) -> Values:
    """``norms``: ‖x‖ of each row.  Rows times columns of the product."""
    each = np.sqrt((weight.reshape(len(weight), -1) ** 2).sum(1))
    terms = weight[0].size
    size = 2 * unit * (np.sqrt(terms) + 4) + (4 * factors if factors > unit else 0)
    result: Values = size * norms[..., None] * each + 4 * unit * (np.abs(bias) + np.abs(y)) + SMALLEST
    return result


def _linear_slack(stage: Stage, x: Values, y: Values, state: State, precision: Precision) -> Values:
    norms = np.sqrt((x * x).sum(-1))
    weight, bias = (state[stage.name(name)] for name in ("weight", "bias"))
    return _product_slack(norms, weight, bias, y, precision.unit, 0)


def _conv_slack(stage: Stage, x: Values, y: Values, state: State, precision: Precision) -> Values:
    weight, bias = (state[stage.name(name)] for name in ("weight", "bias"))
    seen, size = columns(stage, x, weight)
    flat = np.moveaxis(y, 1, 3).reshape(len(seen), -1)
    norms = np.sqrt((seen * seen).sum(1))
    slack = _product_slack(norms, weight, bias, flat, precision.unit, precision.convolution)
    return images(slack, len(x), size)


def _norm_slack(stage: Stage, x: Values, y: Values, state: State, precision: Precision) -> Values:
    """A rounding of the largest x that went into the mean, divided as x is; var itself is off by it too."""
    of, z = standardized(stage, x), arranged(stage, x)
    gamma, beta = (np.abs(per_feature(stage, state[stage.name(name)], x.ndim)) for name in ("weight", "bias"))
    unit = 16 * precision.unit
    lost = unit * (np.abs(z).max(of.axes, keepdims=True) + np.abs(of.mean))
    of_var = (lost * lost + 2 * lost * np.sqrt(of.var) + unit * of.var) * of.inverse**2
    away = (lost * of.inverse + np.abs(of.values) * of_var).reshape(x.shape)
    result: Values = gamma * away + unit * (np.abs(y) + beta) + SMALLEST
    return result


FORWARD: Final[dict[str, Rule]] = {
    "flatten": Rule(_flatten, _none),
    "last": Rule(_last, _none),
    "rows": Rule(_rows, _none),
    "linear": Rule(_linear, _linear_slack),
    "recurrent": Rule(_linear, _linear_slack),
    "conv": Rule(_conv, _conv_slack),
    "norm": Rule(_norm, _norm_slack, _norm_evaluated),
    "noise": Rule(_noise, _noise_slack, _same),
    "input_noise": Rule(_noisy, _none, _same),
    "activation": Rule(_activation, _activation_slack, _recurrent_evaluated),
    "pool": Rule(_pool, _few),
    "dropout": Rule(_dropout, _few, _same),
}
"""Every kind of stage that a network has."""


def train(stages: Sequence[Stage], x: Values, state: State, draws: Draws) -> list[Values]:
    """What all stages give in training mode, from ``x`` on; what they draw stands in ``draws``."""
    values = []
    for stage in stages:
        x = FORWARD[stage.kind].forward(stage, x, state, draws.get(stage.at))
        values.append(x)
    return values


def evaluate(stages: Sequence[Stage], x: Values, state: State) -> Values:
    """The network's output in evaluation mode: running statistics, nothing drawn."""
    for stage in stages:
        rule = FORWARD[stage.kind]
        x = rule.forward(stage, x, state, None) if rule.evaluate is None else rule.evaluate(stage, x, state)
    return x

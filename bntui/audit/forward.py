"""Computes the output of each stage from its input, with bounds on float32's error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bntui.audit.activations import ACTIVATIONS
from bntui.audit.bounded import LARGEST, Bounded, tightened
from bntui.audit.network import RecordedStage
from bntui.audit.normalize import per_feature, scaled, standardized
from bntui.audit.recurrence import State, normalized_by, unroll
from bntui.audit.sums import matmul
from bntui.audit.tolerances import Precision

Values = NDArray[Any]
Draws = Mapping[int, Values]
"""Recorded random draws by the stage's index: dropout's mask, in the shape of its input; the stacked scale and shift of
noise; the inputs with their noise added."""

Forward = Callable[[RecordedStage, Bounded, State, Values | None, Precision], Bounded]
"""Arguments: stage, input, parameters and buffers, random draws, the device's precision."""


@dataclass(frozen=True, slots=True)
class ForwardRule:
    """How to compute the output of a kind of stage."""

    forward: Forward
    """In training mode, with batch statistics."""
    evaluate: Forward | None = None
    """In evaluation mode, if that differs."""


def columns(stage: RecordedStage, x: Bounded, weight: Bounded) -> tuple[Bounded, tuple[int, int]]:
    """The input patch at each kernel position, ``(B, H * W, C * k * k)``, and the number of positions, ``(H, W)``."""
    kernel, stride = weight.shape[2:], stage.options.get("stride", 1)
    pad = padding(stage, weight)

    def seen(values: Values) -> Values:
        padded = np.pad(values, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        windows = sliding_window_view(padded, kernel, axis=(2, 3))[:, :, ::stride, ::stride]
        return np.moveaxis(windows, 1, 3).reshape(len(values), windows.shape[2] * windows.shape[3], -1)

    size = tuple((side + 2 * pad - k) // stride + 1 for side, k in zip(x.shape[2:], kernel, strict=True))
    made = x.arranged(seen)
    # at most k² patches contain a pixel: the norm of its error grows by at most a factor of k
    norm = np.sqrt(kernel[0] * kernel[1]) * x.norm
    return tightened(made.value, made.error, norm, x.unit, made.trials), (size[0], size[1])


def padding(stage: RecordedStage, weight: Bounded) -> int:
    """Zero padding around the image; "same" is half of an odd kernel."""
    given = stage.options.get("padding", 0)
    return int(weight.shape[2] // 2 if given == "same" else given)


def flat(weight: Bounded) -> Bounded:
    """Reshape a kernel ``(O, C, k, k)`` to a matrix ``(C * k * k, O)``."""
    return weight.arranged(lambda values: values.reshape(len(values), -1).T)


def _linear(stage: RecordedStage, x: Bounded, state: State, _drawn: Values | None, _precision: Precision) -> Bounded:
    return matmul(x, flat(state[stage.name("weight")]), state[stage.name("bias")])


def _conv(stage: RecordedStage, x: Bounded, state: State, _drawn: Values | None, precision: Precision) -> Bounded:
    weight = state[stage.name("weight")]
    seen, size = columns(stage, x, weight)
    made = matmul(seen, flat(weight), state[stage.name("bias")], factors=precision.factors)
    return made.arranged(lambda values: np.swapaxes(values, 1, 2).reshape(len(values), -1, *size))


def _norm(stage: RecordedStage, x: Bounded, state: State, _drawn: Values | None, _precision: Precision) -> Bounded:
    scale, beta = (per_feature(stage, state[stage.name(name)], x.value.ndim) for name in ("weight", "bias"))
    return scaled(standardized(stage, x), scale, beta, x.shape)


def _norm_evaluated(
    stage: RecordedStage, x: Bounded, state: State, drawn: Values | None, precision: Precision
) -> Bounded:
    """Normalize with running statistics; layer and group normalization work as in training."""
    if stage.info.norm != "batch":
        return _norm(stage, x, state, drawn, precision)
    names = ("weight", "bias", "running_mean", "running_var")
    scale, beta, mean, var = (per_feature(stage, state[stage.name(name)], x.value.ndim) for name in names)
    if stage.info.per_step:  # beyond the last time step with statistics, use those of the last one
        steps = np.minimum(np.arange(x.shape[1]), mean.shape[0] - 1)
        mean, var = mean[steps], var[steps]
    return normalized_by(x, mean, var, stage.options["eps"], scale, beta)


def _activation(
    stage: RecordedStage, x: Bounded, state: State, _drawn: Values | None, _precision: Precision
) -> Bounded:
    if stage.info.kind == "recurrent":
        return unroll(stage, x, state).states
    return ACTIVATIONS[stage.info.activation].function(x)


def _activation_evaluated(
    stage: RecordedStage, x: Bounded, state: State, drawn: Values | None, precision: Precision
) -> Bounded:
    if stage.info.kind == "recurrent":
        return unroll(stage, x, state, training=False).states
    return _activation(stage, x, state, drawn, precision)


def squares(stage: RecordedStage, x: Values) -> Values:
    """An image's pooling windows, ``(B, C, H, W, pool * pool)``; incomplete windows are dropped."""
    side = stage.options["pool"]
    height, width = x.shape[2] // side, x.shape[3] // side
    cut = x[:, :, : height * side, : width * side].reshape(*x.shape[:2], height, side, width, side)
    return np.swapaxes(cut, 3, 4).reshape(*x.shape[:2], height, width, side * side)


def _pool(stage: RecordedStage, x: Bounded, _state: State, _drawn: Values | None, _precision: Precision) -> Bounded:
    inside = squares(stage, x.value)
    chosen = inside.argmax(-1)[..., None]
    trials = None
    if x.trials is not None:
        each = (squares(stage, trial) for trial in x.trials)
        trials = np.stack([np.take_along_axis(trial, chosen, -1)[..., 0] for trial in each])
    return tightened(inside.max(-1), squares(stage, x.error).max(-1), x.norm, x.unit, trials)


def _dropout(stage: RecordedStage, x: Bounded, _state: State, mask: Values | None, _precision: Precision) -> Bounded:
    assert mask is not None
    return x * kept(stage, mask, x.unit)


def kept(stage: RecordedStage, mask: Values, unit: float) -> Bounded:
    """1 / (1 - p) where a unit was kept; float32 rounds both 1 - p and the quotient."""
    value: Values = mask / (1 - stage.info.dropout)
    rounding: Values = 4 * unit * value
    return Bounded.exact(value, unit).function(value, 1.0, rounding)


def _noise(_stage: RecordedStage, x: Bounded, _state: State, drawn: Values | None, _precision: Precision) -> Bounded:
    assert drawn is not None
    scale, shift = (Bounded.exact(each, x.unit) for each in drawn)
    return x * scale + shift


def _noisy(_stage: RecordedStage, x: Bounded, _state: State, drawn: Values | None, _precision: Precision) -> Bounded:
    assert drawn is not None
    made = Bounded.exact(drawn, x.unit, by_sample=bool(x.norm.ndim))
    return made if x.trials is None else made.tried()


def _flatten(_stage: RecordedStage, x: Bounded, _state: State, _drawn: Values | None, _precision: Precision) -> Bounded:
    return x.reshape(len(x.value), -1)


def _last(_stage: RecordedStage, x: Bounded, _state: State, _drawn: Values | None, _precision: Precision) -> Bounded:
    return x[:, -1]


def _rows(_stage: RecordedStage, x: Bounded, _state: State, _drawn: Values | None, _precision: Precision) -> Bounded:
    return x.arranged(lambda values: np.swapaxes(values, 1, 2).reshape(len(values), values.shape[2], -1))


def _same(_stage: RecordedStage, x: Bounded, _state: State, _drawn: Values | None, _precision: Precision) -> Bounded:
    return x


FORWARD: Final[dict[str, ForwardRule]] = {
    "flatten": ForwardRule(_flatten),
    "last": ForwardRule(_last),
    "rows": ForwardRule(_rows),
    "linear": ForwardRule(_linear),
    "recurrent": ForwardRule(_linear),
    "conv": ForwardRule(_conv),
    "norm": ForwardRule(_norm, _norm_evaluated),
    "noise": ForwardRule(_noise, _same),
    "input_noise": ForwardRule(_noisy, _same),
    "activation": ForwardRule(_activation, _activation_evaluated),
    "pool": ForwardRule(_pool),
    "dropout": ForwardRule(_dropout, _same),
}
"""The rule of every kind of stage."""


def within_range(x: Bounded) -> Bounded:
    """Set infinite bounds where float32 may have overflowed."""
    beyond = ~(x.reach <= LARGEST)
    if not beyond.any():
        return x
    trials = None if x.trials is None else np.where(beyond, np.inf, x.trials)
    return Bounded(x.value, np.where(beyond, np.inf, x.error), np.full(x.norm.shape, np.inf), x.unit, trials)


def train(
    stages: Sequence[RecordedStage], x: Bounded, state: State, draws: Draws, precision: Precision
) -> list[Bounded]:
    """The outputs of all stages in training mode for input ``x``; ``draws`` holds their random draws."""
    values = []
    for stage in stages:
        x = within_range(FORWARD[stage.kind].forward(stage, x, state, draws.get(stage.at), precision))
        values.append(x)
    return values


def evaluate(stages: Sequence[RecordedStage], x: Bounded, state: State, precision: Precision) -> Bounded:
    """The network's output in evaluation mode: running statistics, no random draws."""
    for stage in stages:
        rule = FORWARD[stage.kind]
        x = within_range((rule.evaluate or rule.forward)(stage, x, state, None, precision))
    return x

"""Recomputes the gradient of each stage's output and of each parameter by backpropagation from recorded values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit import normalize
from bntui.audit.activations import ACTIVATIONS, ULPS
from bntui.audit.bounded import FIRST_ORDER, LARGEST, Bounded, carried, euclidean, smaller, tightened, unknown
from bntui.audit.forward import Draws, columns, flat, kept, padding, squares, within_range
from bntui.audit.network import RecordedStage
from bntui.audit.recurrence import State, of_scale, through_time
from bntui.audit.sums import matmul, summed_products, total
from bntui.audit.tolerances import Precision

Values = NDArray[Any]
LOOSE: Final = 1e-3
"""A bound above this fraction of its value is too loose to be useful."""
Back = tuple[Bounded | None, dict[str, Bounded]]
"""Gradient of a stage's input (None: not determined) and of its parameters."""


@dataclass(frozen=True, slots=True)
class Passing:
    """The inputs of a stage's backward pass."""

    stage: RecordedStage
    x: Bounded
    """The stage's input."""
    y: Bounded
    """The stage's output."""
    d: Bounded
    """Gradient of ``y``."""
    state: State
    drawn: Values | None
    """Recorded random draws: a mask, or the scale and shift of noise."""
    precision: Precision


@dataclass(frozen=True, slots=True)
class ForwardPass:
    """A forward pass in training mode, as backpropagation through it needs it."""

    stages: Sequence[RecordedStage]
    x: Bounded | None
    """The input of the first stage; None: unknown."""
    values: Sequence[Bounded]
    """The output of each stage."""
    state: State
    """Parameters and buffers."""
    draws: Draws
    precision: Precision

    def passing(self, place: int, d: Bounded) -> Passing | None:
        """The inputs of a stage's backward pass, given its output's gradient; None if the stage's input is unknown."""
        stage, x = self.stages[place], self.values[place - 1] if place else self.x
        if x is None:
            return None
        return Passing(stage, x, self.values[place], d, self.state, self.draws.get(stage.at), self.precision)


def cross_entropy(logits: Bounded, classes: Values) -> Bounded:
    """Loss of each sample: log-sum-exp of its logits minus the logit of its class."""
    at = np.arange(len(logits.value)), classes

    def whole(values: Values) -> Values:
        top = values.max(-1, keepdims=True)
        summed: Values = np.log(np.exp(values - top).sum(-1)) + top[..., 0]
        return summed

    here = whole(logits.value)
    value = here - logits.value[at]
    # log Σ exp changes by no more than the logit that changes most
    span = np.abs(logits.value.max(1)) + np.abs(here) + np.abs(logits.value[at])
    rounding = 2 * ULPS * logits.unit * (span + np.log(logits.shape[1]))
    error = logits.error.max(1) + logits.error[at] + rounding
    moved = []
    if logits.trials is not None:  # to all orders: over balanced classes, those of the first order cancel
        shifted = logits.value + logits.trials
        there = whole(shifted) - shifted[:, at[0], at[1]] - value
        moved.append(unknown(there, logits.trials.sum(2)))
    return tightened(value, error, np.asarray(np.inf), logits.unit, carried(rounding, *moved))


def squared_error(output: Bounded, target: Values) -> Bounded:
    """Loss of each sample: the mean squared error over its outputs."""
    away = output - np.asarray(target, np.float64)
    summed = total(away * away, 1)
    return summed * (1 / output.shape[1])


def loss_gradient(task: str, output: Bounded, target: Values) -> Bounded:
    """Gradient of the mini-batch's mean loss with respect to the network's output."""
    if task != "classification":
        return (output - target.astype(np.float64)) * (2 / output.value.size)
    count = len(output.value)
    share, error = softmax(output)
    rounding = (softmax(Bounded.exact(output.value, output.unit))[1] + 2 * output.unit) / count
    moved = []
    if output.trials is not None:
        there = _softmax(output.value + output.trials) - share
        moved.append(unknown(there, np.broadcast_to(output.trials.sum(2, keepdims=True), there.shape)) / count)
    share[np.arange(count), target] -= 1
    error = (error + 2 * output.unit * np.abs(share)) / count
    return tightened(share / count, error, np.asarray(np.inf), output.unit, carried(rounding, *moved))


def softmax(logits: Bounded) -> tuple[Values, Values]:
    """Probabilities ``(B, classes)`` and bounds on float32's error in them.

    Errors δ in the logits change a probability by a factor within exp(±2 max δ).  float32 computes
    exp(x - max - log Σ), whose exponent carries the rounding errors of its terms.
    """
    share = _softmax(logits.value)
    top = logits.value.max(1, keepdims=True)
    whole = np.exp(logits.value - top).sum(1, keepdims=True)
    below = np.abs(logits.value - top)
    exponent = logits.unit * (4 * below + 4 * np.log(whole) + 3 * ULPS + logits.shape[1])
    exponent = exponent + 2 * logits.error.max(1, keepdims=True)
    error = np.fmin(share * np.expm1(np.minimum(exponent, 50)), 1.0)
    known = np.isfinite(logits.reach).all(1, keepdims=True)  # otherwise float32 may have produced NaN
    return share, np.where(known, error, np.inf)


def _softmax(values: Values) -> Values:
    away = np.exp(values - values.max(-1, keepdims=True))
    share: Values = away / away.sum(-1, keepdims=True)
    return share


def _linear(at: Passing) -> Back:
    stage, weight = at.stage, at.state[at.stage.name("weight")]
    d = at.d.reshape(-1, at.d.shape[-1])
    x = at.x.reshape(-1, at.x.shape[-1])
    return matmul(at.d, weight), {stage.name("weight"): summed_products(d, x), stage.name("bias"): total(d)}


def _conv(at: Passing) -> Back:
    stage, weight = at.stage, at.state[at.stage.name("weight")]
    seen, (height, width) = columns(stage, at.x, weight)
    d = at.d.arranged(lambda values: np.moveaxis(values, 1, 3).reshape(-1, values.shape[1]))
    factors = at.precision.factors
    of_weight = summed_products(d, seen.reshape(len(d.value), -1), factors=factors)
    gradients = {stage.name("weight"): of_weight.reshape(*weight.shape), stage.name("bias"): total(d)}
    back = matmul(d, flat(weight).arranged(np.transpose), factors=factors)
    pad, stride = padding(stage, weight), stage.options.get("stride", 1)
    samples, channels, rows, across = at.x.shape

    def gathered(values: Values) -> Values:
        """Back to pixels: each pixel sums the values of the kernel positions that cover it."""
        placed = values.reshape(samples, height, width, *weight.shape[1:])
        whole = np.zeros((samples, channels, rows + 2 * pad, across + 2 * pad))
        for i in range(weight.shape[2]):
            for j in range(weight.shape[3]):
                to = whole[:, :, i : i + stride * height : stride, j : j + stride * width : stride]
                to += np.moveaxis(placed[..., i, j], 3, 1)
        return whole[:, :, pad : pad + rows, pad : pad + across]

    # sums at most k² values: one rounding each, and a norm at most k times as large
    places = weight.shape[2] * weight.shape[3]
    size = gathered(back.reach)
    lost = np.where(size > LARGEST, np.inf, places * back.unit * size)
    error = gathered(back.error) + lost
    norm = np.sqrt(places) * back.norm + float(np.sqrt((lost * lost).sum()))
    moved = [] if back.trials is None else [np.stack([gathered(trial) for trial in back.trials])]
    return tightened(gathered(back.value), error, norm, back.unit, carried(lost, *moved)), gradients


def _norm(at: Passing) -> Back:
    stage, centered = at.stage, at.stage.info.norm == "batch"
    of = normalize.standardized(stage, at.x)
    weight = at.state[stage.name("weight")]
    inner = at.d * normalize.per_feature(stage, weight, at.x.value.ndim)
    arranged = (normalize.arranged(stage, each) for each in (inner, at.d))
    back = normalize.backward(of, *arranged, centered=centered).reshape(*at.x.shape)

    def by_feature(values: Values) -> Values:
        return _by_feature(stage, values.reshape(at.x.shape))

    d = at.d.arranged(by_feature)
    flat_of = replace(
        of, values=of.values.arranged(by_feature), raw=by_feature(of.raw), uncentered=by_feature(of.uncentered)
    )
    gradients = {
        stage.name("weight"): of_scale(d, [flat_of], centered=centered).reshape(*weight.shape),
        stage.name("bias"): total(d).reshape(*weight.shape),
    }
    return back, gradients


def _by_feature(stage: RecordedStage, values: Values) -> Values:
    """Reshape to ``(M, features)``, one column per value of γ and β."""
    if stage.info.kind == "recurrent":
        return values.reshape(-1, values.shape[-1])
    if stage.info.norm == "layer":
        return values.reshape(len(values), -1)
    return np.moveaxis(values, 1, -1).reshape(-1, values.shape[1])


def _activation(at: Passing) -> Back:
    if at.stage.info.kind == "recurrent":
        return through_time(at.stage, at.x, at.y, at.d, at.state)
    return at.d * ACTIVATIONS[at.stage.info.activation].derivative(at.x, at.y), {}


def _pool(at: Passing) -> Back:
    """Pass the gradient to the largest value of each square; to the first of equal ones, as PyTorch does.

    If the bounds do not settle which value is largest, float32 may have chosen another.
    """
    side = at.stage.options["pool"]
    inside, off = squares(at.stage, at.x.value), squares(at.stage, at.x.spread)
    chosen = np.argmax(inside, -1)[..., None] == np.arange(side * side)
    possible = inside + off >= (inside - off).max(-1, keepdims=True)
    unsure = (possible & (possible.sum(-1, keepdims=True) > 1) & (off.max(-1, keepdims=True) > 0)) | chosen
    samples, channels, height, width = at.d.shape

    def spread(values: Values) -> Values:
        blocks = np.swapaxes(values.reshape(samples, channels, height, width, side, side), 3, 4)
        back = np.zeros(at.x.shape)
        back[:, :, : height * side, : width * side] = blocks.reshape(samples, channels, height * side, width * side)
        return back

    either = unsure & ((unsure & ~chosen).any(-1, keepdims=True))
    error = spread(np.where(either, at.d.reach[..., None], chosen * at.d.error[..., None]))
    norm = at.d.norm if not either.any() else np.asarray(np.inf)
    unsure_error = np.where(either, at.d.reach[..., None], 0.0) if either.any() else np.zeros(())
    moved = [] if at.d.trials is None else [np.stack([spread(chosen * t[..., None]) for t in at.d.trials])]
    trials = carried(spread(unsure_error) if either.any() else np.zeros(at.x.shape), *moved)
    return tightened(spread(chosen * at.d.value[..., None]), error, norm, at.d.unit, trials), {}


def _dropout(at: Passing) -> Back:
    assert at.drawn is not None
    return at.d * kept(at.stage, at.drawn, at.d.unit), {}


def _flatten(at: Passing) -> Back:
    return at.d.reshape(*at.x.shape), {}


def _last(at: Passing) -> Back:
    def placed(values: Values) -> Values:
        back = np.zeros(at.x.shape)
        back[:, -1] = values
        return back

    return at.d.arranged(placed), {}


def _rows(at: Passing) -> Back:
    samples, channels, height, width = at.x.shape
    return at.d.arranged(lambda values: np.swapaxes(values.reshape(samples, height, channels, width), 1, 2)), {}


def _added(at: Passing) -> Back:
    return at.d, {}


def _scaled(at: Passing) -> Back:
    """Noise multiplies by a random draw; if that is not recorded, gradients before it are not determined."""
    return (None if at.drawn is None else at.d * at.drawn[0]), {}


BACKWARD: Final[dict[str, Callable[[Passing], Back]]] = {
    "flatten": _flatten,
    "last": _last,
    "rows": _rows,
    "linear": _linear,
    "recurrent": _linear,
    "conv": _conv,
    "norm": _norm,
    "noise": _scaled,
    "input_noise": _added,
    "activation": _activation,
    "pool": _pool,
    "dropout": _dropout,
}


@dataclass(slots=True)
class Gradients:
    """The gradients of one step."""

    values: list[Bounded | None]
    """One per stage output; None: not determined."""
    parameters: dict[str, Bounded] = field(default_factory=dict)

    def loose(self) -> bool:
        """True if the bound of some weight's gradient exceeds a thousandth of the gradient's norm."""
        weights = (found for name, found in self.parameters.items() if name.endswith("weight"))
        return any(lost > LOOSE * length for length, lost in (found.length() for found in weights) if length)

    def or_smaller(self, tried: Gradients) -> Gradients:
        """Take the smaller of the two bounds for each gradient."""
        pairs = zip(self.values, tried.values, strict=True)
        values = [None if own is None or other is None else smaller(own, other) for own, other in pairs]
        return Gradients(values, {name: smaller(own, tried.parameters[name]) for name, own in self.parameters.items()})


def tight(backward: Callable[[bool], Gradients]) -> Gradients:
    """Gradients with certain bounds; if those are loose, computed again with trials (``backward(True)``)."""
    certain = backward(False)
    return certain.or_smaller(backward(True)) if certain.loose() else certain


def within_first_order(d: Bounded) -> Bounded:
    """Discard trials whose errors are too large for first order; earlier stages then have only certain bounds."""
    if d.trials is None or euclidean(d.wobble) <= FIRST_ORDER * euclidean(d.value):
        return d
    return Bounded(d.value, d.error, d.norm, d.unit, np.full(d.trials.shape, np.inf))


def backpropagate(forward: ForwardPass, d: Bounded) -> Gradients:
    """Backpropagate the gradient ``d`` of the last stage's output to the first stage."""
    found = Gradients([None] * len(forward.stages))
    current: Bounded | None = d
    for place in reversed(range(len(forward.stages))):
        found.values[place] = current
        if current is None or (passing := forward.passing(place, current)) is None:
            break
        with np.errstate(all="ignore"):
            current, gradients = BACKWARD[passing.stage.kind](passing)
            current = None if current is None else within_first_order(within_range(current))
            found.parameters |= {name: within_range(gradient) for name, gradient in gradients.items()}
    return found

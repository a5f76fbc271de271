"""What is the gradient of each stage's output and of each parameter?  Backpropagation by hand, from recorded values.

Written once and run twice: in float64, which is the answer, and in float32, which says how far a float32 may be off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit import normalize
from bntui.audit.activations import ACTIVATIONS
from bntui.audit.forward import Draws, columns, padding, squares
from bntui.audit.network import Stage, State
from bntui.audit.recurrence import Term, through_time
from bntui.audit.tolerances import SAFETY, SMALLEST, TENSOR_CORE, UNIT, Precision

Values = NDArray[Any]
Back = tuple[Values | None, dict[str, Term]]
"""Gradient of a stage's input (None: not determined), and its parameters' terms."""


@dataclass(frozen=True, slots=True)
class Passing:
    """What a stage's way back needs."""

    stage: Stage
    x: Values
    """What entered it, as recorded."""
    y: Values
    """What it gave, as recorded."""
    d: Values
    """Gradient of ``y``."""
    state: State
    drawn: Values | None
    """What was drawn: a mask; scale and shift of noise."""
    narrow: bool = False
    """Convolutions multiply in TF32."""


def cross_entropy(logits: Values, classes: Values) -> Values:
    """Loss of each sample: the logarithm of the sum of exponentials minus the class's logit."""
    top = logits.max(1, keepdims=True)
    total = np.log(np.exp(logits - top).sum(1)) + top[:, 0]
    result: Values = total - logits[np.arange(len(logits)), classes]
    return result


def squared_error(output: Values, target: Values) -> Values:
    """Loss of each sample: the mean of its outputs' squared errors."""
    result: Values = ((output - target) ** 2).mean(1)
    return result


def loss_gradient(task: str, output: Values, target: Values) -> Values:
    """Gradient of the mean loss of the mini-batch with respect to the network's output."""
    result: Values
    if task != "classification":
        result = 2 * (output - target.astype(output.dtype)) / output.size
        return result
    away = np.exp(output - output.max(1, keepdims=True))
    share = away / away.sum(1, keepdims=True)
    share[np.arange(len(share)), target] -= 1
    result = share / len(share)
    return result


def _ones(d: Values) -> Values:
    return np.ones((len(d), 1), d.dtype)


def _linear(at: Passing) -> Back:
    stage, weight = at.stage, at.state[at.stage.name("weight")]
    d, x = at.d.reshape(-1, at.d.shape[-1]), at.x.reshape(-1, at.x.shape[-1])
    terms = {
        stage.name("weight"): Term(d, x, weight.shape),
        stage.name("bias"): Term(d, _ones(d), (d.shape[1],)),
    }
    return at.d @ weight, terms


def truncated(values: Values) -> Values:
    """Rounded to the 10 bits of mantissa that a tensor core multiplies."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    result: Values = ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)
    return result


def _conv(at: Passing) -> Back:
    stage, weight = at.stage, at.state[at.stage.name("weight")]
    seen, (height, width) = columns(stage, at.x, weight)
    d = np.moveaxis(at.d, 1, 3).reshape(len(seen), -1)
    product = (truncated(d), truncated(weight)) if at.narrow else (d, weight)
    terms = {
        stage.name("weight"): Term(d, seen, weight.shape, convolution=True),
        stage.name("bias"): Term(d, _ones(d), (d.shape[1],)),
    }
    back = (product[0] @ product[1].reshape(len(weight), -1)).reshape(len(at.x), height, width, *weight.shape[1:])
    pad, stride = padding(stage, weight), stage.options.get("stride", 1)
    samples, channels, rows, across = at.x.shape
    total = np.zeros((samples, channels, rows + 2 * pad, across + 2 * pad), at.x.dtype)
    for i in range(weight.shape[2]):
        for j in range(weight.shape[3]):
            to = total[:, :, i : i + stride * height : stride, j : j + stride * width : stride]
            to += np.moveaxis(back[..., i, j], 3, 1)
    return total[:, :, pad : pad + rows, pad : pad + across], terms


def _norm(at: Passing) -> Back:
    stage = at.stage
    of = normalize.standardized(stage, at.x)
    gamma = at.state[stage.name("weight")]
    inner = at.d * normalize.per_feature(stage, gamma, at.x.ndim)
    back = normalize.backward(of, normalize.arranged(stage, inner)).reshape(at.x.shape)
    values = of.values.reshape(at.x.shape)
    d, normed = _by_feature(stage, at.d), _by_feature(stage, values)
    terms = {
        stage.name("weight"): Term(d, normed, gamma.shape, paired=True),
        stage.name("bias"): Term(d, _ones(d), gamma.shape),
    }
    return back, terms


def _by_feature(stage: Stage, values: Values) -> Values:
    """``(M, features)``: γ and β have one value for each."""
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
    """To the largest of each square, the first where several are: PyTorch's choice."""
    side = at.stage.options["pool"]
    inside = squares(at.stage, at.x)
    chosen = np.argmax(inside, -1)[..., None] == np.arange(side * side)
    spread = (chosen * at.d[..., None]).astype(at.d.dtype)
    samples, channels, height, width = at.d.shape
    blocks = np.swapaxes(spread.reshape(samples, channels, height, width, side, side), 3, 4)
    back = np.zeros_like(at.x)
    back[:, :, : height * side, : width * side] = blocks.reshape(samples, channels, height * side, width * side)
    return back, {}


def _dropout(at: Passing) -> Back:
    assert at.drawn is not None
    return at.d * (at.drawn.astype(at.d.dtype) / at.d.dtype.type(1 - at.stage.info.dropout)), {}


def _flatten(at: Passing) -> Back:
    return at.d.reshape(at.x.shape), {}


def _last(at: Passing) -> Back:
    back = np.zeros_like(at.x)
    back[:, -1] = at.d
    return back, {}


def _rows(at: Passing) -> Back:
    samples, channels, height, width = at.x.shape
    return np.swapaxes(at.d.reshape(samples, height, channels, width), 1, 2), {}


def _added(at: Passing) -> Back:
    return at.d, {}


def _scaled(at: Passing) -> Back:
    """Noise multiplies by what was drawn; where that is not recorded, what comes before it is not determined."""
    return (None if at.drawn is None else at.d * at.drawn[0].astype(at.d.dtype)), {}


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

    values: list[Values | None]
    """Of each stage's output; None: not determined."""
    terms: dict[str, Term] = field(default_factory=dict)


def backpropagate(
    stages: Sequence[Stage],
    x: Values | None,
    values: Sequence[Values],
    state: State,
    draws: Draws,
    d: Values,
    *,
    narrow: bool = False,
) -> Gradients:
    """From the gradient ``d`` of the last stage's output back to the first, in the precision of ``d``.

    ``x`` is what entered the first of these stages (None: not known), ``values`` what each gave.
    """
    found = Gradients([None] * len(stages))
    current: Values | None = d
    for place in reversed(range(len(stages))):
        stage = stages[place]
        found.values[place] = current
        entered = values[place - 1] if place else x
        if current is None or entered is None:
            break
        passing = Passing(stage, entered, values[place], current, state, draws.get(stage.at), narrow)
        with np.errstate(all="ignore"):
            current, terms = BACKWARD[stage.kind](passing)
        found.terms |= terms
    return found


def norms(values: Values) -> Values:
    """Euclidean norm of each column."""
    result: Values = np.sqrt((values.astype(np.float64) ** 2).sum(0))
    return result


def slack(wide: Term, single: Term, precision: Precision) -> Values:
    """How far float32 may be from a parameter's gradient, each component by itself: 0 where nothing was added up.

    What is off in each sample's gradient adds up as independent errors do, to its root mean square times ‖x‖; what the
    sum itself loses, and what is off in all samples alike, shows in how far the float32 gradient is away, relative to
    ‖d‖ ‖x‖, over all components together.
    """
    count = len(wide.d)
    d, x = norms(wide.d), norms(wide.x)
    off = _off(wide.d, single.d), _off(wide.x, single.x)
    size, spread = _products(wide, d, x), _products(wide, off[0], x) + _products(wide, d, off[1])
    unit = 2 * precision.unit * (np.sqrt(count) + 4)
    unit += 4 * precision.convolution if wide.convolution and precision.convolution > UNIT else 0
    away = np.abs(wide.gradient - single.gradient).reshape(size.shape)
    some = size > 0
    measured = float(np.sqrt(np.mean((away[some] / size[some]) ** 2))) if some.any() else 0.0
    total = spread / np.sqrt(count) + SAFETY * (away + measured * size) + unit * size
    result: Values = (total + np.where(total > 0, SMALLEST, 0)).reshape(wide.shape)
    return result


def _products(term: Term, d: Values, x: Values) -> Values:
    return d * x if term.paired else np.outer(d, x)


def _off(wide: Values, single: Values) -> Values:
    """Per column: how far float32 may be, its own error and that of all columns together; 0 where all is 0."""
    each = norms(wide - single)
    nothing = (norms(wide) == 0) & (norms(single) == 0)
    result: Values = np.where(nothing, 0, SAFETY * each + 2 * np.sqrt(np.mean(each * each)))
    return result


def in_single(state: Mapping[str, Values]) -> dict[str, Values]:
    """Parameters as the trainer has them."""
    return {name: values.astype(np.float32) for name, values in state.items()}


def multiplies_narrow(precision: Precision) -> bool:
    """The device's convolutions round their factors."""
    return precision.convolution >= TENSOR_CORE

"""Computes recurrent layers, forward and backward through time.

Elman: h = φ(p + W h').  GRU: r, z = σ(p + W h'), n = tanh(p + r (W h' + b)), h = (1 - z) n + z h'.  LSTM: i, f, o =
σ(p + W h'), g = tanh(p + W h'), c = f c' + i g, h = o tanh(c).  h' is the previous state, initially 0; the gates are in
PyTorch's order.  If the hidden state is normalized, the normalization applies to W h' and to LSTM's c before its tanh
(Cooijmans et al., arXiv:1603.09025).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.activations import ACTIVATIONS, sigmoid, tanh
from bntui.audit.bounded import LARGEST, Bounded, carried, of_sum, unknown
from bntui.audit.network import RecordedStage
from bntui.audit.normalize import Standardized, backward, scaled, standardize
from bntui.audit.sums import concatenated, matmul, stacked, summed_products, total

Values = NDArray[Any]
State = dict[str, Bounded]
"""Parameters and buffers by name."""


@dataclass(slots=True)
class TimeStepValues:
    """Values of one time step that its backward pass needs."""

    before: Bounded
    """h', shape ``(B, H)``."""
    hidden: Bounded
    """W h', normalized if the layer is configured so."""
    normed: Standardized | None
    gates: tuple[Bounded, ...]
    """Elman: pre-activations; GRU: r, z, n; LSTM: i, f, g, o."""
    state: Bounded
    """h."""
    cell_before: Bounded | None = None
    cell_normed: Standardized | None = None
    shown: Bounded | None = None
    """tanh of the (normalized) cell."""


@dataclass(slots=True)
class Unrolled:
    """The result of a recurrence over a whole sequence."""

    states: Bounded
    """``(B, T, H)``."""
    steps: list[TimeStepValues]
    statistics: dict[str, tuple[Bounded, Bounded]] = field(default_factory=dict)
    """Batch mean and biased variance ``(T, C)`` of each normalization within the recurrence, by the norm's prefix."""


def _elman(
    stage: RecordedStage, p: Bounded, hidden: Bounded, step: TimeStepValues, _state: State, _cell: object
) -> tuple[Bounded, Bounded | None]:
    inner = p + hidden
    step.gates = (inner,)
    return ACTIVATIONS[stage.info.activation].function(inner), None


def _gru(
    stage: RecordedStage, p: Bounded, hidden: Bounded, step: TimeStepValues, state: State, _cell: object
) -> tuple[Bounded, Bounded | None]:
    units = step.before.shape[1]
    gates = sigmoid(p[:, : 2 * units] + hidden[:, : 2 * units])
    reset, update = gates[:, :units], gates[:, units:]
    new = tanh(p[:, 2 * units :] + reset * (hidden[:, 2 * units :] + state[stage.name("bias")]))
    step.gates = (reset, update, new)
    made = new + update * (step.before - new)
    # torch.lerp starts from the nearer end: it may round either of the two
    either = 4 * made.unit * (new.reach + step.before.reach)
    return made.function(made.value, 1.0, either), None


def _lstm(
    _stage: RecordedStage, p: Bounded, hidden: Bounded, step: TimeStepValues, _state: State, cell: CellNorm
) -> tuple[Bounded, Bounded | None]:
    inner, units = p + hidden, step.before.shape[1]
    admit, forget, out = (sigmoid(inner[:, at * units : (at + 1) * units]) for at in (0, 1, 3))
    new = tanh(inner[:, 2 * units : 3 * units])
    assert step.cell_before is not None
    c = forget * step.cell_before + admit * new
    step.gates = (admit, forget, new, out)
    step.shown = tanh(cell(c))
    return out * step.shown, c


CellNorm = Callable[[Bounded], Bounded]

Cell = Callable[[RecordedStage, Bounded, Bounded, TimeStepValues, State, Any], tuple[Bounded, Bounded | None]]
CELLS: Final[dict[str, Cell]] = {"elman": _elman, "gru": _gru, "lstm": _lstm}
"""The forward step of every cell in the scenario schema."""


class _StepNorm:
    """Normalization of one time step's values within the recurrence."""

    def __init__(self, stage: RecordedStage, prefix: str, state: State, *, training: bool) -> None:
        self._batch = stage.info.norm == "batch"
        self._eps = stage.options["eps"]
        self._training = training
        names = {name: stage.name(f"{prefix}.{name}") for name in ("weight", "bias", "running_mean", "running_var")}
        self._of = {name: state[full] for name, full in names.items() if full in state}
        self.statistics: list[tuple[Bounded, Bounded]] = []

    def __call__(self, number: int, x: Bounded) -> tuple[Bounded, Standardized | None]:
        """γ x̂ + β, and x̂ if batch statistics were computed."""
        weight = self._of["weight"]
        beta = self._of.get("bias", Bounded.exact(np.zeros(weight.shape), x.unit))
        if self._batch and not self._training:
            at = min(number, self._of["running_mean"].shape[0] - 1)
            mean, var = self._of["running_mean"][at], self._of["running_var"][at]
            return normalized_by(x, mean, var, self._eps, weight, beta), None
        of = standardize(x, (0,) if self._batch else (1,), self._eps)
        if self._batch:
            self.statistics.append((of.mean[0], of.var[0]))
        return scaled(of, weight, beta, x.shape), of


def normalized_by(x: Bounded, mean: Bounded, var: Bounded, eps: float, weight: Bounded, beta: Bounded) -> Bounded:
    """γ (x - mean) / sqrt(var + ε) + β with running statistics, as in evaluation mode."""
    z = var.value + eps
    inverse = 1 / np.sqrt(z)
    relative = np.minimum(var.error / z, 1)
    most = np.maximum(inverse, 1 / np.sqrt(eps) - inverse)
    off = unknown(np.fmin(inverse * (1 / np.sqrt(1 - relative) - 1), most) + 4 * x.unit * inverse, var.error)
    tries = var.trials
    of_var = [] if tries is None else [unknown(1 / np.sqrt(np.maximum(z + tries, eps)) - inverse, tries)]
    length = np.asarray(float(np.sqrt((off * off).sum())))
    scale = Bounded(inverse, off, length, x.unit, carried(4 * x.unit * inverse, *of_var)) * weight
    made = (x - mean) * scale + beta
    # x · s + (β - mean · s) rounds products that do not occur in the difference
    raw = x.reach + mean.reach
    either = x.unit * (6 * raw * scale.reach + 2 * beta.reach)
    either = np.where(np.maximum(raw, 1.0) * scale.reach + beta.reach > LARGEST, np.inf, either)
    return made.function(made.value, 1.0, either)


def unroll(
    stage: RecordedStage, projected: Bounded, state: State, *, recorded: Bounded | None = None, training: bool = True
) -> Unrolled:
    """Compute all time steps from projected inputs ``(B, T, gates * H)``.

    With ``recorded`` states, each step starts from the previous recorded state, so that float32 errors do not
    accumulate over steps.
    """
    weight = state[stage.name("weight_hh")]
    across = weight.arranged(lambda values: values.T)
    samples, length, _ = projected.shape
    zero = np.zeros((samples, weight.shape[1]))
    before = Bounded.exact(zero, projected.unit, by_sample=bool(projected.norm.ndim))
    cell: Bounded | None = before if stage.info.cell == "lstm" else None
    inner = _StepNorm(stage, "norm", state, training=training) if stage.info.per_step else None
    shown = _StepNorm(stage, "norm_cell", state, training=training) if inner and cell is not None else None
    steps: list[TimeStepValues] = []
    for number in range(length):
        hidden, normed = matmul(before, across), None
        if inner is not None:
            hidden, normed = inner(number, hidden)
        step = TimeStepValues(before, hidden, normed, (), before, cell)

        def norm_cell(c: Bounded, number: int = number, step: TimeStepValues = step) -> Bounded:
            if shown is None:
                return c
            result, step.cell_normed = shown(number, c)
            return result

        h, after = CELLS[stage.info.cell](stage, projected[:, number], hidden, step, state, norm_cell)
        cell = after
        step.state = h
        steps.append(step)
        before = h if recorded is None else recorded[:, number]
    result = Unrolled(stacked([step.state for step in steps], 1), steps)
    for prefix, norm in (("norm", inner), ("norm_cell", shown)):
        if norm is not None and norm.statistics:
            mean, var = zip(*norm.statistics, strict=True)
            result.statistics[prefix] = stacked(mean, 0), stacked(var, 0)
    return result


@dataclass(slots=True)
class TimeStepGradients:
    """Gradients of one time step."""

    projected: Bounded
    """Gradient of the projected input."""
    hidden: Bounded
    """Gradient of W h', after its normalization if any."""
    before: Bounded | None
    """Gradient of h' that bypasses W; None: zero."""
    cell: Bounded | None = None
    """Gradient of c'."""
    shown: Bounded | None = None
    """Gradient of the normalized cell."""
    bias: Bounded | None = None
    """GRU: gradient of the new gate's hidden part."""


def _of_sigmoid(y: Bounded) -> Bounded:
    return ACTIVATIONS["sigmoid"].derivative(y, y)


def _of_tanh(y: Bounded) -> Bounded:
    return ACTIVATIONS["tanh"].derivative(y, y)


def _elman_back(
    stage: RecordedStage, step: TimeStepValues, h: Bounded, d: Bounded, _cell: Bounded | None, _state: State
) -> TimeStepGradients:
    inner = d * ACTIVATIONS[stage.info.activation].derivative(step.gates[0], h)
    return TimeStepGradients(inner, inner, None)


def _gru_back(
    stage: RecordedStage, step: TimeStepValues, _h: Bounded, d: Bounded, _cell: Bounded | None, state: State
) -> TimeStepGradients:
    reset, update, new = step.gates
    d_new = d * (1 - update) * _of_tanh(new)
    d_reset = d_new * (step.hidden[:, 2 * d.shape[1] :] + state[stage.name("bias")]) * _of_sigmoid(reset)
    d_update = d * (step.before - new) * _of_sigmoid(update)
    within = d_new * reset
    projected = concatenated([d_reset, d_update, d_new], 1)
    return TimeStepGradients(projected, concatenated([d_reset, d_update, within], 1), d * update, bias=within)


def _lstm_back(
    stage: RecordedStage, step: TimeStepValues, _h: Bounded, d: Bounded, cell: Bounded | None, state: State
) -> TimeStepGradients:
    admit, forget, new, out = step.gates
    assert step.shown is not None
    assert step.cell_before is not None
    shown = d * out * _of_tanh(step.shown)
    inner = shown
    if step.cell_normed is not None:
        centered = stage.info.norm == "batch"
        inner = backward(step.cell_normed, shown * state[stage.name("norm_cell.weight")], shown, centered=centered)
    d_cell = inner if cell is None else inner + cell
    gates = concatenated(
        [
            d_cell * new * _of_sigmoid(admit),
            d_cell * step.cell_before * _of_sigmoid(forget),
            d_cell * admit * _of_tanh(new),
            d * step.shown * _of_sigmoid(out),
        ],
        1,
    )
    return TimeStepGradients(gates, gates, None, cell=d_cell * forget, shown=shown)


CELLS_BACK: Final = {"elman": _elman_back, "gru": _gru_back, "lstm": _lstm_back}


def through_time(
    stage: RecordedStage, projected: Bounded, states: Bounded, d: Bounded, state: State
) -> tuple[Bounded, dict[str, Bounded]]:
    """Backpropagate the states' gradient ``d`` through time, to the projected inputs and the parameters."""
    unrolled = unroll(stage, projected, state, recorded=states)
    weight = state[stage.name("weight_hh")]
    centered = stage.info.norm == "batch"
    carried: list[TimeStepGradients] = []
    hidden_gradients: list[Bounded] = []
    ahead: Bounded | None = None
    cell: Bounded | None = None
    for number in reversed(range(len(unrolled.steps))):
        step, own = unrolled.steps[number], d[:, number]
        arrived = own if ahead is None else own + ahead
        back = CELLS_BACK[stage.info.cell](stage, step, states[:, number], arrived, cell, state)
        inner = back.hidden
        if step.normed is not None:
            scaled = back.hidden * state[stage.name("norm.weight")]
            inner = backward(step.normed, scaled, back.hidden, centered=centered)
        ahead, cell = matmul(inner, weight, back.before), back.cell
        carried.append(back)
        hidden_gradients.append(inner)
    carried.reverse()
    hidden_gradients.reverse()
    steps = unrolled.steps
    products = concatenated(hidden_gradients, 0)
    gradients = {stage.name("weight_hh"): summed_products(products, concatenated([s.before for s in steps], 0))}
    within = [step.normed for step in steps if step.normed is not None]
    if within:
        own = concatenated([back.hidden for back in carried], 0)
        gradients[stage.name("norm.weight")] = of_scale(own, within, centered=centered)
    cells = [step.cell_normed for step in steps if step.cell_normed is not None]
    if cells:
        own = concatenated([back.shown for back in carried if back.shown is not None], 0)
        gradients[stage.name("norm_cell.weight")] = of_scale(own, cells, centered=centered)
        gradients[stage.name("norm_cell.bias")] = total(own)
    if carried[0].bias is not None:
        gradients[stage.name("bias")] = total(concatenated([b.bias for b in carried if b.bias is not None], 0))
    return stacked([back.projected for back in carried], 1), gradients


def of_scale(d: Bounded, of: list[Standardized], *, centered: bool) -> Bounded:
    """γ's gradient, Σ d x̂, over values ``(M, C)``; includes extra rounding if the mean is not subtracted first."""
    normed = concatenated([each.values for each in of], 0)
    made = total(d * normed)
    sums = (d.reach * np.concatenate([each.raw for each in of], 0)).sum(0)
    lost = np.where(sums <= LARGEST, 0.0, np.inf)  # d · x is summed before scaling and may have overflowed
    if not centered:
        reach = np.concatenate([each.uncentered for each in of], 0)
        lost = lost + 2 * of_sum(len(reach) + 8, d, normed) * (d.reach * reach).sum(0)
    return made.function(made.value, 1.0, lost)

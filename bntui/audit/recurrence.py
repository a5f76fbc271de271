"""What does a recurrent layer do from one time step to the next, forward and back through time?

Elman: h = φ(p + W h').  GRU: r, z = σ(p + W h'), n = tanh(p + r (W h' + b)), h = (1 - z) n + z h'.  LSTM: i, f, o =
σ(p + W h'), g = tanh(p + W h'), c = f c' + i g, h = o tanh(c).  h' is the state before, 0 at first; the order of the
gates is PyTorch's.  Where the hidden state is normalized, W h' is, and so is LSTM's c before its tanh (Cooijmans et
al., arXiv:1603.09025).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.activations import ACTIVATIONS, sigmoid
from bntui.audit.network import Stage, State
from bntui.audit.normalize import Standardized, backward, standardize
from bntui.audit.tolerances import Precision

Values = NDArray[Any]


@dataclass(slots=True)
class Step:
    """What one time step leaves behind for the way back."""

    before: Values
    """h', shape ``(B, H)``."""
    hidden: Values
    """W h', normalized where that is asked for."""
    normed: Standardized | None
    gates: tuple[Values, ...]
    """Pre-activations of Elman; r, z, n of GRU; i, f, g, o of LSTM."""
    state: Values
    """h."""
    cell_before: Values | None = None
    cell_normed: Standardized | None = None
    shown: Values | None = None
    """tanh of the (normalized) cell."""
    loss: float | Values = 0.0
    """What float32 may lose of h, in units of its unit roundoff."""
    cell_loss: float | Values = 0.0


@dataclass(slots=True)
class Unrolled:
    """A recurrence over a whole sequence."""

    states: Values
    """``(B, T, H)``."""
    steps: list[Step]
    statistics: dict[str, tuple[Values, Values]] = field(default_factory=dict)
    """Batch mean and biased variance ``(T, C)`` of what is normalized within, by the norm's prefix."""

    def slack(self, precision: Precision) -> Values:
        """How far float32 may be from the states, ``(B, T, H)``."""
        each = [np.broadcast_to(step.loss, step.state.shape) for step in self.steps]
        result: Values = 16 * precision.unit * np.stack(each, 1)
        return result


def _elman(
    stage: Stage, p: Values, hidden: Values, step: Step, _state: State, _cell: object
) -> tuple[Values, Values | None]:
    inner = p + hidden
    step.gates = (inner,)
    return ACTIVATIONS[stage.info.activation].function(inner), None


def _gru(
    stage: Stage, p: Values, hidden: Values, step: Step, state: State, _cell: object
) -> tuple[Values, Values | None]:
    two = 2 * step.before.shape[1]
    reset, update = np.split(sigmoid(p[:, :two] + hidden[:, :two]), 2, axis=1)
    new = np.tanh(p[:, two:] + reset * (hidden[:, two:] + state[stage.name("bias")]))
    step.gates = (reset, update, new)
    return new + update * (step.before - new), None


def _lstm(
    _stage: Stage, p: Values, hidden: Values, step: Step, _state: State, cell: CellNorm
) -> tuple[Values, Values | None]:
    admit, forget, new, out = np.split(p + hidden, 4, axis=1)
    admit, forget, new, out = sigmoid(admit), sigmoid(forget), np.tanh(new), sigmoid(out)
    assert step.cell_before is not None
    c = forget * step.cell_before + admit * new
    step.gates = (admit, forget, new, out)
    step.shown = np.tanh(cell(c))
    return out * step.shown, c


CellNorm = Callable[[Values], Values]

Cell = Callable[[Stage, Values, Values, Step, State, Any], tuple[Values, Values | None]]
CELLS: Final[dict[str, Cell]] = {"elman": _elman, "gru": _gru, "lstm": _lstm}
"""Every cell of the scenario's schema, one time step forward."""


class _StepNorm:
    """Normalization of one time step's values within the recurrence."""

    def __init__(self, stage: Stage, prefix: str, state: State, *, training: bool) -> None:
        self._batch = stage.info.norm == "batch"
        self._eps = stage.options["eps"]
        self._training = training
        names = {name: stage.name(f"{prefix}.{name}") for name in ("weight", "bias", "running_mean", "running_var")}
        self._of = {name: state[full] for name, full in names.items() if full in state}
        self.statistics: list[tuple[Values, Values]] = []

    def __call__(self, number: int, x: Values) -> tuple[Values, Standardized | None, Values | float]:
        """γ x̂ + β, x̂, and by how much a rounding of x grows."""
        gamma, beta = self._of["weight"], self._of.get("bias", 0)
        if self._batch and not self._training:
            at = min(number, len(self._of["running_mean"]) - 1)
            mean, var = self._of["running_mean"][at], self._of["running_var"][at]
            return (x - mean) / np.sqrt(var + x.dtype.type(self._eps)) * gamma + beta, None, 0.0
        of = standardize(x, (0,) if self._batch else (1,), self._eps)
        if self._batch:
            self.statistics.append((of.mean[0], of.var[0]))
        return of.values * gamma + beta, of, np.abs(gamma) * of.inverse


def unroll(
    stage: Stage, projected: Values, state: State, *, recorded: Values | None = None, training: bool = True
) -> Unrolled:
    """All time steps over projected inputs ``(B, T, gates * H)``.

    With ``recorded`` states each step starts from the recorded state before it, so that what float32 lost in one
    step is not met again in the next.
    """
    weight = state[stage.name("weight_hh")]
    samples, length, _ = projected.shape
    before = np.zeros((samples, weight.shape[1]), projected.dtype)
    cell: Values | None = np.zeros_like(before) if stage.info.cell == "lstm" else None
    cell_loss: Values | float = 0.0
    inner = _StepNorm(stage, "norm", state, training=training) if stage.info.per_step else None
    shown = _StepNorm(stage, "norm_cell", state, training=training) if inner and cell is not None else None
    steps: list[Step] = []
    for number in range(length):
        p, hidden = projected[:, number], before @ weight.T
        lost: Values | float = _magnitude(p) + _magnitude(hidden) + 1
        normed = None
        if inner is not None:
            largest = _magnitude(hidden)
            hidden, normed, grows = inner(number, hidden)
            lost = lost + _magnitude(hidden) + float(np.max(grows)) * largest
        step = Step(before, hidden, normed, (), before, cell)

        def norm_cell(c: Values, number: int = number, step: Step = step) -> Values:
            if shown is None:
                return c
            result, step.cell_normed, _grows = shown(number, c)
            return result

        h, after = CELLS[stage.info.cell](stage, p, hidden, step, state, norm_cell)
        step.loss = lost
        if after is not None:
            cell_loss = cell_loss + (_magnitude(after) + 1) * lost
            grows = 1.0
            if step.cell_normed is not None and shown is not None:
                grows = float(np.max(step.cell_normed.inverse)) * float(np.abs(shown._of["weight"]).max())
            step.loss = lost + grows * cell_loss
            cell = after
        step.state = h
        steps.append(step)
        before = h if recorded is None else recorded[:, number]
    result = Unrolled(np.stack([step.state for step in steps], 1), steps)
    for prefix, norm in (("norm", inner), ("norm_cell", shown)):
        if norm is not None and norm.statistics:
            mean, var = zip(*norm.statistics, strict=True)
            result.statistics[prefix] = np.stack(mean), np.stack(var)
    return result


def _magnitude(x: Values) -> float:
    return float(np.abs(x).max())


@dataclass(slots=True)
class Carried:
    """What comes back through one time step."""

    projected: Values
    """Gradient of the projected input."""
    hidden: Values
    """Gradient of W h' (normalized)."""
    before: Values
    """What reaches h' past W."""
    cell: Values | None = None
    """Gradient of c'."""
    shown: Values | None = None
    """Gradient of the normalized cell."""
    bias: Values | None = None
    """GRU: gradient of the new gate's hidden part."""


def _elman_back(
    stage: Stage, step: Step, h: Values, d: Values, _cell: Values | None, _hidden: Values, _state: State
) -> Carried:
    inner = d * ACTIVATIONS[stage.info.activation].derivative(step.gates[0], h)
    return Carried(inner, inner, np.zeros_like(d))


def _gru_back(
    stage: Stage, step: Step, _h: Values, d: Values, _cell: Values | None, hidden: Values, state: State
) -> Carried:
    reset, update, new = step.gates
    d_new = d * (1 - update) * (1 - new * new)
    d_reset = d_new * (hidden[:, 2 * d.shape[1] :] + state[stage.name("bias")]) * reset * (1 - reset)
    d_update = d * (step.before - new) * update * (1 - update)
    within = d_new * reset
    projected = np.concatenate([d_reset, d_update, d_new], 1)
    return Carried(projected, np.concatenate([d_reset, d_update, within], 1), d * update, bias=within)


def _lstm_back(
    stage: Stage, step: Step, _h: Values, d: Values, cell: Values | None, _hidden: Values, state: State
) -> Carried:
    admit, forget, new, out = step.gates
    assert step.shown is not None
    assert step.cell_before is not None
    shown = d * out * (1 - step.shown * step.shown)
    inner = shown
    if step.cell_normed is not None:
        inner = backward(step.cell_normed, shown * state[stage.name("norm_cell.weight")])
    d_cell = inner if cell is None else inner + cell
    gates = np.concatenate(
        [
            d_cell * new * admit * (1 - admit),
            d_cell * step.cell_before * forget * (1 - forget),
            d_cell * admit * (1 - new * new),
            d * step.shown * out * (1 - out),
        ],
        1,
    )
    return Carried(gates, gates, np.zeros_like(d), cell=d_cell * forget, shown=shown)


CELLS_BACK: Final = {"elman": _elman_back, "gru": _gru_back, "lstm": _lstm_back}


@dataclass(frozen=True, slots=True)
class Term:
    """A parameter's gradient as a sum over the mini-batch: of outer products, or of products one by one."""

    d: Values
    """``(M, J)``."""
    x: Values
    """``(M, I)``: the gradient is ``dᵀ x``, ``(J, I)``; ``(M, J)`` where ``paired``: it is ``Σ d x``, ``(J,)``."""
    shape: tuple[int, ...]
    paired: bool = False
    convolution: bool = False

    @property
    def gradient(self) -> Values:
        total = (self.d * self.x).sum(0) if self.paired else self.d.T @ self.x
        return total.reshape(self.shape)


def through_time(
    stage: Stage, projected: Values, states: Values, d: Values, state: State
) -> tuple[Values, dict[str, Term]]:
    """Backpropagation through time from the states' gradient ``d``: that of the projected inputs, and parameters'."""
    unrolled = unroll(stage, projected, state, recorded=states)
    weight = state[stage.name("weight_hh")]
    carried: list[Carried] = []
    hidden_gradients: list[Values] = []
    ahead: Values | float = 0.0
    cell: Values | None = None
    for number in reversed(range(len(unrolled.steps))):
        step = unrolled.steps[number]
        back = CELLS_BACK[stage.info.cell](
            stage, step, states[:, number], d[:, number] + ahead, cell, step.hidden, state
        )
        inner = back.hidden
        if step.normed is not None:
            inner = backward(step.normed, back.hidden * state[stage.name("norm.weight")])
        ahead, cell = back.before + inner @ weight, back.cell
        carried.append(back)
        hidden_gradients.append(inner)
    carried.reverse()
    hidden_gradients.reverse()
    steps = unrolled.steps
    products = np.concatenate(hidden_gradients)
    terms = {stage.name("weight_hh"): Term(products, np.concatenate([s.before for s in steps]), weight.shape)}
    if steps[0].normed is not None:
        own = np.concatenate([back.hidden for back in carried])
        normed = np.concatenate([s.normed.values for s in steps if s.normed is not None])
        terms[stage.name("norm.weight")] = Term(own, normed, own.shape[1:], paired=True)
    if steps[0].cell_normed is not None:
        own = np.concatenate([back.shown for back in carried if back.shown is not None])
        normed = np.concatenate([s.cell_normed.values for s in steps if s.cell_normed is not None])
        terms[stage.name("norm_cell.weight")] = Term(own, normed, own.shape[1:], paired=True)
        terms[stage.name("norm_cell.bias")] = Term(own, np.ones((len(own), 1), own.dtype), own.shape[1:])
    if carried[0].bias is not None:
        own = np.concatenate([back.bias for back in carried if back.bias is not None])
        terms[stage.name("bias")] = Term(own, np.ones((len(own), 1), own.dtype), own.shape[1:])
    return np.stack([back.projected for back in carried], 1), terms

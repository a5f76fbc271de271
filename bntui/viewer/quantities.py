"""Declares the quantities of a layer that are displayed, with their names and axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bntui.keyframe import COLUMN, FloatArray
from bntui.recording.history import LayerInfo, RunHistory
from bntui.recording.kept import remembered
from bntui.scenario.activations import activation
from bntui.text.language import _
from bntui.viewer.draw import cells
from bntui.viewer.draw.axes import Limits
from bntui.viewer.gates import LETTERS
from bntui.viewer.view import RunView

MAX_ROWS: Final = 256
"""Keyframes from which an axis is computed; in a longer run, every second, fourth, … keyframe is used."""
SPREAD: Final = 3
"""An axis extends this many standard deviations from the mean, or to the extreme value if that is nearer."""
FAR: Final = 100
"""Ratio of the ranges of two runs from which each run has its own axes."""


@dataclass(frozen=True, slots=True)
class LayerQuantity:
    """A quantity of layers, such as the values before normalization, with the axis of all its histograms."""

    field: str
    heading: str
    brief: str
    low: float
    high: float
    raw: Limits | None
    """The axis of layers without activation, where others have one: an output layer's logits reach much further.

    For the input of layers, the axis of the first layer.
    """

    def limits(self, active: bool) -> Limits:
        return Limits(self.low, self.high) if active or self.raw is None else self.raw

    def axis(self, active: bool = True) -> str:
        """The ends of the axis; empty if no run has such values."""
        low, high = self.limits(active)
        return f"{cells.tick(low)}…{cells.tick(high)}" if high > low else ""


def shown_quantities(every: Sequence[RunView], runs: Sequence[RunView]) -> tuple[LayerQuantity, ...]:
    """The quantities in the order of a block's stages, each with its axis.

    Args:
        every: all runs; they determine the quantities and names, so that selecting another run moves nothing.
        runs: the runs that are displayed; they determine the axes.
    """
    activations = {info.activation for run in every for info in run.info.layers} - {"none"}
    active = bool(activations)
    only = activations.pop() if len(activations) == 1 else ""
    stages_of = {_stage(info) for run in every for info in run.info.layers if info.activation != "none"}
    named = stages_of.pop() if len(stages_of) == 1 else _("activation")
    normed = [run for run in every if any(info.norm != "none" for info in run.info.layers)]
    norm_last = bool(normed) and normed[0].info.setting("network", "norm_position") == "after_activation"
    before = _("norm") if normed and not norm_last else named
    entered, brief = _("before {stage}").format(stage=before), _("before act.")
    if before == _("norm"):
        brief = entered
    elif not active:
        entered = brief = _("output")
    mixed = {info.activation == "none" for run in runs for info in run.info.layers} == {False, True}

    before_activation = limits(runs, "pre_norm", _active if mixed else _any)
    after_activation = activation(only).ends or limits(runs, "output", _active)
    raw = limits(runs, "pre_norm", lambda at, info: not _active(at, info)) if mixed else None
    stages = [
        LayerQuantity("pre_norm", entered, brief, *before_activation, raw),
        LayerQuantity("output", _("after {stage}").format(stage=named), _("after act."), *after_activation, None),
    ][: 1 + active]
    if normed:
        stages.insert(
            2 if norm_last else 1,
            LayerQuantity("normalized", _("after norm"), _("normed"), *limits(runs, "normalized", _any), None),
        )
    return tuple(stages)


def _stage(info: LayerInfo) -> str:
    """What stands between a layer's projection and its output: its activation, or all gates of a recurrent cell."""
    letters = LETTERS.get(info.cell)
    return info.activation if letters is None else _("gates {letters}").format(letters=" ".join(letters))


def shown_by(every: Sequence[RunView], runs: Sequence[RunView]) -> tuple[tuple[LayerQuantity, ...], ...]:
    """The quantities of each displayed run, on common axes, or on separate ones if their ranges differ too much.

    On an axis up to 1e34, all values of a healthy run would be in one cell.
    """
    own = tuple(shown_quantities(every, [run]) for run in runs)
    if any(_far(ends) for stages in zip(*own, strict=True) for ends in _ends(stages)):
        return own
    return (shown_quantities(every, runs),) * len(runs)


def apart(quantities: Sequence[Sequence[LayerQuantity]]) -> bool:
    """True if each run has its own axes."""
    return any(stages != quantities[0] for stages in quantities)


def calmest(quantities: Sequence[Sequence[LayerQuantity]]) -> Sequence[LayerQuantity]:
    """The quantities of the run with the smallest range."""
    return min(quantities, key=lambda stages: max(max(-stage.low, stage.high) for stage in stages))


def _ends(stages: Sequence[LayerQuantity]) -> tuple[list[float], list[float]]:
    """The range of one quantity's axis in each run, for layers with activation and for the others."""
    return (
        [max(-stage.low, stage.high) for stage in stages],
        [max(-stage.raw[0], stage.raw[1]) for stage in stages if stage.raw is not None],
    )


def _far(reaches: Sequence[float]) -> bool:
    some = [reach for reach in reaches if reach > 0]
    return len(some) > 1 and max(some) > FAR * min(some)


def entering(runs: Sequence[RunView]) -> LayerQuantity:
    """The input of layers; that of the first layer, the data, has its own axis."""
    first = limits(runs, "input", lambda at, _info: at == 0)
    return LayerQuantity("input", _("input"), _("in"), *limits(runs, "input", lambda at, _info: at > 0), first)


def _any(at: int, info: LayerInfo) -> bool:  # noqa: ARG001
    return True


def _active(at: int, info: LayerInfo) -> bool:  # noqa: ARG001
    return info.activation != "none"


def limits(runs: Sequence[RunView], field: str, chosen: Callable[[int, LayerInfo], bool]) -> Limits:
    """An axis for the bulk of the values in all keyframes up to the head, so that it stays while the cursor moves.

    The values of a diverging run would squeeze all others into one cell.  The axis is therefore limited to ten times
    the median range of the keyframes, and to ``SPREAD`` standard deviations; values beyond it are counted in the
    histogram's outer cells.

    Args:
        chosen: selects layers by number and description.
    """
    reaches = [
        _reach(run.history, field, tuple(at for at, info in enumerate(run.info.layers) if chosen(at, info)))
        for run in runs
    ]
    seen = [reach for reach in reaches if reach is not None]
    low = -cells.nice(-min([0.0, *(reach.low for reach in seen)]))
    high = cells.nice(max([0.0, *(reach.high for reach in seen)]))
    return Limits(low, high) if high > low or not seen else Limits(0.0, 1.0)


@remembered
def _sample(history: RunHistory) -> FloatArray:
    """The tables of the keyframes from which an axis is computed."""
    return np.asarray(history.layers[:: _stride(len(history))])


@remembered
def _reach(history: RunHistory, field: str, layers: tuple[int, ...]) -> Limits | None:
    """The bulk of the values of some layers of one run; None if no keyframe has any."""
    course = _sample(history)[:, list(layers)]
    least, most, mean, std = (course[:, :, COLUMN[f"{field}.{name}"]] for name in ("min", "max", "mean", "std"))
    known = np.isfinite(least) & np.isfinite(most) & np.isfinite(mean) & np.isfinite(std)
    if not known.any():
        return None
    least, most = np.maximum(least, mean - SPREAD * std), np.minimum(most, mean + SPREAD * std)
    extent = np.where(known, np.maximum(np.abs(least), np.abs(most)), 0.0).max(axis=1).clip(max=1e300)
    cap = 10 * float(np.median(extent[known.any(axis=1)]))
    return Limits(max(float(least[known].min()), -cap), min(float(most[known].max()), cap))


def _stride(keyframes: int) -> int:
    """Distance between the keyframes used for an axis; a power of two, so that it rarely changes as a run grows."""
    return 1 << max((keyframes - 1) // MAX_ROWS, 0).bit_length()

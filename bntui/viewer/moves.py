"""Reads how far the distribution that enters a layer's activation moves from keyframe to keyframe."""

from __future__ import annotations

from typing import Final

from bntui.insight.drift import Moves, moves_of
from bntui.keyframe import COLUMN
from bntui.recording.history import LayerInfo, RunHistory, RunInfo
from bntui.recording.kept import folded, remembered

Columns = tuple[int, int, int]
"""Columns of a lower, middle and upper line in the history's table of per-layer scalars."""
_COLUMNS: Final = {
    quantity: (COLUMN[f"{quantity}.p15"], COLUMN[f"{quantity}.p50"], COLUMN[f"{quantity}.p85"])
    for quantity in ("pre_norm", "normalized")
}


def entering(info: LayerInfo, position: str = "before_activation") -> str:
    """The quantity that enters a layer's activation: ``normalized`` where a normalization stands before it."""
    normed = info.norm != "none" and position != "after_activation"
    return "normalized" if normed else "pre_norm"


def columns_of(run: RunInfo, info: LayerInfo) -> Columns:
    """The percentiles of what enters a layer's activation."""
    if info.norm == "none":
        return _COLUMNS["pre_norm"]
    return _COLUMNS[entering(info, run.setting("network", "norm_position", "before_activation"))]


@remembered
def movements(history: RunHistory, columns: tuple[Columns, ...]) -> tuple[float, ...]:
    """How far the median of each layer moves per keyframe, in widths of its band, given the columns of each."""
    return tuple(moved(history, at, of_layer).movement for at, of_layer in enumerate(columns))


@folded(Moves.then)
def moved(history: RunHistory, rows: slice, layer: int, columns: Columns) -> Moves:
    """The moves of a layer's median over all keyframes."""
    there = history.has_frame[rows]
    return moves_of(*(history.layers[rows, layer, column][there] for column in columns))

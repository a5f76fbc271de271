"""Positions keyframes, events and the cursor on an axis of epochs or steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from bntui.keyframe import BoolArray, IntArray
from bntui.recording.history import SAME_EPOCH, Event, RunHistory, Unit
from bntui.text import figures
from bntui.text.language import _
from bntui.viewer.draw import cells
from bntui.viewer.draw.axes import Limits
from bntui.viewer.view import RunView, View

_FIRST: Final = 4
"""Keyframes that show whether a run has some within epochs: its initial state, where it begins, and the next ones."""
SHORT: Final = 100
"""Epochs that the curves show from the start; with a longer run their axis grows."""


def end(runs: Sequence[RunView]) -> float:
    """Right end of an axis that begins at 0: a round number past the runs' head, so that it moves rarely."""
    head = max((float(run.history.position[-1]) for run in runs if len(run.history)), default=0.0)
    return max(min(cells.nice(max(head, 10.0)), max(run.end for run in runs)), head, 1.0)


def window(view: View) -> Limits:
    """The part of the axis of time that charts of all runs show: all of it, or a part around the cursor.

    The part moves in steps of a quarter of its width, so that not every keyframe changes the axis.
    """
    whole = max(end(view.runs), max(run.end * min(1.0, SHORT / max(run.info.epochs, 1)) for run in view.runs))
    width = whole / 2**view.time_zoom
    step = width / 4
    low = min(max(round((view.cursor - width / 2) / step) * step, 0.0), whole - width)
    return Limits(low, low + width)


def sampled(history: RunHistory, last: float, dots: int) -> tuple[IntArray, BoolArray]:
    """The row of the history for each dot of an axis from 0 to ``last``, and a mask of the dots that have one.

    The first of these has the first row: a peak before training, which sets the axis of a course, is seen.
    """
    frames = history.frame_rows
    rows = cells.along(history.frames(), dots, last)
    known = rows >= 0
    rows[np.flatnonzero(known)[:1]] = 0
    return frames[rows] if len(frames) else rows, known


def past(run: RunView, last: float, width: int) -> int:
    """Number of cells of an axis from 0 to ``last`` up to and including that of the cursor's keyframe."""
    place = float(run.history.position[run.row]) if run.frame is not None else 0.0
    return min(int(place / last * width) + 1, width)


def of_event(event: Event, unit: Unit) -> float:
    """Position of an event."""
    return float(event.step) if unit == "step" else event.epoch


def of_epoch(history: RunHistory, epoch: float) -> float:
    """Position of the keyframe at a given epoch."""
    if history.unit == "epoch" or not len(history):
        return epoch
    row = min(int(np.searchsorted(history.epoch, epoch - SAME_EPOCH)), len(history) - 1)
    return float(history.position[row])


def text(position: float, unit: Unit) -> str:
    """A position as text of variable width: ``'12.04'`` epochs, ``'1,437'`` steps."""
    return figures.count(round(position)) if unit == "step" else figures.epoch(position)


def widest(run: RunView) -> int:
    """Cells of the longest number of epochs at a keyframe of a run: ``60``, or ``60.00`` if some are within epochs."""
    within = np.modf(run.history.epoch[:_FIRST])[0].any()
    return len(figures.epoch(run.info.epochs)) + (len(".00") if within else 0)


def name(unit: Unit) -> str:
    """The name of a unit."""
    return _("step") if unit == "step" else _("epoch")

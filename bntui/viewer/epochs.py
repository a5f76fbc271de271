"""Where on an axis of epochs do keyframes and the cursor lie?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bntui.keyframe import BoolArray, IntArray
from bntui.recording.history import RunHistory
from bntui.viewer import cells
from bntui.viewer.view import RunView


def end(runs: Sequence[RunView]) -> float:
    """Right end of an axis that begins at 0: a round number past the runs' head, so that it moves rarely."""
    head = max(float(run.history.epoch[-1]) for run in runs)
    return max(min(cells.nice(max(head, 10.0)), float(max(run.info.epochs for run in runs))), head, 1.0)


def sampled(history: RunHistory, last: float, dots: int) -> tuple[IntArray, BoolArray]:
    """Rows of the history for each dot of an axis from 0 to ``last``, and which dots have one."""
    frames = np.flatnonzero(history.has_frame)
    rows = cells.along(history.epoch[frames], dots, last)
    return frames[rows] if len(frames) else rows, rows >= 0


def past(run: RunView, last: float, width: int) -> int:
    """Cells of an axis from 0 to ``last`` up to the one in which the cursor's keyframe lies, and that one."""
    epoch = run.frame.epoch if run.frame is not None else 0.0
    return min(int(epoch / last * width) + 1, width)

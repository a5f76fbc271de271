"""Finds the values that a run's early stopping monitors, and their best epoch.

Without early stopping, the monitor is the validation loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bntui.keyframe import FloatArray
from bntui.viewer.view import RunView

_COURSES = {
    "val_loss": "val_loss",
    "val_accuracy": "val_accuracy",
    "val_r2": "val_accuracy",
    "loss": "train_loss",
    "accuracy": "train_accuracy",
    "r2": "train_accuracy",
}


@dataclass(frozen=True, slots=True)
class Watched:
    """The monitor at the end of each epoch, oldest first, without the initial state."""

    monitor: str
    larger_is_better: bool
    rows: tuple[int, ...]
    """Rows of the history, one for each value."""
    epochs: FloatArray
    values: FloatArray
    best: int | None
    """Index of the best value: that of early stopping, or else the first of the best; None if there is none."""


def watched(run: RunView, row: int) -> Watched:
    """The monitor of a run, up to and including ``row`` of its history."""
    rule = run.info.early_stopping
    monitor = str(rule["monitor"]) if rule else "val_loss"
    mode = str(rule["mode"]) if rule else "auto"
    larger = mode == "max" or (mode == "auto" and not monitor.endswith("loss"))
    history = run.history
    rows = np.flatnonzero(history.epoch_end[: row + 1] & (history.epoch[: row + 1] > 0))
    epochs = history.epoch[rows]
    values: FloatArray = getattr(history, _COURSES[monitor])[rows]
    best: int | None = None
    if rule and len(rows) and history.best_epoch[row] > 0:
        # use early stopping's own best, which depends on min_delta and need not be the lowest value
        found = np.flatnonzero(np.isclose(epochs, history.best_epoch[row]))
        best = int(found[0]) if len(found) else None
    elif not rule and np.isfinite(values).any():
        worst = -np.inf if larger else np.inf
        comparable = np.where(np.isfinite(values), values, worst)
        best = int(np.argmax(comparable) if larger else np.argmin(comparable))
    return Watched(monitor, larger, tuple(rows.tolist()), epochs, values, best)

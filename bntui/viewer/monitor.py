"""Finds the values that a run's early stopping monitors, and their best epoch.

Without early stopping, the monitor is the validation loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from bntui.keyframe import FloatArray, IntArray
from bntui.recording.history import SAME_EPOCH, RunHistory
from bntui.recording.kept import folded, remembered
from bntui.viewer.view import RunView

_COURSES: Final = {
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
    epochs: FloatArray
    values: FloatArray
    best: int | None
    """Index of the best value: that of early stopping, or else the first of the best; None if there is none."""


def monitor_of(run: RunView) -> str:
    """Name of the figure that a run's early stopping monitors."""
    rule = run.info.early_stopping
    return str(rule["monitor"]) if rule else "val_loss"


def _larger(run: RunView) -> bool:
    """True if larger values of the monitor are better."""
    rule = run.info.early_stopping
    mode = str(rule["mode"]) if rule else "auto"
    return mode == "max" or (mode == "auto" and not monitor_of(run).endswith("loss"))


def watched(run: RunView, row: int) -> Watched:
    """The monitor of a run, up to and including ``row`` of its history."""
    history, monitor, larger = run.history, monitor_of(run), _larger(run)
    rows, epochs, values = _ends(history, _COURSES[monitor])
    count = int(np.searchsorted(rows, row, side="right"))
    best: int | None = None
    if not count:
        pass
    elif run.info.early_stopping:
        at = _row_of_best(history, row)
        best = None if at is None else int(np.searchsorted(rows, at))
    else:
        leader = int(_leaders(history, _COURSES[monitor], larger)[count - 1])
        best = leader if leader >= 0 else None
    return Watched(monitor, larger, epochs[:count], values[:count], best)


def best_row(run: RunView) -> int | None:
    """Row of the best value of a run's whole history, see ``Watched.best``; None if there is none."""
    history = run.history
    if run.info.early_stopping:
        return _row_of_best(history, len(history) - 1) if len(history) else None
    row = _best(history, _COURSES[monitor_of(run)], _larger(run))[1]
    return row if row >= 0 else None


def _row_of_best(history: RunHistory, row: int) -> int | None:
    """The row that early stopping, at ``row``, has the best value of.

    It depends on min_delta, and need not be the lowest value.
    """
    epoch = int(history.best_epoch[row])
    at = int(np.searchsorted(history.epoch, epoch - SAME_EPOCH)) if epoch > 0 else len(history)
    while at <= row and history.epoch[at] <= epoch + SAME_EPOCH:
        if history.epoch_end[at]:
            return at
        at += 1
    return None


@remembered
def _ends(history: RunHistory, course: str) -> tuple[IntArray, FloatArray, FloatArray]:
    """The rows of the ends of epochs, their epochs, and their values."""
    rows = np.flatnonzero(history.epoch_end & (history.epoch > 0))
    values: FloatArray = getattr(history, course)
    return rows, history.epoch[rows], values[rows]


@remembered
def _leaders(history: RunHistory, course: str, larger: bool) -> IntArray:
    """Index of the first of the best values up to each end of an epoch; -1 before the first finite one."""
    values = _ends(history, course)[2]
    costs = np.where(np.isfinite(values), -values if larger else values, np.inf)
    before = np.minimum.accumulate(np.concatenate([[np.inf], costs[:-1]]))
    leaders: IntArray = np.maximum.accumulate(np.where(costs < before, np.arange(len(costs)), -1))
    return leaders


def _better(one: tuple[float, int], other: tuple[float, int]) -> tuple[float, int]:
    return other if other[0] < one[0] else one


@folded(_better)
def _best(history: RunHistory, rows: slice, course: str, larger: bool) -> tuple[float, int]:
    """The lowest cost at the end of an epoch, and its row; ∞ and -1 if none is finite."""
    values = getattr(history, course)[rows]
    ends = history.epoch_end[rows] & (history.epoch[rows] > 0) & np.isfinite(values)
    costs = np.where(ends, -values if larger else values, np.inf)
    if not ends.any():
        return np.inf, -1
    at = int(np.argmin(costs))
    return float(costs[at]), rows.start + at

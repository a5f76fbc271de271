"""Reads the figure that a reference names from the histories of a recording."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bntui.keyframe import COLUMN, IntArray
from bntui.recording.history import SAME_EPOCH, Event, RunHistory, RunInfo
from bntui.recording.sentences import traits
from bntui.scenario.figures import Place, Quantity
from bntui.text import figures
from bntui.text.language import _


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a recording holds of its runs; the histories are counted in epochs or in steps."""

    runs: Sequence[RunInfo]
    histories: Sequence[RunHistory]
    events: Sequence[Sequence[Event]]

    def run(self, name: str) -> int | None:
        """Number of the run with this name."""
        return next((run.index for run in self.runs if run.name == name), None)

    def row(self, run: int, place: Place) -> int | None:
        """Row of a place in a run's history.

        None where the run has not come there, has no best epoch, or nothing bad happened in it.
        """
        history = self.histories[run]
        frames = np.flatnonzero(history.has_frame)
        if not len(frames):
            return None
        if place == "start":
            return int(frames[0])
        if place == "end":
            return int(frames[-1])
        if place == "best":
            return self._best(run, frames)
        epoch = self._first_bad(run) if place == "first bad" else float(place)
        if epoch is None or epoch > float(history.epoch[frames[-1]]) + SAME_EPOCH:
            return None
        # the keyframe in which it happened is at the event, or the first one after it
        at = np.searchsorted(history.epoch[frames], epoch - SAME_EPOCH)
        return int(frames[min(int(at), len(frames) - 1)])

    def _best(self, run: int, frames: IntArray) -> int | None:
        history = self.histories[run]
        if self.runs[run].early_stopping is not None:
            best = float(history.best_epoch[frames[-1]])
            if not best:  # it never had a figure to compare
                return None
        else:
            ends = history.epoch_end & (history.step > 0) & np.isfinite(history.val_loss)
            losses = np.where(ends, history.val_loss, math.inf)
            at = int(np.argmin(losses))
            if not math.isfinite(losses[at]):  # it diverged in its first epoch
                return None
            best = float(history.epoch[at])
        return int(frames[np.argmin(np.abs(history.epoch[frames] - best))])

    def _first_bad(self, run: int) -> float | None:
        return min((event.epoch for event in self.events[run] if traits(event.kind).trouble), default=None)

    def value(self, reference: Quantity, run: int, row: int) -> float:
        """The figure; NaN where the recording does not have it.

        Args:
            run: the run, unless the reference names another one.
            row: the row, unless the reference names another place or run.
        """
        there = run if reference.run is None else self.run(reference.run)
        if there is None:
            return math.nan
        at: int | None = row
        if reference.place is not None:
            at = self.row(there, reference.place)
        elif there != run:  # at the same place of its own
            at = self.histories[there].at(float(self.histories[run].position[row]))
        return math.nan if at is None or at < 0 else self._figure(reference, there, at)

    def _figure(self, reference: Quantity, run: int, row: int) -> float:
        history, layers = self.histories[run], self.runs[run].layers
        if reference.layer is not None:
            index = next((n for n, layer in enumerate(layers) if layer.name == reference.layer), None)
            return math.nan if index is None else float(history.layers[row, index, COLUMN[reference.figure]])
        match reference.figure:
            case "gap":
                # it agrees with the two losses as panels print them
                losses = (figures.number(loss[row]) for loss in (history.val_loss, history.train_loss))
                apart = figures.difference(*losses)
                return figures.read(apart) if apart else float(history.val_loss[row] - history.train_loss[row])
            case "gradient_ratio":
                norm = COLUMN["weight_gradient_norm"]
                first, last = (float(history.layers[row, n, norm]) for n in (0, len(layers) - 1))
                return first / last if last else math.nan
            case name:
                return float(getattr(history, name)[row])


def spelled(reference: Quantity, value: float, task: str) -> str:
    """A figure as the panels print it, without padding."""
    figure = reference.figure
    if figure in ("train_accuracy", "val_accuracy") and task == "classification":
        return figures.percent(value).strip()
    if figure.endswith("_fraction"):
        return figures.percent(value).strip()
    if figure in ("epoch", "best_epoch"):
        return figures.epoch(value)
    if figure == "gap" and abs(value) >= 1e-3:
        return figures.number(value).strip()
    if figure in ("step", "wait") and math.isfinite(value):
        return figures.count(round(value))
    if math.isnan(value):
        return _("not recorded")
    return figures.magnitude(value).strip()

"""Defines the input of every panel: one frozen picture of the recording at the cursor."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bntui.keyframe import Keyframe
from bntui.recording.dataset import RecordedData
from bntui.recording.histograms import Histograms
from bntui.recording.history import Event, RunHistory, RunInfo, Unit
from bntui.viewer.marks import RUN_MARKS


@dataclass(frozen=True, slots=True)
class RunView:
    """One run at the cursor."""

    info: RunInfo
    history: RunHistory
    events: tuple[Event, ...]
    row: int
    """Row of ``history`` that the cursor shows; -1 before the first keyframe."""
    frame: Keyframe | None
    """The keyframe of that row."""
    histograms: Histograms | None = None
    """Histograms over time, where a panel on the screen shows them."""

    @property
    def mark(self) -> str:
        return RUN_MARKS[self.info.index % len(RUN_MARKS)]

    @property
    def style(self) -> str:
        """Name of the run's style, ``run0`` to ``run11``."""
        return f"run{self.info.index % len(RUN_MARKS)}"

    @property
    def name(self) -> str:
        """In the reader's language."""
        return self.info.label or self.info.name

    @property
    def end(self) -> float:
        """Where the run is to end, on the axis of its history: its epochs, or the steps that they take."""
        if self.history.unit == "epoch":
            return float(self.info.epochs)
        fork = self.info.fork
        before, since = (fork.step, fork.epoch) if fork is not None else (0, 0.0)
        return float(before + math.ceil((self.info.epochs - since) * self.info.steps_per_epoch - 1e-6))


@dataclass(frozen=True, slots=True)
class View:
    """The recording as the screen shows it: (recording, view state), nothing else."""

    title: str
    task: str
    """``classification`` (accuracy) or ``regression`` (R²)."""
    runs: tuple[RunView, ...]
    selected: int
    pinned: int | None
    """The run that stands beside the selected one, where there is room."""
    cursor: float
    """In epochs or in steps; each run shows its last keyframe at or before it."""
    following: bool
    """The cursor follows the head."""
    log_axis: bool = True
    feature: int = 0
    """Features that stand behind all others in the data panel: how far the user walked through them."""
    dataset: RecordedData | None = None
    """The samples, where the recording has them and a panel on the screen shows them."""
    mixed: bool = False
    """Recordings stand side by side that learned from different samples: there is no one set of them to show."""
    unit: Unit = "epoch"
    """What the cursor and every axis of time count."""
    time_zoom: int = 0
    """How many times the axis of time of the curves was halved."""

    @property
    def shown(self) -> tuple[RunView, ...]:
        """The selected run, and the pinned one after it."""
        first = self.runs[self.selected]
        if self.pinned is None or self.pinned == self.selected:
            return (first,)
        return (first, self.runs[self.pinned])

    @property
    def head(self) -> float:
        """Position of the newest keyframe of any run."""
        return max((float(run.history.position[-1]) for run in self.runs if len(run.history)), default=0.0)

    @property
    def epoch(self) -> float:
        """The cursor in epochs; while it counts in steps, those of the selected run."""
        if self.unit == "epoch":
            return self.cursor
        run = self.runs[self.selected]
        return float(run.history.epoch[run.row]) if run.row >= 0 else 0.0

    @property
    def end(self) -> float:
        """Where the longest run is to end: the right end of the axis of time."""
        return max(run.end for run in self.runs)

"""Defines the input of every panel: a frozen view of the recording at the cursor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from bntui.keyframe import Keyframe
from bntui.recording.dataset import RecordedData
from bntui.recording.histograms import Histograms
from bntui.recording.history import SAME_EPOCH, Event, RunHistory, RunInfo, Unit
from bntui.recording.seeds import SeedCourse
from bntui.viewer.marks import RUN_MARKS

CriterionName = Literal["values", "gradients", "masks", "moves", "differences"]
"""What layers are judged by; ``worst.py`` has a criterion for each."""
SAME: Final = SAME_EPOCH
"""Tolerance below which positions are equal, because fractions of an epoch are rounded."""


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
    """Histograms over time, if a panel on the screen shows them."""
    seeds: tuple[SeedCourse, ...] = ()
    """What is recorded of the run with other seeds."""

    @property
    def mark(self) -> str:
        return RUN_MARKS[self.info.index % len(RUN_MARKS)]

    @property
    def style(self) -> str:
        """Name of the run's style, ``run0`` to ``run11``."""
        return f"run{self.info.index % len(RUN_MARKS)}"

    @property
    def click(self) -> str:
        """The action of a click on its name."""
        return f"select_run({self.info.index})"

    @property
    def name(self) -> str:
        """The run's name in the current language."""
        return self.info.called

    @property
    def remnant(self) -> int:
        """Samples of the mini-batch that was measured, where they are less than half of a full one; else 0."""
        samples = 0 if self.frame is None else len(self.frame.batch_indices)
        return samples if 2 * samples < self.info.batch_size else 0

    @property
    def end(self) -> float:
        """Planned end of the run, in the unit of its history: its epochs, or the number of steps in them.

        Of a watched run it is the end of what is recorded, unless the loop has said how many epochs it plans.
        """
        if self.info.watched:
            return self._end_of_loop
        return float(self.info.epochs if self.history.unit == "epoch" else self.last_step)

    @property
    def last_step(self) -> int:
        """Planned number of the run's last step; of a watched run, that of the last recorded one."""
        if self.info.watched:
            return int(self.history.step[-1]) if len(self.history) else 0
        fork = self.info.fork
        before, since = (fork.step, fork.epoch) if fork is not None else (0, 0.0)
        return before + math.ceil((self.info.epochs - since) * self.info.steps_per_epoch - 1e-6)

    @property
    def _end_of_loop(self) -> float:
        head = float(self.history.position[-1]) if len(self.history) else 0.0
        epoch = float(self.history.epoch[-1]) if len(self.history) else 0.0
        if not self.info.epochs or not epoch:
            return max(head, float(self.info.epochs), 1.0)
        planned = self.info.epochs if self.history.unit == "epoch" else math.ceil(head * self.info.epochs / epoch)
        return max(head, float(planned))


@dataclass(frozen=True, slots=True)
class View:
    """The recording as the screen shows it, which depends only on the recording and the view state."""

    title: str
    task: str
    """``classification`` (accuracy) or ``regression`` (R²)."""
    runs: tuple[RunView, ...]
    selected: int
    pinned: int | None
    """The run shown beside the selected one, if there is room."""
    cursor: float
    """In epochs or in steps; each run shows its last keyframe at or before it."""
    following: bool
    """The cursor follows the head."""
    log_axis: bool = True
    past: int = 0
    """How many features or layers the user has walked past in the panel that is drawn; it shows them last."""
    dataset: RecordedData | None = None
    """The samples, if the recording has them and a panel on the screen shows them."""
    mixed: bool = False
    """The compared recordings do not all have the same samples, so there is no common data to show."""
    unit: Unit = "epoch"
    """What the cursor and every axis of time count."""
    time_zoom: int = 0
    """How many times the axis of time of the curves was halved."""
    third: int | None = None
    """A run beside these two."""
    hidden: frozenset[int] = frozenset()
    """Runs that curves and header leave out; the selected one is none of them."""
    scenario_text: str = ""
    """The scenario as it was written; empty for several recordings."""
    heavy: bool = False
    """Thick lines and large histograms, for a lecture hall."""
    colorless: bool = False
    """Without colors, which tell runs apart."""
    folded: bool = False
    """One row for each block of layers."""
    layer: str = ""
    """Name of the chosen layer; empty if none is."""
    criterion: CriterionName | Literal[""] = ""
    """What the chosen layer was found by, if it is one of the worst."""
    trouble: Event | None = None
    """What went wrong in the chosen layer, if it was found by that."""

    @property
    def shown(self) -> tuple[RunView, ...]:
        """The selected run, and those pinned beside it."""
        wanted = (self.selected, self.pinned, self.third)
        return tuple(self.runs[number] for number in dict.fromkeys(wanted) if number is not None)

    @property
    def visible(self) -> tuple[RunView, ...]:
        """All runs that are not hidden."""
        return tuple(run for run in self.runs if run.info.index not in self.hidden)

    @property
    def head(self) -> float:
        """Position of the newest keyframe of any run."""
        return max((float(run.history.position[-1]) for run in self.runs if len(run.history)), default=0.0)

    @property
    def epoch(self) -> float:
        """The cursor in epochs; if it counts in steps, the epoch of the selected run's keyframe."""
        if self.unit == "epoch":
            return self.cursor
        run = self.runs[self.selected]
        return float(run.history.epoch[run.row]) if run.row >= 0 else 0.0

    @property
    def end(self) -> float:
        """Planned end of the longest run, which is the right end of the time axis."""
        return max(run.end for run in self.runs)

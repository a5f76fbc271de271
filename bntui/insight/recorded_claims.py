"""Reads the figures of a claim from a recording: from its runs, and from their other seeds where those have them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from bntui.insight.claims import Seeds, Trained, judged, value
from bntui.recording.history import RunHistory
from bntui.recording.seeds import FIGURES, SeedCourse
from bntui.recording.sentences import is_over
from bntui.recording.tables import FAILED
from bntui.scenario.figures import OVER, Comparison, Quantity

Finding = Literal["true", "false", "holds", "does not hold", "undecided", "training", "not here"]
"""``true`` and ``false`` are of the one recorded seed; ``not here``: a run or a figure is missing."""

DIVERGED: Final = "diverged"
_OF_SEEDS: Final = (*FIGURES, "gap")
"""Figures that are recorded of every epoch of every seed."""


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run with what is recorded of its other seeds."""

    trained: Trained
    seeds: tuple[SeedCourse, ...] = ()

    @property
    def over(self) -> bool:
        """Nothing more will be recorded of it."""
        return is_over(event.kind for event in self.trained.events)

    @property
    def diverged(self) -> set[int]:
        """The seeds whose loss became NaN or infinite."""
        found = {course.seed for course in self.seeds if course.end is not None and course.end.kind == DIVERGED}
        return found | ({self.seed} if any(event.kind == DIVERGED for event in self.trained.events) else set())

    @property
    def seed(self) -> int:
        """Its own."""
        return int(self.trained.info.config.get("seed", 0))


@dataclass(frozen=True, slots=True)
class RecordedClaim:
    """What a recording says about a claim."""

    finding: Finding
    seeds: Seeds


def measured(compared: Comparison, runs: Sequence[RecordedRun]) -> RecordedClaim:
    """Read both sides of a claim, paired by seed.

    Other seeds count where they have every figure of the claim and have ended; else only the recorded seed does.  One
    that diverged has lost its figures, and supports neither side.
    """
    sides, gone = {}, set[int]()
    for used in compared.quantities:
        run = next((one for one in runs if used.run in (None, one.trained.info.name)), None)
        if run is None or not len(run.trained.history):
            return RecordedClaim("not here", {})
        sides[used] = run
        gone |= run.diverged
    values = {used: _values(used, run) for used, run in sides.items()}
    common = set.intersection(*(set(found) for found in values.values()))
    seeds = {seed: {str(used): found[seed] for used, found in values.items()} for seed in sorted(common)}
    if not all(run.over for run in sides.values()):
        return RecordedClaim("training", seeds)
    missing = {seed for seed, found in seeds.items() if any(map(math.isnan, found.values()))}
    if not seeds or missing - gone:
        return RecordedClaim("not here", seeds)
    found = judged(compared, seeds)
    if len(seeds) == 1:
        return RecordedClaim("true" if found.favorable else "false" if found.adverse else "not here", seeds)
    return RecordedClaim(found.verdict, seeds)


def _values(used: Quantity, run: RecordedRun) -> Mapping[int, float]:
    """The quantity by seed."""
    own = {run.seed: value(used, run.trained)}
    ended = (course for course in run.seeds if course.end is not None and course.end.kind != FAILED)
    others = {course.seed: _of_seed(used, run.trained, course) for course in ended}
    return own | {seed: found for seed, found in others.items() if found is not None}


def _of_seed(used: Quantity, trained: Trained, course: SeedCourse) -> float | None:
    """The quantity of another seed; None if too little is recorded of it."""
    assert course.end is not None
    if used.figure == "diverged":
        return float(course.end.kind == DIVERGED)
    if used.figure == "gradient_ratio" and used.place == "end":
        return course.end.ratio
    if used.figure == "epoch" and used.place == "end":
        return course.end.epoch
    # which weights were kept, and which epoch was early stopping's best, is not recorded of a seed
    readable = used.figure in _OF_SEEDS and (used.over or used.place not in ("best", "kept"))
    if not readable or not course.figures.shape[1] or not math.isfinite(course.end.epoch):
        return None
    of_end = used.over in OVER or (not used.over and used.place == "end")
    if of_end and course.end.epoch > course.first + course.figures.shape[1] - 1:
        return math.nan  # it diverged within an epoch, and its last figures are not recorded
    return value(used, Trained(trained.info, _history(trained.history, course), ()))


def _history(own: RunHistory, course: SeedCourse) -> RunHistory:
    """The epochs of a seed as a history without keyframes."""
    count = course.figures.shape[1]
    epochs = course.first + np.arange(count, dtype=np.float64)
    missing, none = np.full(count, np.nan), np.zeros(count, np.int64)
    return RunHistory(
        ids=np.arange(count), step=np.arange(course.first, course.first + count), epoch=epochs,
        has_frame=np.zeros(count, np.bool_), epoch_end=epochs > 0, lr=missing, batch_loss=missing, wall_time=missing,
        **{name: course.figure(name) for name in FIGURES},
        wait=none, best=missing, best_epoch=none, layers=np.full((count, *own.layers.shape[1:]), np.nan),
    )  # fmt: skip

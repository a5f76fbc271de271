"""Trains a run with several seeds in this process, at once where that is faster; runs in a worker process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from bntui.errors import BntuiError
from bntui.insight.claims import Frames, Trained, frames_of, value
from bntui.keyframe import FloatArray
from bntui.recording.history import SAME_EPOCH
from bntui.recording.memory import MemoryWriter
from bntui.recording.seeds import FIGURES, SeedEnd
from bntui.recording.sentences import traits
from bntui.recording.tables import FAILED
from bntui.scenario.claim_expression import quantity
from bntui.scenario.figures import Quantity
from bntui.scenario.schema import RunConfig
from bntui.study.train import goal, trained, watched
from bntui.study.trial import Epochs, Outcome, Read, SeedsJob
from bntui.trainer.run import Run
from bntui.trainer.stack import Stack, alike, stackable

INTERVAL: Final = 0.25
"""Seconds between two reports of a run's epochs."""


def trained_together(job: SeedsJob, report: Callable[[Epochs], object], *, stacked: bool = True) -> None:
    """Train a run with each seed, and report every epoch of each, a few times a second.

    Where calls cost more than arithmetic, all seeds are trained at once, otherwise one after another: with the same
    figures, bit for bit.  A seed that cannot be trained ends as failed, with the reason, and the others go on.

    Args:
        report: called with epochs as they are known; the last ones of a seed say how it ended.
        stacked: train at once where that is faster.
    """
    _train(job, [_Course(number, report) for number in range(len(job.configs))], Frames(), stacked)


def read_together(job: SeedsJob, report: Callable[[Read], object], *, stacked: bool = True) -> None:
    """Train a run with each seed as :func:`trained_together` does, and read the job's quantities.

    Args:
        report: called with the quantities of a seed when it is trained.
    """
    wanted, clock = {text: quantity(text) for text in job.quantities}, _Clock()
    readers = [_Figures(number, wanted, clock, report) for number in range(len(job.configs))]
    _train(job, readers, frames_of(wanted.values()), stacked)


def _train(job: SeedsJob, tellers: Sequence[_Teller], frames: Frames, stacked: bool) -> None:
    waiting = list(zip(job.configs, tellers, strict=True))
    if stacked and not job.stems and job.configs[0].record.every == "epoch" and len(waiting) > 1:
        waiting = _at_once(waiting, job, frames)
    for config, teller in waiting:
        with _reported(teller):
            teller.end(trained(config, job, frames, teller.look))


class _Teller(Protocol):
    """Reports one seed."""

    over: bool
    """It has ended."""

    def look(self, memory: MemoryWriter) -> None:
        """Something may have been recorded."""

    def end(self, run: Trained) -> None:
        """It is trained."""

    def fail(self, reason: str) -> None:
        """It could not be trained."""


@contextmanager
def _reported(teller: _Teller) -> Iterator[None]:
    """Report an error as the end of the seed."""
    try:
        yield
    except BntuiError as error:
        teller.fail(str(error))
    except Exception as error:  # from PyTorch, for instance if memory runs out
        teller.fail(f"{type(error).__name__}: {error}")


class _Clock:
    """Processor time between ends of seeds."""

    def __init__(self) -> None:
        self._since = time.process_time()

    def lap(self) -> float:
        """Seconds since the last call."""
        before, self._since = self._since, time.process_time()
        return self._since - before


class _Figures:
    """Reports the quantities of one seed when it is trained."""

    def __init__(
        self, number: int, wanted: Mapping[str, Quantity], clock: _Clock, report: Callable[[Read], object]
    ) -> None:
        self._number, self._wanted, self._clock, self._report = number, wanted, clock, report
        self.over = False

    def look(self, memory: MemoryWriter) -> None:
        """Nothing is reported before the end."""

    def end(self, run: Trained) -> None:
        """Read the quantities."""
        figures = {text: value(one, run) for text, one in self._wanted.items()}
        self._tell(Outcome(figures, self._clock.lap()))

    def fail(self, reason: str) -> None:
        """Report why there are none."""
        self._tell(Outcome({}, self._clock.lap(), reason))

    def _tell(self, outcome: Outcome) -> None:
        self.over = True
        self._report(Read(self._number, outcome))


class _Course:
    """Reports the epochs of one seed while it is trained."""

    def __init__(self, number: int, report: Callable[[Epochs], object]) -> None:
        self._number, self._report = number, report
        self._rows = 0
        """Rows of the history that were looked at."""
        self._waiting: list[tuple[float, ...]] = []
        self._next: int | None = None
        """Number of the first epoch in ``_waiting``."""
        self._due = -math.inf
        self.over = False

    def look(self, memory: MemoryWriter) -> None:
        """Report what is new, if the last report is long enough ago."""
        for row in memory.rows(self._rows):
            self._rows += 1
            epoch = row["epoch"]
            if abs(epoch - round(epoch)) > SAME_EPOCH or not (row["epoch_end"] or self._rows == 1):
                continue
            if self._next is None:
                self._next = round(epoch)
            self._waiting.append(tuple(math.nan if row[name] is None else row[name] for name in FIGURES))
        if self._waiting and time.monotonic() >= self._due:
            self._flush()

    def end(self, run: Trained) -> None:
        """Report the rest, and how the run ended."""
        event = next(event for event in run.events if traits(event.kind).ends == "run")
        measured = bool(run.history.has_frame[-1])
        ratio = value(quantity("gradient_ratio"), run) if measured else math.nan
        self._flush(SeedEnd(str(event.kind), float(event.epoch), event.message, ratio))

    def fail(self, reason: str) -> None:
        """Report what is known, and why there is no more."""
        last = (self._next or 0) + len(self._waiting) - 1
        self._flush(SeedEnd(FAILED, float(max(last, 0)), reason))

    def _flush(self, end: SeedEnd | None = None) -> None:
        figures: FloatArray = np.array(self._waiting, np.float64).reshape(-1, len(FIGURES)).T
        self._report(Epochs(self._number, self._next or 0, figures, end))
        self._next = (self._next or 0) + len(self._waiting)
        self._waiting = []
        self._due, self.over = time.monotonic() + INTERVAL, end is not None


@dataclass(frozen=True, slots=True)
class _Member:
    """A run among those that are trained at once."""

    run: Run
    teller: _Teller
    memory: MemoryWriter = field(default_factory=MemoryWriter)

    def look(self) -> None:
        """Report what is new."""
        self.teller.look(self.memory)
        if self.run.over:
            self.teller.end(Trained(self.run.info, self.memory.history(self.run.info), self.memory.events))


def _at_once(
    waiting: Sequence[tuple[RunConfig, _Teller]], job: SeedsJob, frames: Frames
) -> list[tuple[RunConfig, _Teller]]:
    """Train runs at once; gives those that must be trained one after another.

    Args:
        frames: the epochs whose last step is measured.
    """
    members: list[_Member] = []
    for config, teller in waiting:
        with _reported(teller):
            members.append(_Member(watched(config, job, whole=frames.all), teller))
        if len(members) == 1 and not stackable(members[0].run, len(waiting)):
            return [pair for pair in waiting if not pair[1].over]
    for number in alike([member.run for member in members]):
        _in_step([members[at] for at in number], frames)
    return []


def _in_step(members: Sequence[_Member], frames: Frames) -> None:
    """Train runs of one form, an epoch of all at a time."""
    stack: Stack | None = None
    for member in members:
        member.run.begin(member.memory)
        member.look()
    while left := [member for member in members if not member.run.over]:
        runs = tuple(member.run for member in left)
        goals = [goal(run, frames.epochs) for run in runs]
        if len(left) == 1:
            runs[0].train_epoch(left[0].memory, lambda: False, goals[0])
        else:
            stack = stack if stack is not None and stack.runs == runs else Stack(runs)
            # the last step of an epoch in which a run may end is measured, too
            measured = [frames.all or run.may_end or ahead < math.inf for run, ahead in zip(runs, goals, strict=True)]
            stack.epoch([member.memory for member in left], measured)
        for member in left:
            member.look()

"""Derives a run's state at each of its rows: everything that its next step depends on.

Completed epochs, samples of the current one, patience, the plateau's state, the best epoch so far: all are derived from
rows, none is taken on trust.  A fork continues its parent's state as far as its own settings allow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bntui.audit.blocks import structural
from bntui.audit.stopping import Plateau, Waiting
from bntui.recording.history import Event

Said = Mapping[str, Any]
Scalars = Mapping[str, Any]

MONITORS: Final = {
    "loss": "train_loss", "accuracy": "train_accuracy", "r2": "train_accuracy",
    "val_loss": "val_loss", "val_accuracy": "val_accuracy", "val_r2": "val_accuracy",
}  # fmt: skip
"""Column of each quantity that early stopping can monitor."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A run's state between two steps."""

    step: int = 0
    epoch: int = 0
    """Completed epochs."""
    offset: int = 0
    """Samples of the current epoch trained on so far."""
    batches: int = 0
    """Number of mini-batches of those samples."""
    waiting: Waiting = field(default_factory=Waiting)
    improved: bool = False
    """True if the last epoch ended with the best value so far."""
    plateau: Plateau = field(default_factory=Plateau)
    best_loss: float = math.inf
    """Smallest validation loss at an epoch's end, without early stopping."""
    best_step: int = 0
    """Step at the end of the best epoch; 0 if there is none yet."""
    exact: bool = True
    """True if all of it follows from rows; False after a run was resumed elsewhere and its bits changed."""
    loss: float = math.nan
    """Training loss and accuracy of the current epoch; NaN if unknown."""
    accuracy: float = math.nan


@dataclass(frozen=True, slots=True)
class BatchSizes:
    """The sizes of a run's mini-batches."""

    samples: int
    batch: int
    last: str
    """What happens to samples that fill no mini-batch: ``first``, ``keep`` or ``drop``."""
    per_epoch: int

    @classmethod
    def of(cls, config: Said, samples: int, per_epoch: int) -> BatchSizes:
        data = config["data"]
        return cls(samples, data["batch_size"], data.get("last_batch", "keep"), per_epoch)

    def left(self, at: Standing) -> int:
        """Steps to the end of the current epoch."""
        batches = (self.samples - at.offset) / self.batch
        return max(1, math.floor(batches) if self.last == "drop" else math.ceil(batches))

    def size(self, at: Standing) -> int:
        """Size of the next mini-batch."""
        rest = self.samples - at.offset
        over = rest % self.batch
        return over if over and (self.last == "first" or rest < self.batch) else self.batch

    def initial(self, at: Standing) -> int:
        """Size of the mini-batch on which an initial state is measured: a full one if the epoch has one left."""
        return min(self.batch, self.samples - at.offset)

    def epoch(self, at: Standing) -> float:
        """Epochs done, including the fraction of the current one, counted in steps of this batch size."""
        steps = at.offset / self.batch
        if self.last == "first":  # a first step of fewer samples, then whole ones to the end of the epoch
            over = self.samples % self.batch or self.batch
            steps = 1 + (at.offset - over) / self.batch if at.offset > over else at.offset / over
        return (at.epoch * self.per_epoch + steps) / self.per_epoch

    def onward(self, at: Standing, steps: int) -> Standing:
        """The state a number of steps later in the same epoch."""
        if not steps:
            return at
        offset = at.offset + self.size(at) + (steps - 1) * self.batch
        return replace(
            at, step=at.step + steps, offset=offset, batches=at.batches + steps, loss=math.nan, accuracy=math.nan
        )


@dataclass(frozen=True, slots=True)
class Passage:
    """The run's state before and after the step of a row."""

    before: Standing
    after: Standing
    size: int
    """Size of the step's mini-batch."""
    ends: bool
    """True if the step is the last of its epoch."""
    due: int
    """Steps left in the epoch at the previous row; a row further away would have skipped the epoch's end."""

    @property
    def learned(self) -> int:
        """Number of samples that the row's training loss is averaged over."""
        return self.before.offset + self.size


def follow(
    config: Said, pace: BatchSizes, rows: Sequence[Scalars], start: Standing, gone: Iterable[int]
) -> list[Passage]:
    """The passages of all rows of a run, starting with the initial state.

    Args:
        start: the run's state at its first row.
        gone: steps after which the run continued with bits other than those recorded.
    """
    departed = set(gone)
    first = replace(start, exact=start.exact and start.step not in departed)
    passages = [Passage(first, first, pace.initial(first), False, 0)]
    for row in rows[1:]:
        at, due = passages[-1].after, pace.left(passages[-1].after)
        steps = row["step"] - at.step
        if not 0 < steps <= due:  # a row is missing or out of place: continue from this one
            ends = bool(row["epoch_end"])
            whole = math.ceil(row["epoch"] - 1e-9) - 1
            taken = 0 if ends else max(0, round((row["epoch"] - whole) * pace.per_epoch - 1))
            offset = pace.onward(Standing(), taken).offset
            before = replace(at, step=row["step"] - 1, epoch=whole, offset=offset, exact=False)
        else:
            before = pace.onward(at, steps - 1)
            ends = steps == due
        size = pace.size(before)
        after = replace(
            before, step=row["step"], offset=before.offset + size, batches=before.batches + 1,
            loss=row["train_loss"], accuracy=row["train_accuracy"],
        )  # fmt: skip
        if ends:
            after = _observed(config, after, row)
        if row["step"] in departed:
            after = replace(after, exact=False)
        passages.append(Passage(before, after, size, ends, due))
    return passages


def _observed(config: Said, at: Standing, row: Scalars) -> Standing:
    """The state after an epoch's end, when plateau and early stopping have seen its figures."""
    training = config["training"]
    schedule, rule = training["schedule"], training["early_stopping"]
    plateau, waiting = replace(at.plateau), replace(at.waiting)
    if schedule["kind"] == "plateau":
        plateau.see(schedule, row["val_loss"])
    at = replace(at, epoch=at.epoch + 1, offset=0, batches=0, plateau=plateau, loss=math.nan, accuracy=math.nan)
    if rule is None:
        best = row["val_loss"] < at.best_loss
        return replace(at, best_loss=row["val_loss"] if best else at.best_loss)
    if not at.exact:  # the values seen earlier are not recorded
        waiting = Waiting(row["best"], row["best_epoch"], row["wait"], bool(row["stopped"]))
        improved = row["best_epoch"] == at.epoch
    else:
        improved = waiting.see(rule, at.epoch, row[MONITORS[rule["monitor"]]])
    best_step = at.step if improved else at.best_step
    return replace(at, waiting=waiting, improved=improved, best_step=best_step)


def inherited(parent: Standing, theirs: Said, own: Said, samples: int) -> Standing:
    """The initial state of a fork: its parent's position and patience, as far as its own settings keep them."""
    at, data = parent, own["data"]
    if data.get("last_batch", "keep") == "drop" and samples - at.offset < data["batch_size"]:
        at = replace(at, epoch=at.epoch + 1, offset=0)  # too few samples are left for the larger mini-batch
    if at.offset == 0:
        at = replace(at, batches=0, loss=math.nan, accuracy=math.nan)
    afresh = structural(theirs, own)
    if theirs["training"]["schedule"]["kind"] != "plateau":
        at = replace(at, plateau=Plateau())
    if afresh:
        at = replace(at, best_loss=math.inf, plateau=Plateau(factor=at.plateau.factor))
    rules = [config["training"]["early_stopping"] for config in (own, theirs)]
    watched = [None if rule is None else (rule["monitor"], rule["mode"]) for rule in rules]
    if afresh or watched[0] != watched[1]:
        return replace(at, waiting=Waiting(), improved=False, best_step=0)
    return replace(at, waiting=replace(at.waiting, stopped=False))


def departures(events: Iterable[Event]) -> dict[int, int]:
    """Steps at which a run continued with other bits, each with the first step whose bits differ."""
    found = {}
    for event in events:
        since = event.arguments.get("step", event.step)
        if event.kind == "departed" and isinstance(since, int):
            found[event.step] = since
    return found

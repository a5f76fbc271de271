"""Where does a run stand at each of its rows?  All that its next step depends on, followed from the rows before it.

Whole epochs and the samples of the one under way, patience, the plateau's state, the best epoch so far: nothing of it
has to be believed.  A fork goes on from where its parent stood, as far as its own settings leave that standing.
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
"""Column of what early stopping watches."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands between two steps."""

    step: int = 0
    epoch: int = 0
    """Whole epochs done."""
    offset: int = 0
    """Samples of the epoch under way that were learned from."""
    batches: int = 0
    """Mini-batches that these came in."""
    waiting: Waiting = field(default_factory=Waiting)
    improved: bool = False
    """The last epoch's end gave the best value so far."""
    plateau: Plateau = field(default_factory=Plateau)
    best_loss: float = math.inf
    """Smallest validation loss at an epoch's end, where there is no early stopping."""
    best_step: int = 0
    """Step of the best epoch's end; 0 where there is none yet."""
    exact: bool = True
    """All of it follows from rows.  Not after a run went on elsewhere, with bits that are not the recorded ones."""
    loss: float = math.nan
    """Training loss and accuracy of the epoch under way; NaN where they are not known."""
    accuracy: float = math.nan


@dataclass(frozen=True, slots=True)
class Pace:
    """In which steps a run goes through its samples."""

    samples: int
    batch: int
    drop: bool
    per_epoch: int

    @classmethod
    def of(cls, config: Said, samples: int, per_epoch: int) -> Pace:
        data = config["data"]
        return cls(samples, data["batch_size"], data.get("last_batch", "keep") == "drop", per_epoch)

    def left(self, at: Standing) -> int:
        """Steps to the end of the epoch under way."""
        batches = (self.samples - at.offset) / self.batch
        return max(1, math.floor(batches) if self.drop else math.ceil(batches))

    def size(self, at: Standing) -> int:
        """Samples of the next mini-batch."""
        return min(self.batch, self.samples - at.offset)

    def epoch(self, at: Standing) -> float:
        """Epochs done, with the fraction of the one under way: counted in steps of this batch size."""
        return (at.epoch * self.per_epoch + at.offset / self.batch) / self.per_epoch

    def onward(self, at: Standing, steps: int) -> Standing:
        """Some steps further within an epoch."""
        if not steps:
            return at
        offset = at.offset + steps * self.batch
        return replace(
            at, step=at.step + steps, offset=offset, batches=at.batches + steps, loss=math.nan, accuracy=math.nan
        )


@dataclass(frozen=True, slots=True)
class Passage:
    """One row of a run: where it stood before the row's step, and after it."""

    before: Standing
    after: Standing
    size: int
    """Samples of the step's mini-batch."""
    ends: bool
    """The step is the last one of its epoch."""
    due: int
    """Steps that were left of the epoch at the row before: a row further away would have skipped the epoch's end."""

    @property
    def learned(self) -> int:
        """Samples of the epoch that the row's training loss is the mean of."""
        return self.before.offset + self.size


def follow(config: Said, pace: Pace, rows: Sequence[Scalars], start: Standing, gone: Iterable[int]) -> list[Passage]:
    """All rows of a run, the initial state first.

    Args:
        start: where the run stands at its first row.
        gone: steps after which it went on with other bits than the recorded ones.
    """
    departed = set(gone)
    first = replace(start, exact=start.exact and start.step not in departed)
    passages = [Passage(first, first, pace.size(first), False, 0)]
    for row in rows[1:]:
        at, due = passages[-1].after, pace.left(passages[-1].after)
        steps = row["step"] - at.step
        if not 0 < steps <= due:  # a row is missing or moved: go on from what this one says
            ends = bool(row["epoch_end"])
            whole = math.ceil(row["epoch"] - 1e-9) - 1
            offset = 0 if ends else round((row["epoch"] - whole) * pace.per_epoch - 1) * pace.batch
            before = replace(at, step=row["step"] - 1, epoch=whole, offset=max(0, offset), exact=False)
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
    """An epoch is over: plateau and early stopping have seen its figures."""
    training = config["training"]
    schedule, rule = training["schedule"], training["early_stopping"]
    plateau, waiting = replace(at.plateau), replace(at.waiting)
    if schedule["kind"] == "plateau":
        plateau.see(schedule, row["val_loss"])
    at = replace(at, epoch=at.epoch + 1, offset=0, batches=0, plateau=plateau, loss=math.nan, accuracy=math.nan)
    if rule is None:
        best = row["val_loss"] < at.best_loss
        return replace(at, best_loss=row["val_loss"] if best else at.best_loss)
    if not at.exact:  # what it had seen before is not recorded
        waiting = Waiting(row["best"], row["best_epoch"], row["wait"], bool(row["stopped"]))
        improved = row["best_epoch"] == at.epoch
    else:
        improved = waiting.see(rule, at.epoch, row[MONITORS[rule["monitor"]]])
    best_step = at.step if improved else at.best_step
    return replace(at, waiting=waiting, improved=improved, best_step=best_step)


def taken_over(parent: Standing, theirs: Said, own: Said, samples: int) -> Standing:
    """Where a fork begins: its parent's place and patience, as far as its own settings leave them standing."""
    at, data = parent, own["data"]
    if data.get("last_batch", "keep") == "drop" and samples - at.offset < data["batch_size"]:
        at = replace(at, epoch=at.epoch + 1, offset=0)  # what is left fills no larger mini-batch
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
    """Steps at which a run went on with other bits, each with the step from which on they are others."""
    found = {}
    for event in events:
        since = event.arguments.get("step", event.step)
        if event.kind == "departed" and isinstance(since, int):
            found[event.step] = since
    return found

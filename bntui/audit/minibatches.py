"""Checks that a run's mini-batches make up an epoch, and that its accuracies are whole numbers of samples."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.course import AuditedRun, Row
from bntui.audit.ledger import Ledger, Place
from bntui.audit.standing import Passage, Standing
from bntui.text.language import N_

BATCHES: Final = N_("mini-batches: distinct samples, each once per epoch")
RUNNING_MEAN: Final = N_("training loss and accuracy of the epoch")
COUNTS: Final = N_("accuracies as sample counts")
SAME_ORDER: Final = N_("same sample order in all runs")


class SampleOrders:
    """The orders in which runs visited their samples, which are the same in all runs with the same seed."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seen: dict[tuple[int, int, int], tuple[str, NDArray[Any]]] = {}
        """The first run at a place, by seed, epoch and offset, and its mini-batch there."""

    def check(self, course: AuditedRun, row: Row) -> None:
        """Compare a keyframe's mini-batch with that of the first run which had one at the same place."""
        run, pace = course.subject.run, course.subject.pace
        assert row.frame is not None
        if run.fork is not None or row.number == 0 or pace is None:
            return
        epoch = math.ceil(row.scalars["epoch"] - 1e-9)
        offset = pace.onward(Standing(), (row.scalars["step"] - 1) % run.steps_per_epoch).offset
        key = (run.config["seed"], epoch, offset)
        name, other = self._seen.setdefault(key, (run.name, row.frame.batch_indices))
        both = min(len(other), len(row.frame.batch_indices))
        same = bool((other[:both] == row.frame.batch_indices[:both]).all())
        self._ledger.hold(SAME_ORDER, row.place(run.name), "batch_indices", same, "-", name)


def check_batches(ledger: Ledger, course: AuditedRun, samples: int) -> None:
    run = course.subject.run
    size = run.config["data"]["batch_size"]
    seen: dict[int, dict[int, tuple[int, Row]]] = {}
    for number, row in enumerate(course.rows):
        if row.frame is None:
            continue
        place, indices = row.place(run.name), row.frame.batch_indices
        within = bool(len(indices)) and int(indices.min()) >= 0 and int(indices.max()) < samples
        ledger.hold(BATCHES, place, "batch_indices", within, "-", f"0 … {samples - 1}")
        distinct = len(np.unique(indices)) == len(indices)
        ledger.hold(BATCHES, place, "batch_indices", distinct, len(np.unique(indices)), len(indices))
        passage = course.passage(row)
        if passage is not None:
            due = passage.size
            ledger.hold(BATCHES, place, "batch_indices", len(indices) == due, len(indices), due)
        else:
            fits = len(indices) <= min(size, samples)
            ledger.hold(BATCHES, place, "batch_indices", fits, len(indices), f"<= {size}")
        if number == 0:
            continue  # the initial state is measured on the first step's mini-batch
        epoch = math.ceil(row.scalars["epoch"] - 1e-9)
        mine = seen.setdefault(epoch, {})
        for index in indices.tolist():
            other = mine.setdefault(index, (row.scalars["step"], row))
            if other[0] != row.scalars["step"]:
                ledger.fail(BATCHES, place, "batch_indices", index, f"step {other[0]}")


def check_counts(ledger: Ledger, course: AuditedRun, validation: int) -> None:
    """Check that accuracies are whole numbers of samples and that an epoch's running sums only grow."""
    run, classification = course.subject.run, course.subject.task == "classification"
    for row in course.rows:
        scalars, place, passage = row.scalars, row.place(run.name), course.passage(row)
        if classification:
            share = scalars["val_accuracy"] * validation
            fits = math.isnan(share) or (abs(share - round(share)) < 1e-6 and 0 <= share <= validation + 1e-6)
            ledger.hold(COUNTS, place, "val_accuracy", fits, scalars["val_accuracy"], f"k / {validation}")
            if not math.isnan(scalars["train_accuracy"]):
                fits = -1e-9 <= scalars["train_accuracy"] <= 1 + 1e-9
                ledger.hold(COUNTS, place, "train_accuracy", fits, scalars["train_accuracy"], "0 … 1")
        else:
            for name in ("train_accuracy", "val_accuracy"):  # R², at most 1
                ledger.hold(COUNTS, place, name, not scalars[name] > 1 + 1e-9, scalars[name], "<= 1")
        if passage is not None:
            _summed(ledger, course, row, passage)


def _summed(ledger: Ledger, course: AuditedRun, row: Row, passage: Passage) -> None:
    """Check a row's training loss and accuracy against those of the previous row in the same epoch."""
    scalars, place = row.scalars, row.place(course.subject.run.name)
    samples = passage.learned if row.number else passage.size
    if course.subject.task == "classification":
        right = scalars["train_accuracy"] * samples
        fits = math.isnan(right) or abs(right - round(right)) < 1e-6
        ledger.hold(COUNTS, place, "train_accuracy", fits, scalars["train_accuracy"], f"k / {samples}")
    own = 0.0 if math.isnan(scalars["batch_loss"]) else scalars["batch_loss"] * passage.size
    total = scalars["train_loss"] * samples
    if not row.number or not passage.before.offset:
        if row.frame is not None:
            near = 1e-9 * abs(scalars["train_loss"])
            ledger.compare(RUNNING_MEAN, place, "train_loss", scalars["train_loss"], scalars["batch_loss"], near)
        return
    earlier = course.passages[row.number - 1].after
    if earlier.offset and earlier.epoch == passage.before.epoch and not math.isnan(earlier.loss):
        if not passage.before.exact:
            return
        before, gained = earlier.loss * earlier.offset, passage.learned - earlier.offset
        if row.frame is not None and gained == passage.size:
            near = 1e-9 * abs(scalars["train_loss"])
            ours = (before + own) / samples
            ledger.compare(RUNNING_MEAN, place, "train_loss", scalars["train_loss"], ours, near)
        else:
            _grown(ledger, place, "train_loss", total, before + own, math.inf)
        if course.subject.task == "classification" and not math.isnan(earlier.accuracy):
            counted = earlier.accuracy * earlier.offset
            _grown(ledger, place, "train_accuracy", scalars["train_accuracy"] * samples, counted, counted + gained)
    else:
        _grown(ledger, place, "train_loss", total, own, math.inf)


def _grown(ledger: Ledger, place: Place, figure: str, total: float, least: float, most: float) -> None:
    near = 1e-9 * abs(total) + 1e-6
    fits = not (math.isfinite(total) and math.isfinite(least)) or least - near <= total <= most + near
    ledger.hold(COUNTS, place, figure, fits, total, f"{least} … {most}")

"""Are a run's mini-batches what an epoch is made of, and its accuracies whole numbers of samples?"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from bntui.audit.course import Course, Row
from bntui.audit.ledger import Ledger
from bntui.language import N_

BATCHES: Final = N_("mini-batches: distinct, once an epoch")
RUNNING_MEAN: Final = N_("training loss and accuracy of the epoch")
COUNTS: Final = N_("accuracies as counts of samples")


def check_batches(ledger: Ledger, course: Course, samples: int) -> None:
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
        rest = samples % size if run.config["data"]["last_batch"] == "keep" else 0
        due = rest if row.scalars["epoch_end"] and rest else min(size, samples)
        if run.fork is None and (number or run.steps_per_epoch > 1 or not rest):
            due = min(size, samples) if not number else due
            ledger.hold(BATCHES, place, "batch_indices", len(indices) == due, len(indices), due)
        if number == 0:
            continue  # the initial state is measured on the first step's mini-batch
        epoch = math.ceil(row.scalars["epoch"] - 1e-9)
        mine = seen.setdefault(epoch, {})
        for index in indices.tolist():
            other = mine.setdefault(index, (row.scalars["step"], row))
            if other[0] != row.scalars["step"]:
                ledger.fail(BATCHES, place, "batch_indices", index, f"step {other[0]}")


def check_counts(ledger: Ledger, course: Course, validation: int) -> None:
    """Accuracies are whole numbers of samples; losses of the epoch follow where each step is recorded."""
    run, classification = course.subject.run, course.subject.task == "classification"
    total = samples = right = 0.0
    complete = False
    before: Row | None = None
    for number, row in enumerate(course.rows):
        scalars, place = row.scalars, row.place(run.name)
        if classification:
            share = scalars["val_accuracy"] * validation
            fits = math.isnan(share) or (abs(share - round(share)) < 1e-6 and 0 <= share <= validation + 1e-6)
            ledger.hold(COUNTS, place, "val_accuracy", fits, scalars["val_accuracy"], f"k / {validation}")
        starts = before is None or bool(before.scalars["epoch_end"])
        if starts or number == 1:
            total = samples = right = 0.0
            complete = (
                before is not None
                and scalars["step"] == before.scalars["step"] + 1
                and (bool(before.scalars["epoch_end"]) or (before.number == 0 and run.fork is None))
            )
        else:
            assert before is not None
            complete = complete and scalars["step"] == before.scalars["step"] + 1
        if row.frame is not None and (number == 0 or complete):
            count = len(row.frame.batch_indices)
            total += scalars["batch_loss"] * count
            samples += count
            near = 1e-9 * abs(scalars["train_loss"])
            ledger.compare(RUNNING_MEAN, place, "train_loss", scalars["train_loss"], total / samples, near)
            if classification:
                right = scalars["train_accuracy"] * samples
                ledger.hold(
                    COUNTS,
                    place,
                    "train_accuracy",
                    abs(right - round(right)) < 1e-6,
                    scalars["train_accuracy"],
                    f"k / {samples:g}",
                )
        elif row.frame is None:
            complete = False
        if classification and not math.isnan(scalars["train_accuracy"]):
            fits = -1e-9 <= scalars["train_accuracy"] <= 1 + 1e-9
            ledger.hold(COUNTS, place, "train_accuracy", fits, scalars["train_accuracy"], "0 … 1")
        before = row

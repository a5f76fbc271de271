"""Does a whole run hang together: its steps and epochs, learning rates, patience, events and kept weights?"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.ledger import Ledger, Place
from bntui.audit.network import state_names
from bntui.audit.recompute import Subject
from bntui.audit.stopping import Plateau, Waiting, learning_rate
from bntui.keyframe import Keyframe
from bntui.language import N_
from bntui.recording.history import Event

Values = NDArray[Any]

ORDER: Final = N_("order of steps and epochs")
RATE: Final = N_("learning rates over the run")
PATIENCE: Final = N_("early stopping over the run")
EVENTS: Final = N_("events, and the weights kept at the end")
BATCHES: Final = N_("mini-batches: in range, distinct, each sample once an epoch")
RUNNING_MEAN: Final = N_("training loss and accuracy of the epoch")
COUNTS: Final = N_("accuracies as counts of samples")
WEIGHTS: Final = N_("digests of weights")

LAST: Final = ("finished", "stopped_early", "diverged")
"""Events that end a run."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a run: its scalars, and its keyframe where it has one."""

    number: int
    """Its place in the run's history."""
    scalars: Mapping[str, Any]
    """Columns of the table ``keyframe``; NaN for what is missing."""
    frame: Keyframe | None
    damaged: bool = False

    def place(self, run: str) -> Place:
        return Place(run, self.scalars["step"], self.scalars["epoch"])


@dataclass(frozen=True, slots=True)
class Course:
    """A run from its first row to its last."""

    subject: Subject
    rows: tuple[Row, ...]
    """Those that are not damaged."""
    events: tuple[Event, ...]
    whole: bool
    """No row is damaged: what follows from all of them can be told."""


def check_course(ledger: Ledger, course: Course, sizes: tuple[int, int] | None) -> None:
    """Everything that needs more than one row; ``sizes`` of the training and the validation part."""
    _order(ledger, course)
    _learning_rates(ledger, course)
    _patience(ledger, course)
    _events(ledger, course)
    if sizes is None:
        return
    _batches(ledger, course, sizes[0])
    _counts(ledger, course, sizes[1])


def _order(ledger: Ledger, course: Course) -> None:
    run, per_epoch = course.subject.run, course.subject.run.steps_per_epoch
    at: tuple[int, float] | None = None  # a step and its epoch, from which the next ones count
    before: Row | None = None
    for row in course.rows:
        scalars, place = row.scalars, row.place(run.name)
        step, epoch = scalars["step"], scalars["epoch"]
        if before is None or at is None:
            expected = 0.0 if run.fork is None else run.fork.epoch
            begins = 0 if run.fork is None else run.fork.step
            if course.whole:
                ledger.hold(ORDER, place, "step", step == begins, step, begins)
                if run.fork is None:  # another batch size counts the parent's fraction of an epoch by its own
                    ledger.compare(ORDER, place, "epoch", epoch, expected, 1e-12, scale=1)
            ledger.hold(
                ORDER, place, "epoch_end", not scalars["epoch_end"] or not course.whole, scalars["epoch_end"], 0
            )
        else:
            ledger.hold(ORDER, place, "step", step > before.scalars["step"], step, f"> {before.scalars['step']}")
            ours = at[1] + (step - at[0]) / per_epoch
            if scalars["epoch_end"]:
                ours = float(round(ours)) if run.fork is None else float(math.ceil(before.scalars["epoch"] + 1e-9))
            if course.whole:
                ledger.compare(ORDER, place, "epoch", epoch, ours, 1e-9 * max(ours, 1), scale=max(ours, 1.0))
            whole = abs(epoch - round(epoch)) < 1e-9
            ledger.hold(ORDER, place, "epoch_end", bool(scalars["epoch_end"]) == whole, scalars["epoch_end"], whole)
            earlier, now = before.scalars["wall_time"], scalars["wall_time"]
            ledger.hold(ORDER, place, "wall_time", not now < earlier, now, f">= {earlier}")
        if at is None or scalars["epoch_end"]:
            at = (step, epoch)
        before = row
    ends = {round(row.scalars["epoch"]) for row in course.rows if row.scalars["epoch_end"]}
    if course.whole and ends:
        first = min(ends)
        missing = set(range(first, max(ends) + 1)) - ends
        ledger.hold(ORDER, Place(run.name), "epoch_end", not missing, "-", sorted(missing))


def _learning_rates(ledger: Ledger, course: Course) -> None:
    training, run = course.subject.training, course.subject.run
    schedule = training["schedule"]
    plateau = Plateau()
    known = course.whole and run.fork is None
    if schedule["kind"] == "plateau" and not known:
        _drops(ledger, course)
        return
    before: Row | None = None
    for row in course.rows:
        done = row.scalars["epoch"] if before is None else row.scalars["epoch"] - 1 / run.steps_per_epoch
        if row.scalars["epoch_end"] and before is not None and run.fork is not None:
            # a smaller last mini-batch of a fork's first epoch begins later than a whole one would
            done = max(done, before.scalars["epoch"])
        ours = learning_rate(training, done, run.steps_per_epoch, plateau)
        near = 1e-12 * abs(training["lr"])
        ledger.compare(RATE, row.place(run.name), "lr", row.scalars["lr"], ours, near, scale=abs(ours) or None)
        if row.scalars["epoch_end"]:
            plateau.see(schedule, row.scalars["val_loss"])
        before = row


def _drops(ledger: Ledger, course: Course) -> None:
    """Where the plateau's state is not known: the rate falls by whole powers of gamma, and never rises."""
    training, run = course.subject.training, course.subject.run
    schedule = training["schedule"]
    last = math.inf
    for row in course.rows:
        lr = row.scalars["lr"]
        if row.scalars["epoch"] <= schedule["warmup_epochs"]:
            continue
        power = math.log(lr / training["lr"]) / math.log(schedule["gamma"]) if lr > 0 and training["lr"] else 0.0
        fits = (abs(power - round(power)) < 1e-6 or lr == schedule["min_lr"]) and lr <= last
        ledger.hold(RATE, row.place(run.name), "lr", fits, lr, f"{training['lr']} · {schedule['gamma']}^k")
        last = lr


def _monitored(row: Row, monitor: str) -> float:
    column = {
        "loss": "train_loss", "accuracy": "train_accuracy", "r2": "train_accuracy",
        "val_loss": "val_loss", "val_accuracy": "val_accuracy", "val_r2": "val_accuracy",
    }[monitor]  # fmt: skip
    return float(row.scalars[column])


def _patience(ledger: Ledger, course: Course) -> None:
    rule, run = course.subject.run.early_stopping, course.subject.run
    state = Waiting()
    for number, row in enumerate(course.rows):
        scalars, place = row.scalars, row.place(run.name)
        if rule is None:
            idle = not scalars["wait"] and not scalars["stopped"] and math.isnan(scalars["best"])
            ledger.hold(PATIENCE, place, "wait", idle and not scalars["best_epoch"], scalars["wait"], 0)
            continue
        if number == 0 and run.fork is not None:
            state = Waiting(scalars["best"], scalars["best_epoch"], scalars["wait"])
        elif not course.whole:
            continue
        elif scalars["epoch_end"]:
            state.see(rule, round(scalars["epoch"]), _monitored(row, rule["monitor"]))
        for name in ("wait", "best_epoch"):
            ours = getattr(state, name)
            ledger.hold(PATIENCE, place, name, scalars[name] == ours, scalars[name], ours)
        ledger.compare(PATIENCE, place, "best", scalars["best"], state.best, 0)
        ledger.hold(
            PATIENCE, place, "stopped", bool(scalars["stopped"]) == state.stopped, scalars["stopped"], state.stopped
        )
        _reason(ledger, place, rule, state, scalars["reason"])


def _reason(ledger: Ledger, place: Place, rule: Mapping[str, Any], state: Waiting, reason: str | None) -> None:
    """The recorded sentence names the figures; there is none while training goes on."""
    said = reason or ""
    figures = [str(rule["monitor"]), str(state.wait), str(rule["patience"])]
    figures += [str(state.best_epoch)] if state.best_epoch else []
    fits = all(figure in said for figure in figures) if state.stopped else not said
    ledger.hold(PATIENCE, place, "reason", fits, said, ", ".join(figures) if state.stopped else "")


def _events(ledger: Ledger, course: Course) -> None:
    if not course.rows:
        return
    run, training = course.subject.run, course.subject.training
    last = course.rows[-1]
    place = last.place(run.name)
    at = {row.scalars["step"]: row for row in course.rows}
    for event in course.events:
        row = at.get(event.step)
        here = Place(run.name, event.step, event.epoch)
        if row is not None:
            ledger.compare(
                EVENTS, here, f"{event.kind}, epoch", event.epoch, row.scalars["epoch"], 1e-9 * max(1, event.epoch)
            )
            _arguments(ledger, here, course, event, row)
    if not course.whole:
        return
    ended = [event.kind for event in course.events if event.kind in LAST]
    losses = [last.scalars[name] for name in ("train_loss", "val_loss")]
    diverged = not all(map(math.isfinite, losses))
    due = "diverged" if diverged else ""
    if not due and last.scalars["stopped"]:
        due = "stopped_early"
    if not due and last.scalars["epoch_end"] and round(last.scalars["epoch"]) >= training["epochs"]:
        due = "finished"
    fits = ended == ([due] if due else [])
    ledger.hold(EVENTS, place, "end", fits, ", ".join(ended) or "-", due or "-")
    for row in course.rows[:-1]:
        # within an epoch a row may be of the step where it began to go wrong: the run goes on to where that is seen
        over = row.scalars["stopped"] or (row.scalars["epoch_end"] and not math.isfinite(row.scalars["val_loss"]))
        ledger.hold(EVENTS, row.place(run.name), "end", not over, "+", "-")


def _arguments(ledger: Ledger, place: Place, course: Course, event: Event, row: Row) -> None:
    """Figures that an event's sentence names."""
    rule, scalars = course.subject.run.early_stopping, row.scalars
    known: dict[str, Any] = {}
    if event.kind == "stopped_early" and rule is not None:
        known = {name: scalars[name] for name in ("best_epoch", "wait")}
        known |= {"patience": rule["patience"], "monitor": rule["monitor"], "epoch": round(scalars["epoch"])}
    elif event.kind == "finished":
        known = {"epochs": course.subject.training["epochs"]}
    elif event.kind == "restored_best":
        known = {"epoch": scalars["best_epoch"]}
    if not event.arguments:  # format 1
        return
    for name, ours in known.items():
        theirs = event.arguments.get(name)
        ledger.hold(EVENTS, place, f"{event.kind}, {name}", theirs == ours, theirs, ours)
        ledger.hold(EVENTS, place, f"{event.kind}, {name}", str(ours) in event.message, event.message, ours)


def _batches(ledger: Ledger, course: Course, samples: int) -> None:
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


def _counts(ledger: Ledger, course: Course, validation: int) -> None:
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


def weights_digest(subject: Subject, state: Mapping[str, Values]) -> str | None:
    """Digest of parameters and buffers in the order of PyTorch's modules; None where one is missing."""
    names = state_names(subject.stages)
    if not names:
        return None
    found = hashlib.blake2b(digest_size=16)
    for name in names:
        if name not in state:
            return None
        found.update(name.encode())
        found.update(np.ascontiguousarray(state[name]).tobytes())
    return found.hexdigest()


def check_weights(ledger: Ledger, course: Course, row: Row, state: Mapping[str, Values], where: str) -> None:
    """The digest of the weights after a step, where these weights are recorded."""
    ours = weights_digest(course.subject, state)
    if ours is not None:
        place = replace(row.place(course.subject.run.name))
        theirs = row.scalars["weights_digest"]
        ledger.hold(WEIGHTS, place, f"weights_digest, {where}", theirs == ours, theirs, ours)


def check_checkpoint(ledger: Ledger, course: Course, step: int, state: Mapping[str, Values]) -> None:
    """The weights that are kept at the end: the best epoch's where early stopping restored them, else the last."""
    run, rule = course.subject.run, course.subject.run.early_stopping
    if not course.rows:
        return
    last = course.rows[-1]
    due = last.scalars["step"]
    restores = any(event.kind == "restored_best" for event in course.events)
    if rule is not None and rule["restore_best_weights"] and last.scalars["best_epoch"] and course.whole:
        best = [
            row
            for row in course.rows
            if row.scalars["epoch_end"] and round(row.scalars["epoch"]) == last.scalars["best_epoch"]
        ]
        due = best[-1].scalars["step"] if best else step
        ledger.hold(EVENTS, last.place(run.name), "restored_best", restores, "-", "+")
    ledger.hold(EVENTS, last.place(run.name), "checkpoint, step", step == due or not course.whole, step, due)
    found: Sequence[Row] = [row for row in course.rows if row.scalars["step"] == step]
    if found:
        check_weights(ledger, course, found[-1], state, "checkpoint")

"""Does a whole run hang together: its steps and epochs, its learning rates, its patience?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bntui.audit.ledger import Ledger, Place
from bntui.audit.stopping import Plateau, Waiting, learning_rate
from bntui.audit.subject import Subject
from bntui.keyframe import Keyframe
from bntui.language import N_
from bntui.recording.history import Event

ORDER: Final = N_("order of steps and epochs")
RATE: Final = N_("learning rates over the run")
PATIENCE: Final = N_("early stopping over the run")


RERUN: Final = ("first_bad", "died")
"""Events of steps that were found by running forward once more: their clock is that of the second time."""


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


def check_course(ledger: Ledger, course: Course) -> None:
    """Everything that a run's scalars say of one another."""
    _order(ledger, course)
    _learning_rates(ledger, course)
    _patience(ledger, course)


def _order(ledger: Ledger, course: Course) -> None:
    run, per_epoch = course.subject.run, course.subject.run.steps_per_epoch
    at: tuple[int, float] | None = None  # a step and its epoch, from which the next ones count
    before: Row | None = None
    again = {event.step for event in course.events if event.kind in RERUN}
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
            ledger.hold(ORDER, place, "wall_time", step in again or not now < earlier, now, f">= {earlier}")
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
    at: tuple[int, float] | None = None  # a step and the epoch that it ended at; from there mini-batches are alike
    for row in course.rows:
        step, done = row.scalars["step"], row.scalars["epoch"]
        if at is not None:  # a step's rate is that of where it began
            done = at[1] + (step - at[0] - 1) / run.steps_per_epoch
        ours = learning_rate(training, done, run.steps_per_epoch, plateau)
        near = 1e-12 * abs(training["lr"])
        ledger.compare(RATE, row.place(run.name), "lr", row.scalars["lr"], ours, near, scale=abs(ours) or None)
        if row.scalars["epoch_end"]:
            plateau.see(schedule, row.scalars["val_loss"])
        if at is None or row.scalars["epoch_end"]:
            at = (step, row.scalars["epoch"])


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

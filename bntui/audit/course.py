"""Checks a whole run: its steps and epochs, keyframes, learning rates, and early stopping."""

from __future__ import annotations

import math
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bntui.audit.ledger import Ledger, Margin, Place
from bntui.audit.standing import MONITORS, Passage, departures
from bntui.audit.stopping import Plateau, Waiting, learning_rate
from bntui.audit.subject import Subject
from bntui.keyframe import Keyframe
from bntui.recording import sentences
from bntui.recording.history import Event
from bntui.text.language import N_

ORDER: Final = N_("order of steps and epochs")
COMPLETE: Final = N_("keyframes required by the settings")
RATE: Final = N_("learning rates over the run")
PATIENCE: Final = N_("early stopping over the run")

RERUN: Final = ("first_bad", "died")
"""Kinds of events found by running forward again; their wall time is that of the second pass."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a run: its scalars, and its keyframe if it has one."""

    number: int
    """Its index in the run's history."""
    scalars: Mapping[str, Any]
    """Columns of the table ``keyframe``; NaN for missing values."""
    frame: Keyframe | None
    damaged: bool = False

    def place(self, run: str) -> Place:
        return Place(run, self.scalars["step"], self.scalars["epoch"])


@dataclass(frozen=True, slots=True)
class AuditedRun:
    """A run from its first row to its last."""

    subject: Subject
    rows: tuple[Row, ...]
    """The undamaged rows."""
    events: tuple[Event, ...]
    whole: bool
    """True if no row is damaged, so checks that need all rows are possible."""
    passages: tuple[Passage, ...] = ()
    """The run's state at each row; empty if it does not follow from the rows."""

    def passage(self, row: Row) -> Passage | None:
        """The run's state at a row."""
        return self.passages[row.number] if self.passages else None

    def departed(self, step: int) -> bool:
        """True if an event says that the run was resumed elsewhere, with other bits in the weights at this step."""
        return any(since <= step <= at for at, since in departures(self.events).items())

    def found_again(self, step: int) -> bool:
        """True if the weights after a step may come from running forward on another machine, with other bits."""
        elsewhere = [event.step for event in self.events if "now" in event.arguments or event.kind == "departed"]
        return any(step <= at for at in elsewhere)

    def at(self, step: int) -> Row | None:
        """The row of a step, or None."""
        return next((row for row in self.rows if row.scalars["step"] == step), None)


def check_course(ledger: Ledger, course: AuditedRun) -> None:
    """Check a run's scalars against each other."""
    _order(ledger, course)
    if course.passages:
        _places(ledger, course)
        _keyframes(ledger, course)
    _learning_rates(ledger, course)
    _patience(ledger, course)


def _order(ledger: Ledger, course: AuditedRun) -> None:
    run = course.subject.run
    before: Row | None = None
    again = {event.step for event in course.events if event.kind in RERUN}
    for row in course.rows:
        scalars, place = row.scalars, row.place(run.name)
        step, epoch, now = scalars["step"], scalars["epoch"], scalars["wall_time"]
        digits = str(scalars["weights_digest"])
        fits = len(digits) == 32 and set(digits) <= set(string.hexdigits)
        ledger.hold(ORDER, place, "weights_digest", fits, digits, "0-9 a-f, 32")
        ledger.hold(ORDER, place, "wall_time", 0 <= now < math.inf, now, ">= 0")
        if row.frame is None:  # a step that was not measured
            for name in ("batch_loss", "gradient_scale"):
                ledger.hold(ORDER, place, name, math.isnan(scalars[name]), scalars[name], "NaN")
            for name in ("train_loss", "val_loss"):
                ledger.hold(ORDER, place, name, not scalars[name] < 0, scalars[name], ">= 0")
        if before is None:
            begins = 0 if run.fork is None else run.fork.step
            if course.whole:
                ledger.hold(ORDER, place, "step", step == begins, step, begins)
            ends = scalars["epoch_end"]
            ledger.hold(ORDER, place, "epoch_end", not ends or not course.whole, ends, 0)
        else:
            ledger.hold(ORDER, place, "step", step > before.scalars["step"], step, f"> {before.scalars['step']}")
            whole = abs(epoch - round(epoch)) < 1e-9
            ledger.hold(ORDER, place, "epoch_end", bool(scalars["epoch_end"]) == whole, scalars["epoch_end"], whole)
            earlier = before.scalars["wall_time"]
            ledger.hold(ORDER, place, "wall_time", step in again or not now < earlier, now, f">= {earlier}")
        before = row


def _places(ledger: Ledger, course: AuditedRun) -> None:
    """Check the epoch of each step, and that every epoch's end has its row."""
    run, pace = course.subject.run, course.subject.pace
    assert pace is not None
    for row, passage in zip(course.rows, course.passages, strict=True):
        scalars, place = row.scalars, row.place(run.name)
        ours = pace.epoch(passage.after)
        ledger.compare(ORDER, place, "epoch", scalars["epoch"], ours, Margin(1e-12 * max(ours, 1), max(ours, 1.0)))
        if row.number:
            before = course.rows[row.number - 1].scalars["step"]
            fits = scalars["step"] - before <= passage.due
            ledger.hold(COMPLETE, place, "epoch_end", fits, f"{before} … {scalars['step']}", before + passage.due)
            ends = bool(scalars["epoch_end"])
            ledger.hold(ORDER, place, "epoch_end", ends == passage.ends, scalars["epoch_end"], int(passage.ends))


def _keyframes(ledger: Ledger, course: AuditedRun) -> None:
    """Check that there is a keyframe wherever ``record.every`` requires one, and where the run ends."""
    run = course.subject.run
    every = run.config["record"]["every"]
    training, rule = course.subject.training, run.early_stopping
    before: Row | None = None
    for row, passage in zip(course.rows, course.passages, strict=True):
        step, place, due = row.scalars["step"], row.place(run.name), before is None
        if before is not None and every != "epoch":
            missing = (before.scalars["step"] // every + 1) * every
            ledger.hold(COMPLETE, place, "record.every", missing >= step, f"{before.scalars['step']} … {step}", missing)
            may_end = passage.before.epoch + 1 >= training["epochs"]
            if rule is not None and passage.before.exact:
                may_end |= passage.before.waiting.wait + 1 >= rule["patience"]
            due = step % every == 0 or (passage.ends and may_end)
        elif before is not None:
            due = passage.ends
        ledger.hold(COMPLETE, place, "keyframe", not due or row.frame is not None, "-", "+")
        before = row


def _learning_rates(ledger: Ledger, course: AuditedRun) -> None:
    training, run = course.subject.training, course.subject.run
    schedule, pace = training["schedule"], course.subject.pace
    near = 1e-12 * abs(training["lr"])
    if pace is not None and course.passages:
        if schedule["kind"] == "plateau" and not all(passage.before.exact for passage in course.passages):
            _drops(ledger, course)
            return
        for row, passage in zip(course.rows, course.passages, strict=True):
            ours = learning_rate(training, pace.epoch(passage.before), run.steps_per_epoch, passage.before.plateau)
            ledger.compare(RATE, row.place(run.name), "lr", row.scalars["lr"], ours, Margin(near, abs(ours)))
        return
    if schedule["kind"] == "plateau":
        _drops(ledger, course)
        return
    at: tuple[int, float] | None = None  # a step and the epoch at its end; from there on all mini-batches have one size
    for row in course.rows:
        step, done = row.scalars["step"], row.scalars["epoch"]
        if at is not None:  # a step's learning rate is that of its beginning
            done = at[1] + (step - at[0] - 1) / run.steps_per_epoch
        ours = learning_rate(training, done, run.steps_per_epoch, Plateau())
        ledger.compare(RATE, row.place(run.name), "lr", row.scalars["lr"], ours, Margin(near, abs(ours)))
        if at is None or row.scalars["epoch_end"]:
            at = (step, row.scalars["epoch"])


def _drops(ledger: Ledger, course: AuditedRun) -> None:
    """Check a rate whose plateau state is unknown: it falls by whole powers of gamma and never rises."""
    training, run = course.subject.training, course.subject.run
    schedule = training["schedule"]
    last = math.inf
    for row in course.rows:
        lr = row.scalars["lr"]
        if row.scalars["epoch"] <= schedule["warmup_epochs"]:
            continue
        power = math.log(lr / training["lr"]) / math.log(schedule["gamma"]) if lr > 0 and training["lr"] else 0.0
        whole = abs(power - round(power)) < 1e-6 or lr == schedule["min_lr"] or run.fork is not None
        fits = whole and lr <= last
        ledger.hold(RATE, row.place(run.name), "lr", fits, lr, f"{training['lr']} · {schedule['gamma']}^k")
        last = lr


def _patience(ledger: Ledger, course: AuditedRun) -> None:
    rule, run = course.subject.run.early_stopping, course.subject.run
    state = Waiting()
    for number, row in enumerate(course.rows):
        scalars, place = row.scalars, row.place(run.name)
        if rule is None:
            idle = not scalars["wait"] and not scalars["stopped"] and math.isnan(scalars["best"])
            ledger.hold(PATIENCE, place, "wait", idle and not scalars["best_epoch"], scalars["wait"], 0)
            ledger.hold(PATIENCE, place, "reason", not scalars["reason"], scalars["reason"], "")
            continue
        passage = course.passage(row)
        if passage is not None:
            if not passage.after.exact and not passage.ends:
                continue
            state = passage.after.waiting
        elif number == 0 and run.fork is not None:
            state = Waiting(scalars["best"], scalars["best_epoch"], scalars["wait"])
        elif not course.whole:
            continue
        elif scalars["epoch_end"]:
            state.see(rule, round(scalars["epoch"]), float(scalars[MONITORS[rule["monitor"]]]))
        for name in ("wait", "best_epoch"):
            ours = getattr(state, name)
            ledger.hold(PATIENCE, place, name, scalars[name] == ours, scalars[name], ours)
        ledger.compare(PATIENCE, place, "best", scalars["best"], state.best, 0)
        stopped = bool(scalars["stopped"])
        ledger.hold(PATIENCE, place, "stopped", stopped == state.stopped, scalars["stopped"], state.stopped)
        _reason(ledger, place, rule, state, scalars["reason"])


def _reason(ledger: Ledger, place: Place, rule: Mapping[str, Any], state: Waiting, reason: str | None) -> None:
    """Check that the recorded reason follows from these figures, and that there is none while training continues."""
    said = reason or ""
    due = reasons(rule, state) if state.stopped else [""]
    ledger.hold(PATIENCE, place, "reason", said in due, said, due[0])


def reasons(rule: Mapping[str, Any], state: Waiting) -> list[str]:
    """The sentences that early stopping may record as its reason."""
    figures = {**rule, "best": state.best, "best_epoch": state.best_epoch, "wait": state.wait}
    known = [words for name, words in sorted(vars(sentences).items()) if name.startswith("WAITED")]
    return [sentence.format(**figures) for sentence in known if speaks_of(sentence, figures)]


def speaks_of(sentence: str, figures: Mapping[str, Any]) -> bool:
    """True if all figures of a sentence exist, and it names a best epoch or a baseline exactly when there is one."""
    asked = fields(sentence)
    if "baseline" in asked:
        return figures.get("baseline") is not None and asked <= set(figures)
    return asked <= set(figures) and ("best_epoch" in asked) == bool(figures["best_epoch"])


def fields(sentence: str) -> set[str]:
    """Names of the placeholders of a sentence."""
    return {name for _text, name, _spec, _conversion in string.Formatter().parse(sentence) if name}

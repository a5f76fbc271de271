"""Checks that every recorded event happened where it says, and that no event is missing.

The kind of an event determines its possible sentences and places.  Each sentence must match its kind and figures, and
each figure must follow from the rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from bntui.audit.course import RERUN, AuditedRun, Row, fields, speaks_of
from bntui.audit.ledger import Ledger, Place
from bntui.audit.trouble import Trouble, dead, first_bad, word
from bntui.recording.history import Event
from bntui.recording.sentences import SENTENCES
from bntui.text.language import N_
from bntui.text.output import clean

EVENTS: Final = N_("events and final weights")

LAST: Final = ("finished", "stopped_early", "diverged")
"""Kinds of events that end a run."""


@dataclass(frozen=True, slots=True)
class Happening:
    """An event with everything that its place and figures are checked against."""

    ledger: Ledger
    course: AuditedRun
    event: Event
    row: Row | None
    """The row of its step."""
    meta: Mapping[str, str]

    @property
    def place(self) -> Place:
        return Place(self.course.subject.run.name, self.event.step, self.event.epoch)

    def hold(self, figure: str, fits: bool, recorded: object, due: object) -> bool:
        return self.ledger.hold(EVENTS, self.place, f"{self.event.kind}, {figure}", fits, recorded, due)

    def figures(self, known: Mapping[str, object]) -> None:
        """Check that the sentence has these figures."""
        for name, ours in known.items():
            theirs = self.event.arguments.get(name)
            same = theirs == ours and isinstance(theirs, bool) == isinstance(ours, bool)
            if isinstance(theirs, float) and isinstance(ours, float):
                same = abs(theirs - ours) <= 1e-9 * abs(ours) or (math.isnan(theirs) and math.isnan(ours))
            self.hold(name, same, theirs, ours)


def check_events(ledger: Ledger, course: AuditedRun, meta: Mapping[str, str]) -> None:
    """Check all events of a run, in the order of recording."""
    if not course.rows:
        return
    for recorded in course.events:
        words = {name: clean(value) if isinstance(value, str) else value for name, value in recorded.arguments.items()}
        event = replace(recorded, arguments=words)  # the reader has sanitized the message
        of = Happening(ledger, course, event, course.at(event.step), meta)
        _sentence(of)
        if event.arguments and course.passages:  # format 1 has no figures
            _place(of)
            KINDS.get(event.kind, _unknown)(of)
    if course.passages:
        _order(ledger, course)
        _missing(ledger, course)
    if course.whole:
        _end(ledger, course)


def _sentence(of: Happening) -> None:
    """Check that the message is a sentence of the event's kind, with exactly these figures."""
    kind, figures = of.event.kind, of.event.arguments
    known = SENTENCES.get(kind, ())
    if not of.hold("kind", bool(known), kind, ", ".join(SENTENCES)):
        return
    if figures:
        due = [sentence.format(**figures) for sentence in known if _fits(sentence, of)]
        of.hold("message", of.event.message in due, of.event.message, due[0] if due else "-")
    else:
        formats = of.course.subject.stages  # only format 1, which does not name stages, has sentences without figures
        of.hold("arguments", not formats, "{}", "+")


def _fits(sentence: str, of: Happening) -> bool:
    """True if the sentence uses each figure; a reason of early stopping uses only those that concern it."""
    figures = of.event.arguments
    if of.event.kind == "stopped_early":
        rule = of.course.subject.run.early_stopping or {}
        return fields(sentence) <= set(figures) and speaks_of(sentence, {"best_epoch": 0, **rule, **figures})
    # "from the start" names no step, but the event has it
    return fields(sentence) in (set(figures), set(figures) - {"step"})


def _place(of: Happening) -> None:
    """Check that the event is at a row, or at a step rerun between two rows, and has the epoch of its step."""
    event, rows = of.event, of.course.rows
    pace = of.course.subject.pace
    assert pace is not None
    passage = None if of.row is None else of.course.passage(of.row)
    if passage is not None:
        ours = pace.epoch(passage.after)
    else:
        later = [row for row in rows if row.scalars["step"] > event.step]
        # the step has no row of its own because the epoch's figures were already recorded: reported at a later row
        between = event.kind in RERUN and bool(later) and later[0].frame is None and len(later) > 1
        if not of.hold("step", between and later[0].number > 0, event.step, N_("the step of a row")):
            return
        begun = of.course.passages[later[0].number - 1].after
        ours = pace.epoch(pace.onward(begun, event.step - begun.step))
    of.ledger.compare(EVENTS, of.place, f"{event.kind}, epoch", event.epoch, ours, 1e-12 * max(1, ours))


def _unknown(of: Happening) -> None:
    """An unknown kind; already reported."""


def _finished(of: Happening) -> None:
    of.figures({"epochs": of.course.subject.training["epochs"]})


def _stopped(of: Happening) -> None:
    rule = of.course.subject.run.early_stopping
    if of.row is None or not of.hold("early_stopping", rule is not None, "+", "-") or rule is None:
        return
    scalars = of.row.scalars
    known = {"best_epoch": scalars["best_epoch"], "wait": scalars["wait"], "epoch": round(scalars["epoch"])}
    known |= {name: rule[name] for name in rule if name not in known}
    asked = set(of.event.arguments)
    of.figures({name: value for name, value in known.items() if name in asked})


def _restored(of: Happening) -> None:
    rule = of.course.subject.run.early_stopping
    asked = rule is not None and rule["restore_best_weights"]
    of.hold("restore_best_weights", bool(asked), "+", "-")
    if of.row is not None:
        last = of.course.rows[-1]
        of.hold("step", not of.course.whole or of.row is last, of.event.step, last.scalars["step"])
        of.figures({"epoch": of.row.scalars["best_epoch"]})


def _diverged(of: Happening) -> None:
    if of.row is None:
        return
    scalars, asked = of.row.scalars, of.event.arguments
    if not math.isfinite(scalars["train_loss"]):
        # the first bad mini-batch: after an infinite loss, the epoch's sum may have become NaN
        at = of.course.at(asked.get("step", -1))
        if at is not None and at.frame is not None and not math.isfinite(at.frame.batch_loss):
            words = {word(at.frame.batch_loss)}
        else:
            words = {word(scalars["train_loss"])}
            if of.row.number and math.isnan(scalars["train_loss"]):
                words.add("infinite")
        of.hold("loss", asked.get("loss") in words, asked.get("loss"), ", ".join(sorted(words)))
        known: dict[str, object] = {}
        if of.row.number:
            of.hold("step", _bad_within_epoch(of, asked.get("step")), asked.get("step"), scalars["step"])
        of.hold("arguments", ("step" in asked) == bool(of.row.number), sorted(asked), "loss, step")
        subject = "training loss" if of.row.number else "initial network"
    else:
        known = {"loss": word(scalars["val_loss"]), "step": scalars["step"]}
        subject = "validation loss"
    of.figures({name: value for name, value in known.items() if name in asked})
    of.hold("message", subject in of.event.message, of.event.message, subject)


def _bad_within_epoch(of: Happening, step: object) -> bool:
    """True if the first non-finite mini-batch loss comes after the epoch's last row whose sum was still finite.

    A fork that begins within an epoch continues its parent's sum, which may have been infinite or NaN by then.
    """
    assert of.row is not None
    passage = of.course.passage(of.row)
    assert passage is not None
    first, begun = passage.after.step - passage.before.batches, of.course.passages[0].after
    if of.row.number == 1 and begun.batches and not math.isfinite(begun.loss):
        return isinstance(step, int) and first <= step <= begun.step
    sound = [
        row.scalars["step"]
        for row in of.course.rows[1 : of.row.number]
        if row.scalars["step"] >= first and math.isfinite(row.scalars["train_loss"])
    ]
    measured = [
        row.scalars["step"]
        for row in of.course.rows[1 : of.row.number + 1]
        if row.scalars["step"] >= first and row.frame is not None and not math.isfinite(row.scalars["batch_loss"])
    ]
    # the first bad value is no later than the first bad loss
    sound += [event.step - 1 for event in of.course.events if event.kind == "first_bad"]
    fits = isinstance(step, int) and max([first - 1, *sound]) < step <= min([of.event.step, *measured])
    own = of.row.frame is not None and passage.before.batches == 0
    return fits and (not own or step == of.event.step)


def _interrupted(of: Happening) -> None:
    of.figures({"epoch": of.event.epoch})


def _resumed(of: Happening) -> None:
    of.figures({"epoch": of.event.epoch})
    asked = of.event.arguments
    if "before" in asked and "torch" in of.meta:
        due = f"torch {of.meta['torch']}, "
        of.hold("before", str(asked["before"]).startswith(due), asked["before"], due)
        of.hold("now", asked.get("now") != asked["before"], asked.get("now"), f"!= {asked['before']}")


def _departed(of: Happening) -> None:
    """Check that the departure starts at a step that has a row, in this run or an ancestor."""
    since, run = of.event.arguments.get("step"), of.course.subject.run
    there = isinstance(since, int) and 0 <= since <= of.event.step
    own = any(row.scalars["step"] == since for row in of.course.rows)
    inherited = run.fork is not None and isinstance(since, int) and since <= run.fork.step
    of.hold("step", there and (own or inherited), since, f"<= {of.event.step}")


def _first_bad(of: Happening) -> None:
    _trouble(of, ("layer", "quantity", "value"), first_bad)


def _died(of: Happening) -> None:
    _trouble(of, ("layer", "ratio"), dead)


def _trouble(of: Happening, figures: tuple[str, ...], look: Callable[[Row], list[Trouble]]) -> None:
    """Check that the event names its own step, a layer of the network, and what is wrong in that step's keyframe."""
    told = of.event.arguments
    of.figures({"step": of.event.step})
    names = [layer.name for layer in of.course.subject.run.layers]
    of.hold("layer", told.get("layer") in names, told.get("layer"), ", ".join(names))
    if of.row is None or (of.row.frame is None and not look(of.row)):
        return
    found = look(of.row)
    if not of.hold("step", bool(found), of.event.step, "-"):
        return
    fits = [trouble for trouble in found if trouble.told_by(told)]
    recorded = ", ".join(str(told.get(name)) for name in figures)
    of.hold(figures[-1], bool(fits), recorded, ", ".join(str(getattr(found[0], name)) for name in figures))


def _noted(of: Happening) -> None:
    """A note says what its author likes, at any keyframe."""
    of.hold(
        "text", isinstance(of.event.arguments.get("text"), str), type(of.event.arguments.get("text")).__name__, "str"
    )


KINDS: Final[dict[str, Callable[[Happening], None]]] = {
    "finished": _finished,
    "stopped_early": _stopped,
    "restored_best": _restored,
    "diverged": _diverged,
    "interrupted": _interrupted,
    "resumed": _resumed,
    "departed": _departed,
    "first_bad": _first_bad,
    "died": _died,
    "noted": _noted,
}
"""The check of each kind's figures."""


def _order(ledger: Ledger, course: AuditedRun) -> None:
    """Check that events are in order, none follows the end, and a stopped run continues only after it was resumed."""
    last, ended, name, fork = -1, "", course.subject.run.name, course.subject.run.fork
    waiting: Event | None = None
    seen: set[str] = set()
    for event in course.events:
        place = Place(name, event.step, event.epoch)
        if event.kind == "noted":  # added at any time
            continue
        if event.kind in RERUN:
            ledger.hold(EVENTS, place, event.kind, event.kind not in seen, "2", "1")
            seen.add(event.kind)
            continue
        ledger.hold(EVENTS, place, f"{event.kind}, order", event.step >= last, event.step, f">= {last}")
        last = max(last, event.step)
        ledger.hold(EVENTS, place, event.kind, not ended or event.kind == "restored_best", ended, "-")
        if event.kind in LAST:
            ended = event.kind
        if event.kind == "departed" and (fork is None or event.step != fork.step):
            fits = any(other.kind == "resumed" and other.step == event.step for other in course.events)
            ledger.hold(EVENTS, place, "departed", fits, "-", "resumed")
        if waiting is not None and event.step > waiting.step:
            ledger.fail(EVENTS, place, "interrupted", event.kind, "resumed")
        if event.kind in ("interrupted", "resumed"):
            waiting = event if event.kind == "interrupted" else None
    if waiting is not None:
        later = [row for row in course.rows if row.scalars["step"] > waiting.step]
        ledger.hold(EVENTS, Place(name, waiting.step), "interrupted", not later, len(later), 0)


def _missing(ledger: Ledger, course: AuditedRun) -> None:
    """Check that trouble in a keyframe was reported there or earlier."""
    name = course.subject.run.name
    for kind, look in (("first_bad", first_bad), ("died", dead)):
        told = [event.step for event in course.events if event.kind == kind]
        bad = next((row for row in course.rows if any(trouble.sure for trouble in look(row))), None)
        if bad is not None and course.subject.stages and _watched(course):
            step = bad.scalars["step"]
            fits = bool(told) and min(told) <= step
            ledger.hold(EVENTS, bad.place(name), kind, fits, ", ".join(map(str, told)) or "-", step)


def _watched(course: AuditedRun) -> bool:
    """True if the trainer looked for trouble: since format 3, whose configuration has ``deterministic``."""
    return "deterministic" in course.subject.run.config


def _end(ledger: Ledger, course: AuditedRun) -> None:
    """Check that a run ends where it must, with the event that says so, and nowhere else."""
    run, training = course.subject.run, course.subject.training
    again = {event.step for event in course.events if event.kind in RERUN}
    ended = [event for event in course.events if event.kind in LAST]
    for row in course.rows:
        scalars, place, due = row.scalars, row.place(run.name), ""
        if not all(math.isfinite(scalars[name]) for name in ("train_loss", "val_loss")):
            due = "diverged"
        elif scalars["stopped"]:
            due = "stopped_early"
        elif scalars["epoch_end"] and round(scalars["epoch"]) >= training["epochs"]:
            due = "finished"
        here = [event.kind for event in ended if event.step == scalars["step"]]
        if row is course.rows[-1]:
            halfway = not here and scalars["step"] in again and not scalars["epoch_end"]  # killed too early
            fits = halfway or here == ([due] if due else [])
            ledger.hold(EVENTS, place, "end", fits and len(ended) == len(here), ", ".join(here) or "-", due or "-")
        else:
            # a row of the step where it went wrong: the run continues until the trainer notices
            over = due and not (scalars["step"] in again and not scalars["epoch_end"])
            ledger.hold(EVENTS, place, "end", not over and not here, due or ", ".join(here) or "+", "-")

"""How did a run begin and end: do events, kept weights and their digests fit what happened?"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.course import Course, Row
from bntui.audit.ledger import Ledger, Place
from bntui.audit.network import state_names
from bntui.audit.subject import Subject
from bntui.language import N_
from bntui.recording.history import Event

Values = NDArray[Any]

EVENTS: Final = N_("events, and the weights kept at the end")
WEIGHTS: Final = N_("digests of weights")

LAST: Final = ("finished", "stopped_early", "diverged")
"""Events that end a run."""


def check_events(ledger: Ledger, course: Course) -> None:
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
        place = row.place(course.subject.run.name)
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


def check_parentage(ledger: Ledger, parent: Course, fork: Course) -> None:
    """A fork that keeps all parameters begins with its parent's weights, to the last bit."""
    begins = fork.subject.run.fork
    names = state_names(fork.subject.stages)
    if begins is None or begins.new or not fork.rows or names != state_names(parent.subject.stages):
        return
    found = [row for row in parent.rows if row.scalars["step"] == begins.step]
    if found and fork.rows[0].number == 0:
        first, theirs = fork.rows[0], found[0].scalars["weights_digest"]
        ours, place = first.scalars["weights_digest"], first.place(fork.subject.run.name)
        ledger.hold(WEIGHTS, place, "weights_digest, fork", ours == theirs, ours, theirs)

"""Checks the weights that are kept at the end: that they belong to the claimed step, and that the figures recorded
after that step follow from them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.course import AuditedRun, Row
from bntui.audit.events import EVENTS, LAST
from bntui.audit.ledger import Ledger, Place
from bntui.audit.network import state_names
from bntui.audit.subject import Subject
from bntui.audit.validation import (
    VALIDATION,
    Answer,
    Answers,
    Scores,
    check_predictions,
    check_scores,
    evaluating,
    exactly,
)
from bntui.audit.values import RUNNING
from bntui.text.language import N_

Values = NDArray[Any]

WEIGHTS: Final = N_("weight digests")


def weights_digest(subject: Subject, state: Mapping[str, Values]) -> str | None:
    """Digest of parameters and buffers in the order of PyTorch's modules; None if one is missing."""
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


def check_weights(ledger: Ledger, course: AuditedRun, row: Row, state: Mapping[str, Values], where: str) -> None:
    """Check the digest of the weights after a step, if these weights are recorded."""
    ours = weights_digest(course.subject, state)
    if ours is not None:
        place = row.place(course.subject.run.name)
        theirs = row.scalars["weights_digest"]
        ledger.hold(WEIGHTS, place, f"weights_digest, {where}", theirs == ours, theirs, ours)


def check_checkpoint(
    ledger: Ledger, course: AuditedRun, step: int, state: Mapping[str, Values], answer: Answer | None
) -> None:
    """Check the weights kept at the end: the best epoch's if early stopping restored them, otherwise the last.

    Args:
        answer: how the run validates; None if its validation draws random numbers.
    """
    run, rule = course.subject.run, course.subject.run.early_stopping
    if not course.rows:
        return
    last = course.rows[-1]
    place, due = last.place(run.name), last.scalars["step"]
    restores = any(event.kind == "restored_best" for event in course.events)
    ended = any(event.kind in LAST for event in course.events)
    ledger.hold(EVENTS, place, "checkpoint", ended, "+", N_("the end of the run"))
    if rule is not None and rule["restore_best_weights"] and last.scalars["best_epoch"] and course.whole:
        passage = course.passage(last)
        if passage is not None and passage.after.exact:
            due = passage.after.best_step or due
        else:
            best = [
                row
                for row in course.rows
                if row.scalars["epoch_end"] and round(row.scalars["epoch"]) == last.scalars["best_epoch"]
            ]
            due = best[-1].scalars["step"] if best else step
        ledger.hold(EVENTS, place, "restored_best", restores, "-", "+")
    ledger.hold(EVENTS, place, "checkpoint, step", step == due or not course.whole, step, due)
    names = set(state_names(course.subject.stages))
    ledger.hold(EVENTS, place, "checkpoint, names", not names or names == set(state), sorted(state), sorted(names))
    found = course.at(step)
    if found is not None and not (restores and course.found_again(step)):
        check_weights(ledger, course, found, state, "checkpoint")
        check_kept(ledger, course, found, state, answer)


def check_absent(ledger: Ledger, course: AuditedRun) -> None:
    """Check a run without kept weights: none can have been restored, since the two are recorded together."""
    for event in course.events:
        if event.kind == "restored_best":
            place = Place(course.subject.run.name, event.step, event.epoch)
            ledger.fail(EVENTS, place, "checkpoint", "-", event.message)


def check_kept(
    ledger: Ledger, course: AuditedRun, row: Row, state: Mapping[str, Values], answer: Answer | None
) -> None:
    """Check what follows a step whose parameters and buffers are recorded, even if its evidence was thinned out."""
    subject, place = course.subject, row.place(course.subject.run.name)
    if not subject.stages or not set(state_names(subject.stages)) <= set(state):
        return
    measured = () if row.frame is None else row.frame.layers
    for info, layer in zip(subject.run.layers, measured, strict=False):
        for name in ("running_mean", "running_var"):
            key = f"{info.name}.norm.{name}"
            if layer.batch_norm is not None and key in state:
                ours = state[key].astype(np.float64)
                here = replace(place, layer=info.name)
                ledger.compare(RUNNING, here, name, getattr(layer.batch_norm, name), ours, 0)
    samples = subject.samples
    if samples is None or not row.number:
        return
    after = exactly(state, subject.precision.unit)
    if answer is not None:
        x, target = samples.validation
        recorded = row.scalars["val_loss"], row.scalars["val_accuracy"]
        answers = Answers.of(answer, x, after)
        scores = Scores(VALIDATION, ("val_loss", "val_accuracy"), recorded)
        check_scores(ledger, place, scores, subject.task, answers, target)
    if samples.grid is not None and row.frame is not None and row.frame.predictions is not None:
        answers = Answers.of(evaluating(subject.stages, subject.precision), samples.grid, after)
        check_predictions(ledger, place, row.frame.predictions, subject.task, answers.best)

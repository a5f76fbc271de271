"""Checks the trainer's recorded state against the rows that led to it.

Evidence stores the trainer's state as JSON beside the tensors; a fork or a resumed run starts from it.  Every field is
compared with the preceding rows, and the running sums of the current epoch with the row's own training loss.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.course import AuditedRun, Row
from bntui.audit.ledger import Ledger, Place
from bntui.audit.minibatches import RUNNING_MEAN
from bntui.audit.network import parameter_names
from bntui.audit.standing import Passage
from bntui.audit.subject import Taken
from bntui.audit.trouble import word
from bntui.recording.history import Event
from bntui.text.language import N_

Values = NDArray[Any]

STATE: Final = N_("trainer state")

NEAR: Final = 1e-12
"""Relative tolerance of float64 sums in the same order."""
LOOSE: Final = 1e-9
"""Relative tolerance of float64 sums in another order."""

PATIENCE: Final = {"best": math.nan, "best_epoch": 0, "wait": 0, "stopped": False, "reason": "", "improved": False}
PLATEAU: Final = {"factor": 1.0, "best": math.inf, "bad_epochs": 0}
SUMS: Final = {
    "batches": 0, "samples": 0, "loss": 0.0, "right": 0, "residuals": [], "targets": [], "squares": [],
    "first_bad": None,
}  # fmt: skip
PLACE: Final = {"step": 0, "epoch": 0, "offset": 0, "wall": 0.0, "best_loss": math.inf, "best_step": 0}
"""All fields, with the trainer's defaults for missing ones."""


AVERAGES: Final = {
    "adam": ("exp_avg", "exp_avg_sq", "step"),
    "adamw": ("exp_avg", "exp_avg_sq", "step"),
    "rmsprop": ("square_avg", "step"),
}
"""What optimizers keep per parameter, besides a momentum buffer."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A step's contribution to the running sums of its epoch."""

    size: int
    loss: float
    right: tuple[int, int] | None = None
    """Minimum and maximum number of correctly classified samples; they differ if two logits are equal."""
    residuals: Values = field(default_factory=lambda: np.zeros(0))
    """Regression, per output: sums of squared residuals, targets, and squared targets."""
    targets: Values = field(default_factory=lambda: np.zeros(0))
    squares: Values = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of(cls, row: Row, taken: Taken, task: str) -> Batch:
        """A keyframe's mini-batch, from its recorded outputs."""
        output, target = taken.values[-1].astype(np.float64), taken.target
        loss = row.scalars["batch_loss"]
        if target is None:
            return cls(len(output), loss)
        if task != "classification":
            truth = target.astype(np.float64)
            with np.errstate(all="ignore"):
                return cls(
                    len(output), loss, None, ((output - truth) ** 2).sum(0), truth.sum(0), (truth**2).sum(0)
                )  # fmt: skip
        if np.isnan(output).any():
            return cls(len(output), loss)
        top = output.max(1)
        reached = output[np.arange(len(target)), target] == top
        alone = (output == top[:, None]).sum(1) == 1
        return cls(len(output), loss, (int((reached & alone).sum()), int(reached.sum())))


def read(text: str) -> dict[str, Any]:
    """The recorded state, completed with defaults.

    Raises:
        ValueError, LookupError, TypeError: the text is not a trainer state.
    """
    told = json.loads(text)
    nested: dict[str, Mapping[str, Any]] = {"plateau": PLATEAU, "patience": PATIENCE, "sums": SUMS}
    state = {**PLACE, **{key: value for key, value in told.items() if key not in nested}}
    for name, fields in nested.items():
        state[name] = {**fields, **told[name]}
    return state


def check_progress(ledger: Ledger, course: AuditedRun, row: Row, batch: Batch, text: str | None) -> None:
    """Check the state in a row's evidence, and the row's training loss and accuracy.

    Args:
        text: the state as JSON; None if the evidence has none, as in older formats.
    """
    passage, place = course.passage(row), row.place(course.subject.run.name)
    if passage is None:
        ledger.note(N_("trainer state: earlier rows or the number of samples are missing"))
        return
    _training(ledger, course, row, passage, batch)
    if text is None:
        return
    try:
        state = read(text)
        _standing(ledger, place, row, passage, state)
        _early_stopping(ledger, place, passage, state)
        _sums(ledger, course, row, passage, batch, state["sums"])
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        ledger.fail(STATE, place, "progress", f"{type(error).__name__}: {error}", "+")


def check_averages(ledger: Ledger, course: AuditedRun, row: Row, taken: Taken) -> None:
    """Check that each parameter has exactly the averages of the run's optimizer; SGD's exist from the first step on."""
    training, passage = course.subject.training, course.passage(row)
    if passage is None or not taken.before:
        return
    kind, moving = training["optimizer"], bool(training.get("momentum"))
    due = set(AVERAGES.get(kind, ())) | ({"momentum_buffer"} if moving else set())
    begun = course.passages[0].after.step
    if kind == "sgd" and passage.before.step == begun and moving:
        return  # a fork has its parent's averages, any other run none yet
    place = row.place(course.subject.run.name)
    for name in parameter_names(course.subject.stages):
        found = set(taken.optimizer.get(name, {}))
        ledger.hold(STATE, place, f"optimizer/{name}", found == due, sorted(found), sorted(due))


def _standing(ledger: Ledger, place: Place, row: Row, passage: Passage, state: Mapping[str, Any]) -> None:
    at = passage.before
    for name in ("step", "epoch", "offset"):
        ours = getattr(at, name)
        ledger.hold(STATE, place, f"progress, {name}", _same(state[name], ours), state[name], ours)
    wall = state["wall"]
    fits = _number(wall) and 0 <= wall <= row.scalars["wall_time"]
    ledger.hold(STATE, place, "progress, wall", fits, wall, f"0 … {row.scalars['wall_time']}")
    if not at.exact:
        ledger.note(N_("patience and running sums of a run resumed elsewhere: the bits behind them are not recorded"))
        return
    ours_of = {
        "best_loss": at.best_loss, "best_step": at.best_step, "plateau, factor": at.plateau.factor,
        "plateau, best": at.plateau.best, "plateau, bad_epochs": at.plateau.bad,
    }  # fmt: skip
    for name, due in ours_of.items():
        key, _comma, inner = name.partition(", ")
        theirs = state[key][inner] if inner else state[key]
        ledger.hold(STATE, place, f"progress, {name}", _same(theirs, due), theirs, due)


def _early_stopping(ledger: Ledger, place: Place, passage: Passage, state: Mapping[str, Any]) -> None:
    at = passage.before
    if not at.exact:
        return
    due = {
        "best": at.waiting.best, "best_epoch": at.waiting.best_epoch, "wait": at.waiting.wait, "stopped": False,
        "reason": "", "improved": at.improved,
    }  # fmt: skip
    for name, ours in due.items():
        theirs = state["patience"][name]
        ledger.hold(STATE, place, f"progress, patience, {name}", _same(theirs, ours), theirs, ours)


def _sums(
    ledger: Ledger, course: AuditedRun, row: Row, passage: Passage, batch: Batch, sums: Mapping[str, Any]
) -> None:
    """Check the running sums of the epoch before this step."""
    at, place = passage.before, row.place(course.subject.run.name)
    classification = course.subject.task == "classification"

    def hold(name: str, fits: bool, ours: object) -> None:
        ledger.hold(STATE, place, f"progress, sums, {name}", fits, sums[name], ours)

    hold("batches", _same(sums["batches"], at.batches), at.batches)
    hold("samples", _same(sums["samples"], at.offset), at.offset)
    finite = math.isfinite(sums["loss"])
    bad = sums["first_bad"]
    fits = bad is None if finite else _number(bad) and 0 <= bad < max(1, at.batches)
    hold("first_bad", fits, None if finite else f"0 … {at.batches - 1}")
    ended = next((event for event in course.events if event.kind == "diverged" and event.step == at.step + 1), None)
    if ended is not None and bad is not None and fits:
        ours, told = at.step - at.batches + bad + 1, ended.arguments.get("step")
        ledger.hold(STATE, place, "diverged, step", told == ours, told, ours)
    _bad_loss(ledger, place, sums, ended)
    if not at.offset:
        hold("loss", _same(sums["loss"], 0.0), 0.0)
        hold("right", _same(sums["right"], 0), 0)
        for name in ("residuals", "targets", "squares"):
            hold(name, not len(sums[name]), [])
        return
    hold("right", 0 <= sums["right"] <= (at.offset if classification else 0), f"0 … {at.offset}")
    outputs = 0 if classification else len(batch.targets)
    for name in ("residuals", "targets", "squares"):
        hold(name, len(sums[name]) == outputs, f"{outputs} figures")
    if not at.exact:
        return
    before = sums["loss"] / at.offset
    if _known(at.loss):
        ledger.compare(STATE, place, "progress, sums, loss", before, at.loss, NEAR * abs(at.loss))
    if _known(at.accuracy):
        share = sums["right"] / at.offset if classification else _r2(sums, at.offset)
        near = NEAR if classification else _slack(sums, at.offset)
        ledger.compare(STATE, place, "progress, sums, right", share, at.accuracy, near)
    if not row.number:
        return  # the initial state's loss is that of its own mini-batch alone
    loss = (sums["loss"] + batch.loss * batch.size) / passage.learned
    near = NEAR * (abs(loss) + abs(before))
    ledger.compare(RUNNING_MEAN, place, "train_loss", row.scalars["train_loss"], loss, near)
    if classification and batch.right is not None:
        count = row.scalars["train_accuracy"] * passage.learned
        _count(ledger, place, count, sums["right"], batch.right, passage.learned)
    elif not classification and len(batch.targets):
        added = {name: np.asarray(sums[name]) + getattr(batch, name) for name in ("residuals", "targets", "squares")}
        ours, near = _r2(added, passage.learned), _slack(added, passage.learned)
        ledger.compare(RUNNING_MEAN, place, "train_accuracy", row.scalars["train_accuracy"], ours, near)


def _bad_loss(ledger: Ledger, place: Place, sums: Mapping[str, Any], ended: Event | None) -> None:
    """Check the first loss that is not finite: sum and event tell its kind, and there is none while the sum is finite.

    Before this figure was recorded, there was none in any sum.
    """
    value, total = sums.get("bad_loss"), sums["loss"]
    if value is None:
        return
    fits = _number(value) and not math.isfinite(value) and not math.isfinite(total) and sums["first_bad"] is not None
    fits = fits and (math.isnan(total) or not math.isnan(value))  # nothing added to NaN is infinite
    due = "None" if math.isfinite(total) else word(total)
    if ledger.hold(STATE, place, "progress, sums, bad_loss", fits, value, due) and ended is not None:
        told = ended.arguments.get("loss")
        ledger.hold(STATE, place, "diverged, loss", told == word(value), told, word(value))


def _training(ledger: Ledger, course: AuditedRun, row: Row, passage: Passage, batch: Batch) -> None:
    """Check a row's training loss and accuracy if the sums before it are known from other rows."""
    at, scalars, place = passage.before, row.scalars, row.place(course.subject.run.name)
    classification = course.subject.task == "classification"
    if not row.number or not at.offset:
        right, samples = 0, batch.size
        if not classification and len(batch.targets):
            added = {name: getattr(batch, name) for name in ("residuals", "targets", "squares")}
            ours, near = _r2(added, samples), _slack(added, samples)
            ledger.compare(RUNNING_MEAN, place, "train_accuracy", scalars["train_accuracy"], ours, near)
    elif _known(at.accuracy) and at.exact and classification:
        right, samples = round(at.accuracy * at.offset), passage.learned
    else:
        return
    if classification and batch.right is not None:
        _count(ledger, place, scalars["train_accuracy"] * samples, right, batch.right, samples)


def _count(ledger: Ledger, place: Place, count: float, before: int, right: tuple[int, int], samples: int) -> None:
    least, most = before + right[0], before + right[1]
    fits = least - 1e-6 <= count <= most + 1e-6
    ledger.hold(RUNNING_MEAN, place, "train_accuracy", fits, count / samples, least / samples)


def _r2(sums: Mapping[str, Any], samples: int) -> float:
    """R², averaged over outputs."""
    residuals, targets, squares = (np.asarray(sums[name], np.float64) for name in ("residuals", "targets", "squares"))
    with np.errstate(all="ignore"):
        spread = squares - targets**2 / samples
        each = np.where(spread > 0, 1 - residuals / spread, np.nan)
        return float(each.mean()) if each.size else math.nan  # untrusted sums may have no outputs


def _slack(sums: Mapping[str, Any], samples: int) -> float:
    """Error bound of R²: the spread is a difference of possibly much larger numbers.  NaN if it is not positive."""
    residuals, targets, squares = (np.asarray(sums[name], np.float64) for name in ("residuals", "targets", "squares"))
    with np.errstate(all="ignore"):
        spread = squares - targets**2 / samples
        lost = LOOSE * residuals / spread * (1 + squares / spread)
        usable = (spread > LOOSE * squares).all()
    return float(np.abs(lost).max()) + NEAR if usable and np.isfinite(lost).all() else math.nan


def _known(value: float) -> bool:
    return not math.isnan(value)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(theirs: object, ours: object) -> bool:
    """True if both have the same kind and the same bits; NaN equals NaN."""
    if isinstance(ours, bool) or isinstance(theirs, bool) or not isinstance(ours, int | float):
        return theirs is ours if isinstance(ours, bool) else theirs == ours
    return isinstance(theirs, int | float) and (theirs == ours or (math.isnan(ours) and math.isnan(theirs)))

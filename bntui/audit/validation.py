"""Recomputes the network's results after the step: validation loss and accuracy, and predictions on the grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.backward import LOOSE, cross_entropy, softmax, squared_error
from bntui.audit.bounded import LARGEST, UNIT, Bounded, smaller
from bntui.audit.forward import evaluate, train
from bntui.audit.ledger import Ledger, Margin, Place
from bntui.audit.network import RecordedStage
from bntui.audit.recurrence import State
from bntui.audit.subject import Subject
from bntui.audit.sums import concatenated, total
from bntui.audit.tolerances import HALF, Precision
from bntui.keyframe import Keyframe, Predictions
from bntui.text.language import N_

Values = NDArray[Any]
Answer = Callable[[Values, State, bool], Bounded]
"""A network's outputs for samples, given its parameters and buffers; the flag adds trials of all roundings."""

VALIDATION: Final = N_("validation loss and accuracy")
PREDICTIONS: Final = N_("predictions on the grid")
SOFTMAX_TIE: Final = 4 * UNIT
"""Logits that differ by less may have equal float32 softmax values, whose argmax older recordings store."""
PIECE: Final = 2048
"""Samples evaluated at a time, which bounds the memory of a validation."""


def exactly(state: Mapping[str, Values], unit: float) -> State:
    """Recorded parameters and buffers, without error: these are the ones that were used."""
    return {name: Bounded.exact(values, unit) for name, values in state.items()}


def evaluating(stages: Sequence[RecordedStage], precision: Precision) -> Answer:
    """Evaluate in evaluation mode, in pieces."""

    def answer(x: Values, state: State, tried: bool) -> Bounded:
        state = as_tried(state) if tried else state
        with np.errstate(all="ignore"):
            pieces = []
            for at in range(0, len(x), PIECE):
                entering = Bounded.exact(x[at : at + PIECE], precision.unit, by_sample=True)
                pieces.append(evaluate(stages, entering.tried() if tried else entering, state, precision))
        return _together(pieces)

    return answer


def forgetting(stages: Sequence[RecordedStage], batch: int, precision: Precision) -> Answer:
    """Evaluate in training mode, in mini-batches; a last one with a single sample is merged into the previous one."""

    def answer(x: Values, state: State, tried: bool) -> Bounded:
        state = as_tried(state) if tried else state
        ends = [*range(batch, len(x), batch), len(x)]
        if len(ends) > 1 and ends[-1] - ends[-2] == 1:
            del ends[-2]
        with np.errstate(all="ignore"):
            pieces = []
            for start, end in zip([0, *ends], ends, strict=False):
                entering = Bounded.exact(x[start:end], precision.unit)
                pieces.append(train(stages, entering.tried() if tried else entering, state, {}, precision)[-1])
        return _together(pieces)

    return answer


def answering(ledger: Ledger, subject: Subject) -> Answer | None:
    """How a run validates; None if its validation draws random numbers."""
    if subject.training.get("validation_mode", "evaluation") == "evaluation":
        return evaluating(subject.stages, subject.precision)
    if any(stage.kind in ("dropout", "noise", "input_noise") for stage in subject.stages):
        ledger.note(N_("validation in training mode: its masks and noise are not recorded"))
        return None
    size = subject.training.get("validation_batch") or subject.run.config["data"]["batch_size"]
    return forgetting(subject.stages, size, subject.precision)


def as_tried(state: State) -> State:
    """Parameters that are not recorded: each trial has its own error in them."""
    return {name: part if part.is_exact else part.tried() for name, part in state.items()}


def _together(pieces: Sequence[Bounded]) -> Bounded:
    """The outputs of all samples; only the bound of each value is kept."""
    return concatenated([Bounded(p.value, p.error, np.asarray(np.inf), p.unit, p.trials) for p in pieces], 0)


def check_validation(
    ledger: Ledger, place: Place, frame: Keyframe, task: str, answers: Answers, target: Values
) -> None:
    """Check mean loss and accuracy of the validation part."""
    names, recorded = ("val_loss", "val_accuracy"), (frame.val_loss, frame.val_accuracy)
    check_scores(ledger, place, Scores(VALIDATION, names, recorded), task, answers, target)


@dataclass(frozen=True, slots=True)
class Answers:
    """A network's outputs ``(samples, outputs)``, recomputed with trials if certain bounds are loose."""

    certain: Bounded
    tried: Bounded | None = None

    @classmethod
    def of(cls, answer: Answer, x: Values, state: State) -> Answers:
        certain = answer(x, state, False)
        with np.errstate(all="ignore"):
            size = np.abs(certain.value).max(initial=0)
            loose = not (certain.error <= LOOSE * size).all()
        return cls(certain, answer(x, state, True) if loose else None)

    @property
    def best(self) -> Bounded:
        """Each output with the smaller of its two bounds."""
        return self.certain if self.tried is None else smaller(self.certain, self.tried)

    def mean(self, loss: Callable[[Bounded], Bounded]) -> tuple[float, float]:
        """The mean loss of the samples, and the error bound of its float32 counterpart."""
        found = mean_loss(loss(self.certain))
        if self.tried is not None:
            found = smaller(found, mean_loss(loss(self.tried)))
        return float(found.value), float(found.error)


@dataclass(frozen=True, slots=True)
class Scores:
    """A recorded loss, and the accuracy (in a regression R²) beside it."""

    check: str
    """The check of the ledger that they belong to."""
    names: tuple[str, str]
    recorded: tuple[float, float]


def check_scores(ledger: Ledger, place: Place, scores: Scores, task: str, answers: Answers, target: Values) -> None:
    """Check mean loss, and accuracy or R², of some samples."""
    classes, best = task == "classification", answers.best
    with np.errstate(all="ignore"):
        loss, allowed = answers.mean(lambda outputs: loss_of(task, outputs, target))
        # a small cross-entropy is a difference of numbers as large as the logits
        size = abs(loss) + (float(np.abs(best.value).max(1).mean()) if classes else 0.0)
        if not (abs(loss) + allowed) * target.size <= LARGEST:  # float32 sums before it divides
            allowed = np.nan
        ledger.compare(scores.check, place, scores.names[0], scores.recorded[0], loss, Margin(allowed, size))
        if classes:
            _check_accuracy(ledger, place, scores, best, target)
        else:
            _check_r2(ledger, place, scores, best, target.astype(np.float64))


def loss_of(task: str, outputs: Bounded, target: Values) -> Bounded:
    """Each sample's loss."""
    return cross_entropy(outputs, target) if task == "classification" else squared_error(outputs, target)


def mean_loss(each: Bounded) -> Bounded:
    """The mean of the samples' losses."""
    return total(each) * (1 / len(each.value))


def _check_accuracy(ledger: Ledger, place: Place, scores: Scores, answers: Bounded, truth: Values) -> None:
    """Check the accuracy: samples whose class is certain count; any of the others may be correct."""
    name, recorded = scores.names[1], scores.recorded[1]
    least, most = right(answers, truth)
    if least is None:
        ledger.lines[scores.check].undetermined += 1
        return
    count = recorded * len(truth)
    fits = least - 1e-6 <= count <= most + 1e-6 and abs(count - round(count)) < 1e-6
    ours = float((answers.value.argmax(1) == truth).mean())
    ledger.hold(scores.check, place, name, bool(fits), recorded, ours)


def right(answers: Bounded, truth: Values) -> tuple[int | None, int]:
    """Minimum and maximum number of correctly classified samples; None if nothing is known."""
    if not np.isfinite(answers.reach).all():
        return None, len(truth)
    at = np.arange(len(truth)), truth
    low, high = answers.value - answers.error, answers.value + answers.error
    others = high.copy()
    others[at] = -np.inf
    certain = low[at] > others.max(1, initial=-np.inf)
    low[at] = -np.inf
    possible = high[at] >= low.max(1, initial=-np.inf)
    exact = answers.is_exact
    if exact:  # PyTorch takes the first of equal values
        certain = possible = answers.value.argmax(1) == truth
    return int(certain.sum()), int(possible.sum())


def _check_r2(ledger: Ledger, place: Place, scores: Scores, answers: Bounded, truth: Values) -> None:
    name, recorded = scores.names[1], scores.recorded[1]
    spread = ((truth - truth.mean(0)) ** 2).sum(0)
    away = answers.value - truth
    residuals = (away**2).sum(0)
    r2 = float((1 - residuals / spread).mean()) if (spread > 0).all() else float("nan")
    off = (2 * np.abs(away) * answers.error + answers.error**2).sum(0)
    size = (truth**2).sum(0)
    allowed = float(((off + 1e-12 * (residuals * (1 + size / spread) + size)) / spread).mean()) if r2 == r2 else 0.0
    ledger.compare(scores.check, place, name, recorded, r2, Margin(allowed + 1e-12, max(1.0, abs(r2))))


def check_predictions(ledger: Ledger, place: Place, recorded: Predictions, task: str, answers: Bounded) -> None:
    """Check the values of a curve, or each point's class (argmax of its logits) and the probability of that class."""
    if task != "classification":
        ledger.compare(PREDICTIONS, place, "predictions", recorded.values, answers.value, answers.error)
        return
    with np.errstate(all="ignore"):
        share, off = softmax(answers)
        top = share.max(1)
        ledger.compare(
            PREDICTIONS, place, "predictions", recorded.values.ravel(), top, Margin(HALF * top + off.max(1), 1)
        )
    if recorded.classes is None:
        return
    chosen = recorded.classes.ravel()
    at = np.arange(len(chosen))
    known = chosen < answers.shape[1]
    own = at, np.where(known, chosen, 0)
    highest = (answers.value - answers.error).max(1)
    short = highest - (answers.value + answers.error)[own]
    wrong = ~known | (np.isfinite(short) & (short > SOFTMAX_TIE))
    where = int(np.argmax(wrong))
    ours = int(answers.value[where].argmax())
    ledger.hold(PREDICTIONS, place, f"predicted_classes[{where}]", not wrong.any(), int(chosen[where]), ours)
    ledger.lines[PREDICTIONS].figures += len(chosen) - 1

"""How good is the network after the step: validation loss and accuracy, and its answers on the grid?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.backward import cross_entropy, squared_error
from bntui.audit.forward import evaluate, train
from bntui.audit.ledger import Ledger, Place
from bntui.audit.network import Stage
from bntui.audit.tolerances import HALF, PERTURBED, UNIT
from bntui.keyframe import Keyframe, Predictions
from bntui.language import N_

Values = NDArray[Any]
Answer = Callable[[Values, Mapping[str, Values]], Values]

VALIDATION: Final = N_("validation loss and accuracy")
PREDICTIONS: Final = N_("predictions on the grid")
PIECE: Final = 4096
"""Samples at a time: what a validation needs in memory stays bounded."""
DIRECTIONS: Final = 2
"""How often parameters are moved at random within their tolerance."""


@dataclass(frozen=True, slots=True)
class After:
    """Parameters and buffers after a step, and how far each may be off."""

    state: Mapping[str, Values]
    slack: Mapping[str, Values]

    def moved(self, seed: int) -> Iterator[dict[str, Values]]:
        """The state as float32 might have it: off by its tolerance in directions drawn at random."""
        for direction in range(DIRECTIONS):
            rng = np.random.default_rng([seed, direction])
            yield {
                name: (values + self.slack[name] * (2.0 * rng.integers(0, 2, values.shape) - 1)).astype(np.float32)
                for name, values in self.state.items()
            }


def evaluating(stages: Sequence[Stage]) -> Answer:
    """Evaluation mode, in pieces."""

    def answer(x: Values, state: Mapping[str, Values]) -> Values:
        with np.errstate(all="ignore"):
            pieces = [evaluate(stages, x[start : start + PIECE], state) for start in range(0, len(x), PIECE)]
        return np.concatenate(pieces)

    return answer


def forgetting(stages: Sequence[Stage], batch: int) -> Answer:
    """Training mode, in mini-batches; a last one of a single sample joins the one before it."""

    def answer(x: Values, state: Mapping[str, Values]) -> Values:
        ends = [*range(batch, len(x), batch), len(x)]
        if len(ends) > 1 and ends[-1] - ends[-2] == 1:
            del ends[-2]
        with np.errstate(all="ignore"):
            pieces = [train(stages, x[start:end], state, {})[-1] for start, end in zip([0, *ends], ends, strict=False)]
        return np.concatenate(pieces)

    return answer


@dataclass(frozen=True, slots=True)
class Answers:
    """What a network answers, in float64, and in float32 with parameters moved within their tolerance."""

    exact: Values
    moved: tuple[Values, ...]

    @classmethod
    def of(cls, answer: Answer, x: Values, after: After, seed: int) -> Answers:
        return cls(
            answer(x.astype(np.float64), after.state),
            tuple(answer(x.astype(np.float32), state).astype(np.float64) for state in after.moved(seed)),
        )

    @property
    def apart(self) -> Values:
        """Per sample: how far any output may be off."""
        with np.errstate(all="ignore"):
            far = np.max([np.abs(moved - self.exact).max(1) for moved in self.moved], 0)
            common = np.sqrt(np.mean(far * far))
            result: Values = PERTURBED * (far + common) + 16 * UNIT * np.abs(self.exact).max(1)
        return result


def check_validation(
    ledger: Ledger, place: Place, frame: Keyframe, task: str, answers: Answers, target: Values
) -> None:
    """Mean loss and accuracy of the validation part."""
    check_scores(
        ledger,
        VALIDATION,
        place,
        ("val_loss", "val_accuracy"),
        (frame.val_loss, frame.val_accuracy),
        task,
        answers,
        target,
    )


def check_scores(
    ledger: Ledger,
    check: str,
    place: Place,
    names: tuple[str, str],
    recorded: tuple[float, float],
    task: str,
    answers: Answers,
    target: Values,
) -> None:
    """Mean loss, and the share that is right or R², of some samples."""
    loss_of = cross_entropy if task == "classification" else squared_error
    truth = target if task == "classification" else target.astype(np.float64)
    with np.errstate(all="ignore"):
        each = loss_of(answers.exact, truth)
        moved = [loss_of(other, truth) for other in answers.moved]
        loss = float(each.mean())
        allowed = PERTURBED * max(float(np.abs(other - each).mean()) for other in moved)
        # a small cross-entropy is the difference of what is as large as the logits
        size = abs(loss) + float(np.abs(answers.exact).max(1).mean())
        allowed += 16 * UNIT * size
        if task != "classification":
            allowed += 4 * float((np.sqrt(each) * answers.apart).mean())
        if abs(loss) > np.finfo(np.float32).max:
            loss = float(np.copysign(np.inf, loss))  # it was taken in float32
        ledger.compare(check, place, names[0], recorded[0], loss, allowed, scale=size)
        if task != "classification":
            _check_r2(ledger, check, place, names[1], recorded[1], answers, truth)
            return
    _check_accuracy(ledger, check, place, names[1], recorded[1], answers, truth)


def _check_accuracy(
    ledger: Ledger, check: str, place: Place, name: str, recorded: float, answers: Answers, truth: Values
) -> None:
    if not np.isfinite(answers.exact).all() or not np.isfinite(answers.apart).all():
        ledger.lines[check].undetermined += 1
        return
    ordered = np.sort(answers.exact, 1)
    near = ordered[:, -1] - ordered[:, -2] <= 2 * answers.apart
    own = answers.exact[np.arange(len(truth)), truth]
    sure = int(((answers.exact.argmax(1) == truth) & ~near).sum())
    unsure = int((near & (ordered[:, -1] - own <= 2 * answers.apart)).sum())
    count = recorded * len(truth)
    fits = sure - 1e-6 <= count <= sure + unsure + 1e-6 and abs(count - round(count)) < 1e-6
    ledger.hold(check, place, name, bool(fits), recorded, float((answers.exact.argmax(1) == truth).mean()))


def _check_r2(
    ledger: Ledger, check: str, place: Place, name: str, recorded: float, answers: Answers, truth: Values
) -> None:
    spread = ((truth - truth.mean(0)) ** 2).sum(0)
    away = answers.exact - truth
    residuals = (away**2).sum(0)
    r2 = float((1 - residuals / spread).mean()) if (spread > 0).all() else float("nan")
    off = (2 * np.abs(away) * answers.apart[:, None] + answers.apart[:, None] ** 2).sum(0)
    size = (truth**2).sum(0)
    allowed = float(((off + 1e-12 * (residuals * size / spread + size)) / spread).mean()) if r2 == r2 else 0.0
    ledger.compare(check, place, name, recorded, r2, allowed + 1e-12, scale=max(1.0, abs(r2)) if r2 == r2 else None)


def check_predictions(ledger: Ledger, place: Place, recorded: Predictions, task: str, answers: Answers) -> None:
    """Values of a curve; or each point's class and its probability."""
    if task != "classification":
        ledger.compare(PREDICTIONS, place, "predictions", recorded.values, answers.exact, answers.apart[:, None])
        return
    with np.errstate(all="ignore"):
        away = np.exp(answers.exact - answers.exact.max(1, keepdims=True))
        share = away / away.sum(1, keepdims=True)
        top = share.max(1)
        allowed = HALF * top + 2 * answers.apart * top
    ledger.compare(PREDICTIONS, place, "predictions", recorded.values.ravel(), top, allowed, scale=1)
    if recorded.classes is None:
        return
    chosen = recorded.classes.ravel()
    at = np.arange(len(chosen))
    known = chosen < answers.exact.shape[1]
    short = answers.exact.max(1) - answers.exact[at, np.where(known, chosen, 0)]
    bound = np.isfinite(short) & np.isfinite(answers.apart)
    wrong = ~known | (bound & (short > 2 * answers.apart))
    where = int(np.argmax(wrong))
    ours = int(answers.exact[where].argmax())
    ledger.hold(PREDICTIONS, place, f"predicted_classes[{where}]", not wrong.any(), int(chosen[where]), ours)
    ledger.lines[PREDICTIONS].figures += len(chosen) - 1

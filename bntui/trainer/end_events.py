"""Words the end of a run as an event: a sentence and its figures."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bntui.recording import sentences
from bntui.scenario.schema import EarlyStoppingRule, Training
from bntui.trainer.early_stopping import Patience, unbeaten
from bntui.trainer.progress import Progress
from bntui.trainer.score import Sums

Said = tuple[str, dict[str, object]]


@dataclass(frozen=True, slots=True)
class Losses:
    """What a step is judged by."""

    training: float
    validation: float
    sums: Sums
    """Of the epoch under way."""
    initial: bool
    """No step was taken yet."""


def ended(
    config: Training, at: Progress, losses: Losses, *, epoch_end: bool
) -> tuple[sentences.EventKind, str, dict[str, object]] | None:
    """The kind of event that ends a run here, its sentence and figures; None where it goes on."""
    bad = losses.sums.first_bad
    if bad is not None:
        first = None if losses.initial else at.step - losses.sums.batches + bad + 1
        # the value that came first: after an infinite loss the mean of all is NaN soon
        value = losses.training if losses.sums.bad_loss is None else losses.sums.bad_loss
        return "diverged", *diverged(value, first)
    if not math.isfinite(losses.validation):
        return "diverged", *diverged_in_validation(losses.validation, at.step)
    if epoch_end and config.early_stopping is not None and at.patience.stopped:
        return "stopped_early", *stopped(config.early_stopping, at.patience, at.epoch)
    if epoch_end and at.epoch >= config.epochs:
        return "finished", *finished(config.epochs)
    return None


def finished(epochs: int) -> Said:
    """All epochs are trained."""
    return sentences.FINISHED, {"epochs": epochs}


def stopped(rule: EarlyStoppingRule, state: Patience, epoch: int) -> Said:
    """Early stopping has lost its patience."""
    sentence = sentences.STOPPED if state.best_epoch else sentences.STOPPED_ALL
    figures: dict[str, object] = {"best_epoch": state.best_epoch, "wait": state.wait, "patience": rule.patience}
    if unbeaten(rule, state.best):
        sentence = sentences.STOPPED_BASELINE
        figures |= {"baseline": rule.baseline, "best": state.best}
    return sentence, {"epoch": epoch, "monitor": rule.monitor, **figures}


def restored(state: Patience) -> Said:
    """The best weights are back."""
    return sentences.RESTORED, {"epoch": state.best_epoch}


def diverged(loss: float, step: int | None) -> Said:
    """The training loss is no number any more; ``step`` is None where it never was one."""
    if step is None:
        return sentences.DIVERGED_INITIAL, {"loss": spelled(loss)}
    return sentences.DIVERGED_TRAINING, {"loss": spelled(loss), "step": step}


def diverged_in_validation(loss: float, step: int) -> Said:
    """The validation loss is no number any more."""
    return sentences.DIVERGED_VALIDATION, {"loss": spelled(loss), "step": step}


def spelled(value: float) -> str:
    """A value that is not finite, in a word."""
    return sentences.NAN if math.isnan(value) else sentences.INFINITE

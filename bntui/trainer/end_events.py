"""Describes the end of a run as an event: a sentence and its figures."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bntui.patience import Patience, unbeaten
from bntui.recording import sentences
from bntui.scenario.training import EarlyStoppingRule, Training
from bntui.trainer.progress import Progress
from bntui.trainer.score import Sums

Said = tuple[str, dict[str, object]]


@dataclass(frozen=True, slots=True)
class StepLosses:
    """The losses after a step, which decide whether the run ends."""

    training: float
    validation: float
    sums: Sums
    """Sums of the current epoch."""
    initial: bool
    """These are the losses of the initial network, before the first step."""


def ended(
    config: Training, at: Progress, losses: StepLosses, *, epoch_end: bool
) -> tuple[sentences.EventKind, str, dict[str, object]] | None:
    """Kind, sentence and figures of the event that ends a run after a step; None if the run continues."""
    bad = losses.sums.first_bad
    if bad is not None:
        first = None if losses.initial else at.step - losses.sums.batches + bad + 1
        # report the first bad value: after an infinite loss, the mean of the epoch soon becomes NaN
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
    """The sentence for a run that has trained all its epochs."""
    return sentences.FINISHED, {"epochs": epochs}


def stopped(rule: EarlyStoppingRule, state: Patience, epoch: int) -> Said:
    """The sentence for a run that early stopping ended after ``epoch``."""
    sentence = sentences.STOPPED if state.best_epoch else sentences.STOPPED_ALL
    figures: dict[str, object] = {"best_epoch": state.best_epoch, "wait": state.wait, "patience": rule.patience}
    if unbeaten(rule, state.best):
        sentence = sentences.STOPPED_BASELINE
        figures |= {"baseline": rule.baseline, "best": state.best}
    return sentence, {"epoch": epoch, "monitor": rule.monitor, **figures}


def restored(state: Patience) -> Said:
    """The sentence for a run whose best weights were restored."""
    return sentences.RESTORED, {"epoch": state.best_epoch}


def diverged(loss: float, step: int | None) -> Said:
    """The sentence for a training loss that is not finite; ``step`` is None if the initial loss is not."""
    if step is None:
        return sentences.DIVERGED_INITIAL, {"loss": spelled(loss)}
    return sentences.DIVERGED_TRAINING, {"loss": spelled(loss), "step": step}


def diverged_in_validation(loss: float, step: int) -> Said:
    """The sentence for a validation loss that is not finite."""
    return sentences.DIVERGED_VALIDATION, {"loss": spelled(loss), "step": step}


def spelled(value: float) -> str:
    """The word for a value that is not finite: NaN or infinite."""
    return sentences.NAN if math.isnan(value) else sentences.INFINITE

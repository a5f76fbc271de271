"""What is said when a run ends: a sentence and its figures."""

from __future__ import annotations

import math

from bntui.recording import sentences
from bntui.scenario.schema import EarlyStoppingRule
from bntui.trainer.early_stopping import Patience

Said = tuple[str, dict[str, object]]


def finished(epochs: int) -> Said:
    """All epochs are trained."""
    return sentences.FINISHED, {"epochs": epochs}


def stopped(rule: EarlyStoppingRule, state: Patience, epoch: int) -> Said:
    """Early stopping has lost its patience."""
    sentence = sentences.STOPPED if state.best_epoch else sentences.STOPPED_ALL
    figures: dict[str, object] = {"best_epoch": state.best_epoch, "wait": state.wait, "patience": rule.patience}
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

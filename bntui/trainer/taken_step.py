"""Describes a completed step for its keyframe, and applies early stopping to the figures of an epoch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bntui.keyframe import EarlyStopping
from bntui.patience import Patience, observe
from bntui.recording.evidence import TrainerState, pack_state
from bntui.scenario.training import EarlyStoppingRule, Training
from bntui.trainer.optim import observe_plateau
from bntui.trainer.progress import Progress
from bntui.trainer.step import MeasuredStep


@dataclass(frozen=True, slots=True)
class TakenStep:
    """A completed optimizer step, or the initial state, as recorded in its keyframe."""

    measured: MeasuredStep | None
    """None for a step that was not measured, for which only an epoch's scalars are recorded."""
    before: Progress
    """The state of the run before the step."""
    batch: slice
    """The samples of the step, in the order of the epoch."""
    lr: float
    epoch_end: bool = False
    initial: bool = False
    """This is the initial state, measured on the first mini-batch without an update."""

    def packed(self) -> bytes:
        """The evidence of the step as a block."""
        assert self.measured is not None
        return pack_state(TrainerState(self.measured.evidence(), self.before.text()))


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """Losses and accuracies (R² in regression) after a step."""

    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float

    def monitored(self, name: str) -> float:
        """The figure with the name that early stopping uses for it, such as ``val_loss``."""
        figures = {
            "loss": self.train_loss, "val_loss": self.val_loss,
            "accuracy": self.train_accuracy, "val_accuracy": self.val_accuracy,
            "r2": self.train_accuracy, "val_r2": self.val_accuracy,
        }  # fmt: skip
        return figures[name]


def observe_epoch(training: Training, at: Progress, figures: StepMetrics) -> tuple[Progress, bool]:
    """Apply early stopping and reduce-on-plateau to an epoch; returns the new state, and if the epoch is the best."""
    schedule, rule = training.schedule, training.early_stopping
    if schedule.kind == "plateau":
        at = replace(at, plateau=observe_plateau(schedule, at.plateau, figures.val_loss))
    if rule is None:
        best = figures.val_loss < at.best_loss
        return replace(at, best_loss=figures.val_loss if best else at.best_loss), best
    patience = observe(rule, at.patience, at.epoch, figures.monitored(rule.monitor))
    best_step = at.step if patience.improved else at.best_step
    return replace(at, patience=patience, best_step=best_step), patience.improved


def early_stopping(rule: EarlyStoppingRule | None, state: Patience) -> EarlyStopping | None:
    """The state of early stopping for a keyframe; None without early stopping."""
    if rule is None:
        return None
    return EarlyStopping(
        rule.monitor, state.best, state.best_epoch, state.wait, rule.patience, state.stopped, state.reason
    )

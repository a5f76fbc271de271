"""Decides when a recorded loop should stop, by a rule that its recorder was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from bntui.errors import UsageError
from bntui.patience import Patience, observe
from bntui.recording.forms import APPLIED_BY, RECORDER
from bntui.text.language import _
from bntui.text.output import clean

MONITORS: Final = {
    "val_loss": "val_loss", "val_accuracy": "val_accuracy", "loss": "loss", "accuracy": "accuracy",
    "val_r2": "val_r2", "r2": "r2", "val_acc": "val_accuracy", "eval_loss": "val_loss", "eval_accuracy": "val_accuracy",
    "train_loss": "loss", "valid_loss": "val_loss",
}  # fmt: skip
"""Names under which libraries know the figures that early stopping may monitor."""
FIGURE_OF: Final = {
    "val_loss": "val_loss", "val_accuracy": "val_accuracy", "val_r2": "val_accuracy", "loss": "train_loss",
    "accuracy": "train_accuracy", "r2": "train_accuracy",
}  # fmt: skip
"""Under which name an epoch is told the figure that is monitored."""


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """A rule of early stopping, with the names, defaults and meaning of Keras' ``EarlyStopping``.

    Raises:
        UsageError: the monitor is none that a recording has.
    """

    monitor: str = "val_loss"
    """``val_loss``, ``val_accuracy``, ``loss``, ``accuracy``, ``val_r2`` or ``r2``: what ``recorder.epoch`` is told."""
    patience: int = 0
    """Epochs without improvement after which the loop should stop."""
    min_delta: float = 0.0
    """Smallest change that counts as an improvement; its absolute value is used."""
    mode: Literal["auto", "min", "max"] = "auto"
    """Whether smaller or larger is better; ``auto`` decides by the monitor."""
    start_from_epoch: int = 0
    """Epochs to wait before monitoring begins."""

    def __post_init__(self) -> None:
        known = MONITORS.get(self.monitor) if isinstance(self.monitor, str) else None
        if known is None:
            sentence = _("early stopping monitors {monitor}, which is not recorded; use one of {names}")
            raise UsageError(sentence.format(monitor=clean(str(self.monitor)), names=", ".join(MONITORS)))
        object.__setattr__(self, "monitor", known)

    @property
    def baseline(self) -> None:
        """Nothing but the best value has to be beaten."""

    def told(self) -> dict[str, Any]:
        """The rule as a recording has it, with who applies it."""
        return {**asdict(self), APPLIED_BY: RECORDER}


def plan_of(
    told: EarlyStopping | Mapping[str, Any] | None,
) -> tuple[EarlyStopping | None, Mapping[str, Any] | None]:
    """The rule that a recorder is to apply, if it was given one, and what a recording is to say of early stopping."""
    if isinstance(told, EarlyStopping):
        return told, told.told()
    if not isinstance(told, Mapping) or "monitor" not in told:
        return None, told or None
    return None, {**told, "monitor": MONITORS.get(str(told["monitor"]), told["monitor"])}


class Stopper:
    """Applies a rule to the figures of successive epochs; without a rule, the loop never should stop."""

    def __init__(self, rule: EarlyStopping | None) -> None:
        self.rule = rule
        self.state = Patience()
        self._epoch = 0

    @property
    def should_stop(self) -> bool:
        """True if the patience ran out with the last epoch."""
        return self.state.stopped

    def see(self, figures: Mapping[str, float | None], epoch: int = 0) -> bool:
        """Apply the rule to an epoch that has ended; False if there is nothing to apply it to.

        Args:
            figures: of the epoch, by their names in a keyframe.
            epoch: its number, the first being 1; by default the next.
        """
        self._epoch = max(epoch, self._epoch + 1)
        value = None if self.rule is None else figures.get(FIGURE_OF[self.rule.monitor])
        if self.rule is None or value is None:
            return False
        self.state = observe(self.rule, self.state, self._epoch, float(value))
        return True

"""What the callbacks for training libraries share: the names of their metrics, and what they plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bntui.errors import UsageError
from bntui.text.language import _
from bntui.watching.stopping import MONITORS

_NAMES: Final = {
    "val_loss": ("val_loss", "valid_loss", "validation_loss", "eval_loss"),
    "val_accuracy": (
        "val_accuracy", "val_acc", "valid_accuracy", "valid_acc", "eval_accuracy", "val_sparse_categorical_accuracy",
    ),
    "train_loss": ("train_loss_epoch", "train_loss", "loss"),
    "train_accuracy": ("train_accuracy", "train_acc", "accuracy", "acc", "sparse_categorical_accuracy"),
}  # fmt: skip
"""Names under which libraries know the figures of an epoch; the first that is there counts."""


def planned(epochs: Any, steps_per_epoch: Any, stopping: Any) -> dict[str, Any]:
    """What a library plans, as ``watch`` takes it, without what a recording has no place for.

    Args:
        stopping: the library's early stopping, which has ``monitor`` and ``patience``.
    """
    known = stopping is not None and stopping.monitor in MONITORS
    return {
        "epochs": _count(epochs),
        "steps_per_epoch": _count(steps_per_epoch),
        "early_stopping": {"monitor": stopping.monitor, "patience": stopping.patience} if known else None,
    }


def refuse_other(stopping: Any, attribute: str, wanted: str) -> None:
    """Refuse an object that is not a library's early stopping, before it would raise in the middle of a training.

    Args:
        attribute: what the library's has.
        wanted: what the library calls it.

    Raises:
        UsageError: it is another object.
    """
    if stopping is not None and not hasattr(stopping, attribute):
        sentence = _("early_stopping is {kind}, not a {wanted}")
        raise UsageError(sentence.format(kind=type(stopping).__name__, wanted=wanted))


def epoch_figures(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The figures of an epoch that a recording has, of a library's metrics."""
    found = {}
    for figure, names in _NAMES.items():
        for name in names:
            value = _number(metrics.get(name))
            if value is not None:
                found[figure] = value
                break
    return found


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return None

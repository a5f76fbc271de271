"""What the callbacks for training libraries share: the names of their metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_NAMES: Final = {
    "val_loss": ("val_loss", "valid_loss", "validation_loss", "eval_loss"),
    "val_accuracy": (
        "val_accuracy", "val_acc", "valid_accuracy", "valid_acc", "eval_accuracy", "val_sparse_categorical_accuracy",
    ),
    "train_loss": ("train_loss_epoch", "train_loss", "loss"),
    "train_accuracy": ("train_accuracy", "train_acc", "accuracy", "acc", "sparse_categorical_accuracy"),
}  # fmt: skip
"""Names under which libraries know the figures of an epoch; the first that is there counts."""


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


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return None

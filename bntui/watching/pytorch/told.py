"""Takes the figures that a loop tells, as tensors or numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from torch import Tensor

from bntui.text.language import _
from bntui.watching import arrays

FIGURES: Final = {
    "loss": "train_loss", "train_loss": "train_loss", "accuracy": "train_accuracy", "train_accuracy": "train_accuracy",
    "val_loss": "val_loss", "val_accuracy": "val_accuracy", "lr": "lr",
}  # fmt: skip
"""Figures of an epoch, by the names that it may be told under."""


def loss_of(loss: Any) -> Tensor | float:
    """A loss, not fetched from its device yet.

    Raises:
        ValueError: it is not one number.
    """
    if not isinstance(loss, Tensor):
        return arrays.number(loss, "loss") or 0.0
    if loss.numel() != 1 or loss.is_complex():
        found = f"{str(loss.dtype).removeprefix('torch.')}{list(loss.shape)}"
        raise ValueError(_("{place} is not a number: {reason}").format(place="loss", reason=found))
    return loss.detach()


def loss_at_once(loss: Any) -> float | None:
    """The value of a loss that can be read without waiting for a device; None of all others."""
    if type(loss) is not Tensor or not loss.is_cpu:
        return None
    try:
        value = loss.item()
    except Exception:  # of several values, or within a transformation of torch.func
        return None
    return value if isinstance(value, float) else None


def figures_of(
    figures: Mapping[str, Any], mistaken: Callable[[str], None] = lambda _sentence: None
) -> dict[str, float]:
    """The figures of an epoch that a recording has, without those that are None or no numbers.

    Args:
        mistaken: told of each that is no number.
    """
    found = {}
    for name, value in figures.items():
        try:
            told = arrays.number(value.detach() if isinstance(value, Tensor) else value, name)
        except ValueError as error:
            mistaken(str(error))
            continue
        if name in FIGURES and told is not None:
            found[FIGURES[name]] = told
    return found


def number_of(value: Any) -> float:
    """A figure as a number; NaN of what is none."""
    try:
        return float(value.detach() if isinstance(value, Tensor) else value)
    except Exception:  # of another library
        return math.nan

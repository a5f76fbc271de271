"""Keeps the samples of a run on its device."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class DeviceSamples:
    """A run's data on its device, scaled: float32 inputs ``(N, *shape)``; int64 classes or float32 targets."""

    x: Tensor
    y: Tensor
    x_val: Tensor
    y_val: Tensor
    task: str
    outputs: int
    """Classes, or target values per sample."""
    grid: Tensor | None = None
    """Where predictions are recorded, scaled, ``(points, features)``."""

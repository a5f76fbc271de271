"""Keeps the samples of a run on its device."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class DeviceSamples:
    """A run's scaled data on its device.

    ``x`` and ``x_val`` are float32 inputs, shape ``(N, *shape)``.  ``y`` and ``y_val`` are int64 class numbers ``(N,)``
    or float32 targets ``(N, outputs)``.
    """

    x: Tensor
    y: Tensor
    x_val: Tensor
    y_val: Tensor
    task: str
    outputs: int
    """Number of classes, or of target values per sample."""
    grid: Tensor | None = None
    """Scaled points at which predictions are recorded, ``(points, features)``; None without a grid."""

"""Reads the samples of each step from the recorded data set, scaled as the run scaled them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bntui.audit.network import as_sequence
from bntui.keyframe import IntArray
from bntui.recording.dataset import RecordedData, RecordedScaling
from bntui.recording.history import RunInfo

Values = NDArray[Any]


@dataclass(frozen=True)
class ScaledSamples:
    """The scaled data of one run."""

    data: RecordedData
    scaling: RecordedScaling
    sequence: str
    task: str

    @classmethod
    def of(cls, data: RecordedData, run: RunInfo, task: str) -> ScaledSamples:
        return cls(data, data.scalings[run.index], run.config["data"].get("sequence", "none"), task)

    def scaled(self, x: Values) -> Values:
        """``(x - offset) * factor`` in float64, rounded to float32, in the network's input shape."""
        wide = x.astype(np.float64)
        if self.scaling.kind != "none":
            wide = (wide - self.scaling.offset) * self.scaling.factor
        return as_sequence(wide.astype(np.float32), self.sequence)

    def batch(self, indices: IntArray) -> tuple[Values, Values] | None:
        """Inputs and targets of a mini-batch; None if an index is out of range."""
        if not len(indices) or indices.min() < 0 or indices.max() >= len(self.data.train):
            return None
        rows = self.data.train[indices]
        return self.scaled(self.data.x[rows]), self.data.y[rows]

    @cached_property
    def validation(self) -> tuple[Values, Values]:
        """Inputs and targets of the validation part."""
        rows = self.data.validation
        return self.scaled(self.data.x[rows]), self.data.y[rows]

    @cached_property
    def grid(self) -> Values | None:
        """Points at which predictions are recorded, the first axis varying fastest; None without a grid."""
        axes = self.data.grid
        if not axes:
            return None
        if len(axes) == 1:
            return self.scaled(axes[0][:, None])
        first, second = axes
        points = np.empty((len(second), len(first), 2), np.float64)
        points[..., 0], points[..., 1] = first, second[:, None]
        return self.scaled(points.reshape(-1, 2))


def scaling_fits(samples: ScaledSamples) -> tuple[Values, Values, Values]:
    """Expected offset and factor, computed from the training part, and the magnitude that their tolerances refer to.

    minmax: minimum and 1 / (max - min); standard: mean and 1 / σ (ddof = 0).  A constant feature has factor 1.

    Returns:
        Offset, factor, and the magnitude of each feature's values, to which rounding errors of sums are relative.
    """
    x = samples.data.x[samples.data.train].astype(np.float64)
    size = np.abs(x).max(0)
    if samples.scaling.kind == "none":
        return np.zeros(x.shape[1:]), np.ones(x.shape[1:]), size
    if samples.scaling.kind == "minmax":
        low = x.min(0)
        width = x.max(0) - low
        return low, 1 / np.where(width > 10 * np.finfo(np.float64).eps, width, 1), size
    spread, mean = x.std(0), x.mean(0)
    # scikit-learn's rule for a constant feature: its variance is within the rounding error of its own sum
    rounding = len(x) * np.finfo(np.float64).eps
    constant = spread**2 <= rounding * spread**2 + (rounding * mean) ** 2
    return mean, 1 / np.where(constant, 1, spread), size

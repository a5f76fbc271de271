"""Measures how much a distribution moves during training."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bntui.keyframe import FloatArray


@dataclass(frozen=True, slots=True)
class Moves:
    """What the movement over some consecutive keyframes is computed from; that of none is the default."""

    steps: float = 0.0
    """Sum of |median − previous median| where both and the band are finite."""
    widths: float = 0.0
    """Sum of the band's widths there."""
    first: tuple[float, float] | None = None
    """The first keyframe's median and width, whose step depends on the keyframe before it."""
    last: float = math.nan
    """The last keyframe's median."""

    def then(self, later: Moves) -> Moves:
        """The moves over these keyframes and over those that follow them."""
        if self.first is None or later.first is None:
            return later if self.first is None else self
        median, width = later.first
        step = abs(median - self.last)
        joint = (step, width) if math.isfinite(step) and math.isfinite(width) else (0.0, 0.0)
        return Moves(self.steps + joint[0] + later.steps, self.widths + joint[1] + later.widths, self.first, later.last)

    @property
    def movement(self) -> float:
        """See :func:`movement`."""
        return self.steps / self.widths if self.widths > 0 else math.nan


def moves_of(low: FloatArray, median: FloatArray, high: FloatArray) -> Moves:
    """The moves over consecutive keyframes; inputs of shape ``(K,)``."""
    if not len(median):
        return Moves()
    with np.errstate(invalid="ignore"):
        steps, widths = np.abs(np.diff(median)), high - low
    known = np.isfinite(steps) & np.isfinite(widths[1:])
    first = float(median[0]), float(widths[0])
    return Moves(float(steps[known].sum()), float(widths[1:][known].sum()), first, float(median[-1]))


def movement(low: FloatArray, median: FloatArray, high: FloatArray) -> float:
    """Mean movement of the median between keyframes, in widths of the percentile band; inputs of shape ``(K,)``.

    The mean of |median − previous median| divided by the mean of high − low, over keyframes in which all three and
    the previous median are finite.  A convention of this program; Santurkar et al., 2018, show it as pictures.

    NaN with fewer than two consecutive keyframes, or if the band has no width.
    """
    return moves_of(low, median, high).movement

"""Measures how much a distribution moves during training."""

from __future__ import annotations

import numpy as np

from bntui.keyframe import FloatArray


def movement(low: FloatArray, median: FloatArray, high: FloatArray) -> float:
    """Mean movement of the median between keyframes, in widths of the percentile band; inputs of shape ``(K,)``.

    The mean of |median − previous median| divided by the mean of high − low, over keyframes in which all three and
    the previous median are finite.  A convention of this program; Santurkar et al., 2018, show it as pictures.

    NaN with fewer than two consecutive keyframes, or if the band has no width.
    """
    with np.errstate(invalid="ignore"):
        steps, widths = np.abs(np.diff(median)), (high - low)[1:]
    known = np.isfinite(steps) & np.isfinite(widths)
    width = float(widths[known].sum())
    return float(steps[known].sum()) / width if width > 0 else float("nan")

"""How much does a distribution move while the network trains?"""

from __future__ import annotations

import numpy as np

from bntui.keyframe import FloatArray


def movement(low: FloatArray, median: FloatArray, high: FloatArray) -> float:
    """How far the median moves from one keyframe to the next, in widths of the band; courses of shape ``(K,)``.

    The mean of |median − median before| divided by the mean of high − low, over keyframes in which all three, and
    the median before, are finite.  A convention of this program: Santurkar et al., 2018, show it as pictures.

    NaN where no keyframe follows another, or the band has no width.
    """
    with np.errstate(invalid="ignore"):
        steps, widths = np.abs(np.diff(median)), (high - low)[1:]
    known = np.isfinite(steps) & np.isfinite(widths)
    width = float(widths[known].sum())
    return float(steps[known].sum()) / width if width > 0 else float("nan")

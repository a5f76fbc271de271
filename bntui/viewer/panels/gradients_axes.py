"""Chooses the log axes of gradient norms: common ones, or one for each run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np

from bntui.keyframe import COLUMN, FloatArray
from bntui.recording.history import RunHistory
from bntui.viewer.view import RunView

MAX_DECADES: Final = 16
"""Maximum length of an axis; float32 does not resolve larger differences."""
SPARED: Final = 20
"""One in so many keyframes may leave the axis at each end, so that a spike does not shorten the bars of all others."""

Decades = tuple[int, int]
"""The lowest and the highest decade of an axis."""
NOTHING: Final = (-6, 0)
"""The axis where no run has a gradient."""


def axes(runs: Sequence[RunView], column: str) -> tuple[Decades, ...]:
    """The axis of each run: a common one, unless it would be too long to compare the layers of one run.

    Beside a run that explodes, the bars of the other one would all have the same length, or none.
    """
    found = [_decades(run, column) for run in runs]
    known = [decades for decades in found if decades is not None] or [NOTHING]
    common = _both(*known)
    return (common,) * len(runs) if _fits(common) else tuple(decades or known[0] for decades in found)


def _decades(run: RunView, column: str) -> Decades | None:
    """Whole decades that hold nearly all keyframes, so that the axis rarely changes while the cursor moves.

    They are extended to hold the keyframe at the cursor, or replaced by its own where they would be too many.
    """
    usual = _usual(run.history, COLUMN[column])
    measured = run.frame.layers if run.frame is not None else ()
    now = _ends(logarithms(np.array([[getattr(layer, column) for layer in measured]], np.float64)))
    if now is None or usual is None:
        return now or usual
    both = _both(usual, now)
    return both if _fits(both) else now


@lru_cache(maxsize=8)  # both columns of three runs; a run in training has another history at each keyframe
def _usual(history: RunHistory, column: int) -> Decades | None:
    return _ends(logarithms(history.layers[:, :, column]))


def _ends(norms: FloatArray) -> Decades | None:
    """Whole decades around keyframes, shape ``(K, layers)``, without the extreme ones; None if no norm has one."""
    norms = norms[np.isfinite(norms).any(axis=1)]
    if not norms.size:
        return None
    spared = len(norms) // SPARED
    low = np.sort(np.nanmin(norms, axis=1))[spared]
    high = np.sort(np.nanmax(norms, axis=1))[len(norms) - 1 - spared]
    top = math.ceil(high)
    return max(min(math.floor(low), top - 1), top - MAX_DECADES), top


def _both(*decades: Decades) -> Decades:
    return min(low for low, _high in decades), max(high for _low, high in decades)


def _fits(decades: Decades) -> bool:
    return decades[1] - decades[0] <= MAX_DECADES


def logarithms(norms: FloatArray) -> FloatArray:
    """Decimal logarithms of the norms; NaN for norms that are 0 or not finite."""
    sized = np.isfinite(norms) & (norms > 0)
    return np.log10(norms, out=np.full(norms.shape, np.nan), where=sized)


def power(decade: float) -> str:
    """A decade as an axis shows it: ``1e−3``."""
    return f"1e{decade:g}".replace("-", "−")

"""Chooses the log axes of gradient norms: common ones, or one for each run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple

import numpy as np

from bntui.keyframe import COLUMN, FloatArray
from bntui.recording.history import RunHistory
from bntui.recording.kept import folded
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
    usual = _ends(_seen(run.history, COLUMN[column]))
    measured = run.frame.layers if run.frame is not None else ()
    now = _ends(_counts(np.array([[getattr(layer, column) for layer in measured]], np.float64)))
    if now is None or usual is None:
        return now or usual
    both = _both(usual, now)
    return both if _fits(both) else now


class _Counts(NamedTuple):
    """How many keyframes have their smallest norm in each decade, and their largest below the end of each."""

    lows: Counter[int]
    highs: Counter[int]


def _together(one: _Counts, other: _Counts) -> _Counts:
    return _Counts(one.lows + other.lows, one.highs + other.highs)


def _counts(norms: FloatArray) -> _Counts:
    """Of keyframes, shape ``(K, layers)``; those in which no norm has a logarithm are not counted."""
    decades = logarithms(norms)
    decades = decades[np.isfinite(decades).any(axis=1)]
    if not decades.size:
        return _Counts(Counter(), Counter())
    lows, highs = np.floor(np.nanmin(decades, axis=1)), np.ceil(np.nanmax(decades, axis=1))
    return _Counts(_counted(lows), _counted(highs))


def _counted(decades: FloatArray) -> Counter[int]:
    found, counts = np.unique(decades.astype(np.int64), return_counts=True)
    return Counter(dict(zip(found.tolist(), counts.tolist(), strict=True)))


@folded(_together)
def _seen(history: RunHistory, rows: slice, column: int) -> _Counts:
    return _counts(history.layers[rows, :, column])


def _ends(counts: _Counts) -> Decades | None:
    """Whole decades around keyframes, without the extreme ones; None if no norm has one."""
    number = counts.lows.total()
    if not number:
        return None
    spared = number // SPARED
    low, top = _ranked(counts.lows, spared), _ranked(counts.highs, number - 1 - spared)
    return max(min(low, top - 1), top - MAX_DECADES), top


def _ranked(counts: Counter[int], rank: int) -> int:
    """The number at a rank, counted from 0, of all that were counted."""
    numbers = sorted(counts)
    return next(n for n, up_to in zip(numbers, accumulate(counts[n] for n in numbers), strict=True) if up_to > rank)


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

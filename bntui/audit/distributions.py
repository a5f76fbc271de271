"""Checks a quantity's summary figures and histogram against the recorded values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.ledger import Ledger, Margin, Place
from bntui.audit.tolerances import WIDE
from bntui.keyframe import HISTOGRAM_BINS, STATISTICS, UNIT_STATISTICS, Distribution, FloatArray
from bntui.text.language import N_

Values = NDArray[Any]

FIGURES: Final = N_("mean, std, percentiles, min, max")
COUNTS: Final = N_("histogram counts")
UNITS: Final = N_("percentiles of one unit")
LIMIT: Final = 1e-6
"""Relative tolerance: values this close to a limit may be on either side of it."""


def percentiles(ordered: FloatArray) -> FloatArray:
    """The 15th, 50th, and 85th percentiles, with linear interpolation; NaN if a value is not finite."""
    if not np.isfinite(ordered[[0, -1]]).all():
        return np.full(3, math.nan)
    places = np.array([15, 50, 85]) / 100 * (len(ordered) - 1)
    result: FloatArray = np.interp(places, np.arange(len(ordered)), ordered)
    return result


def check_distribution(ledger: Ledger, place: Place, name: str, recorded: Distribution, values: Values) -> None:
    """Check a quantity's seven figures and its histogram against the values."""
    wide = values.astype(np.float64).ravel()
    ordered = np.sort(wide)
    with np.errstate(all="ignore"):
        mean = wide.mean()
        spread = math.sqrt(((wide - mean) ** 2).mean()) if np.isfinite(mean) else math.nan
        low, high = (wide.min(), wide.max())  # NaN if any value is
        ours = np.array([mean, spread, *percentiles(ordered), low, high])
        size = float(np.abs(ours[np.isfinite(ours)]).max(initial=0))
    theirs = np.array([getattr(recorded, statistic) for statistic in STATISTICS])
    if np.isnan(low):  # the trainer records NaN for both; infinities sort before it
        theirs, ours = theirs[:5], ours[:5]
    allowed = np.full(len(ours), WIDE * size)
    if size and spread < 1e-6 * size:  # the spread of equal values is rounding relative to their size
        allowed[STATISTICS.index("std")] += 1e-7 * size
    names = [f"{name}.{statistic}" for statistic in STATISTICS]
    ledger.compare(FIGURES, place, names, theirs, ours, Margin(allowed, size))
    check_counts(ledger, place, f"{name}.counts", recorded.counts, ordered[np.isfinite(ordered)])


def check_counts(ledger: Ledger, place: Place, name: str, recorded: Values, ordered: FloatArray) -> None:
    """Check a histogram's counts; values at an edge may be on either side of it."""
    counts = recorded.astype(np.int64)
    if not ordered.size:
        ledger.hold(COUNTS, place, name, not counts.any(), counts.sum(), 0)
        return
    width = (ordered[-1] - ordered[0]) / HISTOGRAM_BINS
    edges = ordered[0] + np.arange(1, HISTOGRAM_BINS) * width
    near = WIDE * max(abs(ordered[0]), abs(ordered[-1]))
    least = np.searchsorted(ordered, edges - near, side="left")
    most = np.searchsorted(ordered, edges + near, side="right")
    below = np.cumsum(counts)[:-1]
    if width == 0:  # all values are equal: all are in one bin, and rounding decides which
        least, most = np.zeros_like(least), np.full_like(most, ordered.size)
    wrong = (below < least) | (below > most)
    fits = not wrong.any() and counts.sum() == ordered.size and counts.min() >= 0
    line_place = int(np.argmax(wrong)) if wrong.any() else HISTOGRAM_BINS - 1
    exact = np.searchsorted(ordered, edges, side="left")
    ours = np.diff(np.concatenate([[0], exact, [ordered.size]]))
    at = f"{name}[{line_place}]"
    ledger.hold(COUNTS, place, at, bool(fits), int(counts[line_place]), int(ours[line_place]))
    ledger.lines[COUNTS].figures += HISTOGRAM_BINS - 1


def check_unit(ledger: Ledger, place: Place, recorded: tuple[float, float, float], values: Values) -> None:
    """Check the percentiles of one unit's pre-activation."""
    ordered = np.sort(values.astype(np.float64).ravel())
    ours = percentiles(ordered)
    size = float(np.abs(ordered[np.isfinite(ordered)]).max(initial=0))
    ledger.compare(UNITS, place, UNIT_STATISTICS, np.array(recorded), ours, Margin(WIDE * size, size))


@dataclass(frozen=True, slots=True)
class Share:
    """A fraction of some values, counted."""

    sure: int
    """Values that count for certain."""
    near: int
    """Further values so close to a limit that rounding decides whether they count."""
    of: int
    """All values."""

    @property
    def least(self) -> float:
        """The fraction of what counts for certain."""
        return self.sure / self.of

    def fits(self, recorded: float) -> bool:
        """True if a recorded fraction agrees with the count."""
        counted = recorded * self.of
        return self.sure - 1e-6 <= counted <= self.sure + self.near + 1e-6 and abs(counted - round(counted)) < 1e-6

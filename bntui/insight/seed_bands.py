"""Says what several seeds of one run, or of two, tell: bands over epochs, and paired differences.  Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from bntui.insight.statistics import Interval, interval
from bntui.keyframe import FloatArray, IntArray

INNER: Final = (0.15, 0.85)
"""Quantiles between which the inner band lies."""


class SeedCurve(NamedTuple):
    """One figure of one seed at the ends of its epochs."""

    first: int
    """Number of the first epoch; 0 is the initial state."""
    values: FloatArray
    over: bool
    """The training has ended as it should, so that its last epoch counts from then on."""

    def at(self, epoch: int) -> float:
        """The value at an epoch, the last one of a training that ended before; NaN where it did not come yet."""
        row = epoch - self.first
        if row >= len(self.values) and self.over:
            row = len(self.values) - 1
        return float(self.values[row]) if 0 <= row < len(self.values) else math.nan


@dataclass(frozen=True, slots=True)
class Band:
    """A figure at every epoch over the seeds that have reached it; NaN where none has a finite value."""

    first: int
    """Number of the first epoch."""
    low: FloatArray
    high: FloatArray
    """Minimum and maximum."""
    lower: FloatArray
    upper: FloatArray
    """The quantiles ``INNER``, interpolated linearly."""
    median: FloatArray
    count: IntArray
    """Number of seeds with a finite value."""
    seeds: int
    """Number of all seeds."""


def band(courses: Sequence[SeedCurve]) -> Band:
    """The band of several seeds; values that are not finite are left out.

    So is a course that begins further from the first one than there are epochs in all: its place is forged, and memory
    for the epochs between them would be.
    """
    first, recorded = min((course.first for course in courses), default=0), sum(len(one.values) for one in courses)
    courses = [course for course in courses if course.first - first < max(recorded, 1)]
    length = max((course.first + len(course.values) for course in courses), default=0) - first
    # an epoch's seeds together: sorting neighbours is several times as fast
    values = np.full((max(length, 0), len(courses)), np.nan)
    for number, course in enumerate(courses):
        start = course.first - first
        values[start : start + len(course.values), number] = course.values
    values[np.isinf(values)] = np.nan
    values.sort(axis=1)  # NaN comes last
    count: IntArray = np.isfinite(values).sum(axis=1)
    rows = np.arange(len(values))

    def quantile(share: float) -> FloatArray:
        at = share * np.maximum(count - 1, 0)
        below = at.astype(np.int64)
        above = np.minimum(below + 1, np.maximum(count - 1, 0))
        part = at - below
        found: FloatArray = values[rows, below] * (1 - part) + values[rows, above] * part
        return found

    if not courses:
        return Band(first, *(np.empty(0),) * 5, count, 0)
    low, lower, median, upper, high = (quantile(share) for share in (0.0, INNER[0], 0.5, INNER[1], 1.0))
    return Band(first, low, high, lower, upper, median, count, len(courses))


class Spread(NamedTuple):
    """A figure over the seeds of one run at one epoch."""

    low: float
    high: float
    seeds: int
    """Number of seeds with a finite value there."""
    all: int
    """Number of all seeds; the others have diverged, ended before, or not come there yet."""


def spread_at(found: Band, epoch: int) -> Spread | None:
    """The band at an epoch; None where there is none."""
    row = epoch - found.first
    if not 0 <= row < len(found.count) or not found.count[row]:
        return None
    return Spread(float(found.low[row]), float(found.high[row]), int(found.count[row]), found.seeds)


@dataclass(frozen=True, slots=True)
class Difference:
    """What seeds say about the difference of a figure between two runs."""

    paired: Interval
    """Of the differences, one for each seed that both runs have."""
    overlap: bool
    """The ranges of both runs overlap."""

    @property
    def distinguishable(self) -> bool:
        """The interval does not contain 0."""
        return self.paired.low > 0 or self.paired.high < 0


def apart_since(one: Band, other: Band) -> int | None:
    """The epoch from which on the ranges of two runs do not overlap any more; None if they do at the last common one.

    An epoch where a run has fewer than two seeds tells nothing, and counts as one where they overlap.
    """
    first = max(one.first, other.first)
    length = min(band.first + len(band.count) for band in (one, other)) - first
    if length < 1:
        return None
    here, there = (slice(first - band.first, first - band.first + length) for band in (one, other))
    overlap = (one.low[here] <= other.high[there]) & (other.low[there] <= one.high[here])
    overlap |= (one.count[here] < 2) | (other.count[there] < 2)
    found = np.flatnonzero(overlap)
    last = int(found[-1]) if len(found) else -1
    return None if last == length - 1 else first + last + 1


def difference(one: Mapping[int, float], other: Mapping[int, float]) -> Difference | None:
    """The first run minus the second, paired by seed; None with fewer than two pairs of finite values."""
    pairs = [(one[seed], other[seed]) for seed in sorted(one.keys() & other.keys())]
    pairs = [pair for pair in pairs if all(map(math.isfinite, pair))]
    if len(pairs) < 2:
        return None
    here, there = ([pair[side] for pair in pairs] for side in (0, 1))
    overlap = min(here) <= max(there) and min(there) <= max(here)
    return Difference(interval([left - right for left, right in pairs]), overlap)

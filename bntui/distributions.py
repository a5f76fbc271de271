"""Computes what a keyframe says of the values of one quantity: mean, deviation, percentiles, histogram, and norms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.keyframe import HISTOGRAM_BINS, STATISTICS, UNIT_STATISTICS, CountArray, Distribution

Values = NDArray[np.float32]

UNMEASURED: Final = Distribution(
    mean=math.nan, std=math.nan, p15=math.nan, p50=math.nan, p85=math.nan, min=math.inf, max=-math.inf,
    counts=np.zeros(HISTOGRAM_BINS, np.int32),
)  # fmt: skip
"""What is known of no values."""

_SHARES = (0.15, 0.50, 0.85)
_EDGES = range(HISTOGRAM_BINS + 1)
_MOST = np.float32(math.inf)
_TOGETHER = 100_000
"""Values that are measured together: as many as stay in a core's cache."""


def norm(values: NDArray[Any]) -> float:
    """Euclidean norm, accumulated in float64."""
    # not a dot product, for which BLAS would start its threads: that costs more than the sum
    return float(np.sqrt(np.square(values, dtype=np.float64).sum()))


def distribution(values: Values) -> Distribution:
    """Mean, population standard deviation, percentiles, extremes and histogram of all values together."""
    return distributions([values])[0]


def distributions(arrays: Sequence[Values]) -> list[Distribution]:
    """The distribution of each array.

    Small arrays are measured together, because the calls cost more than the figures.  One sort, of the single-precision
    values, serves the percentiles (by linear interpolation), the extremes and the histogram (by a binary search for the
    bin edges).
    """
    found: list[Distribution] = []
    first = total = 0
    for at, values in enumerate(arrays):
        if at > first and total + values.size > _TOGETHER:
            found += _together(arrays[first:at])
            first, total = at, 0
        total += values.size
    return [*found, *_together(arrays[first:])] if arrays else []


def _together(arrays: Sequence[Values]) -> list[Distribution]:
    """The distribution of each array; the bin edges of all are computed at once."""
    ordered = [np.sort(values, axis=None) for values in arrays]  # NaN sorts last
    found = [
        (*_moments(values), *_percentiles(of), math.nan if math.isnan(of.item(-1)) else of.item(0), of.item(-1))
        for values, of in zip(arrays, ordered, strict=True)
    ]
    if not all(math.isfinite(figures[-2]) and math.isfinite(figures[-1]) for figures in found):
        ordered = [values[np.isfinite(values)] for values in ordered]
    return [
        Distribution(**dict(zip(STATISTICS, figures, strict=True)), counts=counts)
        for figures, counts in zip(found, _counts(ordered), strict=True)
    ]


def _moments(values: Values) -> tuple[float, float]:
    """Mean and population standard deviation."""
    wide = values.ravel().astype(np.float64)
    mean = np.add.reduce(wide) / wide.size
    wide -= mean
    wide *= wide
    return float(mean), math.sqrt(np.add.reduce(wide) / wide.size)


def unit_percentiles(values: Values) -> dict[str, float]:
    """15th, 50th and 85th percentile of one unit's values, by field name; NaN unless all values are finite."""
    return dict(zip(UNIT_STATISTICS, _percentiles(np.sort(values, axis=None)), strict=True))


def percentiles_of_many(values: Values) -> list[float]:
    """15th, 50th and 85th percentile of many finite values, by selection, which takes half the time of a sort."""
    flat = values.flatten()
    places = [share * (flat.size - 1) for share in _SHARES]
    lower, middle, upper = map(int, places)

    def pair(part: Values, at: int) -> tuple[float, float]:
        """The values that would be at this place and the next one if they were sorted."""
        part.partition(at)
        return float(part[at]), float(part[at + 1 :].min())

    of_middle = pair(flat, middle)
    pairs = (pair(flat[:middle], lower), of_middle, pair(flat[middle + 1 :], upper - middle - 1))
    return [low + (place - int(place)) * (high - low) for place, (low, high) in zip(places, pairs, strict=True)]


def _percentiles(ordered: Values) -> list[float]:
    """15th, 50th and 85th percentile of sorted values, by linear interpolation; NaN unless all values are finite."""
    last = ordered.size - 1
    if not (math.isfinite(ordered.item(0)) and math.isfinite(ordered.item(last))):
        return [math.nan] * len(_SHARES)
    found = []
    for place in (share * last for share in _SHARES):
        below = int(place)
        low, high = ordered.item(below), ordered.item(min(below + 1, last))
        found.append(low + (place - below) * (high - low))
    return found


def _counts(ordered: Sequence[Values]) -> list[CountArray]:
    """The histograms of arrays of finite values, which are sorted."""
    ends = [(values.item(0), values.item(-1)) if values.size else (0.0, 0.0) for values in ordered]
    steps = [(low, (high - low) / HISTOGRAM_BINS) for low, high in ends]
    edges = np.array([[low + at * step for at in _EDGES] for low, step in steps])
    single = edges.astype(np.float32)  # a value is below an edge just if it is below the next float32 from there on
    single = np.where(single < edges, np.nextafter(single, _MOST), single)
    found = []
    for values, of_values in zip(ordered, single, strict=True):
        places = values.searchsorted(of_values)
        places[-1] = values.size  # the last bin is closed
        counts: CountArray = (places[1:] - places[:-1]).astype(np.int32)
        found.append(counts)
    return found


def dead_share(output: Values, axis: int) -> float:
    """Share of units, along ``axis``, that give 0 for every sample (and pixel or time step) of the batch."""
    others = tuple(number for number in range(output.ndim) if number != axis % output.ndim)
    return float((output == 0).all(axis=others).mean())


def share_outside(output: Values, low: float, high: float) -> float:
    """Share of values below ``low`` or above ``high``."""
    return float(((output < low) | (output > high)).mean())

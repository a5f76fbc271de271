"""Computes what a keyframe says of the values of one quantity: mean, deviation, percentiles, histogram, and norms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.keyframe import HISTOGRAM_BINS, STATISTICS, UNIT_STATISTICS, Distribution
from bntui.order import ends, ordered

Values = NDArray[np.float32]

UNMEASURED: Final = Distribution(
    mean=math.nan, std=math.nan, p15=math.nan, p50=math.nan, p85=math.nan, min=math.inf, max=-math.inf,
    counts=np.zeros(HISTOGRAM_BINS, np.int32),
)  # fmt: skip
"""What is known of no values."""

_SHARES = (0.15, 0.50, 0.85)
_UNKNOWN = [math.nan] * len(_SHARES)
_INNER = np.arange(1, HISTOGRAM_BINS)
_NO_EDGES = np.array([], np.float32)
_MOST = np.float32(math.inf)
_TOGETHER = 100_000
"""Values that are measured together: as many as stay in a core's cache."""


def norm(values: NDArray[Any]) -> float:
    """Euclidean norm, accumulated in float64."""
    # not a dot product, for which BLAS would start its threads: that costs more than the sum
    return math.sqrt(np.add.reduce(np.square(values, dtype=np.float64), axis=None))


def distribution(values: Values) -> Distribution:
    """Mean, population standard deviation, percentiles, extremes and histogram of all values together."""
    return distributions([values])[0]


def distributions(arrays: Sequence[Values]) -> list[Distribution]:
    """The distribution of each array.

    Small arrays are measured together, because the calls cost more than the figures.  One order of the single-precision
    values serves the percentiles (by linear interpolation), the extremes and the histogram (by a search for the bin
    edges).
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
    """The distribution of each array; what takes longer to call than to compute is done for all at once."""
    outermost = [ends(values) for values in arrays]
    finite = [math.isfinite(low) and math.isfinite(high) for low, high in outermost]
    binned, spans = list(arrays), list(outermost)
    for at, whole in enumerate(finite):
        if not whole:
            binned[at] = arrays[at][np.isfinite(arrays[at])]
            spans[at] = ends(binned[at])
    below = np.zeros((len(arrays), HISTOGRAM_BINS + 1), np.int64)
    below[:, -1] = [values.size for values in binned]  # the last bin is closed
    found = []
    for at, edges in enumerate(_edges(spans)):
        places, shares = _places(binned[at].size)
        neighbours, below[at, 1:-1] = ordered(binned[at], spans[at], places, edges)
        percentiles = _interpolated(neighbours, shares) if finite[at] else _UNKNOWN
        found.append((*_moments(arrays[at]), *percentiles, *outermost[at]))
    counts = (below[:, 1:] - below[:, :-1]).astype(np.int32)
    return [
        Distribution(**dict(zip(STATISTICS, figures, strict=True)), counts=row)
        for figures, row in zip(found, counts, strict=True)
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
    return dict(zip(UNIT_STATISTICS, percentiles(values), strict=True))


def percentiles(values: Values) -> list[float]:
    """15th, 50th and 85th percentile, by linear interpolation; NaN unless all values are finite."""
    span = ends(values)
    if not all(map(math.isfinite, span)):
        return _UNKNOWN
    places, shares = _places(values.size)
    return _interpolated(ordered(values, span, places, _NO_EDGES)[0], shares)


@lru_cache(64)
def _places(size: int) -> tuple[NDArray[np.int64], list[float]]:
    """Places of two neighbours for each percentile, and how far it lies from the first to the second one."""
    if not size:
        return np.array([], np.int64), []
    last = size - 1
    exact = [share * last for share in _SHARES]
    neighbours = [at for place in exact for at in (int(place), min(int(place) + 1, last))]
    return np.array(neighbours), [place - int(place) for place in exact]


def _interpolated(found: Sequence[float], shares: Sequence[float]) -> list[float]:
    return [low + share * (high - low) for share, low, high in zip(shares, found[::2], found[1::2], strict=True)]


def _edges(spans: Sequence[tuple[float, float]]) -> Values:
    """The edges of the bins between the smallest and the largest value of each array, but these two."""
    low, high = np.array(spans).T[:, :, np.newaxis]
    edges = low + _INNER * ((high - low) / HISTOGRAM_BINS)
    single = edges.astype(np.float32)  # a value is below an edge just if it is below the next float32 from there on
    next_single: Values = np.where(single < edges, np.nextafter(single, _MOST), single)
    return next_single

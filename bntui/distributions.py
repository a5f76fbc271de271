"""Computes what a keyframe says of the values of one quantity: mean, deviation, percentiles, histogram, and norms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.keyframe import HISTOGRAM_BINS, STATISTICS, UNIT_STATISTICS, CountArray, Distribution
from bntui.order import Order, order_of

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
    """The distribution of each array; the bin edges of all are computed at once."""
    orders = [order_of(values) for values in arrays]
    found = []
    for values, order in zip(arrays, orders, strict=True):
        low, high = order.ends
        found.append((*_moments(values), *_percentiles(order), math.nan if math.isnan(high) else low, high))
    if not all(math.isfinite(figures[-2]) and math.isfinite(figures[-1]) for figures in found):
        orders = [order_of(values[np.isfinite(values)]) for values in arrays]
    return [
        Distribution(**dict(zip(STATISTICS, figures, strict=True)), counts=counts)
        for figures, counts in zip(found, _counts(orders), strict=True)
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
    return _percentiles(order_of(values))


def _percentiles(order: Order) -> list[float]:
    if not all(map(math.isfinite, order.ends)):
        return [math.nan] * len(_SHARES)
    last = order.size - 1
    places = [share * last for share in _SHARES]
    pairs = order.at(at for place in places for at in (int(place), min(int(place) + 1, last)))
    return [
        low + (place - int(place)) * (high - low)
        for place, low, high in zip(places, pairs[::2], pairs[1::2], strict=True)
    ]


def _counts(orders: Sequence[Order]) -> list[CountArray]:
    """The histograms of arrays of finite values."""
    steps = [(low, (high - low) / HISTOGRAM_BINS) for low, high in (order.ends for order in orders)]
    edges = np.array([[low + at * step for at in _EDGES] for low, step in steps])
    single = edges.astype(np.float32)  # a value is below an edge just if it is below the next float32 from there on
    single = np.where(single < edges, np.nextafter(single, _MOST), single)
    found = []
    for order, of_values in zip(orders, single, strict=True):
        places = order.below(of_values)
        places[-1] = order.size  # the last bin is closed
        counts: CountArray = (places[1:] - places[:-1]).astype(np.int32)
        found.append(counts)
    return found

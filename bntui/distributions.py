"""Computes what a keyframe says of the values of one quantity: mean, deviation, percentiles, histogram, and norms."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
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
_EDGES = np.arange(HISTOGRAM_BINS + 1)
_STACKED = 100_000
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

    Arrays of the same size are stacked, because for a small layer the calls cost more than the figures.  One sort, of
    the single-precision values, serves the percentiles (by linear interpolation), the extremes and the histogram (by a
    binary search for the bin edges).
    """
    by_size: dict[int, list[int]] = {}
    for at, values in enumerate(arrays):
        by_size.setdefault(values.size, []).append(at)
    found: dict[int, Distribution] = {}
    for size, places in by_size.items():
        together = max(1, _STACKED // size)
        for first in range(0, len(places), together):
            stacked = places[first : first + together]
            found.update(zip(stacked, _stacked([arrays[at].ravel() for at in stacked]), strict=True))
    return [found[at] for at in range(len(arrays))]


def _stacked(rows: Sequence[Values]) -> Iterator[Distribution]:
    """The distribution of each of several flat arrays of the same size."""
    values = np.stack(rows)
    wide = values.astype(np.float64)
    mean = wide.mean(axis=1, keepdims=True)
    std = wide.std(axis=1, mean=mean)
    values.sort(axis=1)  # NaN sorts last
    ordered = values.astype(np.float64)
    whole = np.isfinite(ordered[:, 0]) & np.isfinite(ordered[:, -1])
    percentiles = _percentiles(ordered.T)
    percentiles[:, ~whole] = math.nan
    for row, (sound, marks) in enumerate(zip(whole.tolist(), percentiles.T.tolist(), strict=True)):
        of_row = ordered[row]
        low, high = float(of_row[0]), float(of_row[-1])
        finite = of_row if sound else of_row[np.isfinite(of_row)]
        if math.isnan(high):
            low = high
        figures = (float(mean[row, 0]), float(std[row]), *marks, low, high)
        yield Distribution(**dict(zip(STATISTICS, figures, strict=True)), counts=_counts(finite))


def unit_percentiles(values: Values) -> dict[str, float]:
    """15th, 50th and 85th percentile of one unit's values, by field name; NaN unless all values are finite."""
    ordered = np.sort(values, axis=None)
    if not (math.isfinite(ordered[0]) and math.isfinite(ordered[-1])):
        return dict.fromkeys(UNIT_STATISTICS, math.nan)
    return dict(zip(UNIT_STATISTICS, _percentiles(ordered.astype(np.float64)).tolist(), strict=True))


def _percentiles(ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    """15th, 50th and 85th percentile of values sorted along the first axis, by linear interpolation."""
    places = [share * (len(ordered) - 1) for share in _SHARES]
    below = [int(place) for place in places]
    with np.errstate(invalid="ignore"):
        low, high = ordered[below], ordered[[min(at + 1, len(ordered) - 1) for at in below]]
        shares = np.array([place - at for place, at in zip(places, below, strict=True)])
        found: NDArray[np.float64] = low + shares.reshape(-1, *(1 for _ in low.shape[1:])) * (high - low)
    return found


def _counts(ordered: NDArray[np.float64]) -> CountArray:
    if not ordered.size:
        return np.zeros(HISTOGRAM_BINS, np.int32)
    edges = ordered[0] + _EDGES * ((ordered[-1] - ordered[0]) / HISTOGRAM_BINS)
    places = ordered.searchsorted(edges, side="left")
    places[-1] = ordered.size  # the last bin is closed
    counts: CountArray = (places[1:] - places[:-1]).astype(np.int32)
    return counts


def dead_share(output: Values, axis: int) -> float:
    """Share of units, along ``axis``, that give 0 for every sample (and pixel or time step) of the batch."""
    others = tuple(number for number in range(output.ndim) if number != axis % output.ndim)
    return float((output == 0).all(axis=others).mean())


def share_outside(output: Values, low: float, high: float) -> float:
    """Share of values below ``low`` or above ``high``."""
    return float(((output < low) | (output > high)).mean())

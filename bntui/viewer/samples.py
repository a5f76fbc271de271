"""Computes figures of the samples for each feature, before and after scaling, once per data set.

Scaling is ``(x - offset) * factor``, so the scaled figures are computed from the raw ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import numpy as np

from bntui.keyframe import BoolArray, FloatArray, IntArray, SingleArray
from bntui.recording.dataset import RecordedData, RecordedScaling
from bntui.viewer.identical import Identical

Part = Literal["train", "validation"]
PARTS: Final[tuple[Part, ...]] = ("train", "validation")
BINS: Final = 64
"""Maximum number of bins of a histogram."""
_FEWEST_BINS: Final = 8
_CHUNK: Final = 8192
"""Number of samples processed at a time; a float64 copy of all would need twice their memory."""
_MOST_VALUES: Final = 1_000_000
"""Approximate number of values in a histogram of all features together; beyond it, only every n-th sample counts."""


class FeatureStatistics(NamedTuple):
    """Figures of one feature of one part, or of all its features together, in float64."""

    min: float
    max: float
    mean: float
    std: float
    """Population standard deviation (ddof = 0)."""


class _Columns(NamedTuple):
    """Figures of every feature of one part; shapes ``(features,)``."""

    min: FloatArray
    max: FloatArray
    mean: FloatArray
    std: FloatArray


class _Affine(NamedTuple):
    offset: FloatArray
    factor: FloatArray


@dataclass(frozen=True, eq=False)
class FeatureFigures:
    """The samples of a recording and their figures before scaling; compared by identity."""

    data: RecordedData
    flat: SingleArray | FloatArray
    """The samples, one row each, shape ``(N, features)``."""
    columns: dict[Part, _Columns]
    whole: BoolArray
    """Mask of the features that have only whole numbers, such as pixels; shape ``(features,)``."""

    @property
    def features(self) -> int:
        """Number of features."""
        return int(self.flat.shape[1])

    def rows(self, part: Part) -> IntArray:
        """Row numbers of a part's samples."""
        return self.data.train if part == "train" else self.data.validation

    def by_spread(self) -> list[int]:
        """Numbers of the features, sorted by standard deviation in the training part, largest first."""
        order: list[int] = np.argsort(-self.columns["train"].std, kind="stable").tolist()
        return order

    def figures(self, feature: int | None, part: Part, scaling: RecordedScaling | None = None) -> FeatureStatistics:
        """The figures of one feature, or of the values of all features if None; raw, or after a scaling."""
        offset, factor = _affine(scaling, self.features)
        columns = self.columns[part]
        if feature is not None:
            shift, by = float(offset[feature]), float(factor[feature])
            low, high, mean = ((float(column[feature]) - shift) * by for column in columns[:3])
            return FeatureStatistics(low, high, mean, float(columns.std[feature]) * by)
        lows, highs, means = ((column - offset) * factor for column in columns[:3])
        mean = float(means.mean())
        # total variance = mean of the variances + variance of the means
        variance = float(np.mean((columns.std * factor) ** 2 + (means - mean) ** 2))
        return FeatureStatistics(float(lows.min()), float(highs.max()), mean, variance**0.5)

    def histogram(
        self, feature: int | None, part: Part, axis: tuple[float, float], scaling: RecordedScaling | None = None
    ) -> IntArray:
        """Counts of one feature, or of the values of all features if None, in equal bins along an axis.

        Values beyond the axis are counted in its outer bins.  Whole numbers have a bin each if there is room; otherwise
        fewer samples have fewer bins, because many bins would look like noise.
        """
        low, high = axis
        rows = self.rows(part)
        offset, factor = _affine(scaling, self.features)
        if feature is None:
            few = rows[:: max(len(rows) * self.features // _MOST_VALUES, 1)]
            values = (self.flat[few] - offset) * factor
            whole = bool(self.whole.all())
        else:
            values = (self.flat[rows, feature] - offset[feature]) * factor[feature]
            whole = bool(self.whole[feature])
        if not (np.isfinite(high - low) and high > low):
            return np.zeros(1, np.int64)
        bins = int(high - low) + 1 if whole and scaling is None and high - low < BINS else 0
        bins = bins or int(min(max(2 * values.size**0.5, _FEWEST_BINS), BINS))
        inside = values[np.isfinite(values)].clip(low, high)
        return np.histogram(inside, bins, (low, high))[0].astype(np.int64)

    def axis(self, feature: int | None, scaling: RecordedScaling | None = None) -> tuple[float, float]:
        """The smallest and the largest value in both parts, of one feature or of all if None."""
        found = [self.figures(feature, part, scaling) for part in PARTS]
        return min(figures.min for figures in found), max(figures.max for figures in found)

    def scaled(self, row: int, scaling: RecordedScaling | None) -> FloatArray:
        """One sample, raw or scaled, shape ``(features,)``."""
        offset, factor = _affine(scaling, self.features)
        entering: FloatArray = (self.flat[row].astype(np.float64) - offset) * factor
        return entering


def samples_of(data: RecordedData) -> FeatureFigures:
    """The samples with their figures; cached for the last two data sets."""
    return _measured(Identical(data))


@lru_cache(maxsize=2)
def _measured(same: Identical[RecordedData]) -> FeatureFigures:
    data = same.value
    flat = data.x.reshape(len(data.x), -1)
    columns: dict[Part, _Columns] = {"train": _columns(flat, data.train), "validation": _columns(flat, data.validation)}
    whole = np.ones(flat.shape[1], np.bool_)
    for start in range(0, len(flat), _CHUNK):
        chunk = flat[start : start + _CHUNK]
        whole &= (chunk == np.rint(chunk)).all(0)
    return FeatureFigures(data, flat, columns, whole)


def _columns(flat: SingleArray | FloatArray, rows: IntArray) -> _Columns:
    def chunks() -> Iterator[FloatArray]:
        for start in range(0, len(rows), _CHUNK):
            yield flat[rows[start : start + _CHUNK]].astype(np.float64)

    if not len(rows):
        nothing = np.full(flat.shape[1], np.nan)
        return _Columns(nothing, nothing, nothing, nothing)
    lows, highs, sums = zip(*((chunk.min(0), chunk.max(0), chunk.sum(0)) for chunk in chunks()), strict=True)
    mean = np.sum(sums, axis=0) / len(rows)
    squares = sum((((chunk - mean) ** 2).sum(0) for chunk in chunks()), np.zeros(flat.shape[1]))
    return _Columns(np.min(lows, axis=0), np.max(highs, axis=0), mean, np.sqrt(squares / len(rows)))


def _affine(scaling: RecordedScaling | None, features: int) -> _Affine:
    if scaling is None:
        return _Affine(np.zeros(features), np.ones(features))
    return _Affine(scaling.offset.ravel(), scaling.factor.ravel())

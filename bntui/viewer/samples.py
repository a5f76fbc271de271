"""What are the samples like, feature by feature, before scaling and after it?  Measured once for each data set.

Scaling is ``(x - offset) * factor``, so that scaled figures and histograms follow from the raw ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import numpy as np

from bntui.keyframe import BoolArray, FloatArray, IntArray, SingleArray
from bntui.recording.dataset import RecordedData, RecordedScaling

Part = Literal["train", "validation"]
PARTS: Final[tuple[Part, ...]] = ("train", "validation")
BINS: Final = 64
"""Most bins of a histogram."""
_FEWEST_BINS: Final = 8
_CHUNK: Final = 8192
"""Samples measured at a time: float64 copies of all would take twice their memory."""
_MOST_VALUES: Final = 1_000_000
"""A histogram of all features together counts about so many values, of samples evenly apart."""
_KEPT_HISTOGRAMS: Final = 512


class Figures(NamedTuple):
    """One feature of one part, or all its features together, in float64."""

    min: float
    max: float
    mean: float
    std: float
    """Population standard deviation (ddof = 0)."""


class Histogram(NamedTuple):
    """Equal bins from ``low`` to ``high``, the last one closed."""

    counts: IntArray
    low: float
    high: float


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
class Samples:
    """The samples of a recording and their figures, before scaling.  Two of them are the same only if they are one."""

    data: RecordedData
    flat: SingleArray
    """The samples, one row each, shape ``(N, features)``."""
    columns: dict[Part, _Columns]
    whole: BoolArray
    """Features with whole numbers only, such as pixels."""
    _histograms: dict[tuple[int | None, Part, str], Histogram] = field(default_factory=dict)

    @property
    def features(self) -> int:
        """How many there are."""
        return int(self.flat.shape[1])

    def rows(self, part: Part) -> IntArray:
        """Row numbers of a part's samples."""
        return self.data.train if part == "train" else self.data.validation

    def by_spread(self) -> list[int]:
        """The features, those with the largest standard deviation in the training part first."""
        order: list[int] = np.argsort(-self.columns["train"].std, kind="stable").tolist()
        return order

    def figures(self, feature: int | None, part: Part, scaling: RecordedScaling | None = None) -> Figures:
        """Of one feature, or (None) of the values of all; raw, or after a scaling."""
        offset, factor = _affine(scaling, self.features)
        columns = self.columns[part]
        if feature is not None:
            shift, by = offset[feature], factor[feature]
            low, high, mean = ((float(column[feature]) - shift) * by for column in columns[:3])
            return Figures(float(low), float(high), float(mean), float(columns.std[feature] * by))
        lows, highs, means = ((column - offset) * factor for column in columns[:3])
        mean = float(means.mean())
        # the variance of all is the mean of the variances and the variance of the means
        variance = float(np.mean((columns.std * factor) ** 2 + (means - mean) ** 2))
        return Figures(float(lows.min()), float(highs.max()), mean, variance**0.5)

    def histogram(self, feature: int | None, part: Part, scaling: RecordedScaling | None = None) -> Histogram:
        """Of one feature, or (None) of the values of all; the bins lie between the part's lowest and highest value."""
        if feature is None:
            return self._kept(None, part, scaling)
        raw = self._kept(feature, part, None)
        offset, factor = _affine(scaling, self.features)
        shift, by = float(offset[feature]), float(factor[feature])
        return Histogram(raw.counts, (raw.low - shift) * by, (raw.high - shift) * by)

    def axis(self, feature: int | None, scaling: RecordedScaling | None = None) -> tuple[float, float]:
        """The lowest and the highest value of both parts; of all features, every one has room."""
        found = [self.figures(feature, part, scaling) for part in PARTS]
        return min(figures.min for figures in found), max(figures.max for figures in found)

    def scaled(self, row: int, scaling: RecordedScaling | None) -> FloatArray:
        """One sample, raw or as it enters a network, shape ``(features,)``."""
        offset, factor = _affine(scaling, self.features)
        entering: FloatArray = (self.flat[row].astype(np.float64) - offset) * factor
        return entering

    def _kept(self, feature: int | None, part: Part, scaling: RecordedScaling | None) -> Histogram:
        # a run's scaling of one kind is every run's: they are fitted on the same samples
        key = (feature, part, "none" if scaling is None else scaling.kind)
        if key not in self._histograms:
            if len(self._histograms) >= _KEPT_HISTOGRAMS:
                self._histograms.clear()
            self._histograms[key] = self._counted(feature, part, scaling)
        return self._histograms[key]

    def _counted(self, feature: int | None, part: Part, scaling: RecordedScaling | None) -> Histogram:
        rows = self.rows(part)
        low, high = self.figures(feature, part, scaling)[:2]
        if feature is not None:
            values = self.flat[rows, feature].astype(np.float64)
        else:
            offset, factor = _affine(scaling, self.features)
            few = rows[:: max(len(rows) * self.features // _MOST_VALUES, 1)]
            values = (self.flat[few] - offset) * factor
        if not values.size or not np.isfinite(high - low):
            return Histogram(np.zeros(_FEWEST_BINS, np.int64), low, high)
        room = (low, high) if high > low else (low - 0.5, low + 0.5)
        # few samples in many bins would look like noise; whole numbers have a bin each
        bins = int(min(max(2 * len(values) ** 0.5, _FEWEST_BINS), BINS))
        if scaling is None and (self.whole.all() if feature is None else self.whole[feature]) and high - low < BINS:
            bins = int(high - low) + 1
        return Histogram(np.histogram(values, bins, room)[0].astype(np.int64), low, high)


def samples_of(data: RecordedData) -> Samples:
    """The samples with their figures; measured once, as long as the same ones are asked for."""
    return _measured(_Same(data))


@dataclass(frozen=True, eq=False)
class _Same:
    """Data compared by identity: a recording's never change."""

    data: RecordedData

    def __hash__(self) -> int:
        return id(self.data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.data is other.data


@lru_cache(maxsize=2)
def _measured(same: _Same) -> Samples:
    data = same.data
    flat = data.x.reshape(len(data.x), -1)
    columns: dict[Part, _Columns] = {"train": _columns(flat, data.train), "validation": _columns(flat, data.validation)}
    whole = np.ones(flat.shape[1], np.bool_)
    for start in range(0, len(flat), _CHUNK):
        chunk = flat[start : start + _CHUNK]
        whole &= (chunk == np.rint(chunk)).all(0)
    return Samples(data, flat, columns, whole)


def _columns(flat: SingleArray, rows: IntArray) -> _Columns:
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

"""Finds order statistics: which value stands at a place once all are sorted, and how many lie below another one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
Counts = NDArray[np.int64]

MANY: Final = 12_000
"""Values from which it is faster not to sort them all."""
_BINS: Final = 2048


class Order(Protocol):
    """The order of some values."""

    size: int
    ends: tuple[float, float]
    """The first and the last value."""

    def at(self, places: Iterable[int]) -> list[float]:
        """The values that stand at these places, from 0, once all are sorted."""

    def below(self, edges: Values) -> Counts:
        """How many values lie below each of some ascending ones."""


def order_of(values: Values) -> Order:
    """The order of values in any shape; NaN comes last."""
    flat = values.ravel()
    if flat.size < MANY:
        return Sorted(flat)
    low, high = flat.min(), flat.max()
    with np.errstate(all="ignore"):
        span = high - low
        scale = np.float32(_BINS) / span
    # equal values, differences that single precision cannot hold, NaN, and infinite values
    if not (math.isfinite(span) and math.isfinite(scale)):
        return Sorted(flat)
    return Binned(flat, low, high, scale)


class Sorted:
    """The order of values that are sorted."""

    def __init__(self, values: Values) -> None:
        self._values = np.sort(values)
        self.size = values.size
        self.ends = (self._values.item(0), self._values.item(-1)) if values.size else (0.0, 0.0)

    def at(self, places: Iterable[int]) -> list[float]:
        """See :class:`Order`."""
        return [self._values.item(place) for place in places]

    def below(self, edges: Values) -> Counts:
        """See :class:`Order`."""
        return self._values.searchsorted(edges)


class Binned:
    """The order of many finite values, of which only those are sorted that share a fine bin with what is asked for.

    The number of a value's bin never falls as the value rises, whatever is rounded, so that nothing is approximated.
    """

    def __init__(self, values: Values, low: np.float32, high: np.float32, scale: np.float32) -> None:
        self._values, self._low, self._high, self._scale = values, low, high, scale
        self.ends = float(low), float(high)
        self._bins = self._bin_of(values)
        self._filled = np.bincount(self._bins, minlength=_BINS + 2)
        self._up_to = np.cumsum(self._filled)
        self.size = values.size

    def _bin_of(self, values: Values) -> NDArray[np.int32]:
        places = values - self._low
        places *= self._scale
        return places.astype(np.int32)

    def at(self, places: Iterable[int]) -> list[float]:
        """See :class:`Order`."""
        asked = list(places)
        bins = self._up_to.searchsorted(asked, side="right").tolist()
        orders = {number: self._within(number) for number in dict.fromkeys(bins)}
        before = self._up_to - self._filled
        return [orders[number].at([place - int(before[number])])[0] for place, number in zip(asked, bins, strict=True)]

    def _within(self, number: int) -> Order:
        """The order of the values in a bin, which are fewer than all: the ends of these are in different ones."""
        values = self._values[self._bins == number]
        low, high = values.min(), values.max()
        return Equal(float(low), values.size) if low == high else order_of(values)

    def below(self, edges: Values) -> Counts:
        """See :class:`Order`."""
        # an edge far outside, which has no bin, lies as near as the outermost value
        bins = self._bin_of(np.clip(edges, self._low, self._high))
        among = np.zeros(len(self._filled), np.bool_)
        among[bins] = True
        near = np.sort(self._values[among[self._bins]])
        elsewhere = np.cumsum(np.where(among, 0, self._filled))
        return elsewhere[bins] + near.searchsorted(edges)


class Equal:
    """The order of values that are all the same."""

    def __init__(self, value: float, size: int) -> None:
        self._value, self.size, self.ends = value, size, (value, value)

    def at(self, places: Iterable[int]) -> list[float]:
        """See :class:`Order`."""
        return [self._value for _ in places]

    def below(self, edges: Values) -> Counts:
        """See :class:`Order`."""
        return np.where(edges > self._value, self.size, 0)

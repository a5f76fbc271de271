"""Tests order statistics and counts below edges against a sort of all values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bntui import order
from bntui.order import MANY, ends, ordered

SIZE = MANY + 7
DRAW = np.random.default_rng(5)
CASES = {
    "normal": DRAW.normal(size=SIZE),
    "rectified": np.maximum(DRAW.normal(size=SIZE), 0),
    "whole numbers": DRAW.integers(-3, 4, SIZE),
    "one far away": np.concatenate([DRAW.normal(size=SIZE - 1), [1e30]]),
    "two far away": np.concatenate([DRAW.normal(size=SIZE - 2), [1e30, 1e37]]),
    "powers": 2.0 ** DRAW.integers(-120, 120, SIZE),
    "two values": np.where(DRAW.random(SIZE) < 0.15, -1.0, 2.0),
    "neighbours": np.float32(1) + np.spacing(np.float32(1)) * DRAW.integers(0, 3, SIZE),
    "close to zero": DRAW.normal(size=SIZE) * 1e-30,
    "far from zero": DRAW.normal(size=SIZE) + 1e6,
    "the largest": DRAW.normal(size=SIZE) * 1e37,
    "equal": np.full(SIZE, 2.5),
    "further apart than the largest": np.array([-3e38, 3e38]).repeat(SIZE),
    "subnormal": DRAW.integers(0, 100, SIZE) * 1e-45,
    "many": DRAW.normal(size=100 * SIZE),
}


def check(values: NDArray[np.float32], places: list[int], edges: NDArray[np.float32]) -> None:
    whole = np.sort(values, axis=None)
    assert ends(values) == (whole[0], whole[-1])
    found, below = ordered(values, ends(values), np.array(places), edges)
    assert found == whole[places].tolist()
    assert below.tolist() == [int((values < edge).sum()) for edge in edges]


@pytest.mark.parametrize("name", CASES)
def test_many_values_have_the_order_that_sorting_gives(name: str) -> None:
    values = CASES[name].astype(np.float32)
    size = values.size
    places = [0, 1, size // 7, size // 2, size - 2, size - 1, *DRAW.integers(0, size, 20).tolist()]
    with np.errstate(all="ignore"):
        even = np.linspace(values.min(), values.max(), 33, dtype=np.float32)
    outside = np.array([-np.inf, np.inf, -3e38, 3e38], np.float32)
    check(values.reshape(-1, 1), places, np.concatenate([DRAW.choice(values, 20), even[np.isfinite(even)], outside]))


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1), st.floats(-30, 30), st.sampled_from([1.0, 1e-3, 1e-7]), st.sampled_from([1, 40, SIZE])
)
def test_so_have_values_of_any_size(seed: int, exponent: float, spread: float, size: int) -> None:
    draw = np.random.default_rng(seed)
    values = ((1 + spread * draw.standard_t(1.5, size)) * 10**exponent).astype(np.float32)
    check(values, draw.integers(0, size, 9).tolist(), draw.choice(values, 31))


def test_few_of_many_values_are_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    sort, sizes = order._sorted, []

    def counted(
        values: NDArray[np.float32], places: order.Counts, edges: NDArray[np.float32]
    ) -> tuple[list[float], order.Counts]:
        sizes.append(values.size)
        return sort(values, places, edges)

    monkeypatch.setattr(order, "_sorted", counted)
    values = CASES["many"].astype(np.float32)
    check(values, [5, SIZE], np.linspace(-3, 3, 31, dtype=np.float32))
    assert sum(sizes) < values.size / 20


def test_infinite_values_are_ordered_and_nan_is_told() -> None:
    values = CASES["normal"].astype(np.float32)
    values[[3, 4]] = np.inf, -np.inf
    check(values, [0, 1, SIZE - 1], np.array([-np.inf, 0, np.inf], np.float32))
    values[SIZE // 3] = np.nan
    assert all(map(np.isnan, ends(values)))
    assert ends(values[:0]) == (0.0, 0.0)

"""Tests order statistics and counts below edges against a sort of all values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bntui.order import MANY, Binned, Sorted, order_of

SIZE = MANY + 7
DRAW = np.random.default_rng(5)
CASES = {
    "normal": DRAW.normal(size=SIZE),
    "rectified": np.maximum(DRAW.normal(size=SIZE), 0),
    "whole numbers": DRAW.integers(-3, 4, SIZE),
    "one far away": np.concatenate([DRAW.normal(size=SIZE - 1), [1e30]]),
    "powers": 2.0 ** DRAW.integers(-120, 120, SIZE),
    "two values": np.where(DRAW.random(SIZE) < 0.15, -1.0, 2.0),
    "neighbours": np.float32(1) + np.spacing(np.float32(1)) * DRAW.integers(0, 3, SIZE),
    "close to zero": DRAW.normal(size=SIZE) * 1e-30,
    "far from zero": DRAW.normal(size=SIZE) + 1e6,
    "the largest": DRAW.normal(size=SIZE) * 1e37,
}


@pytest.mark.parametrize("name", CASES)
def test_many_values_have_the_order_that_sorting_gives(name: str) -> None:
    values = CASES[name].astype(np.float32)
    found, ordered = order_of(values.reshape(-1, 1)), np.sort(values)
    assert isinstance(found, Binned)
    places = [0, 1, SIZE // 7, SIZE // 2, SIZE - 2, SIZE - 1, *DRAW.integers(0, SIZE, 20).tolist()]
    assert found.at(places) == ordered[places].tolist()
    assert found.ends == (ordered[0], ordered[-1])
    edges = np.sort(
        np.concatenate([DRAW.choice(values, 20), np.linspace(ordered[0], ordered[-1], 33, dtype=np.float32)])
    )
    assert found.below(edges).tolist() == ordered.searchsorted(edges).tolist()
    assert found.below(np.array([-np.inf, np.inf], np.float32)).tolist() == [0, SIZE]


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(-30, 30), st.sampled_from([1.0, 1e-3, 1e-7]))
def test_so_have_values_of_any_size(seed: int, exponent: float, spread: float) -> None:
    draw = np.random.default_rng(seed)
    values = ((1 + spread * draw.standard_t(1.5, SIZE)) * 10**exponent).astype(np.float32)
    found, ordered = order_of(values), np.sort(values)
    places = draw.integers(0, SIZE, 9).tolist()
    assert found.at(places) == ordered[places].tolist()
    edges = np.sort(draw.choice(values, 31))
    assert found.below(edges).tolist() == ordered.searchsorted(edges).tolist()


@pytest.mark.parametrize("spoiled", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_sorted(spoiled: float) -> None:
    values = DRAW.normal(size=SIZE).astype(np.float32)
    values[SIZE // 3] = spoiled
    assert isinstance(order_of(values), Sorted)
    assert isinstance(order_of(np.full(SIZE, 2.5, np.float32)), Sorted)
    assert isinstance(order_of(np.array([-3e38, 3e38], np.float32).repeat(SIZE)), Sorted)

"""Tests that formatted numbers fit their columns and keep their value."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.text.figures import MINUS, brief, count, epoch, equals, magnitude, number, percent, whole

FLOATS = st.floats(allow_nan=True, allow_infinity=True)


def read(text: str) -> float:
    """A number as it was written."""
    return float(text.strip().replace(MINUS, "-").replace("∞", "inf").replace("NaN", "nan").replace(",", ""))


@given(FLOATS, st.integers(6, 12), st.integers(0, 6))
def test_a_number_fills_its_column_and_is_right_within_its_digits(x: float, width: int, decimals: int) -> None:
    text = number(x, width, decimals)
    assert len(text) == width
    written = read(text)
    if not math.isfinite(x):
        assert written == x or math.isnan(x)
    elif 1e-9 < abs(x) < 9e307:  # at least one digit is right: half a unit of the first
        assert written == pytest.approx(x, rel=0.5)
    else:
        assert abs(written) < 1e-8


@given(FLOATS, st.integers(1, 6))
def test_a_brief_number_is_short_and_right(x: float, decimals: int) -> None:
    text = brief(x, decimals)
    assert len(text) <= max(decimals + 4, 8)
    assert text.isascii() or math.isinf(x)
    if 1e-9 < abs(x) < 9e307:
        assert read(text) == pytest.approx(x, rel=0.5)


@given(FLOATS)
def test_fixed_columns_hold(x: float) -> None:
    assert len(magnitude(x)) == 7
    assert len(epoch(abs(x))) <= 11
    assert len(percent(x)) == 7 or not math.isfinite(100 * x) or abs(x) > 1e98


@given(st.integers(-(2**63), 2**63))
def test_whole_numbers_are_short_and_right(n: int) -> None:
    assert len(count(n)) <= 14
    assert len(whole(n)) <= 11
    assert read(count(n)) == pytest.approx(n, rel=0.01)
    assert read(whole(n)) == pytest.approx(n, rel=0.01)


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (0.975, "0.9750"), (9.27e18, "9.27e18"), (-1e16, "-1.00e16"), (1.5e-7, "1.50e-7"), (0.0, "0.0000"),
        (123456.0, "123456.0"),
    ],
)  # fmt: skip
def test_brief_numbers(x: float, text: str) -> None:
    assert brief(x) == text


# a last digit below the smallest float cannot be added to anything
@given(st.floats(-1e4, 1e4).filter(lambda value: not 0 < abs(value) < 1e-290), st.floats(-3, 3))
def test_the_sign_says_equal_within_the_last_printed_digit(value: float, units: float) -> None:
    words = number(value, 9)
    last = 10.0 ** int(Decimal(words.strip().replace(MINUS, "-")).as_tuple().exponent)
    if abs(abs(units) - 1) > 1e-3:
        assert equals(words, read(words) + units * last) == ("=" if abs(units) < 1 else "≈")
    assert equals(words, math.inf) == "="

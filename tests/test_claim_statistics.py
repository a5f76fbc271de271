"""Tests the statistics of claims against SciPy, and their verdicts on samples whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bntui.insight.statistics import interval, judge, sign_test, t_probability, t_quantile

VALUES = st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=30)


@pytest.mark.parametrize("freedom", [1, 2, 3, 5, 9, 19, 99, 999])
@pytest.mark.parametrize("probability", [0.5, 0.6, 0.9, 0.975, 0.995, 0.99995])
def test_quantiles_of_t_are_scipys(freedom: int, probability: float) -> None:
    expected = stats.t.ppf(probability, freedom)
    assert t_quantile(probability, freedom) == pytest.approx(expected, rel=1e-10, abs=1e-10)


@given(st.floats(0, 100), st.integers(1, 200))
def test_probabilities_of_t_are_scipys(value: float, freedom: int) -> None:
    assert t_probability(value, freedom) == pytest.approx(stats.t.cdf(value, freedom), abs=1e-12)


@given(VALUES, st.sampled_from([0.8, 0.95, 0.99]))
def test_an_interval_is_scipys(values: list[float], level: float) -> None:
    found = interval(values, level)
    error = stats.sem(values)
    assert found.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-6)
    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * error
    assert found.half == pytest.approx(half, rel=1e-6, abs=1e-6)


def test_an_interval_leaves_out_what_is_not_finite_and_needs_two_values() -> None:
    found = interval([1.0, 2.0, 4.0, math.nan, math.inf])
    low, high = stats.t.interval(0.95, 2, loc=7 / 3, scale=stats.sem([1, 2, 4]))
    assert found.count == 3
    assert found.low == pytest.approx(low)
    assert found.high == pytest.approx(high)
    assert math.isnan(interval([1.0]).half)
    assert math.isnan(interval([math.nan]).mean)
    assert interval([0.1] * 10).half == 0, "no rounding error where all seeds agree"


def test_an_interval_of_the_largest_numbers_is_that_of_small_ones_in_a_larger_unit() -> None:
    """Their squares are larger than any float: the fuzzer's case 18,964 of seed 71."""
    small, unit = [1.5, -1.25, 1.75], 2.0**1023
    found, expected = interval([unit * value for value in small]), interval(small)
    assert found.mean == expected.mean * unit
    assert found.half == math.inf
    tiny = interval([value * 2.0**-1060 for value in small])
    assert tiny.mean == pytest.approx(expected.mean * 2.0**-1060)
    assert tiny.half == pytest.approx(expected.half * 2.0**-1060)


@pytest.mark.parametrize(("successes", "trials"), [(0, 5), (3, 5), (5, 5), (8, 10), (9, 10), (10, 10), (15, 20)])
def test_the_sign_test_is_scipys(successes: int, trials: int) -> None:
    expected = min(2 * stats.binomtest(successes, trials, alternative="greater").pvalue, 1)
    assert sign_test(successes, trials) == pytest.approx(expected)


@given(VALUES, st.sampled_from("<>"))
def test_a_verdict_agrees_with_the_two_sided_t_test(effects: list[float], operator: str) -> None:
    if len(set(effects)) == 1 or np.std(effects) < 1e-3:
        return
    tested = stats.ttest_1samp(effects, 0)
    if abs(tested.pvalue - 0.05) < 1e-6:
        return
    verdict = judge(effects, operator).verdict
    assert (verdict == "undecided") == (tested.pvalue > 0.05)
    if verdict != "undecided":
        assert (verdict == "holds") == ((tested.statistic > 0) == (operator == ">"))


@pytest.mark.parametrize(
    ("effects", "operator", "verdict", "method"),
    [
        ([1.0, 1.1, 0.9, 1.05], ">", "holds", "t"),
        ([1.0, 1.1, 0.9, 1.05], "<", "does not hold", "t"),
        ([1.0, -1.1, 0.9, -1.05], ">", "undecided", "t"),
        ([0.0] * 4, ">=", "holds", "t"),
        ([0.0] * 4, "<=", "holds", "t"),
        ([0.0] * 4, ">", "does not hold", "t"),
        ([1.0], ">", "undecided", "t"),
        ([], ">", "undecided", "t"),
        ([-math.inf] * 3 + [-2.0] * 7, "<", "holds", "sign"),
        ([-math.inf] * 3 + [-2.0] * 7, ">", "does not hold", "sign"),
        ([math.nan] * 2 + [-2.0] * 8, "<", "undecided", "sign"),
        ([math.nan] * 1 + [-2.0] * 9, "<", "holds", "sign"),
        ([math.nan] * 10, "<", "undecided", "sign"),
    ],
)
def test_verdicts(effects: list[float], operator: str, verdict: str, method: str) -> None:
    found = judge(effects, operator)
    assert (found.verdict, found.method, found.seeds) == (verdict, method, len(effects))

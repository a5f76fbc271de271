"""Tests a keyframe's figures against NumPy and their written-out definitions."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bntui import distributions as measured
from bntui.activity import dead_fraction, saturated_fraction
from bntui.distributions import distribution, distributions, norm, unit_percentiles
from bntui.keyframe import HISTOGRAM_BINS

VALUES = arrays(
    np.float32, st.tuples(st.integers(1, 40), st.integers(1, 7)), elements=st.floats(-1e6, 1e6, width=32)
)  # fmt: skip


@given(VALUES)
def test_distribution_agrees_with_numpy(values: np.ndarray) -> None:
    found, wide = distribution(values), values.astype(np.float64)
    assert found.mean == pytest.approx(wide.mean(), rel=1e-12, abs=1e-9)
    assert found.std == pytest.approx(wide.std(), rel=1e-9, abs=1e-9)
    assert (found.p15, found.p50, found.p85) == pytest.approx(tuple(np.percentile(wide, (15, 50, 85))), rel=1e-12)
    assert (found.min, found.max) == (wide.min(), wide.max())
    assert found.counts.sum() == values.size


def test_histogram_agrees_with_numpy() -> None:
    values = np.random.default_rng(3).normal(size=(60, 100)).astype(np.float32)
    counts, _ = np.histogram(values.astype(np.float64), bins=HISTOGRAM_BINS)
    np.testing.assert_array_equal(distribution(values).counts, counts)


def test_values_that_are_not_finite_are_left_out_of_the_counts_and_shown_in_the_figures() -> None:
    values = np.array([[1.0, 2.0, np.nan, np.inf]], np.float32)
    with np.errstate(all="ignore"):
        found = distribution(values)
    assert np.isnan([found.mean, found.std, found.p50, found.max]).all()
    assert found.counts.sum() == 2
    with np.errstate(all="ignore"):
        infinite = distribution(np.array([1.0, np.inf], np.float32))
    assert (infinite.mean, infinite.min, infinite.max) == (np.inf, 1.0, np.inf)


def test_a_constant_has_all_its_values_in_the_histogram() -> None:
    found = distribution(np.full((5, 5), 0.25, np.float32))
    assert (found.std, found.counts.sum()) == (0.0, 25)


def test_dead_units_give_zero_for_every_sample_and_pixel() -> None:
    output = np.ones((3, 4, 2, 2), np.float32)
    output[:, 1] = 0
    output[0, 2] = 0  # dead for one sample only: not dead
    assert dead_fraction("relu", output, axis=1) == 0.25
    assert np.isnan(dead_fraction("sigmoid", output, axis=1))


def test_saturation_is_within_one_percent_of_the_range() -> None:
    sigmoid = np.array([0.005, 0.02, 0.5, 0.995], np.float32)
    assert saturated_fraction("sigmoid", sigmoid) == 0.5
    assert saturated_fraction("tanh", np.array([-0.99, -0.97, 0.0, 0.985], np.float32)) == 0.5
    assert np.isnan(saturated_fraction("relu", sigmoid))


def test_norm_is_euclidean_and_summed_in_float64() -> None:
    assert norm(np.array([[3.0], [4.0]], np.float32)) == 5.0
    assert norm(np.full(4, 1e30, np.float32)) == pytest.approx(2e30)  # float32 would overflow


@given(VALUES)
def test_percentiles_of_a_unit_are_numpys(values: np.ndarray) -> None:
    found = unit_percentiles(values)
    assert list(found) == ["unit_p15", "unit_p50", "unit_p85"]
    assert list(found.values()) == pytest.approx(
        list(np.percentile(values.astype(np.float64), (15, 50, 85))), rel=1e-12
    )


def test_percentiles_of_a_unit_with_a_value_that_is_not_finite_are_nan() -> None:
    for value in (np.nan, np.inf, -np.inf):
        assert np.isnan(list(unit_percentiles(np.array([1.0, value, 2.0], np.float32)).values())).all()


@given(st.lists(arrays(np.float32, (3, 4), elements=st.floats(width=32)), max_size=6), st.integers(1, 40))
def test_stacked_arrays_have_the_distributions_that_each_has_alone(values: list[np.ndarray], together: int) -> None:
    values += [values[0].T.copy(), np.ones((2, 3), np.float32), values[0][:, :1]] if values else []
    with np.errstate(all="ignore"), pytest.MonkeyPatch.context() as patch:
        alone = [distribution(one) for one in values]
        patch.setattr(measured, "_TOGETHER", together)
        found = distributions(values)
    np.testing.assert_equal([asdict(one) for one in found], [asdict(one) for one in alone])


def test_measuring_leaves_the_values_as_they_are() -> None:
    values = np.array([[3.0, 1.0, 2.0]], np.float32)
    distributions([values])
    unit_percentiles(values)
    np.testing.assert_array_equal(values, [[3.0, 1.0, 2.0]])

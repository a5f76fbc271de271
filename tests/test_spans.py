"""Tests that a chart looks the same if it is drawn from the telling points of its series only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from bntui.viewer.draw.axes import Axes, Limits, limits
from bntui.viewer.draw.charts import Series, line_chart
from bntui.viewer.draw.spans import FEW, SPAN, Spans, spans_of, telling

LONG = FEW * SPAN


def course(seed: int, points: int, *, holes: bool) -> tuple[np.ndarray, np.ndarray]:
    """Places and values of a noisy decline, with gaps and spikes."""
    draw = np.random.default_rng(seed)
    x = np.arange(points) * 0.5
    y = np.exp(-3 * x / x[-1]) * (1 + 0.2 * draw.standard_normal(points)).clip(0.1)
    y[draw.random(points) < 2e-4] *= 50
    if holes:
        y[draw.random(points) < 1e-3] = np.nan
        y[draw.random(points) < 3e-4] = np.inf
        y[draw.random(points) < 3e-4] = 0.0
        y[points // 2 : points // 2 + 300] = np.nan
    return x, y.round(draw.integers(2, 9))


@settings(max_examples=40)
@given(
    seed=some.integers(0, 10**6),
    points=some.sampled_from([LONG - 1, LONG, LONG + 37, 3 * LONG, 20_000]),
    width=some.integers(14, 160),
    share=some.tuples(some.floats(0, 0.9), some.sampled_from([1.0, 0.5, 0.1, 0.01])),
    log=some.booleans(),
    dotted=some.booleans(),
    holes=some.booleans(),
)
def test_a_chart_of_the_telling_points_is_that_of_all(
    seed: int, points: int, width: int, share: tuple[float, float], log: bool, dotted: bool, holes: bool
) -> None:
    x, y = course(seed, points, holes=holes)
    low = float(share[0] * x[-1])
    window = Limits(low, low + float(max(share[1] * x[-1], 1.0)))
    axes = Axes(window, limits([y], log), log)
    spans = spans_of(y, 0, positive=True)
    plain, lean = (Series("", x, y, "text", dotted, told) for told in (None, spans))
    assert line_chart([lean], axes, width, 12) == line_chart([plain], axes, width, 12)
    near = x[telling(x, spans, window, 1)]
    assert set(near) <= set(x)


@given(some.integers(0, 10**6), some.integers(0, 6))
def test_spans_of_parts_are_those_of_the_whole(seed: int, cut: int) -> None:
    _, y = course(seed, 7 * SPAN + 5, holes=True)
    parts = spans_of(y[: cut * SPAN], 0, positive=True).then(spans_of(y[cut * SPAN :], cut * SPAN, positive=True))
    for found, expected in zip(parts, spans_of(y, 0, positive=True), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_long_series_has_few_telling_points() -> None:
    x, y = course(1, 100_000, holes=False)
    spans = spans_of(y, 0, positive=True)
    told = telling(x, spans, Limits(0.0, float(x[-1])), 80)
    assert isinstance(told, np.ndarray)
    assert len(told) < 10_000
    assert y[told].min() == y.min()
    assert y[told].max() == y.max()


@pytest.mark.parametrize("spans", [None, Spans(np.arange(3), np.arange(3), np.ones(3, np.bool_))])
def test_all_points_of_a_short_series_are_kept(spans: Spans | None) -> None:
    assert telling(np.arange(200.0), spans, Limits(0, 200), 10) == slice(None)

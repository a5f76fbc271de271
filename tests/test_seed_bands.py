"""Tests bands over seeds: their quantiles, paired differences, patterns behind curves, and what the legend says."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bntui.insight.seed_bands import SeedCurve, apart_since, band, difference, spread_at
from bntui.keyframe import FloatArray
from bntui.recording.seeds import FIGURES, SeedCourse, SeedEnd
from bntui.viewer import family_rows, seed_bands
from bntui.viewer.draw.axes import Axes, Limits
from bntui.viewer.draw.charts import line_chart
from bntui.viewer.draw.fills import Fill, fill_dots
from bntui.viewer.draw.rows import text
from bntui.viewer.panels import compare, curves
from bntui.viewer.seed_bands import difference_of
from bntui.viewer.view import RunView, View
from tests.factory import run_view, view

COURSES = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.lists(st.one_of(st.floats(-1e6, 1e6), st.sampled_from([math.nan, math.inf])), max_size=12),
    ),
    max_size=9,
)


@given(COURSES)
@settings(max_examples=60, deadline=None)
def test_a_band_has_the_quantiles_that_numpy_gives_of_the_seeds_that_are_there(
    made: list[tuple[int, list[float]]],
) -> None:
    found = band([SeedCurve(first, np.array(values), over=False) for first, values in made])
    assert found.first == min((first for first, _values in made), default=0)
    last = max((first + len(values) for first, values in made), default=found.first)
    assert len(found.count) == last - found.first
    for row in range(len(found.count)):
        epoch = found.first + row
        values = [values[epoch - first] for first, values in made if 0 <= epoch - first < len(values)]
        finite = [value for value in values if math.isfinite(value)]
        assert found.count[row] == len(finite)
        own = [edge[row] for edge in (found.low, found.lower, found.median, found.upper, found.high)]
        if finite:
            np.testing.assert_allclose(own, np.quantile(finite, (0, 0.15, 0.5, 0.85, 1)), rtol=1e-12, atol=1e-9)
            assert spread_at(found, epoch) == (min(finite), max(finite), len(finite), len(made))
        else:
            assert np.isnan(own).all()
            assert spread_at(found, epoch) is None
    assert spread_at(found, last) is None


def test_a_course_that_is_far_from_all_others_takes_no_memory() -> None:
    """The fuzzer's case 28,306 of seed 71."""
    near, far = (
        SeedCurve(0, np.array([2.0, 1.0]), over=True),
        SeedCurve(4_503_599_627_370_498, np.array([1.0]), over=True),
    )
    for courses in ([near, far], [far, near]):
        assert band(courses).high.tolist() == [2.0, 1.0]


def test_a_difference_is_paired_by_seed_as_scipy_does() -> None:
    draw = np.random.default_rng(3)
    one, other = draw.normal(1, 1, 8), draw.normal(1.2, 1, 8)
    left, right = dict(enumerate(one.tolist())), dict(enumerate(other.tolist()))
    found = difference(left | {20: 5.0, 8: math.nan}, right | {21: 1.0, 8: 2.0})
    assert found is not None
    test = stats.ttest_rel(one, other).confidence_interval(0.95)
    assert found.paired.count == 8
    np.testing.assert_allclose([found.paired.low, found.paired.high], [test.low, test.high], rtol=1e-9)
    assert found.overlap
    assert not found.distinguishable
    apart = difference(left, {seed: value + 100 for seed, value in left.items()})
    assert apart is not None
    assert (apart.overlap, apart.distinguishable) == (False, True)
    assert difference({1: 1.0, 2: 2.0}, {2: 3.0, 4: 1.0}) is None


@pytest.mark.parametrize("seed", range(40))
def test_ranges_are_apart_from_the_epoch_after_their_last_overlap(seed: int) -> None:
    draw = np.random.default_rng(seed)

    def courses(shift: float) -> list[SeedCurve]:
        return [
            SeedCurve(int(first), draw.normal(shift * np.arange(20), 1.0)[: 20 - int(first) - int(cut)], over=True)
            for first, cut in zip(draw.integers(0, 3, 4), draw.integers(0, 3, 4), strict=True)
        ]

    one, other = courses(0.0), courses(draw.choice([0.0, 0.3]))

    def apart(epoch: int) -> bool:
        here, there = (
            [c.values[epoch - c.first] for c in both if 0 <= epoch - c.first < len(c.values)] for both in (one, other)
        )
        return min(len(here), len(there)) > 1 and (max(here) < min(there) or max(there) < min(here))

    first = max(min(course.first for course in both) for both in (one, other))
    last = min(max(course.first + len(course.values) for course in both) for both in (one, other)) - 1
    expected = next((epoch for epoch in range(first, last + 1) if all(map(apart, range(epoch, last + 1)))), None)
    assert apart_since(band(one), band(other)) == expected


def test_a_training_that_has_ended_keeps_its_last_value() -> None:
    ended, going = (SeedCurve(2, np.array([5.0, 6.0]), over=over) for over in (True, False))
    assert [ended.at(epoch) for epoch in (2, 3, 9)] == [5.0, 6.0, 6.0]
    assert math.isnan(going.at(9))
    assert math.isnan(ended.at(1))


@pytest.mark.parametrize(("kind", "counts"), [("stopped_early", 1), ("diverged", 0), ("failed", 0)])
def test_a_seed_that_diverged_or_failed_counts_no_further_than_it_came(kind: str, counts: int) -> None:
    shown = banded()
    one, other = shown.runs
    first = one.seeds[0]
    ended = replace(first, figures=first.figures[:, :2], end=SeedEnd(kind, 1.4))
    cut = replace(one, seeds=(ended, *one.seeds[1:]))
    last = one.history.epoch[-1]
    found, whole = (difference_of(run, other, "val_loss", last) for run in (cut, one))
    assert found is not None
    assert whole is not None
    assert (whole.paired.count, found.paired.count) == (8, 7 + counts)
    if not counts:
        rest = [
            run.figure("val_loss")[-1] - its.figure("val_loss")[-1]
            for run, its in zip(one.seeds[1:], other.seeds[1:], strict=True)
        ]
        rest.append(one.history.val_loss[-1] - other.history.val_loss[-1])
        assert found.paired.mean == pytest.approx(np.mean(rest))


# --- drawing ---


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("points", [2, 9, 5000])
def test_a_fill_has_dots_only_between_its_courses_and_in_every_column(points: int, log: bool) -> None:
    lines, columns, x = 20, 30, np.linspace(0, 10, points)
    low, high = 2 + np.sin(x), 6 + 2 * np.cos(x)
    axes = Axes(Limits(0, 10), Limits(0.5, 10), log)
    scale = np.log10 if log else lambda values: values
    ends = axes.height()
    places = (np.arange(2 * columns) - 0.5) / (2 * (columns - 1)) * 10
    rows = np.arange(4 * lines)
    values = ends.high - (rows - 1.5) / (4 * (lines - 1)) * (ends.high - ends.low)
    reach = (ends.high - ends.low) / (4 * (lines - 1))
    for dense, share in ((True, 0.5), (False, 0.125)):
        dots = fill_dots(Fill(x, low, high, "run0 faint", dense), axes, lines, columns)
        inside = np.zeros_like(dots)
        for column in range(len(places)):
            near = np.abs(x - places[column]) <= 10 / columns + x[1] - x[0]
            bottom, top = scale(low[near].min()) - reach, scale(high[near].max()) + reach
            inside[:, column] = (values >= bottom) & (values <= top)
        assert not dots[~inside].any()
        assert 0.6 * share <= dots.sum() / inside.sum() <= share * 1.1


def test_a_fill_leaves_out_what_is_not_finite() -> None:
    x = np.arange(11.0)
    low = np.where(x > 5, np.nan, 1.0)
    axes = Axes(Limits(0, 10), Limits(0, 10))
    alone = line_chart([], axes, 40, 12, behind=[Fill(x, low, low + 8, "run0 faint", dense=True)])
    filled = [text(row[:]) for row in alone.rows if "run0 faint" in [span.style for span in row]]
    assert len(filled) == 8
    assert all(not row[alone.column(5) + 1 :].strip(" ⠀") for row in filled)
    assert all(row[alone.column(1)].strip(" ⠀") for row in filled)
    empty = line_chart([], axes, 40, 12)
    assert line_chart([], axes, 40, 12, behind=[Fill(x, x * np.nan, x, "run0 faint", dense=True)]).rows == empty.rows


def seeds_of(run: RunView, count: int, spread: float = 0.2, epochs: int | None = None) -> tuple[SeedCourse, ...]:
    draw = np.random.default_rng(count)
    ends = run.history.epoch_end | (run.history.step == 0)
    figures: FloatArray = np.stack([getattr(run.history, name)[ends][:epochs] for name in FIGURES])
    return tuple(
        SeedCourse(seed, 0, figures * draw.uniform(1 - spread, 1 + spread), SeedEnd("finished", 1.0))
        for seed in range(1, count)
    )


def banded(count: int = 8, spread: float = 0.2) -> View:
    runs = [run_view(index, name, layers=1) for index, name in enumerate(("plain", "batch norm"))]
    return view(*(replace(run, seeds=seeds_of(run, count, spread)) for run in runs))


@pytest.mark.parametrize("size", [(20, 6), (59, 13), (80, 20), (116, 30), (131, 31)])
def test_the_panel_keeps_its_size_with_bands(size: tuple[int, int]) -> None:
    drawing = curves.draw(banded(), *size)
    assert [len(text(row)) for row in drawing.rows] == [size[0]] * size[1]


def test_the_legend_tells_the_range_over_the_seeds_and_how_far_two_runs_differ() -> None:
    shown = banded()
    words = [text(row) for row in curves.draw(shown, 116, 30).rows]
    run = shown.runs[0]
    values = [*(course.figure("val_loss")[-1] for course in run.seeds), run.history.val_loss[-1]]
    assert f"({min(values):.3f}…{max(values):.3f}, 8 seeds)" in words[0]
    assert any("distinguishable over 8 seeds (paired difference" in row for row in words)
    plain = [text(row) for row in curves.draw(replace(shown, runs=tuple(
        replace(run, seeds=()) for run in shown.runs)), 116, 30).rows]  # fmt: skip
    assert not any("seeds" in row for row in plain)


@pytest.mark.parametrize(
    ("width", "said"),
    [(48, "distinguishable over 8 seeds"), (58, ", 8 seeds)"), (80, "over 8 seeds (paired difference")],
)
def test_a_panel_of_the_main_screen_tells_whether_two_runs_differ(width: int, said: str) -> None:
    words = [text(row) for row in curves.draw(banded(), width, 10).rows]
    assert "distinguishable" in words[2]
    assert said in words[2]


def test_the_legend_tells_how_many_seeds_are_left_where_some_have_diverged() -> None:
    shown = banded()
    run = shown.runs[0]
    nan = replace(run.seeds[0], figures=np.full_like(run.seeds[0].figures, np.nan))
    changed = replace(shown, runs=(replace(run, seeds=(nan, *run.seeds[1:])), *shown.runs[1:]))
    words = [text(row) for row in curves.draw(changed, 116, 30).rows]
    assert ", 7 of 8 seeds)" in words[0]
    assert ", 8 seeds)" in words[1]


@pytest.mark.parametrize("width", [80, 116])
@pytest.mark.parametrize("count", [0, 4])
def test_values_stand_in_a_column_where_runs_have_different_ranges(width: int, count: int) -> None:
    """A run that diverged has none, and one whose seeds are still trained counts fewer."""
    shown = banded()
    run = replace(shown.runs[0], seeds=shown.runs[0].seeds[:count])
    words = [text(row) for row in curves.draw(replace(shown, runs=(run, *shown.runs[1:])), width, 30).rows[:2]]
    assert ["…" in row for row in words] == [count > 0, True]
    for field in ("training", "accuracy"):
        assert len({row.index(field) for row in words}) == 1


@pytest.mark.parametrize("height", [8, 10])
def test_a_low_panel_has_a_row_for_the_range_of_either_run(height: int) -> None:
    words = [text(row) for row in curves.draw(banded(), 48, height).rows]
    assert all(", 8 seeds)" in row for row in words[:2])
    assert len(words) == height


@pytest.mark.parametrize(("width", "range_"), [(116, "8 seeds) training"), (80, "8) training"), (62, "loss")])
def test_the_legend_keeps_training_loss_and_accuracy(width: int, range_: str) -> None:
    words = [text(row) for row in curves.draw(banded(), width, 30).rows]
    assert all("training" in row and "accuracy" in row and range_ in row for row in words[:2])


def test_comparison_and_page_of_runs_tell_where_ranges_part() -> None:
    shown = banded(spread=0.2)
    one, other = shown.runs
    far = tuple(replace(course, figures=course.figures * 9) for course in other.seeds)
    history = replace(other.history, val_loss=other.history.val_loss * 9)
    parted = replace(shown, runs=(one, replace(other, seeds=far, history=history)), pinned=1)
    first = [text(row) for row in compare.draw(replace(shown, pinned=1), 100, 30).rows]
    assert any("distinguishable over 8 seeds (paired difference" in row for row in first)
    assert any("8 seeds: ranges apart from epoch 0 on" in text(row) for row in compare.draw(parted, 100, 30).rows)
    rows = [text(row) for row in family_rows.draw(parted, 0, 0, 100, 30).rows]
    assert rows[0].split()[-1] == "seeds"
    at = rows[0].index("seeds") + len("seeds")
    assert [row[at - 2 : at] for row in rows[1:3]] == [" 8", " 8"]
    assert any("over 8 seeds" in row and "from epoch 0 on" in row for row in rows)
    assert not any("seeds" in text(row) for row in family_rows.draw(view(run_view(layers=1)), 0, 0, 100, 30).rows)


def test_a_band_is_drawn_below_the_curve_of_its_run() -> None:
    shown = banded(spread=0.9)
    styles = {span.style for row in curves.draw(shown, 116, 30).rows for span in row}
    assert {"run0 faint", "bold run0", "bold run1"} <= styles


def test_a_band_of_100_000_epochs_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    short = run_view(layers=1)
    count = 100_000
    whole = {
        name: np.resize(getattr(short.history, name), count)
        for name in (*FIGURES, "ids", "step", "epoch", "has_frame", "epoch_end", "wall_time")
    }
    epochs = np.arange(float(count))
    whole |= {"epoch": epochs, "step": epochs.astype(np.int64), "epoch_end": epochs > 0}
    history = replace(short.history, **whole)
    run = replace(short, history=history)
    run = replace(run, seeds=seeds_of(run, 8))
    started = time.process_time()
    first = seed_bands.band_of(run, "val_loss")
    cost = time.process_time() - started
    monkeypatch.setattr(seed_bands, "band", None)
    started = time.process_time()
    for _ in range(100):
        assert seed_bands.band_of(replace(run, row=3), "val_loss") is first
    assert time.process_time() - started < cost

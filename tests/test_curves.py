"""Tests figures, charts, and the curves panel: widths, limits, ticks, down-sampling, the cursor's column."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from bntui.recording.history import Event, Unit, counted
from bntui.text import figures
from bntui.viewer import epochs, opening
from bntui.viewer.app import LabApp
from bntui.viewer.draw.axes import Axes, Limits, limits, tick_label, ticks
from bntui.viewer.draw.charts import Chart, Series, is_blank, line_chart, put
from bntui.viewer.draw.rows import Drawing, Span, text, width
from bntui.viewer.marks import RUN_MARKS
from bntui.viewer.panels import curves, curves_legend
from bntui.viewer.screens.lab import LabScreen
from bntui.viewer.view import RunView, View
from bntui.viewer.widgets import RowsWidget
from tests.factory import run_view as build_run
from tests.factory import view
from tests.fakes import FakeReader, until


@cache
def run_view(index: int = 0, name: str = "plain", **made_of: Any) -> RunView:
    """One small layer, built once: the factory measures every keyframe."""
    return build_run(index, name, layers=1, **made_of)


def nan_at_once() -> RunView:
    """A run that has nothing but a NaN frame."""
    run, nan = run_view(1, "other", keyframes=1), np.array([np.nan])
    nothing = {"train_loss": nan, "val_loss": nan, "train_accuracy": nan, "val_accuracy": nan, "best": nan}
    return replace(run, history=replace(run.history, **nothing))


SIZES = [(20, 6), (20, 60), (33, 7), (59, 13), (80, 20), (99, 14), (100, 6), (27, 11), (131, 31), (200, 60)]


def lines(drawing: Drawing) -> list[str]:
    return [text(row) for row in drawing.rows]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, " 0.000"), (-0.0, " 0.000"), (2.31, " 2.310"), (-0.5, "−0.500"), (9.9996, "10.000"), (99.9996, "100.00"),
        (123.4, "123.40"), (-123.4, "−123.4"), (2.1e-6, "2.1e−6"), (-2.1e-6, " −2e−6"), (5e-4, "5.0e−4"),
        (1e6, " 1.0e6"), (1e12, "1.0e12"), (-1e-300, " 0.000"), (math.nan, "   NaN"), (math.inf, "     ∞"),
        (-math.inf, "    −∞"),
    ],
)  # fmt: skip
def test_number(value: float, written: str) -> None:
    assert figures.number(value) == written


@given(st.floats(), st.integers(6, 12))
def test_figures_never_change_their_width(value: float, cells: int) -> None:
    assert len(figures.number(value, cells)) == cells
    assert len(figures.magnitude(value)) == 7
    if not math.isfinite(value) or abs(value) < 1e6:
        assert len(figures.percent(value)) == 7


@given(st.floats(-9999, 9999))
def test_a_number_reads_back_as_what_it_was(value: float) -> None:
    read = float(figures.number(value).replace("−", "-"))
    assert read == pytest.approx(value, rel=0.26, abs=1e-12)  # −1.5e−5 has room for one digit in six cells
    assert read == pytest.approx(value, rel=0.01, abs=0.5)


@given(st.floats(1e-3, 99_999))
def test_everyday_magnitudes_have_no_exponent(value: float) -> None:
    for signed in (value, -value):
        written = figures.magnitude(signed)
        assert "e" not in written
        near = 0.006 if signed > 0 else 0.06
        assert float(written.replace("−", "-")) == pytest.approx(signed, rel=near)


@given(st.floats(1e-3, 999))
def test_magnitudes_have_three_digits_also_after_rounding(value: float) -> None:
    written = figures.magnitude(value).strip()
    assert len(written.replace(".", "").lstrip("0")) == 3
    assert float(written) == float(f"{value:.2e}")


def test_percent_magnitude_count_epoch() -> None:
    assert [figures.percent(x) for x in (0.796, 0, 1, -0.0001, math.nan, 12.0)] == [
        " 79.6 %", "  0.0 %", "100.0 %", "  0.0 %", "  NaN %", " 1200 %",
    ]  # fmt: skip
    assert figures.magnitude(2.1e-6) == " 2.1e−6"
    assert figures.magnitude(-2.1e-6) == "−2.1e−6"
    assert figures.magnitude(-2.1e-16) == " −2e−16"
    assert figures.magnitude(3e120) == "3.0e120"
    assert figures.magnitude(-3e-120) == "−3e−120"
    everyday = (0.97, 0.0311, 0.00104, 1, 43.21, 970.4, 12345.6, -0.5, -0.00512, 0)
    assert [figures.magnitude(x).strip() for x in everyday] == [
        "0.970", "0.0311", "0.00104", "1.00", "43.2", "970", "12346", "−0.500", "−0.0051", "0",
    ]  # fmt: skip
    assert figures.count(1437) == "1,437"
    assert [figures.epoch(x) for x in (0, 12.0, 12.0416, 11.999, 11.9999999999)] == ["0", "12", "12.04", "11.99", "12"]
    assert [figures.epoch(x) for x in (1 + 2 / 3, 1 / 3, 0.5, 2.995, 0.999)] == ["1.67", "0.33", "0.50", "2.99", "0.99"]


@given(st.lists(st.floats(1e-9, 1e9), min_size=1), st.booleans())
def test_limits_hold_all_values_and_are_round(values: list[float], log: bool) -> None:
    low, high = limits([np.array(values)], log)
    assert low < high
    assert low <= min(values) * (1 + 1e-9)
    assert high >= max(values) * (1 - 1e-9)
    if log:
        assert f"{low:.3e}"[0] in "125"
        assert f"{high:.3e}"[1:5] == ".000"


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30), st.booleans())
def test_limits_only_widen_as_a_course_grows(values: list[float], log: bool) -> None:
    course = np.abs(values) + 1e-3 if log else np.array(values)
    before, after = limits([course[:-1]], log), limits([course], log)
    if before.low <= course[-1] <= before.high and course[:-1].min() <= course[-1] <= course[:-1].max():
        assert before == after
    if log:
        assert after.low <= before.low
        assert after.high >= before.high


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=20))
def test_tight_limits_give_the_curve_the_height_and_only_widen(values: list[float]) -> None:
    course = np.array(values)
    low, high = limits([course], True, tight=True)
    assert low <= course.min() * (1 + 1e-9)
    assert high >= course.max() * (1 - 1e-9)
    before = limits([course[:-1]], True, tight=True)
    flat = len(set(course[:-1].tolist())) <= 1  # one value has no height: what it is given is a rung above it
    assert flat or (low <= before.low and high >= before.high)
    if course.max() >= 1.05 * course.min():
        assert np.log(course.max() / course.min()) >= 0.25 * np.log(high / low)
    assert 2 <= len(ticks(Limits(low, high), True, 6)) <= 6


@given(st.floats(1e-6, 1e4), st.floats(1.001, 1e6), st.integers(2, 6), st.booleans())
def test_a_log_axis_has_two_labels_at_least(low: float, times: float, most: int, tight: bool) -> None:
    axis = limits([np.array([low, low * times])], True, tight=tight)
    labels = ticks(axis, True, most)
    assert 2 <= len(labels) <= most
    assert labels == sorted(set(labels))
    assert axis.low * (1 - 1e-8) <= labels[0] < labels[-1] <= axis.high * (1 + 1e-8)


def test_limits_without_anything_to_draw() -> None:
    nothing = np.array([np.nan, np.inf, -1.0])
    assert limits([nothing], True) == (0.1, 1.0)
    assert limits([], False) == (0.0, 1.0)
    low, high = limits([np.zeros(3)], False)
    assert low < high
    assert limits([np.array([1e-300, 1e299])], True).high < math.inf


def test_ticks_are_readable() -> None:
    assert [tick_label(t) for t in ticks(Limits(1e-4, 5.0), True, 6)] == ["1e−4", "1e−3", "0.01", "0.1", "1"]
    assert [tick_label(t) for t in ticks(Limits(0.2, 5.0), True, 6)] == ["0.2", "0.5", "1", "2", "5"]
    # a low chart of a few decades, or of little more than one, once had a single label, which says no scale
    assert [tick_label(t) for t in ticks(Limits(0.02, 10), True, 2)] == ["0.1", "10"]
    assert [tick_label(t) for t in ticks(Limits(0.2, 2), True, 2)] == ["0.5", "1"]
    assert ticks(Limits(0, 60), False, 4) == [0, 20, 40, 60]
    assert len(ticks(Limits(1e-300, 1e300), True, 5)) <= 5
    assert tick_label(2.5e-5) == "2.5e−5"
    assert tick_label(0) == "0"


def chart(
    y: list[float] | np.ndarray, *, size: tuple[int, int] = (60, 12), log: bool = False, top: float = 1.0
) -> Chart:
    values = np.asarray(y, float)
    series = Series("a", np.arange(len(values), dtype=float), values, "run1")
    axes = Axes(Limits(0, max(len(values) - 1, 1)), Limits(1e-4 if log else 0.0, top), log)
    return line_chart([series], axes, *size)


def dots(drawn: Chart, column: int) -> list[int]:
    """Rows of the canvas in which something of a series is drawn."""
    return [at for at in range(drawn.lines) if not is_blank(drawn.rows[at], column)]


def test_the_places_of_a_chart_are_where_plotext_draws() -> None:
    for values in ([0.0, 0.0, 1.0], [1.0, 0.5, 0.0], [0.25, 0.25, 0.25]):
        drawn = chart(values)
        for x, y in enumerate(values):
            assert drawn.line(y) in dots(drawn, drawn.column(x))
    drawn = chart([1.0, 1e-2, 1e-4], log=True)
    for x, y in enumerate((1.0, 1e-2, 1e-4)):
        assert drawn.line(y) in dots(drawn, drawn.column(x))


@pytest.mark.parametrize("at", [0, 1, 499, 500, 777, 999])
def test_a_spike_survives_down_sampling(at: int) -> None:
    values = np.full(1000, 0.1)
    values[at] = 0.99
    drawn = chart(values)
    assert 0 in dots(drawn, drawn.column(at))


def test_values_that_cannot_be_drawn_are_gaps() -> None:
    values = np.full(60, 0.5)
    values[20:40] = np.nan
    values[10], values[50] = np.inf, -np.inf
    drawn = chart(values)
    assert dots(drawn, drawn.column(15))
    assert not dots(drawn, drawn.column(30))
    for log in (True, False):
        assert width(chart([np.nan, np.nan], log=log).rows[0]) == 60
        assert width(chart([0.0, -1.0, 1e-9], log=log).rows[0]) == 60


def test_training_is_told_from_validation_without_color() -> None:
    x, y = np.arange(50.0), np.full(50, 0.5)
    counts = []
    for dotted in (False, True):
        drawn = line_chart([Series("", x, y, "run0", dotted)], Axes(Limits(0, 49), Limits(0, 1)), 60, 12)
        words = "".join(text(row)[drawn.left :] for row in drawn.rows[: drawn.lines])
        counts.append(sum((ord(char) - 0x2800).bit_count() for char in words if "⠀" <= char <= "⣿"))
    assert counts[0] > 3 * counts[1] > 0


def test_styles_come_back_from_colors() -> None:
    x = np.arange(10.0)
    series = [Series("", x, np.full(10, at / 14), f"run{at}") for at in range(12)]
    drawn = line_chart(series, Axes(Limits(0, 9), Limits(0, 1)), 60, 40)
    styles = {span.style for row in drawn.rows for span in row if span.text.strip()}
    assert styles == {f"run{at}" for at in range(12)} | {"muted"}


def test_every_size_down_to_one_cell() -> None:
    for size in [(1, 1), (2, 3), (6, 2), (13, 5), (14, 5), (14, 4), (200, 60)]:
        drawn = chart([0.1, 0.9, 0.4], size=size)
        assert [width(row) for row in drawn.rows] == [size[0]] * size[1]


def test_put_keeps_the_width_and_the_styles_beside_it() -> None:
    row = (Span("abc", "x"), Span("def", "y"))
    assert put(row, 2, "12", "z") == (Span("ab", "x"), Span("12", "z"), Span("ef", "y"))
    assert put(row, 0, "", "z") == row
    assert text(put(row, 5, "!", "z")) == "abcde!"


@pytest.mark.parametrize("kind", ["full", "first", "nan", "none", "six"])
@pytest.mark.parametrize("log", [True, False])
def test_the_panel_fills_every_size(kind: str, log: bool) -> None:
    runs = {
        "full": (run_view(stopped=True), run_view(1, "배치 정규화", norm=True)),
        "first": (run_view(keyframes=1),),
        "nan": (run_view(nan=True), nan_at_once()),
        "none": (run_view(keyframes=0),),
        "six": tuple(run_view(i, f"run {i}", keyframes=3 * i) for i in range(6)),
    }[kind]
    for cells, height in SIZES:
        drawing = curves.draw(view(*runs, log_axis=log), cells, height)
        assert [width(row) for row in drawing.rows] == [cells] * height


@pytest.mark.parametrize("size", SIZES)
def test_the_legend_has_the_values_at_the_cursor(size: tuple[int, int]) -> None:
    runs = run_view(), run_view(1, "batch norm", norm=True)
    words = "\n".join(lines(curves.draw(view(*runs), *size)))
    for run in runs:
        assert run.mark in words
        assert figures.number(run.history.val_loss[run.row]) in words


def test_the_cursor_is_a_line_in_its_column() -> None:
    drawn = {}
    for row in (3, 9):
        run = run_view(keyframes=13, row=row)
        rows = lines(curves.draw(view(run), 80, 12))
        axis = rows[-2]
        assert axis.count("┼") == 1
        column = axis.index("┼")
        canvas = axis.index("└") + 1
        assert column == canvas + math.floor(row / 60 * (80 - canvas - 1) + 0.5)
        assert sum(line[column] == "│" for line in rows[1:-2]) >= 5
        drawn[row] = [line.replace("┼", "─") for line in rows[-2:]]
    assert drawn[3][1] == drawn[9][1]


def test_limits_stay_between_neighbouring_keyframes() -> None:
    def axes(keyframes: int) -> list[str]:
        rows = lines(curves.draw(view(run_view(keyframes=keyframes)), 80, 12))
        return [line[:6] for line in rows[1:]]

    assert axes(10) == axes(11)


def test_marks_of_best_epoch_and_ends() -> None:
    stopped = run_view(keyframes=30, norm=True, stopped=True)
    words = lines(curves.draw(view(stopped), 80, 12))
    best = int(np.argmin(stopped.history.val_loss))
    assert any(line[6 + math.floor(best / 60 * 73 + 0.5)] == "★" for line in words)
    assert any("●▣" in line for line in words)
    diverged = lines(curves.draw(view(run_view(nan=True)), 80, 12))
    assert any("●✕" in line for line in diverged)
    assert "   NaN" in diverged[0]


def test_accuracy_is_drawn_where_there_is_room_and_is_r2_in_regression() -> None:
    assert any(line.startswith("acc %") for line in lines(curves.draw(view(), 80, 20)))
    assert any("acc %" in line for line in lines(curves.draw(view(), 120, 10)))
    assert not any("acc %" in line for line in lines(curves.draw(view(), 80, 12)))
    regression = replace(view(), task="regression")
    words = lines(curves.draw(regression, 80, 20))
    assert any(line.startswith("R² ") for line in words)
    assert "%" not in "".join(words)


def test_a_recorded_loop_that_tells_no_accuracy_leaves_the_room_to_the_loss() -> None:
    one = run_view()
    untold = np.full(len(one.history), np.nan)
    history = replace(one.history, train_accuracy=untold, val_accuracy=untold)
    told = replace(one, info=replace(one.info, config={"watched": {}}))
    for run, drawn in ((replace(told, history=history), False), (told, True), (replace(one, history=history), True)):
        assert any("acc %" in line for line in lines(curves.draw(view(run), 80, 20))) == drawn


@pytest.mark.parametrize(
    ("lowest", "expected"), [(-50.0, -1.0), (-1.0, -1.0), (-0.3, -0.5), (0.3, 0.0), (0.9, 0.75), (0.99, 0.75)]
)
def test_the_axis_of_r2_reaches_from_minus_1_at_most_and_three_quarters_at_least(
    lowest: float, expected: float
) -> None:
    run = run_view()
    course = np.linspace(lowest, 1.0, len(run.history))
    run = replace(run, history=replace(run.history, train_accuracy=course, val_accuracy=course))
    scales = curves._Scales("loss", "R²", "epoch", Limits(0.0, 60.0), False)
    assert curves._accuracy([run], "regression", scales, 80, 12).axes.y == (expected, 1.0)


def test_no_data_says_what_fills_it() -> None:
    assert "first keyframe" in " ".join(lines(curves.draw(view(run_view(keyframes=0)), 60, 10)))


def test_drawing_is_a_pure_function() -> None:
    assert curves.draw(view(), 90, 20) == curves.draw(view(), 90, 20)
    other = replace(view(), log_axis=False)
    assert curves.draw(other, 90, 20) != curves.draw(view(), 90, 20)


def test_training_figures_within_an_epoch_are_not_drawn() -> None:
    run = run_view(keyframes=13)
    history = run.history
    within = np.arange(13) % 3 == 1
    course = np.where(within, 1e4, history.train_loss)  # would move the axis
    steps = replace(history, epoch_end=~within & (history.step > 0), train_loss=course)
    ends = replace(history, epoch_end=~within, train_loss=np.where(within, np.nan, history.train_loss))
    drawn = lines(curves.draw(view(replace(run, history=steps)), 80, 20))
    assert not any("1e4" in line or "10000" in line for line in drawn)
    gaps = lines(curves.draw(view(replace(run, history=ends)), 80, 20))
    assert [line[:6] for line in drawn[4:]] == [line[:6] for line in gaps[4:]]


def test_what_went_wrong_first_stands_at_its_own_epoch() -> None:
    run = run_view(keyframes=31)
    bad = Event(0, 240, 10.0, "first_bad", "first NaN", {"layer": "linear 1"})
    lines = [text(row) for row in curves.draw(view(replace(run, events=(bad,))), 80, 20).rows]
    plain = [text(row) for row in curves.draw(view(run), 80, 20).rows]
    columns = [line.index("!") for line in lines if "!" in line]
    assert columns
    assert not any("!" in line for line in plain)
    axis = next(line for line in lines if "└" in line)
    left, right = axis.index("└") + 1, 79  # 60 epochs
    assert abs(columns[0] - (left + (right - left) * 10 / 60)) <= 1


@pytest.mark.parametrize("size", [(158, 24), (92, 24), (76, 24)])
def test_names_in_the_legend_are_whole_where_there_is_room(size: tuple[int, int]) -> None:
    names = "patience 3", "patience 10, not restored", "a third one", "no early stopping"
    runs = tuple(run_view(at, name) for at, name in enumerate(names))
    top = "\n".join(lines(curves.draw(view(*runs), *size))[:4])
    assert all(name in top for name in names)


@pytest.mark.parametrize("wide", range(30, 160, 7))
@pytest.mark.parametrize("tags", [("", ""), (" · seed-7", " · seed-8"), (" · lr 0.2", " · lr 0.5")])
def test_names_that_are_cut_end_in_dots_and_stay_apart(wide: int, tags: tuple[str, str]) -> None:
    runs = tuple(
        run_view(at, f"{name}{tag}")
        for at, (name, tag) in enumerate(
            (name, tag) for tag in tags for name in ("정규화 없이 깊은 신경망", "a rather long name")
        )
    )
    runs = tuple(run for at, run in enumerate(runs) if run.name not in [other.name for other in runs[:at]])
    for size in range(12, 30):
        short = curves_legend.short_names(runs, size)
        assert [cell_len(name) for name in short] == [size] * len(runs)
        assert len(set(short)) == len(runs)
        for run, name in zip(runs, short, strict=True):
            assert name.rstrip() == run.name or "…" in name
    assert [width(row) for row in curves.draw(view(*runs), wide, 20).rows] == [wide] * 20


def test_a_run_that_diverged_ends_in_both_charts_where_its_loss_does() -> None:
    """Of a NaN network an accuracy is still recorded, and it is none."""
    run = run_view(keyframes=20)
    loss = np.where(np.arange(20) < 6, run.history.val_loss, np.nan)
    history = replace(run.history, val_loss=loss, val_accuracy=np.where(np.arange(20) < 6, 0.9, 0.1))
    event = Event(0, 24 * 19, 19.0, "diverged", "diverged")
    rows = lines(curves.draw(view(replace(run, history=history, events=(event,))), 80, 20))
    places = [(y, line.index("✕")) for y, line in enumerate(rows) if "✕" in line]
    assert len(places) == 2
    (_, left), (y, right) = places
    assert left == right
    axis = next(line for line in rows if "└" in line)
    start = axis.index("└") + 1
    assert left == pytest.approx(start + (79 - start) * 5 / 60 + 1, abs=1)
    scale = [at for at, line in enumerate(rows) if line.lstrip().startswith("100┤")]
    assert y - scale[0] <= 1  # near 90 %, not at 10


@given(
    st.floats(0, 1),
    st.integers(0, 12),
    st.sampled_from(["epoch", "step"]),
    st.sampled_from(SIZES),
    st.integers(1, 3000),
)
@settings(max_examples=60, deadline=None)
def test_the_window_of_time_holds_the_cursor_and_halves(
    place: float, zoom: int, unit: Unit, size: tuple[int, int], epochs_asked: int
) -> None:
    run = run_view(epochs=epochs_asked)
    run = replace(run, history=counted(run.history, unit))
    head = float(run.history.position[-1])
    shown = replace(view(run), cursor=place * head, unit=unit, time_zoom=zoom)
    whole, window = epochs.window(replace(shown, time_zoom=0)), epochs.window(shown)
    assert whole.low == 0
    assert head <= whole.high <= max(run.end, head, 1.0)
    assert window.high - window.low == pytest.approx(whole.high / 2**zoom)
    slack = 1e-9 * whole.high
    assert window.low - slack <= shown.cursor <= window.high + slack
    assert whole.low - slack <= window.low
    assert window.high <= whole.high + slack
    drawn = curves.draw(shown, *size).rows
    assert [width(row) for row in drawn] == [size[0]] * size[1]


def test_a_long_run_begins_on_a_short_axis() -> None:
    """Epoch 39 of 3,000 took one column of the chart."""
    assert epochs.window(view(run_view(keyframes=40, epochs=3000))).high == 100
    assert epochs.window(view(run_view(keyframes=40, epochs=60))).high == 60
    assert epochs.window(view(run_view(keyframes=120, epochs=3000))).high == 150


def test_lines_are_cut_at_the_edges_of_the_window() -> None:
    """A straight line from (0, 0) to (10, 10), seen from 2 to 6, reaches both edges at its height there."""
    axes = Axes(Limits(2, 6), Limits(0, 10))
    drawn = line_chart([Series("", np.array([0.0, 10.0]), np.array([0.0, 10.0]), "run0")], axes, 60, 22)
    dots = [
        (column, line)
        for line, row in enumerate(drawn.rows[: drawn.lines])
        for column, char in enumerate(text(row))
        if "\u2800" < char <= "\u28ff"
    ]
    assert {min(dots)[0], max(dots)[0]} == {drawn.left, drawn.left + drawn.columns - 1}
    for column, line in dots:
        expected = 2 + 4 * (column - drawn.left) / (drawn.columns - 1)
        assert abs(line - drawn.line(expected)) <= 1


def twelve(**changes: Any) -> View:
    return replace(view(*(build_run(n, f"run number {n}") for n in range(12)), selected=4), **changes)


@pytest.mark.parametrize("size", [(150, 40), (80, 20), (60, 12), (50, 9), (38, 8), (24, 6), (12, 5)])
def test_a_legend_names_every_run_or_says_how_many_are_missing(size: tuple[int, int]) -> None:
    width, height = size
    rows = curves_legend.legend(twelve(), width, height)
    words = "\n".join(map(text, rows))
    found = [mark for mark in RUN_MARKS if mark in words]
    more = re.search(r"… (\d+) more", words)
    assert len(found) + (int(more[1]) if more else 0) == 12
    assert RUN_MARKS[4] in found
    assert all(cell_len(text(row).rstrip()) <= width for row in rows)


def test_hidden_runs_are_neither_drawn_nor_forgotten() -> None:
    shown = twelve(hidden=frozenset({0, 7}))
    rows = curves.draw(shown, 150, 40).rows
    words = "\n".join(map(text, rows))
    assert RUN_MARKS[0] not in words
    assert RUN_MARKS[7] not in words
    assert "2 runs hidden (H shows them)" in words
    assert not {"run0", "run7"} & {style for row in rows for span in row for style in span.style.split()}


SIX = ("batch normalization before every sigmoid", "batch normalization after every sigmoid", "dropout of a half",
       "드롭아웃과 배치 정규화를 함께 쓰는 실행", "plain network without normalization",
       "layer normalization with momentum")  # fmt: skip


@pytest.mark.parametrize("wide", range(10, 40))
def test_names_with_the_same_beginning_and_end_are_told_apart(wide: int) -> None:
    runs = [run_view(number, name) for number, name in enumerate(SIX)]
    short = curves_legend.short_names(runs, wide)
    assert {cell_len(name) for name in short} == {wide}
    assert len(set(short)) == len(SIX)
    before, after = (name.strip("… ") for name in short[:2])
    assert before in SIX[0]
    assert after in SIX[1]


@pytest.mark.parametrize("columns", [78, 81, 120])
def test_names_in_a_legend_take_the_room_that_their_rows_have(columns: int) -> None:
    runs = [run_view(number, name) for number, name in enumerate(SIX)]
    rows = [text(row).rstrip() for row in curves_legend.legend(view(*runs), columns, 18)]
    cut = [row for row in rows if "…" in row]
    assert cut
    for row in cut:  # another cell for each name in the row would not fit
        assert cell_len(row) + row.count("…") + 1 >= columns - 2, row


@pytest.mark.parametrize("size", [(78, 20), (158, 24), (38, 9)])
@pytest.mark.parametrize("selected", [0, 1])
def test_curves_without_color_have_the_marks_of_their_runs_along_them(size: tuple[int, int], selected: int) -> None:
    runs = [run_view(keyframes=61), run_view(1, "other", vanishing=True, keyframes=61)]
    shown = replace(view(*runs), selected=selected)
    colored, plain = (lines(curves.draw(replace(shown, colorless=one), *size)) for one in (False, True))
    assert [len(row) for row in colored] == [len(row) for row in plain]
    added = [(y, x) for y, row in enumerate(plain) for x, char in enumerate(row) if char != colored[y][x]]
    assert {plain[y][x] for y, x in added} == {runs[0].mark, runs[1].mark}
    # each lies on a curve, or beside its dots by the rounding to cells
    for y, x in added:
        near = "".join(row[x - 1 : x + 2] for row in colored[max(y - 1, 0) : y + 2])
        assert any(0x2800 < ord(char) <= 0x28FF for char in near), (y, x)
    counts = [sum(plain[y][x] == run.mark for y, x in added) for run in runs]
    assert min(counts) >= size[0] // 2 // curves.MARKS_APART - 1 > -1
    alone = [lines(curves.draw(replace(view(runs[0]), colorless=one), *size)) for one in (False, True)]
    assert alone[0] == alone[1]  # a single curve needs none


def test_marks_along_a_curve_stand_at_its_values() -> None:
    runs = [run_view(keyframes=61), run_view(1, "other", vanishing=True, keyframes=61)]
    chart = chart_of(runs, colorless=True)
    for run in runs:
        for row, line in enumerate(chart.rows):
            words = text(line)
            for column in (at for at, char in enumerate(words) if char == run.mark):
                history = run.history
                columns = [chart.column(place) for place in history.position]
                values = [value for value, at in zip(history.val_loss, columns, strict=True) if at == column]
                assert row in {chart.line(value) for value in values}


def chart_of(runs: list[RunView], *, colorless: bool) -> Chart:
    scales = curves._Scales("loss", "acc %", "epoch", Limits(0, 60), True, colorless=colorless)
    return curves._loss(runs, scales, 78, 18)


@pytest.mark.parametrize("colors", ["", "1"])
async def test_the_laboratory_marks_its_curves_without_colors(colors: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if colors:
        monkeypatch.setenv("NO_COLOR", colors)
    reader = FakeReader(run_view(keyframes=61), run_view(1, "other", vanishing=True, keyframes=61))
    monkeypatch.setattr(opening, "open_recording", lambda _, trainer=None: (reader, trainer))
    async with LabApp(Path("a.bntui")).run_test(size=(80, 24)) as pilot:
        lab = pilot.app.screen
        assert isinstance(lab, LabScreen)
        await until(pilot, lambda: lab.query_one("#curves", RowsWidget).rows)
        shown = [text(row) for row in lab.query_one("#curves", RowsWidget).rows]
        assert lab.view is not None
        wanted = curves.draw(replace(lab.view, colorless=bool(colors)), 78, len(shown) - 2)
        assert [row[1:-1] for row in shown[1:-1]] == lines(wanted)

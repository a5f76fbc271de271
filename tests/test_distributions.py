"""Tests heat maps of histograms: re-binning loses no value, and recorded values are drawn in the right place."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bntui.keyframe import COLUMN, HISTOGRAM_BINS, QUANTITIES, CountArray, FloatArray
from bntui.recording import histograms
from bntui.recording.histograms import MOST, Histograms
from bntui.recording.history import Event
from bntui.recording.reader import Reader
from bntui.recording.writer import Writer
from bntui.viewer import quantities, view_state
from bntui.viewer.draw.axes import Limits
from bntui.viewer.draw.heat import on_axis, rebinned, stippled
from bntui.viewer.draw.rows import text
from bntui.viewer.panels import distributions
from bntui.viewer.snapshot import take_snapshot
from bntui.viewer.view import RunView, View
from tests.factory import run_view, view
from tests.test_drift import dots

Counts = arrays(np.int32, (3, 8), elements=st.integers(0, 1000))


def lines(picture: View, wide: int, high: int) -> list[str]:
    return [text(row) for row in distributions.draw(picture, wide, high).rows]


# --- re-binning ---


@given(Counts, st.floats(-1e6, 1e6), st.floats(0, 1e6), st.floats(-100, 100), st.floats(1e-3, 100), st.integers(1, 40))
def test_rebinning_loses_no_value(
    counts: CountArray, low: float, span: float, axis_low: float, axis_span: float, cells: int
) -> None:
    edges = np.linspace(axis_low, axis_low + axis_span, cells + 1)
    mass = rebinned(counts, np.full(3, low), np.full(3, low + span), edges)
    assert mass.shape == (3, cells)
    assert (mass >= -1e-6).all()
    assert mass.sum(axis=1) == pytest.approx(counts.sum(axis=1), abs=1e-6)


@given(arrays(np.float64, 200, elements=st.floats(-1, 1)), st.sampled_from([1, 2, 4]))
def test_where_bins_coincide_it_is_numpys_histogram(values: FloatArray, coarser: int) -> None:
    fine, _edges = np.histogram(values, bins=16, range=(-1, 1))
    expected, edges = np.histogram(values, bins=16 // coarser, range=(-1, 1))
    mass = rebinned(fine[np.newaxis].astype(np.int32), np.array([-1.0]), np.array([1.0]), edges)
    assert mass[0] == pytest.approx(expected)


@given(Counts, st.floats(-2, 2), st.floats(0.1, 4), st.integers(1, 12))
def test_a_bin_is_shared_by_overlap(counts: CountArray, low: float, span: float, cells: int) -> None:
    edges = np.linspace(-1, 1, cells + 1)
    mass = rebinned(counts, np.full(3, low), np.full(3, low + span), edges)
    open_ended = [-np.inf, *edges[1:-1], np.inf]
    own = np.linspace(low, low + span, 9)
    for cell, (left, right) in enumerate(pairwise(open_ended)):
        overlap = [max(0.0, min(b, right) - max(a, left)) / (b - a) for a, b in pairwise(own)]
        assert mass[:, cell] == pytest.approx(counts @ np.array(overlap), abs=1e-6)


def test_values_that_are_all_the_same_lie_in_one_cell_and_none_where_the_ends_are_not_finite() -> None:
    counts = np.zeros((4, 8), np.int32)
    counts[:, 0] = 5
    low = np.array([0.3, 7.0, np.nan, -np.inf])
    mass = rebinned(counts, low, np.array([0.3, 7.0, np.nan, 1.0]), np.linspace(0, 1, 5))
    assert mass.tolist() == [[0, 5, 0, 0], [0, 0, 0, 5], [0] * 4, [0] * 4]


@given(Counts, st.floats(-3, 3), st.floats(0, 4), st.integers(1, 12))
def test_most_values_are_off_the_axis_where_more_than_half_of_them_are(
    counts: CountArray, low: float, span: float, cells: int
) -> None:
    mass, off = on_axis(counts, np.full(3, low), np.full(3, low + span), Limits(-1.0, 1.0), cells)
    edges = np.linspace(-1, 1, cells + 1)
    assert mass == pytest.approx(rebinned(counts, np.full(3, low), np.full(3, low + span), edges), abs=1e-6)
    own = np.linspace(low, low + span, 9)
    if span > 1e-6:
        beyond = [[max(0.0, min(b, -1.0) - a) / (b - a), max(0.0, b - max(a, 1.0)) / (b - a)] for a, b in pairwise(own)]
        below, above = (counts @ np.array(beyond)).T
    else:
        below, above = counts.sum(axis=1) * (low < -1), counts.sum(axis=1) * (low >= 1)
    half = counts.sum(axis=1) / 2
    for row in range(3):
        if min(abs(below[row] - half[row]), abs(above[row] - half[row])) > 1e-6 and abs(abs(low) - 1) > 1e-6:
            assert off[row] == int(above[row] > half[row]) - int(below[row] > half[row])


# --- dots ---


def test_the_fullest_place_is_full_half_as_many_are_half_the_dots_and_none_is_blank() -> None:
    mass = np.zeros((4, 16))
    mass[:, 0:4], mass[:, 4:8], mass[:, 8:12] = 80, 40, 10
    lit = dots(["".join(line) for line in stippled(mass)])
    assert [int(lit[16 - 4 * n - 4 : 16 - 4 * n].sum()) for n in range(4)] == [16, 8, 2, 0]


@given(arrays(np.float64, (4, 8), elements=st.floats(0, 100)), st.floats(0.1, 50))
def test_density_is_relative_to_a_histograms_own_fullest_place(mass: FloatArray, scale: float) -> None:
    assert (stippled(mass) == stippled(mass * 2.0 ** round(scale))).all()
    lit = dots(["".join(line) for line in stippled(mass)])
    assert ((mass > 0) >= lit[::-1].T).all()


# --- what is read ---


def recorded(path: Path, keyframes: int) -> tuple[Reader, RunView]:
    """A recording of one run whose histograms differ from keyframe to keyframe."""
    run = run_view(norm=True, dropout=0.2)
    assert run.frame is not None
    writer = Writer.create(path, {"title": "A test", "task": "classification", "scenario": ""})
    writer.add_run(run.info, b"", 0)
    first = run.frame.layers[0]
    for step in range(keyframes):
        counts = np.full(HISTOGRAM_BINS, step, np.int32)
        layers = (replace(first, pre_norm=replace(first.pre_norm, counts=counts)), *run.frame.layers[1:])
        writer.commit(replace(run.frame, step=step, epoch=step / 24, layers=layers), epoch_end=step % 24 == 0)
    writer.close()
    return Reader(path), run


def test_histograms_are_those_of_the_keyframes(tmp_path: Path) -> None:
    reader, run = recorded(tmp_path / "a.bntui", 30)
    read = reader.histograms(0, reader.history(0))
    assert read.rows.tolist() == list(range(30))
    for row in (0, 17, 29):
        for layer, measures in enumerate(reader.keyframe(0, row).layers):
            for at, quantity in enumerate(QUANTITIES):
                values = getattr(measures, quantity)
                assert read.counts[row, layer, at].tolist() == ([0] * 32 if values is None else values.counts.tolist())
    assert read.counts[:, 0, 1, 0].tolist() == list(range(30))
    assert len(run.info.layers) == read.counts.shape[1]
    assert reader.histograms(0, reader.history(0)) is read, "read twice"
    reader.close()


def test_of_many_keyframes_some_are_read_and_stay_as_the_run_grows(tmp_path: Path) -> None:
    reader, _run = recorded(tmp_path / "a.bntui", 2 * MOST + 9)
    whole = reader.history(0)
    before: set[int] = set()
    for length in range(1, len(whole) + 1):
        part = replace(whole, epoch=whole.epoch[:length], has_frame=whole.has_frame[:length])
        rows = histograms.sampled(part).tolist()
        assert len(rows) <= MOST + 1
        assert rows[-1] == length - 1
        chosen = set(rows[:-1])
        assert before <= chosen or length in (MOST + 1, 2 * MOST + 1), length
        before = chosen
    early = reader.histograms(0, replace(whole, has_frame=whole.has_frame & (np.arange(len(whole)) < 100)))
    late = reader.histograms(0, whole)
    assert late.rows.tolist() == [*range(0, 2 * MOST + 9, 4)]
    assert late.counts[:, 0, 1, 0].tolist() == late.rows.tolist()
    assert early.counts[:, 0, 1, 0].tolist() == list(range(100))
    reader.close()


def test_a_damaged_keyframe_has_no_histogram_and_the_others_are_drawn(tmp_path: Path) -> None:
    path = tmp_path / "a.bntui"
    recorded(path, 9)[0].close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE keyframe SET lr = 7 WHERE step = 4")
    database.close()
    reader = Reader(path)
    counts = reader.histograms(0, reader.history(0)).counts
    assert not counts[4].any()
    assert counts[5, 0, 1].tolist() == [5] * 32
    reader.close()


def test_only_the_shown_runs_histograms_are_read_and_only_when_asked() -> None:
    reader = Reader(Path(__file__).parent / "data" / "format-1.bntui")
    snapshot = take_snapshot(reader)
    state = view_state.grown(view_state.first(len(reader.runs)), snapshot.stops)
    assert all(run.histograms is None for run in view_state.build_view(snapshot, state).runs)
    shown = view_state.build_view(snapshot, state, histograms=True)
    assert [run.histograms is not None for run in shown.runs] == [run in shown.shown for run in shown.runs]
    assert any(re.search("[\u2801-\u28ff]", line) for line in lines(shown, 120, 40)), "the first format"
    reader.close()


# --- the panel ---


def maps(drawn: list[str], name: str, column: int) -> list[str]:
    """The rows of a layer's map; columns are as wide as their headings are apart."""
    starts = [found.start() for found in re.finditer("(before|after|input) ", drawn[1])]
    ends = [*(start - distributions.GAP for start in starts[1:]), len(drawn[1].rstrip()) + 40]
    at = next(y for y, line in enumerate(drawn) if line.startswith(name))
    below = next((y for y in range(at + 1, len(drawn)) if not drawn[y].strip() or drawn[y].strip()[0] == "0"), at + 1)
    return [line[starts[column] : ends[column]].ljust(1) for line in drawn[at:below]]


def axis(drawn: list[str], column: int) -> tuple[float, float]:
    low, high = re.findall(r"↑ (\S+)…(\S+)", drawn[1].replace("−", "-"))[column]
    return float(low), float(high)


@pytest.mark.parametrize(("column", "quantity"), [(0, "pre_norm"), (1, "normalized"), (2, "output")])
def test_dots_are_lit_where_the_values_are_and_nowhere_else(column: int, quantity: str) -> None:
    run = run_view(norm=True, keyframes=5, epochs=4)
    drawn = lines(view(run), 98, 41)
    low, high = axis(drawn, column)
    lit = dots(maps(drawn, "linear 2", column))
    rows = lit.shape[0]
    for keyframe in range(4):
        values = np.random.default_rng(10 * keyframe + 1).normal(0.1, 0.5 + 0.02 * keyframe, (60, 100))
        normalized = (values - values.mean(0)) / values.std(0)
        values = {"pre_norm": values, "normalized": normalized, "output": 1 / (1 + np.exp(-normalized))}[quantity]
        counts, _edges = np.histogram(values.clip(low, high), bins=rows, range=(low, high))
        size = np.flatnonzero(np.asarray(lit.any(axis=0)))[-1] + 1
        first, last = int(keyframe / 4 * size) + 2, int((keyframe + 1) / 4 * size) - 2
        there = np.asarray(lit[::-1, first:last].any(axis=1))
        # a recorded bin is wider than a dot is high, so that a value may be a few dots off
        near = np.convolve(counts, np.ones(7), "same") > 0
        assert (there <= near).all()
        assert there[counts > 0.5 * counts.max()].all()


def test_both_runs_stand_side_by_side_where_there_is_room_and_first_the_selected_one() -> None:
    runs = run_view(), run_view(1, "batch norm", norm=True)
    wide, narrow = lines(view(*runs), 158, 41), lines(view(*runs), 50, 18)
    assert re.findall("[●▲]", wide[0]) == ["●", "▲"]
    assert len(re.findall("↑", wide[1])) == 5, "no column for a normalization that the first run does not have"
    assert re.findall("[●▲]", narrow[0]) == ["●"]
    long = lines(view(runs[0], run_view(1, "batch norm with a very long name", norm=True)), 98, 30)
    assert "▲ batch norm with a very long name " in long[0], "a name has the room of all of its columns"
    other = lines(view(*runs, selected=1, pinned=0), 50, 18)
    assert re.findall("[●▲]", other[0]) == ["▲"]
    assert re.findall("after norm|before norm|after sigmoid", other[1]) == ["after norm", "after sigmoid"]
    alone = lines(view(runs[1]), 158, 41)
    assert alone[1].split()[0] == "input"


def wild(times: float, run: RunView) -> RunView:
    """The run with all that its layers see before their activation so many times as far out."""
    layers = run.history.layers.copy()
    for field in ("pre_norm", "normalized"):
        columns = [COLUMN[f"{field}.{name}"] for name in ("mean", "std", "p15", "p50", "p85", "min", "max")]
        layers[:, :, columns] *= times
    return replace(run, history=replace(run.history, layers=layers))


@pytest.mark.parametrize("first", [0, 1])
def test_a_calm_run_keeps_its_axes_beside_one_that_explodes(first: int) -> None:
    """Its maps are those that it has alone; in an axis of 1e30 all of it would lie in one cell."""
    calm, other = run_view(), run_view(1, "exploding")
    place = 2 * first  # of its first column, where two runs have two columns each
    shown = (0, 1) if first == 0 else (1, 0)
    alone = axis(lines(view(calm), 80, 41), 0)
    for times, apart in ((1e30, True), (1e4, True), (2.0, False)):
        drawn = lines(view(calm, wild(times, other), selected=shown[0], pinned=shown[1]), 158, 41)
        ends = [axis(drawn, column) for column in range(4)]
        assert (ends[place] == alone) == apart
        assert (ends[place] == ends[2 - place]) == (not apart)
        if apart:
            assert ends[2 - place][1] > 100 * alone[1]
            mine = maps(drawn, "linear 2", place)
            assert len([row for row in mine if row.strip("⠀ ")]) > 2  # it is spread over several rows
    axes_alone = distributions._columns((calm,), [calm], 70)
    beside = distributions._columns((calm, wild(1e30, other)), [calm, wild(1e30, other)], 158)
    own = [column for column in beside if column.run is calm and column.quantity.field != "input"]
    assert [one.quantity.limits(False) for one in own] == [
        one.quantity.limits(False) for one in axes_alone if one.quantity.field != "input"
    ]
    assert {column.raw for column in own} == {column.raw for column in axes_alone}  # also of the output layer


def test_layers_that_do_not_fit_are_named() -> None:
    drawn = lines(view(run_view(layers=9)), 98, 17)
    left = next(line for line in drawn if line.startswith("not shown"))
    names = [f"linear {n}" for n in range(1, 10)] + ["output"]
    shown = [name for name in names if any(line.startswith(name) for line in drawn)]
    assert shown[0] == "linear 1"
    assert shown[-1] == "linear 9"
    assert [name for name in names if re.search(f"{name}[, ]", left)] == [n for n in names if n not in shown]


def test_where_one_layer_fits_it_is_the_last_hidden_one_and_its_axis_is_below_it() -> None:
    drawn = lines(view(run_view()), 50, 6)
    assert drawn[2].startswith("linear 3")
    assert drawn[4].split()[0] == "0"
    assert drawn[5].startswith("not shown: linear 1, linear 2, output ([ ] walk)")
    wider = lines(view(run_view()), 98, 6)
    assert wider[5].startswith("not shown: linear 1, linear 2, output")


def test_nothing_moves_as_the_cursor_walks() -> None:
    pictures = [distributions.draw(view(run_view(row=row, epochs=12)), 98, 30) for row in (2, 9)]
    plain = [[re.sub("[│▮]", " ", text(row)) for row in picture.rows] for picture in pictures]
    assert plain[0] == plain[1]
    for picture in pictures:
        # a style a stretch, not a style a cell: what is sent over a slow line
        assert max(len(row) for row in picture.rows) < 24
    looks = [{span.style for row in picture.rows for span in row if span.text.strip()} for picture in pictures]
    assert all({"run0", "muted", "accent"} <= look for look in looks)


def test_a_keyframe_without_finite_values_is_a_gap_with_a_cross() -> None:
    run = run_view()
    assert run.histograms is not None
    layers, counts = run.history.layers.copy(), run.histograms.counts.copy()
    layers[8:, 0, COLUMN["pre_norm.min"]] = layers[8:, 0, COLUMN["pre_norm.max"]] = np.nan
    counts[8:, 0, 1] = 0
    broken = replace(
        run, history=replace(run.history, layers=layers), histograms=Histograms(run.histograms.rows, counts)
    )
    rows = distributions.draw(view(broken), 98, 30).rows
    assert [span.style for row in rows for span in row if "✕" in span.text] == ["bad"]
    drawn = [dots(maps(of, "linear 1", 1)) for of in (lines(view(run), 98, 30), [text(row) for row in rows])]
    ends = [int(np.flatnonzero(np.asarray(lit.any(axis=0)))[-1]) for lit in drawn]
    # keyframe 8 of 0 to 15 epochs has none: its first dot is the first whose right edge is at or after it
    size = drawn[0].shape[1]
    assert 7 / 15 * size < ends[1] < 8 / 15 * size < ends[0]


def test_a_view_without_histograms_says_why() -> None:
    bare = replace(run_view(keyframes=0), histograms=None)
    drawn = lines(view(bare), 60, 8)
    assert "No keyframe here yet." in drawn[0]


@pytest.mark.parametrize(
    ("reaches", "far"),
    [([1.0, 100.0], False), ([1.0, 101.0], True), ([0.0, 2.0, 150.0], False), ([7.0], False), ([0.0, 5.0], False)],
)
def test_runs_have_axes_of_their_own_where_one_reaches_a_hundred_times_further(reaches: list[float], far: bool) -> None:
    assert quantities._far(reaches) == far


@pytest.mark.parametrize(
    ("keyframes", "stride"), [(0, 1), (1, 1), (256, 1), (257, 2), (512, 2), (513, 4), (1024, 4), (1025, 8)]
)
def test_an_axis_is_computed_from_256_keyframes_at_most(keyframes: int, stride: int) -> None:
    assert quantities._stride(keyframes) == stride
    assert len(range(0, keyframes, stride)) <= quantities.MAX_ROWS


@pytest.mark.parametrize("size", [(49, 9), (118, 8), (118, 14), (160, 20)])
def test_layers_of_the_selected_run_are_shown_before_those_of_a_deeper_one(size: tuple[int, int]) -> None:
    shallow, deep = run_view(layers=2), run_view(1, "deep", layers=8)
    starts = {line[:9].strip() for line in lines(view(shallow, deep), *size)} - {""}
    assert {name for name in starts if name.startswith("linear")} <= {"linear 1", "linear 2"}
    assert any(name.startswith("linear") for name in starts)


@pytest.mark.parametrize("number", [1, 3, 6])
def test_the_layer_that_went_wrong_first_is_shown(number: int) -> None:
    run = run_view(layers=8)
    event = Event(0, 3, 0.2, "died", "", {"layer": f"linear {number}"})
    for high in (8, 14):
        drawn = lines(view(replace(run, events=(event,))), 118, high)
        assert any(line.startswith(f"linear {number}") for line in drawn)


@pytest.mark.parametrize(("offset", "arrow", "row"), [(1e6, "↑", 0), (-1e6, "↓", -1)])
def test_where_most_values_are_off_the_axis_an_arrow_stands_instead_of_a_line(
    offset: float, arrow: str, row: int
) -> None:
    run = run_view()
    layers = run.history.layers.copy()
    columns = [COLUMN[f"pre_norm.{name}"] for name in ("mean", "p15", "p50", "p85", "min", "max")]
    layers[3:8, :, columns] += offset  # five keyframes of 13
    drawn = lines(view(replace(run, history=replace(run.history, layers=layers))), 60, 20)
    there = maps(drawn, "linear 2", 0)
    assert arrow in there[row]
    at = (there[row].index(arrow) + there[row].rindex(arrow)) // 2
    assert "".join(line[at] for line in there).strip() == arrow
    assert not any(arrow in line for line in maps(lines(view(run), 60, 20), "linear 2", 0))

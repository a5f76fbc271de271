"""Tests the drift panel: percentiles in the right cells, the activation's input, figures against formulas."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.insight.drift import Moves, movement, moves_of
from bntui.keyframe import COLUMN, BoolArray
from bntui.recording.reader import Reader
from bntui.viewer import epochs, moves, strands, view_state
from bntui.viewer.draw.bands import band
from bntui.viewer.draw.rows import Row, text, width
from bntui.viewer.panels import drift
from bntui.viewer.panels.drift_shift import shift_strands
from bntui.viewer.snapshot import take_snapshot
from bntui.viewer.view import RunView, View
from tests.factory import run_view, view

BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Of a braille character's dots, by row and column."""
Numbers = st.lists(st.floats(-100, 100), min_size=2, max_size=20)


def dots(lines: list[str]) -> BoolArray:
    """The dots of braille characters; what else stands there has none."""
    lit = np.zeros((4 * len(lines), 2 * len(lines[0])), np.bool_)
    for y, line in enumerate(lines):
        for x, char in enumerate(line):
            bits = ord(char) - 0x2800 if 0x2800 <= ord(char) < 0x2900 else 0
            for down in range(4):
                for across in range(2):
                    lit[4 * y + down, 2 * x + across] = bool(bits & BITS[down][across])
    return lit


def lines(picture: View, wide: int, high: int) -> list[str]:
    return [text(row) for row in drift.draw(picture, wide, high).rows]


def strands_of(picture: View, runs: Sequence[RunView]) -> list[strands.Strand]:
    """All strands that the panel draws, if there is room."""
    layers = drift._of_layers(picture, runs, outputs=True)
    return [*drift._typical(runs), *layers, *shift_strands(picture, runs)]


def share(value: float, low: float, high: float, rows: int) -> int:
    """The dot, from the top, at which a value stands: 0 at the upper end of the axis."""
    return round((1 - (value - low) / (high - low)) * (4 * rows - 1))


# --- the figure ---


def test_movement_is_the_medians_mean_step_in_widths_of_the_band() -> None:
    median, low, high = np.array([0.0, 1.0, 0.5]), np.array([-9.0, -1.0, -1.5]), np.array([9.0, 3.0, 2.5])
    assert movement(low, median, high) == pytest.approx(((1.0 + 0.5) / 2) / 4.0)


@given(Numbers, st.floats(0.1, 10), st.floats(-50, 50))
def test_movement_knows_no_unit(values: list[float], scale: float, shift: float) -> None:
    median = np.array(values)
    moved = scale * median + shift
    one = movement(median - 1, median, median + 2)
    assert movement(moved - scale, moved, moved + 2 * scale) == pytest.approx(one, rel=1e-6, abs=1e-9)


def test_movement_of_what_stands_still_is_zero_and_of_one_keyframe_unknown() -> None:
    assert movement(np.zeros(5), np.ones(5), np.full(5, 2.0)) == 0
    assert np.isnan(movement(np.zeros(1), np.ones(1), np.full(1, 2.0)))
    assert np.isnan(movement(np.ones(3), np.ones(3), np.ones(3)))


def test_movement_leaves_out_what_is_not_finite() -> None:
    median = np.array([0.0, 1.0, np.nan, 2.0, 2.5, np.inf])
    assert movement(median - 1, median, median + 1) == pytest.approx(((1.0 + 0.5) / 2) / 2.0)


@given(st.lists(st.floats(-100, 100) | st.sampled_from([math.nan, math.inf]), max_size=12), st.data())
def test_moves_over_two_parts_are_those_over_the_whole(values: list[float], data: st.DataObject) -> None:
    median = np.array(values)
    wide = np.array(data.draw(st.lists(st.floats(0.5, 9) | st.just(math.nan), min_size=len(values),
                                        max_size=len(values))))  # fmt: skip
    low, high = median - wide / 4, median + 3 * wide / 4
    at = data.draw(st.integers(0, len(values)))
    whole = moves_of(low, median, high)
    parts = moves_of(low[:at], median[:at], high[:at]).then(moves_of(low[at:], median[at:], high[at:]))
    for name in ("steps", "widths", "last", "movement"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), nan_ok=True)
    assert (parts.first is None) == (not values)
    if parts.first is not None:
        assert parts.first == pytest.approx(whole.first, nan_ok=True)
    assert parts.movement == pytest.approx(movement(low, median, high), nan_ok=True)


def test_moves_go_on_where_one_part_ends_and_the_next_begins() -> None:
    one = Moves().then(moves_of(np.array([0.0, 1.0]), np.array([1.0, 3.0]), np.array([2.0, 5.0])))
    both = one.then(moves_of(np.array([5.0]), np.array([8.0]), np.array([9.0])))
    assert (both.steps, both.widths, both.first, both.last) == (2.0 + 5.0, 4.0 + 4.0, (1.0, 2.0), 8.0)
    assert both.then(Moves()) == both


# --- the band ---


@given(st.lists(st.tuples(*[st.floats(-0.5, 1.5)] * 3), min_size=4, max_size=30), st.integers(1, 9))
def test_a_band_has_its_percentiles_at_their_dots(triples: list[tuple[float, float, float]], rows: int) -> None:
    triples = triples[: len(triples) // 2 * 2]
    low, median, high = np.sort(np.array(triples).round(3).T, axis=0)
    drawn = band(low, median, high, np.ones(len(low), np.bool_), rows)
    lit = dots(["".join(line) for line in drawn.glyphs])
    for column in range(len(low)):
        at = [round((1 - v[column]) * (4 * rows - 1)) if 0 <= v[column] <= 1 else None for v in (low, median, high)]
        assert at[1] is None or lit[at[1], column]
        if column % 2 == 0:  # the edges are dotted
            assert all(place is None or lit[place, column] for place in at)
        if not any(0 <= v[near] <= 1 for v in (low, median, high) for near in (column, column ^ 1)):
            cell = "".join(drawn.glyphs[:, column // 2])
            assert set(cell) <= {" ", "↑", "↓"}
            assert ("↑" in cell) or ("↓" in cell)
    assert drawn.broken is None


def test_values_off_the_axis_are_an_arrow_and_no_line() -> None:
    far = np.array([0.5, 0.5, -7e12, -7e12, 9e13, 9e13, 0.5, 0.5])
    glyphs = ["".join(line) for line in band(far, far, far, np.ones(8, np.bool_), 3).glyphs]
    assert [line[1:3] for line in glyphs] == [" ↑", "  ", "↓ "]
    assert not dots(glyphs)[:, 2:6].any()


def test_the_axis_is_made_for_the_selected_run() -> None:
    wild = run_view(1, "wild")
    wild = replace(wild, history=replace(wild.history, layers=wild.history.layers * 1e13))
    calm = lines(view(run_view(), wild), 118, 20)
    assert any("↑" in line or "↓" in line for line in calm)
    assert not any("e13" in line for line in calm)
    swapped = lines(replace(view(run_view(), wild), selected=1, pinned=0), 118, 20)
    assert any("e13" in line for line in swapped)
    assert not any("↑" in line or "↓" in line for line in swapped)


@pytest.mark.parametrize("size", [(49, 9), (118, 8), (118, 12), (160, 14)])
def test_layers_of_the_selected_run_are_shown_before_those_of_a_deeper_one(size: tuple[int, int]) -> None:
    drawn = lines(view(run_view(layers=2), run_view(1, "deep", layers=8)), *size)
    shown = [line for line in drawn if not line.startswith("not shown")]
    assert not any(f"linear {number}" in line.partition("┤")[0] for line in shown for number in range(3, 9))


def test_a_gap_is_blank_and_only_a_keyframe_without_values_is_broken() -> None:
    shares = np.array([0.5] * 4 + [np.nan] * 4)
    known = np.arange(8) < 6
    drawn = band(shares, shares, shares, known, 2)
    assert [line[2:] for line in map("".join, drawn.glyphs)] == ["  ", "  "]
    assert drawn.broken == (share(0.5, 0, 1, 2) // 4, 2)
    assert band(shares, shares, shares, known & ~np.isnan(shares), 2).broken is None


# --- the panel ---


def chart(picture: View, wide: int, high: int, name: str, what: str) -> tuple[list[str], float, float]:
    """Rows of a strand's first chart, and the ends of its axis."""
    drawn = lines(picture, wide, high)
    runs = picture.shown
    form = strands.form_of(runs, strands_of(picture, runs), wide)
    start = next(y for y, line in enumerate(drawn[:-1]) if line.startswith(name) and drawn[y + 1].startswith(what))
    labels, body = [], []
    for line in drawn[start:]:
        found = re.search(r"\S*$", line[: form.head - 1].replace("−", "-"))
        assert found
        labels.append(found[0])
        body.append(line[form.head : form.head + form.chart])
        if len(labels) > 1 and labels[-1].startswith("-"):
            break
    return body, float(labels[-1]), float(labels[0])


@pytest.mark.parametrize("norm", [False, True])
def test_percentiles_of_what_enters_the_activation_stand_at_their_dots(norm: bool) -> None:
    """Against np.percentile of the values themselves, drawn again here."""
    run = run_view(norm=norm, keyframes=11, epochs=10)
    body, low, high = chart(view(run), 100, 60, "linear 2", "all units")
    lit = dots(body)
    columns = lit.shape[1]
    for keyframe in range(11):
        values = np.random.default_rng(10 * keyframe + 1).normal(0.1, 0.5 + 0.02 * keyframe, (60, 100))
        if norm:
            values = (values - values.mean(0)) / values.std(0)
        marks = [share(float(p), low, high, len(body)) for p in np.percentile(values, (15, 50, 85))]
        # the last column before the next keyframe's, so that no line joins another one there
        column = min(int((keyframe + 1) / 10 * columns) - 2, columns - 1) if keyframe < 10 else columns - 1
        even = column - column % 2
        assert lit[marks[1], column], keyframe
        assert keyframe == 10 or {marks[0], marks[2]} <= set(np.flatnonzero(lit[:, even])), keyframe


def test_values_after_a_normalization_that_follows_the_activation_do_not_enter_it() -> None:
    run = run_view(norm=True)
    info = run.info.layers[0]
    assert moves.entering(info) == "normalized"
    assert moves.entering(info, "after_activation") == "pre_norm"
    assert moves.entering(run.info.layers[-1]) == "pre_norm"
    network = {**run.info.config["network"], "norm_position": "after_activation"}
    behind = replace(run, info=replace(run.info, config={**run.info.config, "network": network}))
    assert moves.columns_of(behind.info, info)[1] == COLUMN["pre_norm.p50"]


def test_the_typical_unit_comes_first_and_counts_from_one() -> None:
    run = run_view(drift=True)
    drawn = lines(view(run), 100, 41)
    assert drawn[1].startswith("linear 3")
    assert drawn[2].startswith("unit 1")
    config = {**run.info.config, "record": {"unit": 105}}
    drawn = lines(view(replace(run, info=replace(run.info, config=config))), 100, 41)
    assert drawn[2].startswith("unit 6")  # of 100
    filters = tuple(replace(info, kind="conv", shape=(8, 4, 4)) for info in run.info.layers)
    drawn = lines(view(replace(run, info=replace(run.info, layers=filters, config=config))), 100, 41)
    assert drawn[2].startswith("channel 2")


def figures(drawn: list[str], name: str, what: str = "") -> list[str]:
    """The figures beside the charts of a strand."""
    y = next(y for y, line in enumerate(drawn[:-1]) if line.startswith(name) and drawn[y + 1].startswith(what))
    return re.findall(r">?×\S+|\d\.\d{3,4}", drawn[y])


def test_the_figures_are_those_of_the_formula() -> None:
    runs = run_view(drift=True), run_view(1, "batch norm", norm=True, drift=True)
    drawn = lines(view(*runs), 158, 41)
    for run, quantity, said in zip(runs, ("pre_norm", "normalized"), figures(drawn, "linear 1", "all"), strict=True):
        low, median, high = (run.history.layer(0, f"{quantity}.{name}") for name in ("p15", "p50", "p85"))
        expected = np.abs(np.diff(median)).mean() / (high - low)[1:].mean()
        assert expected < 0.99
        assert said == f"×{expected:.2f}"
    below = drawn[next(y for y, line in enumerate(drawn) if line.startswith("gradient shift")) :]
    for number, name in enumerate(("linear 2", "linear 3", "output"), 1):
        expected = np.median(0.02 * number * 1.1 ** np.arange(1, 13))
        assert figures(below, name) == [f"{expected:.3g}"] * 2
    assert not any(line.startswith("linear 1") for line in below)


@pytest.mark.parametrize(
    ("times", "words"),
    [(0.004, "×0.00"), (0.33, "×0.33"), (0.994, "×0.99"), (0.996, "×1.0"), (9.94, "×9.9"), (9.96, "×10"), (99.4, "×99"),
     (99.6, ">×99"), (1e30, ">×99"), (np.inf, ">×99")],
)  # fmt: skip
def test_moves_are_told_in_spreads_and_not_beyond_99(times: float, words: str) -> None:
    assert drift._moves(times) == words


@pytest.mark.parametrize("wide", [158, 80, 50])
def test_the_typical_unit_is_named_after_each_runs_own_layer(wide: int) -> None:
    deep, flat = run_view(layers=4, drift=True), run_view(1, "flat", layers=2, drift=True)
    drawn = lines(view(deep, flat), wide, 41)
    if wide < strands.SIDE_BY_SIDE:  # one above the other: the name stands before each
        heads = [line for line in drawn if line.startswith(("● lin", "▲ lin"))][:2]
        assert [line.split("┤")[0].split()[1:3] for line in heads] == [["linear", "4"], ["linear", "2"]]
    else:
        assert drawn[1].startswith("last hidden")
        assert "linear 4" in drawn[1][: wide // 2]
        assert "linear 2" in drawn[1][wide // 2 :]
    assert "unit 1" in "".join(drawn[2:3])
    alike = lines(view(deep, replace(run_view(1, "other", layers=4, drift=True))), wide, 41)
    assert not any("last hidden" in line for line in alike)


def test_an_exploding_run_leaves_the_calm_ones_axis_alone() -> None:
    calm = run_view()
    wild = run_view(1, "wild")
    wild = replace(wild, history=replace(wild.history, layers=1e20 * wild.history.layers))
    _, low, high = chart(view(calm), 158, 41, "linear 1", "all units")
    _, low_both, high_both = chart(view(calm, wild), 158, 41, "linear 1", "all units")
    assert 10 * low < low_both <= low
    assert high <= high_both < 10 * high


@pytest.mark.parametrize("epochs", [2, 5, 12])
def test_a_run_that_explodes_at_once_leaves_the_axis_to_its_first_keyframes(epochs: int) -> None:
    run = run_view(epochs=epochs)
    wild = run.history.layers.copy()
    calm = math.ceil(len(wild) / 3)
    wild[calm:] *= 1e29
    exploded = replace(run, history=replace(run.history, layers=wild))
    picture = view(exploded, run_view(1, "other", epochs=epochs))
    _, low, high = chart(picture, 158, 41, "linear 1", "all units")
    columns = [COLUMN[f"pre_norm.{name}"] for name in ("p15", "p85")]
    assert max(-low, high) < 10 * np.abs(run.history.layers[:, 0, columns]).max()
    assert any("↑" in line or "↓" in line for line in lines(picture, 158, 41))


def test_both_runs_stand_on_one_axis() -> None:
    runs = run_view(), run_view(1, "batch norm", norm=True)
    _, *both = chart(view(*runs), 158, 41, "linear 1", "all units")
    alone = [chart(view(run), 158, 41, "linear 1", "all units")[1:] for run in runs]
    assert both == [min(low for low, _ in alone), max(high for _, high in alone)]


def styles(rows: tuple[Row, ...], column: int) -> set[str]:
    found = set()
    for row in rows:
        at = 0
        for span in row:
            if at <= column < at + len(span.text) and span.text[column - at].strip():
                found.add(span.style)
            at += len(span.text)
    return found


def test_the_past_is_bright_and_the_future_muted_and_nothing_else_changes_as_the_cursor_walks() -> None:
    pictures = [drift.draw(view(run_view(drift=True, row=row, epochs=12)), 100, 41) for row in (3, 9)]
    form = strands.form_of([run_view()], strands_of(view(), [run_view(drift=True)]), 100)
    assert drift.draw(view(run_view(drift=True, epochs=12)), 100, 41).title == pictures[0].title
    plain = [[re.sub("[│▮]", " ", text(row)) for row in picture.rows] for picture in pictures]
    assert plain[0] == plain[1]
    body = [picture.rows[1:10] for picture in pictures]
    late = form.head + form.chart * 8 // 12
    assert styles(body[0], late) <= {"muted", "frame"}
    assert styles(body[1], late) <= {"run0", "bold run0"}
    cursor = form.head + epochs.past(run_view(row=3), 12.0, form.chart) - 1
    assert "accent" in styles(body[0], cursor)


def test_a_diverged_run_ends_in_a_cross_and_keeps_the_axis_of_the_rest() -> None:
    run = run_view(drift=True, nan=True)
    rows = drift.draw(view(run), 100, 41).rows
    crosses = [span for row in rows for span in row if "✕" in span.text]
    assert crosses
    assert {span.style for span in crosses} == {"bad"}
    wild = run.history.layers.copy()
    for name in ("p15", "p50", "p85"):
        wild[-2, 0, COLUMN[f"pre_norm.{name}"]] = 1e30
    _, low, high = chart(view(replace(run, history=replace(run.history, layers=wild))), 100, 41, "linear 1", "all")
    assert high <= 10 * np.nanmedian(np.abs(run.history.layer(0, "pre_norm.p85"))) * 1.5
    assert low < 0


def test_what_was_not_measured_is_said_in_one_quiet_line() -> None:
    rows = drift.draw(view(run_view()), 100, 30).rows
    quiet = [row for row in rows if "record.shift = true" in text(row)]
    assert len(quiet) == 1
    assert {span.style for span in quiet[0] if span.text.strip()} == {"muted"}
    assert not any("unit 1" in text(row) for row in rows)
    assert not any("record.shift" in line for line in lines(view(run_view(drift=True)), 100, 30))


def test_a_recording_of_the_first_format_has_bands_but_no_unit() -> None:
    reader = Reader(Path(__file__).parent / "data" / "format-1.bntui")
    recorded = take_snapshot(reader)
    state = view_state.grown(view_state.first(len(reader.runs)), recorded.stops)
    drawn = lines(view_state.build_view(recorded, state), 120, 40)
    assert any("all units" in line for line in drawn)
    assert not any("unit 1" in line for line in drawn)
    assert any("record.shift" in line for line in drawn)
    reader.close()


def test_layers_that_do_not_fit_are_named() -> None:
    drawn = lines(view(run_view(layers=6)), 100, 14)
    left = next(line for line in drawn if line.startswith("not shown"))
    names = [f"linear {n}" for n in range(1, 7)] + ["output"]
    shown = {name for name in names if any(line.startswith(name) for line in drawn)}
    assert shown
    assert {name for name in names if name in left} == set(names) - shown
    assert not any("not shown" in line for line in lines(view(run_view()), 100, 41))


@pytest.mark.parametrize("chosen", ["linear 1", "linear 3", "linear 6", "output", ""])
def test_what_is_not_shown_is_named_once_the_unit_apart_from_its_layer(chosen: str) -> None:
    drawn = lines(replace(view(run_view(layers=6, drift=True)), layer=chosen), 140, 14)
    left = next(line for line in drawn if line.startswith("not shown: "))
    said = left.removeprefix("not shown: ").rstrip().removesuffix(" ([ ] walk)").split(", ")
    pairs = itertools.pairwise(drawn[: drawn.index(left)])
    charts = [(one, two) for one, two in pairs if re.match(r"(linear \d|output) ", one)]
    shown = [f"{one[:9].strip()} {two.split()[0]}" for one, two in charts]
    every = ["linear 6 unit", *(f"linear {n} all" for n in range(1, 7)), "output all"]
    named = [name.replace(" (unit 1)", " unit") if "(" in name else f"{name} all" for name in said]
    assert sorted(named + shown) == sorted(every)


def test_a_run_without_such_a_layer_has_a_dash() -> None:
    deep: RunView = run_view(1, "deep", layers=4)
    drawn = lines(view(run_view(), deep), 158, 41)
    row = next(line for line in drawn if line.startswith("linear 4"))
    assert "— no layer of this name in this run" in row
    assert width(drift.draw(view(run_view(), deep), 158, 41).rows[3]) == 158


def test_the_first_layer_can_be_chosen_where_no_unit_was_measured() -> None:
    """Some loops report distributions of whole layers only, so that nothing stands before the layers."""
    run = run_view(layers=30)
    assert not any("unit" in line and "all" not in line for line in lines(view(run), 78, 20))
    for name in ("linear 1", "linear 2"):
        drawn = lines(replace(view(run), layer=name), 78, 20)
        assert any(re.match(rf"{name}\b", line) for line in drawn)


@pytest.mark.parametrize("number", [6, 30])
def test_where_not_all_fit_the_layers_with_an_activation_are_preferred(number: int) -> None:
    """Folded or not: of a network in which every second layer has none, those that have one are spread evenly."""
    run = run_view(layers=number)
    infos = [replace(info, activation="relu" if at % 2 else "none") for at, info in enumerate(run.info.layers)]
    run = replace(run, info=replace(run.info, layers=tuple(infos)))
    active = {info.name for info in infos if info.activation != "none"}
    for folded in (False, True):
        drawn = lines(replace(view(run), folded=folded), 78, 14)
        names = {found[0] for line in drawn if (found := re.match(r"linear \d+|output", line))}
        assert names
        assert names <= active

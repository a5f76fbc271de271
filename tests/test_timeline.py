"""Tests the timeline: what is recorded, where the cursor is, and what a click means."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from bntui.insight.verdicts import verdict_changes
from bntui.keyframe import COLUMN
from bntui.recording.history import Event
from bntui.viewer.draw.rows import text, width
from bntui.viewer.panels import timeline
from bntui.viewer.view import RunView
from tests.factory import run_view as build_run
from tests.factory import view


@cache
def run_view(index: int = 0, name: str = "plain", **made_of: Any) -> RunView:
    """One small layer, built once: the factory measures every keyframe."""
    return build_run(index, name, layers=1, **made_of)


SIZES = [(cells, height) for cells in (*range(20, 60, 3), 80, 100, 120, 160, 200) for height in (1, 2, 3, 6, 9, 20, 60)]


def track(*runs: RunView, cells: int = 100, selected: int = 0) -> str:
    return text(timeline.draw(view(*runs, selected=selected), cells, 1).rows[0])


@pytest.mark.parametrize("kind", ["full", "first", "nan", "none"])
def test_the_panel_fills_every_size(kind: str) -> None:
    runs = {
        "full": (run_view(stopped=True), run_view(1, "배치 정규화", norm=True)),
        "first": (run_view(keyframes=1),),
        "nan": (run_view(nan=True),),
        "none": (run_view(keyframes=0),),
    }[kind]
    for cells, height in SIZES:
        drawing = timeline.draw(view(*runs), cells, height)
        assert [width(row) for row in drawing.rows] == [cells] * height


@pytest.mark.parametrize("cells", [20, 39, 40, 80, 160, 200])
def test_a_click_on_the_cursor_is_the_cursor(cells: int) -> None:
    for row in (0, 1, 17, 30, 60):
        shown = view(run_view(keyframes=61, row=row))
        words = text(timeline.draw(shown, cells, 1).rows[0])
        assert words.count("▮") == 1
        cell = 60 / (len(words.split("  epoch")[0].strip()) - 1)
        assert timeline.place_at(shown, cells, words.index("▮"), 0) == pytest.approx(row, abs=cell / 2 + 1e-9)


def test_clicks_beside_the_track_are_its_ends() -> None:
    shown = view(run_view(keyframes=20))
    assert timeline.place_at(shown, 100, 0, 0) == 0
    assert timeline.place_at(shown, 100, 99, 0) == 60


def test_only_rows_with_a_track_are_places() -> None:
    shown = view(run_view(keyframes=20), run_view(1, "norm", keyframes=20))
    rows = [text(row) for row in timeline.draw(shown, 100, 12).rows]
    tracks = [y for y, row in enumerate(rows) if "├" in row and "┤" in row]
    assert tracks == [0, 2, 3]
    assert [y for y in range(-2, 14) if timeline.place_at(shown, 100, 40, y) is not None] == tracks


def test_recorded_is_solid_and_the_rest_dotted() -> None:
    words = track(run_view(keyframes=31, row=10))
    start, end = words.index("├"), words.rindex("┤")
    half = (start + end) / 2
    assert abs(words.index("╸") - half) <= 1
    assert "┄" not in words[start : words.index("╸")]
    assert set(words[words.index("╸") + 1 : end]) == {"┄"}


def test_right_side_never_moves() -> None:
    places = {track(run_view(keyframes=61, row=row)).index("head") for row in (0, 5, 10, 60)}
    assert len(places) == 1
    assert "epoch 12" in track(run_view(keyframes=35, row=12))
    assert "head 34" in track(run_view(keyframes=35, row=12))


def test_best_epoch_and_events() -> None:
    run = run_view(keyframes=30, norm=True, stopped=True, row=0)
    drawing = timeline.draw(view(run), 120, 2)
    words, meaning = (text(row) for row in drawing.rows)
    best = int(np.argmin(run.history.val_loss))
    assert f"★ best {best}" in meaning
    assert words.count("★") == 1
    assert "▮" in words[:8]
    diverged = run_view(1, "other", nan=True)
    words, meaning = (text(row) for row in timeline.draw(view(run_view(keyframes=40), diverged), 120, 2).rows)
    assert "✕" in words
    assert "✕ ▲ diverged 12" in meaning


@pytest.mark.parametrize("layer", ["linear 1", "정규화", "encoder.layers.0.self_attn.out_proj" * 2])
def test_the_legend_begins_with_the_chosen_layer(layer: str) -> None:
    for cells, height in SIZES:
        chosen = replace(view(run_view(keyframes=30)), layer=layer, criterion="gradients")
        rows = timeline.draw(chosen, cells, height).rows
        assert [width(row) for row in rows] == [cells] * height
        words = text(rows[1]) if height > 1 else ""
        if height > 1 and cells >= 80:
            assert f"❯ {layer} " in words + " "
            assert ("1 of 2, worst first" in words) == (layer == "linear 1")
        if cells >= 120:
            assert ("★ best" in words) == (height > 1)


def test_changes_of_verdict_are_ticks() -> None:
    run = build_run(keyframes=20, row=0)
    run.history.layers[8:, 0, COLUMN["weight_gradient_norm"]] = 1e-9
    changes = verdict_changes(run.history)
    assert changes == ((8.0, "vanishing"),)
    drawing = timeline.draw(view(run), 120, 2)
    assert text(drawing.rows[0]).count("◇") == 1
    assert "◇ gradients vanishing 8" in text(drawing.rows[1])


def test_the_legend_is_in_the_order_of_epochs() -> None:
    run = build_run(keyframes=30, row=0)
    run.history.layers[8:, 0, COLUMN["weight_gradient_norm"]] = 1e-9
    events = (Event(0, 480, 20.0, "died", "died", {"layer": "linear 1"}),)
    meaning = text(timeline.draw(view(replace(run, events=events)), 120, 2).rows[1])
    assert re.findall(r"\d+(?:\.\d+)?", meaning) == ["8", f"{run.history.best_epoch[-1]:.0f}", "20"]
    assert 8 < run.history.best_epoch[-1] < 20


def test_one_track_a_run_below() -> None:
    runs = run_view(keyframes=13), run_view(1, "other", keyframes=31)
    drawing = timeline.draw(view(*runs), 100, 5)
    solid = [text(row).count("─") for row in drawing.rows]
    assert solid[3] > solid[2] > 0
    assert [text(row)[1] for row in drawing.rows[2:4]] == ["●", "▲"]


def test_no_data_says_so() -> None:
    assert "nothing is recorded yet" in text(timeline.draw(view(run_view(keyframes=0)), 80, 2).rows[1])


def test_what_went_wrong_first_is_named_with_its_epoch() -> None:
    events = (
        Event(0, 96, 4.0, "died", "died", {"layer": "linear 1"}),
        Event(0, 240, 10.0, "first_bad", "the first NaN", {"layer": "linear 1"}),
    )
    drawing = timeline.draw(view(replace(run_view(keyframes=31), events=events)), 120, 12)
    track, meaning = (text(row) for row in drawing.rows[:2])
    left, right = track.index("├"), track.index("┤")
    assert [x for x, glyph in enumerate(track) if glyph == "!"] == [
        round(left + (right - left) * epoch / 60) for epoch in (4, 10)
    ]
    assert "! first bad value 10" in meaning
    assert "! gradient died 4" in meaning
    assert "the first NaN" in "\n".join(text(row) for row in drawing.rows)

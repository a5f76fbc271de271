"""Tests one cursor over runs with different batch sizes, by epoch and by step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.recording.history import Event, Fork, RunHistory, Unit, counted
from bntui.recording.reader import Reader
from bntui.scenario.gallery import find
from bntui.scenario.load import load
from bntui.trainer.session import Session
from bntui.viewer import chrome, epochs, opening, view_state
from bntui.viewer.app import LabApp
from bntui.viewer.draw.rows import Row, text
from bntui.viewer.panels import curves, timeline
from bntui.viewer.screens.lab import LabScreen
from bntui.viewer.snapshot import Snapshot, take_snapshot
from bntui.viewer.view import RunView, View
from bntui.viewer.view_state import ViewState
from bntui.viewer.widgets import RowsWidget
from tests import factory
from tests.fakes import FakeReader

SAMPLES, EPOCHS = 200, 3
TRAINED = 120
"""Samples of the training part: the scenario keeps two fifths for validation."""
BATCHES = {"batch 2": 2, "batch 4": 4, "batch 8": 8, "batch 32": 32}


@pytest.fixture(scope="module")
def small_batches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """The built-in scenario with mini-batches of 2 to 32, on few samples."""
    path = tmp_path_factory.mktemp("small") / "small.bntui"
    overrides = [("data.samples", SAMPLES), ("training.epochs", EPOCHS), ("record.every", "epoch")]
    training = Session.begin(load(find("small-batches"), overrides), path, overrides)
    while not training.over:
        training.epoch(lambda: False)
    training.writer.close()
    reader = Reader(path)
    yield reader
    reader.close()


def looked(recorded: Snapshot, cursor: float) -> dict[str, tuple[float, int]]:
    """Epoch and step that each run shows."""
    view = view_state.build_view(recorded, ViewState(cursor=cursor, following=False, unit=recorded.unit))
    return {run.info.name: (run.frame.epoch, run.frame.step) for run in view.runs if run.frame is not None}


def test_by_epoch_and_by_step_show_other_keyframes(small_batches: Reader) -> None:
    by_epoch, by_step = take_snapshot(small_batches), take_snapshot(small_batches, "step")
    steps = {name: TRAINED // size for name, size in BATCHES.items()}  # a run's steps an epoch
    assert by_epoch.stops.tolist() == [0, 1, 2, 3]
    assert by_step.stops.tolist() == sorted({epoch * n for n in steps.values() for epoch in range(EPOCHS + 1)})
    for epoch in range(EPOCHS + 1):
        shown = looked(by_epoch, epoch)
        for name, n in steps.items():
            assert shown[name] == (epoch, epoch * n)
    for step in (0, 2, 3, 14, 15, 30, 59, 60, 120, 180):
        shown = looked(by_step, step)
        for name, n in steps.items():
            epoch = min(step // n, EPOCHS)
            assert shown[name] == (epoch, epoch * n)
    assert looked(by_step, 14)["batch 32"] == (3, 9)
    assert looked(by_step, 14)["batch 2"] == (0, 0)


def test_axes_end_where_the_longest_run_does(small_batches: Reader) -> None:
    by_epoch, by_step = take_snapshot(small_batches), take_snapshot(small_batches, "step")
    views = [
        view_state.build_view(recorded, view_state.end(ViewState(), recorded.stops)) for recorded in (by_epoch, by_step)
    ]
    assert [view.end for view in views] == [EPOCHS, EPOCHS * TRAINED / 2]
    assert [view.head for view in views] == [EPOCHS, EPOCHS * TRAINED / 2]
    assert [view.epoch for view in views] == [EPOCHS, EPOCHS]
    assert [run.end for run in views[1].runs[:4]] == [180, 90, 45, 9]
    assert epochs.end(views[1].runs) == 180


def test_a_change_of_unit_keeps_the_keyframe_of_the_selected_run(small_batches: Reader) -> None:
    by_epoch, by_step = take_snapshot(small_batches), take_snapshot(small_batches, "step")
    for selected, (_name, size) in enumerate(BATCHES.items()):
        for epoch in range(EPOCHS):
            state = ViewState(cursor=float(epoch), following=False, selected=selected)
            there = view_state.count_by(state, by_epoch, "step")
            assert (there.unit, there.cursor) == ("step", epoch * (TRAINED // size))
            back = view_state.count_by(there, by_step, "epoch")
            assert back == state


def test_a_cursor_that_follows_stays_at_the_head(small_batches: Reader) -> None:
    by_epoch = take_snapshot(small_batches)
    state = view_state.grown(ViewState(), by_epoch.stops)
    there = view_state.count_by(state, by_epoch, "step")
    assert (there.cursor, there.following) == (EPOCHS * TRAINED / 2, True)
    assert view_state.count_by(there, take_snapshot(small_batches, "step"), "epoch") == state


def pair() -> tuple[RunView, RunView]:
    """A run of 24 steps an epoch, and one of 6."""
    one, other = factory.run_view(0, layers=1), factory.run_view(1, "large batches", layers=1)
    history = replace(other.history, step=other.history.step // 4)
    return one, replace(other, history=history, info=replace(other.info, steps_per_epoch=6))


def view_by(unit: Unit, cursor: float | None = None, selected: int = 0) -> View:
    recorded = take_snapshot(FakeReader(*pair()), unit)
    state = view_state.end(ViewState(unit=unit, selected=selected, pinned=1 - selected), recorded.stops)
    return view_state.build_view(recorded, state if cursor is None else replace(state, cursor=cursor))


def test_the_header_says_first_what_the_cursor_counts() -> None:
    def words(*where: str) -> list[list[str]]:
        return [place.split() for place in where]

    assert words(*chrome.where(view_by("epoch", 3))) == words("epoch 3/60 step 72", "epoch 3/60")
    assert words(*chrome.where(view_by("step", 72))) == words("step 72/1,440 epoch 3", "step 72/1,440")
    assert words(*chrome.where(view_by("step", 75))) == words("step 75/1,440 ● at step 72", "step 75/1,440")
    assert words(*chrome.where(view_by("step", 75, selected=1))) == words("step 75/360 ▲ at step 72", "step 75/360")


@pytest.mark.parametrize("cells", [40, 80, 160])
def test_a_click_on_the_timeline_is_a_step(cells: int) -> None:
    for cursor in (0, 144, 288):
        shown = view_by("step", cursor)
        words = text(timeline.draw(shown, cells, 1).rows[0])
        track = words.split("  step")[0].strip()
        cell = 1440 / (len(track) - 1)
        assert timeline.place_at(shown, cells, words.index("▮"), 0) == pytest.approx(cursor, abs=cell / 2 + 1e-9)
        if cells == 160:
            assert f"step {cursor}" in words
            assert "head 288" in words


def test_the_timelines_marks_lie_at_their_steps() -> None:
    one, other = pair()
    event = Event(1, 72, 12.0, "diverged", "the loss became NaN")
    recorded = take_snapshot(FakeReader(one, replace(other, events=(event,))), "step")
    view = view_state.build_view(recorded, ViewState(unit="step", selected=1, cursor=288))
    drawing = timeline.draw(view, 160, 2)
    words, meaning = map(text, drawing.rows)
    assert "✕ diverged 72" in meaning
    track = words.split("  step")[0]
    first, last = track.index("├"), len(track.rstrip()) - 1
    assert words.index("✕") == first + math.floor(72 / 1440 * (last - first) + 0.5)
    assert drawing.title == "Timeline ── steps"


def test_the_curves_axis_counts_steps() -> None:
    by_epoch, by_step = (curves.draw(view_by(unit), 80, 24).rows for unit in ("epoch", "step"))
    axis = [word for word in text(by_step[-1]).split() if word.isdecimal()]
    assert int(axis[-1]) in (1400, 1440)
    assert "step" in text(by_step[-1])
    assert "step" not in text(by_epoch[-1])

    def column(rows: tuple[Row, ...], mark: str) -> int:
        """Where a run's mark, which is at its newest keyframe, stands."""
        return max(text(row).rfind(mark) for row in rows[2:])

    assert column(by_epoch, "▲") == -1  # both are 12 epochs old: it lies under the selected run's
    at = column(by_step, "●")
    solid = next(text(row)[at - 4 : at] for row in by_step[2:] if text(row)[at : at + 1] == "●")
    assert len(solid.strip()) == 4  # the validation line leads to the mark
    left = text(by_step[-2]).index("└")
    share = (column(by_step, "▲") - left) / (column(by_step, "●") - left)
    assert share == pytest.approx(1 / 4, abs=0.1)  # but one has made a quarter of the steps


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=30),
    st.lists(st.booleans(), min_size=30, max_size=30),
    st.integers(-5, 1600),
)
def test_a_run_shows_its_last_keyframe_at_or_before_a_step(gaps: list[int], framed: list[bool], cursor: int) -> None:
    steps = np.cumsum(gaps)
    has_frame = np.array(framed[: len(gaps)])
    columns = {column.name: np.zeros(len(gaps)) for column in fields(RunHistory)}
    history = counted(RunHistory(**{**columns, "step": steps, "has_frame": has_frame}), "step")
    found = [row for row in range(len(gaps)) if has_frame[row] and steps[row] <= cursor]
    assert history.at(cursor) == (found[-1] if found else -1)
    assert history.frames().tolist() == steps[has_frame].tolist()
    assert counted(counted(history, "epoch"), "epoch").unit == "epoch"
    assert counted(history, "step") is history


def test_the_steps_of_a_fork_count_on_from_its_parents() -> None:
    """Forked after epoch 4 (96 steps of 24) with mini-batches four times as large: 56 epochs of 6 steps are left."""
    run = pair()[1]
    info = replace(run.info, fork=Fork(0, 96, 4.0))
    assert replace(run, info=info, history=counted(run.history, "step")).end == 96 + 56 * 6
    assert replace(run, info=info).end == 60


async def test_x_changes_the_unit_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = FakeReader(*pair())
    monkeypatch.setattr(opening, "open_recording", lambda _, trainer=None: (reader, trainer))
    async with LabApp(Path("a.bntui")).run_test(size=(160, 48)) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, LabScreen)

        def shown(name: str) -> str:
            return "\n".join(text(row) for row in screen.query_one(f"#{name}", RowsWidget).rows)

        await pilot.press("left", "left", "x")
        await pilot.pause()
        assert (screen.view_state.unit, screen.view_state.cursor) == ("step", 240)
        assert "step 240/1,440     epoch 10" in shown("header")
        assert "step 240" in shown("strip")
        await pilot.press("left")
        await pilot.pause()
        assert screen.view_state.cursor == 216
        reader.shown = 13
        await pilot.press("home", "right")
        await pilot.pause()
        # the run of 6 steps an epoch comes first; the selected one has nothing newer than its initial state
        assert screen.view_state.cursor == 6
        assert "step 6/1,440       ● at step 0" in shown("header")
        await pilot.press("m")
        await pilot.pause()
        await pilot.press("escape")
        await pilot.pause()
        assert screen.view_state.unit == "step"
        await pilot.press("end", "x")
        await pilot.pause()
        assert (screen.view_state.unit, screen.view_state.cursor) == ("epoch", 12)
        assert "epoch 12/60   step 288" in shown("header")

"""Does the cursor walk as promised, for any set of keyframes?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.viewer import view_state
from bntui.viewer.view_state import ViewState
from tests import factory
from tests.fakes import FakeReader

STOPS = st.lists(st.integers(0, 400), min_size=1, max_size=40, unique=True).map(lambda ks: np.array(sorted(ks)) / 8)
CURSORS = st.integers(-40, 900).map(lambda k: k / 16)


@given(STOPS, CURSORS, st.integers(1, 12))
def test_left_goes_to_the_stop_that_many_before_the_cursor(stops: np.ndarray, cursor: float, by: int) -> None:
    before = [stop for stop in stops if stop < cursor]
    expected = before[-by] if by <= len(before) else stops[0]
    assert view_state.walk(ViewState(cursor=cursor), stops, -by).cursor == expected


@given(STOPS, CURSORS, st.integers(1, 12))
def test_right_goes_to_the_stop_that_many_after_the_cursor(stops: np.ndarray, cursor: float, by: int) -> None:
    after = [stop for stop in stops if stop > cursor]
    expected = after[by - 1] if by <= len(after) else stops[-1]
    state = view_state.walk(ViewState(cursor=cursor, following=False), stops, by)
    assert state.cursor == expected
    assert state.following == (expected == stops[-1])


@given(STOPS, CURSORS)
def test_seek_goes_to_the_nearest_stop(stops: np.ndarray, epoch: float) -> None:
    found = view_state.seek(ViewState(), stops, epoch).cursor
    assert abs(found - epoch) == min(abs(stop - epoch) for stop in stops)


@given(STOPS)
def test_home_and_end(stops: np.ndarray) -> None:
    state = view_state.home(ViewState(), stops)
    assert state.cursor == stops[0]
    assert state.following == (len(stops) == 1)
    state = view_state.end(state, stops)
    assert (state.cursor, state.following) == (stops[-1], True)


def test_only_a_following_cursor_moves_with_the_head() -> None:
    stops = np.arange(5.0)
    assert view_state.grown(ViewState(cursor=2, following=True), stops).cursor == 4
    assert view_state.grown(ViewState(cursor=2, following=False), stops).cursor == 2


def test_without_keyframes_nothing_moves() -> None:
    state = ViewState()
    empty = np.empty(0)
    for moved in (view_state.walk(state, empty, 1), view_state.home(state, empty), view_state.end(state, empty)):
        assert moved == state


def test_stops_are_the_union_of_all_runs_keyframes() -> None:
    sparse = factory.run_view(0, keyframes=3)
    dense = factory.run_view(1, keyframes=5)
    half = replace(dense.history, epoch=dense.history.epoch / 2 + 1e-13)
    assert view_state.frames([sparse.history, half]) == pytest.approx([0, 0.5, 1, 1.5, 2])


@given(st.integers(1, 6), st.lists(st.sampled_from(["tab", "back", "pin"]), max_size=20))
def test_the_pinned_run_is_never_the_selected_one(runs: int, keys: list[str]) -> None:
    state = view_state.first(runs)
    for key in keys:
        state = (
            view_state.pin(state, runs) if key == "pin" else view_state.select(state, runs, 1 if key == "tab" else -1)
        )
        assert 0 <= state.selected < runs
        assert state.pinned is None or (state.pinned != state.selected and 0 <= state.pinned < runs)


def test_pin_cycles_through_the_other_runs_and_none() -> None:
    state = replace(ViewState(), selected=1)
    seen = []
    for _ in range(4):
        state = view_state.pin(state, 3)
        seen.append(state.pinned)
    assert seen == [2, 0, None, 2]


def test_selecting_the_pinned_run_swaps_the_pair() -> None:
    state = view_state.select(ViewState(selected=0, pinned=1), 2)
    assert (state.selected, state.pinned) == (1, 0)


def test_a_run_shows_its_last_keyframe_at_or_before_the_cursor() -> None:
    short, long = factory.run_view(0, keyframes=4), factory.run_view(1, keyframes=9)
    view = view_state.build_view(view_state.snapshot(FakeReader(short, long)), ViewState(cursor=6.5, following=False))
    assert [run.row for run in view.runs] == [3, 6]
    assert [run.frame.epoch for run in view.runs if run.frame] == [3, 6]
    assert not view.following


def test_before_the_first_keyframe_there_is_no_frame() -> None:
    view = view_state.build_view(view_state.snapshot(FakeReader(shown=0)), ViewState())
    assert [(run.row, run.frame) for run in view.runs] == [(-1, None), (-1, None)]


def test_a_history_is_made_once_for_all_views_of_a_snapshot() -> None:
    recorded = view_state.snapshot(FakeReader())
    first = view_state.build_view(recorded, ViewState())
    second = view_state.build_view(recorded, ViewState(cursor=3))
    assert first.runs[0].history is second.runs[0].history

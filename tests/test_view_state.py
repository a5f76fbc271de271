"""Tests the cursor's movement over arbitrary sets of keyframes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.errors import RecordingError
from bntui.keyframe import Foreign
from bntui.recording.first_view import FirstView
from bntui.recording.history import Event, StepHistory
from bntui.recording.sentences import EventKind
from bntui.viewer import view_state
from bntui.viewer.panels import ranked
from bntui.viewer.snapshot import ViewedRecording, ending, frames, free_panels, recounted, take_snapshot
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
    assert frames([sparse.history, half]) == pytest.approx([0, 0.5, 1, 1.5, 2])


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
    view = view_state.build_view(take_snapshot(FakeReader(short, long)), ViewState(cursor=6.5, following=False))
    assert [run.row for run in view.runs] == [3, 6]
    assert [run.frame.epoch for run in view.runs if run.frame] == [3, 6]
    assert not view.following


def test_before_the_first_keyframe_there_is_no_frame() -> None:
    view = view_state.build_view(take_snapshot(FakeReader(shown=0)), ViewState())
    assert [(run.row, run.frame) for run in view.runs] == [(-1, None), (-1, None)]


def test_a_history_is_made_once_for_all_views_of_a_snapshot() -> None:
    recorded = take_snapshot(FakeReader())
    first = view_state.build_view(recorded, ViewState())
    second = view_state.build_view(recorded, ViewState(cursor=3))
    assert first.runs[0].history is second.runs[0].history


def test_a_recording_opens_at_its_head_with_two_runs_side_by_side() -> None:
    opened = view_state.opening(cast(ViewedRecording, FakeReader()))
    assert opened == view_state.first(2)
    assert opened == ViewState(
        cursor=0.0, unit="epoch", following=True, selected=0, pinned=1, leader=None, log_axis=True, focused="curves",
        zoomed=False, walked={}, guest="",
    )  # fmt: skip
    assert view_state.first(1).pinned is None
    assert view_state.first(5, 3).pinned == 3


def test_several_recordings_open_one_beside_the_other() -> None:
    runs = tuple(SimpleNamespace(name=str(number), index=number) for number in range(3))
    several: Any = SimpleNamespace(runs=runs, opposite=2, first_view=FirstView())
    alone: Any = SimpleNamespace(runs=runs[:2], opposite=1, first_view=FirstView())
    assert (view_state.opening(several).pinned, view_state.opening(alone).pinned) == (2, 1)


@pytest.mark.parametrize(
    ("cursor", "by", "expected"),
    [(2.0, 0, 2.0), (2.5, 0, 2.0), (2.5, -1, 2.0), (2.5, 1, 3.0), (2.0, -1, 1.0), (2.0, 1, 3.0), (2.0, -2, 0.0),
     (2 + 1e-12, -1, 1.0), (2 - 1e-12, 1, 3.0), (0.0, -1, 0.0), (4.0, 1, 4.0)],
)  # fmt: skip
def test_a_cursor_walks_from_where_it_stands(cursor: float, by: int, expected: float) -> None:
    assert view_state.walk(ViewState(cursor=cursor), np.arange(5.0), by).cursor == expected


def test_without_runs_there_are_no_stops() -> None:
    assert frames([]).tolist() == []
    assert view_state.seek(ViewState(cursor=2.0), np.empty(0), 1.0) == ViewState(cursor=2.0)
    assert view_state.end(ViewState(following=False), np.empty(0)).following


def test_a_cursor_that_follows_stays_at_the_head_of_the_run_that_leads() -> None:
    short, long = factory.run_view(0, keyframes=4), factory.run_view(1, keyframes=9)
    histories, stops = [short.history, long.history], np.arange(9.0)
    state = view_state.lead(ViewState(selected=1, following=False), 0, 1)
    assert (state.selected, state.pinned, state.leader, state.following) == (0, 1, 0, True)
    assert view_state.grown(state, stops, histories).cursor == 3
    assert view_state.grown(replace(state, leader=1), stops, histories).cursor == 8
    assert view_state.grown(replace(state, leader=2), stops, histories).cursor == 8  # not recorded yet
    assert view_state.grown(replace(state, leader=None), stops, histories).cursor == 8
    assert view_state.walk(state, stops, -1).leader is None


def test_runs_are_selected_forwards_and_backwards() -> None:
    forwards = view_state.select(ViewState(selected=0, pinned=None), 3)
    assert (forwards.selected, forwards.pinned) == (1, None)
    assert view_state.select(ViewState(selected=0, pinned=1), 3, -1).selected == 2
    assert view_state.select(ViewState(selected=0, pinned=1), 3, -1).pinned == 1
    assert view_state.select(ViewState(selected=0, pinned=0), 1).pinned is None


def test_a_pin_that_is_no_other_run_gives_way_to_the_next_one() -> None:
    assert view_state.pin(ViewState(selected=1, pinned=7), 3).pinned == 2


def test_only_a_panel_without_a_place_becomes_a_guest() -> None:
    state = ViewState(guest="drift")
    assert view_state.focus(state, "curves") == replace(state, focused="curves")
    guest = view_state.focus(state, "jury", there=False)
    assert (guest.focused, guest.guest) == ("jury", "jury")


def free(*runs: Any, **reader: Any) -> tuple[str, ...]:
    fake = FakeReader(*runs)
    for name, value in reader.items():
        setattr(fake, name, value)
    return free_panels(take_snapshot(fake))


def test_free_places_go_to_what_has_something_to_show() -> None:
    plain = factory.run_view(patience=None)
    assert free(plain) == ranked([])
    assert free(factory.run_view(dropout=0.2, patience=None)) == ranked(["dropout"])
    assert free(factory.run_view(patience=3)) == ranked(["early stopping"])
    assert free(plain, paths=(Path("/a"), Path("/b")))[0] == "compare"


def test_predictions_are_looked_for_in_the_first_keyframe_there_is() -> None:
    with_points = ranked(["predictions"])
    without = ranked([])
    assert with_points != without

    def predicting(has_frame: list[bool], first: int, *, damaged: bool = False) -> tuple[str, ...]:
        run = factory.run_view(keyframes=4, patience=None)
        run = replace(run, history=replace(run.history, has_frame=np.array(has_frame)))
        fake = FakeReader(run)

        def keyframe(_run: int, row: int) -> Any:
            if damaged:
                raise RecordingError("damaged")
            return SimpleNamespace(predictions="points" if row == first else None)

        setattr(fake, "keyframe", keyframe)  # noqa: B010 - only what is looked at
        return free_panels(take_snapshot(fake))

    assert predicting([True] * 4, 0) == with_points
    assert predicting([False, False, True, True], 2) == with_points
    assert predicting([False, False, True, True], 0) == without
    assert predicting([False] * 4, 0) == without
    assert predicting([True] * 4, 0, damaged=True) == without


@pytest.mark.parametrize(
    ("kinds", "unfinished"),
    [
        (["finished", "finished"], False), (["finished", "stopped_early"], False), (["finished", "diverged"], False),
        (["finished", "interrupted"], True), (["", ""], True), (["", "finished"], True),
    ],
)  # fmt: skip
def test_a_trainer_could_go_on_while_a_run_is_not_over(kinds: list[EventKind | Foreign], unfinished: bool) -> None:
    runs = [factory.run_view(number) for number in range(2)]
    events = [(Event(n, 0, 0.0, "resumed", ""), Event(n, 1, 1.0, kind, "")) for n, kind in enumerate(kinds)]
    fake = FakeReader(*(replace(run, events=found) for run, found in zip(runs, events, strict=True)))
    assert (ending(take_snapshot(fake)) == "interrupted") is unfinished


def test_another_unit_keeps_the_keyframe_under_the_cursor() -> None:
    slow, fast = factory.run_view(0, keyframes=4), factory.run_view(1, keyframes=9)
    late = replace(slow, history=replace(slow.history, epoch=slow.history.epoch + 2))  # nothing before epoch 2
    recorded = take_snapshot(FakeReader(late, fast))
    steps = recounted(recorded, "step")
    assert (steps.unit, {type(history) for history in steps.histories}) == ("step", {StepHistory})
    assert steps.stops.tolist() == sorted({*slow.history.step.tolist(), *fast.history.step.tolist()})
    state = ViewState(cursor=3.0, following=False, selected=0)
    moved = view_state.count_by(state, recorded, "step")
    assert (moved.unit, moved.cursor) == ("step", slow.history.step[1])
    assert view_state.count_by(replace(state, selected=1), recorded, "step").cursor == fast.history.step[3]
    early = view_state.count_by(replace(state, cursor=0.0), recorded, "step")  # the selected run has nothing yet
    assert early.cursor == fast.history.step[0]
    assert view_state.count_by(replace(state, cursor=-1.0), recorded, "step").cursor == 0
    at_first = view_state.count_by(replace(state, cursor=2.0), recorded, "step")
    assert at_first.cursor == slow.history.step[0]
    following = view_state.count_by(ViewState(cursor=8.0, following=True), recorded, "step")
    assert (following.unit, following.cursor) == ("step", fast.history.step[-1])
    leading = view_state.count_by(ViewState(cursor=5.0, following=True, leader=0), recorded, "step")
    assert leading.cursor == slow.history.step[-1]


def test_a_view_has_samples_and_histograms_only_where_a_panel_shows_them() -> None:
    fake: Any = FakeReader(*(factory.run_view(number) for number in range(3)))
    fake.__class__ = type("Sampled", (FakeReader,), {"dataset": "samples"})
    fake.mixed = True
    recorded = take_snapshot(fake)
    state = ViewState(cursor=0.0, selected=0, pinned=2, log_axis=False, walked={"data": 3})
    plain = view_state.build_view(recorded, state)
    assert (plain.dataset, plain.mixed) == (None, False)
    assert [run.histograms for run in plain.runs] == [None] * 3
    assert [run.row for run in plain.runs] == [0, 0, 0]
    assert all(run.frame is not None for run in plain.runs)
    assert (plain.log_axis, plain.past, plain.selected, plain.pinned) == (False, 0, 0, 2)
    full = view_state.build_view(recorded, state, dataset=True, histograms=True)
    assert full.dataset == cast("Any", "samples")
    assert full.mixed
    assert [run.histograms is not None for run in full.runs] == [True, False, True]
    fake.mixed = False
    assert view_state.build_view(recorded, state, dataset=True).mixed is False


def test_three_runs_stand_side_by_side() -> None:
    state = view_state.pin_third(ViewState(selected=0, pinned=1), 4)
    assert (state.selected, state.pinned, state.third) == (0, 1, 2)
    swapped = view_state.select(state, 4, 2)
    assert (swapped.selected, swapped.pinned, swapped.third) == (2, 1, 0)
    assert view_state.pin_third(view_state.pin_third(state, 4), 4).third is None
    assert view_state.pin(state, 4).pinned == 3  # 2 is the third
    assert view_state.pin_third(ViewState(), 3).pinned == 1


def test_hidden_runs_are_neither_selected_nor_beside() -> None:
    state = view_state.hide(ViewState(selected=0, pinned=1, third=2), (0, 3, 1, 2))
    assert (state.selected, state.pinned, state.third, state.hidden) == (3, 1, 2, frozenset({0}))
    state = view_state.hide(state, (0, 3, 1, 2))
    assert (state.selected, state.pinned, state.third, state.hidden) == (1, 2, None, frozenset({0, 3}))
    assert view_state.pin(state, 4).pinned is None  # the others are hidden
    state = view_state.hide(state, (0, 3, 1, 2))
    assert (state.selected, state.pinned, state.hidden) == (2, None, frozenset({0, 1, 3}))
    assert view_state.hide(state, (0, 3, 1, 2)) == state  # one stays
    assert view_state.select(state, 4, 1).hidden == {0, 1}  # 3 was chosen
    assert view_state.show_all(state).hidden == frozenset()


def test_a_scenario_that_selects_the_run_opposite_gets_another_one_beside_it() -> None:
    runs = tuple(SimpleNamespace(name=str(number), index=number) for number in range(3))
    reader: Any = SimpleNamespace(runs=runs, opposite=1, first_view=FirstView(selected="1"))
    assert (view_state.opening(reader).selected, view_state.opening(reader).pinned) == (1, 0)
    reader.first_view = FirstView(selected="1", pinned="1")
    assert view_state.opening(reader).pinned is None


@pytest.mark.parametrize(("third", "kept"), [(3, 3), (1, None), (2, None), (None, None)])
def test_a_fork_that_comes_alive_takes_its_places_and_is_seen(third: int | None, kept: int | None) -> None:
    before = ViewState(selected=3, pinned=0, third=third, hidden=frozenset({1, 2, 5}), following=False)
    led = view_state.lead(before, 2, 1)
    assert (led.selected, led.pinned, led.third, led.hidden) == (2, 1, kept, frozenset({5}))
    assert (led.following, led.leader) == (True, 2)


def test_time_is_zoomed_step_by_step_within_its_limits() -> None:
    most = view_state.MOST_TIME_ZOOM
    state = view_state.zoom_time(ViewState(), 1)
    assert (state.time_zoom, view_state.zoom_time(state, -1).time_zoom) == (1, 0)
    assert view_state.zoom_time(ViewState(), -1).time_zoom == 0
    assert view_state.zoom_time(ViewState(time_zoom=most), 1).time_zoom == most


def test_chosen_panels_take_the_first_places_and_dismiss_the_guest() -> None:
    state = ViewState(panels=("layers",), guest="drift")
    assert view_state.choose(state, ("layers",)) is state
    chosen = view_state.choose(state, ("curves", "layers"))
    assert (chosen.panels, chosen.guest, chosen.folded) == (("curves", "layers"), "", False)

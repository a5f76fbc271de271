"""What the laboratory has loaded of a recording, and what is new in it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from bntui.link import registry
from bntui.recording.seeds import SeedEnd
from bntui.viewer.screens.lab_recording import LoadedRecording, seeds_left
from tests import factory
from tests.fakes import FakeReader, fork_view


def test_an_event_is_new_once() -> None:
    reader = FakeReader(factory.run_view(stopped=True), shown=12)
    loaded = LoadedRecording(reader)
    assert not loaded.refresh()
    assert loaded.look("epoch").events == ()
    reader.shown = 13
    assert loaded.refresh()
    ((run, event),) = loaded.look("epoch").events
    assert (run.index, event.kind) == (0, "stopped_early")
    assert loaded.look("epoch").events == ()


def test_a_run_is_new_once_with_its_panels() -> None:
    parent = factory.run_view()
    reader = FakeReader(parent)
    loaded = LoadedRecording(reader)
    without = loaded.free_panels
    reader.add(fork_view(1, parent, 3))
    reader.add(factory.run_view(2, dropout=0.2))
    assert loaded.refresh()
    new = loaded.look("epoch")
    assert [run.index for run in new.runs] == [1, 2]
    assert new.runs[0].fork is not None
    assert loaded.free_panels != without
    assert loaded.free_panels == LoadedRecording(reader).free_panels
    assert loaded.look("epoch").runs == ()


def test_positions_are_counted_in_the_unit_that_is_looked_at() -> None:
    loaded = LoadedRecording(FakeReader(factory.run_view()))
    epochs = list(loaded.snapshot.stops)
    loaded.count_by("step")
    assert list(loaded.snapshot.stops) == list(loaded.snapshot.histories[0].step) != epochs
    loaded.look("epoch")
    assert list(loaded.snapshot.stops) == epochs


def test_nothing_is_loaded_after_the_reader_was_closed() -> None:
    reader = FakeReader(shown=3)
    loaded = LoadedRecording(reader)
    loaded.close()
    assert reader.closed
    reader.shown = 6
    assert not loaded.refresh()
    assert reader.refreshed == 0


def test_another_reader_takes_the_place_of_the_one_before() -> None:
    before, after = FakeReader(shown=3), FakeReader(shown=6)
    loaded = LoadedRecording(before)
    loaded.replace(after)
    assert before.closed
    assert not after.closed
    loaded.look("epoch")
    assert len(loaded.snapshot.histories[0]) == 6


def test_compared_recordings_are_never_continued() -> None:
    reader = FakeReader()
    assert LoadedRecording(reader).unfinished
    reader.paths = (reader.path, reader.path)
    assert LoadedRecording(reader).compared
    assert not LoadedRecording(reader).unfinished


def test_panels_keep_their_places_while_no_run_is_added() -> None:
    """A first keyframe may deserve another panel, which must not push away what is being looked at."""
    reader = FakeReader(shown=0)
    loaded = LoadedRecording(reader)
    loaded.free_panels = ("data",)
    reader.shown = 3
    assert loaded.refresh()
    loaded.look("epoch")
    assert loaded.free_panels == ("data",)


ENDED, LOST, OPEN = SeedEnd("finished", 9.0), SeedEnd("failed", 0.0, "no data"), None


@pytest.mark.parametrize(
    ("ends", "fork", "asked", "left"),
    [
        ([], False, 1, False), ([], False, 2, True),
        ([ENDED], False, 2, False), ([ENDED], False, 3, True), ([ENDED, ENDED], False, 3, False),
        ([OPEN], False, 2, True), ([LOST], False, 2, True), ([LOST], True, 2, False), ([LOST, ENDED], False, 3, True),
    ],
)  # fmt: skip
def test_seeds_are_left_until_each_that_was_asked_for_has_ended(
    ends: list[SeedEnd | None], fork: bool, asked: int, left: bool
) -> None:
    run: Any = SimpleNamespace(fork=object() if fork else None)
    whole: Any = SimpleNamespace(fork=None)
    courses = tuple(SimpleNamespace(end=end) for end in ends)
    enough = tuple(SimpleNamespace(end=ENDED) for _ in range(asked - 1))
    recorded: Any = SimpleNamespace(seeds=(enough, courses))
    assert seeds_left(recorded, (whole, run), asked) == left


@pytest.mark.parametrize(("watched", "compared"), [(False, False), (True, False), (False, True), (True, True)])
def test_who_writes_a_recording_is_asked_of_the_one_that_could(
    watched: bool, compared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop of the user's own is recorded, a scenario is trained, and several recordings are only compared."""
    reader = FakeReader()
    if watched:
        reader._views = tuple(replace(one, info=replace(one.info, config={"watched": {}})) for one in reader._views)
    reader.paths = (reader.path, reader.path) if compared else ()
    loaded = LoadedRecording(reader)
    assert (loaded.watched, loaded.trains) == (watched and not compared, not watched and not compared)
    for there in (None, object()):
        monkeypatch.setattr(registry, "recorder", lambda _path, there=there: there)
        monkeypatch.setattr(registry, "trainer", lambda _path, there=there: there)
        assert loaded.recorded_now == (there is not None and loaded.watched)
        assert loaded.trained_now == (there is not None and loaded.trains)

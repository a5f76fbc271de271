"""What the laboratory has loaded of a recording, and what is new in it."""

from __future__ import annotations

from bntui.viewer.screens.lab_recording import LoadedRecording
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

"""Tests the keys of the laboratory that train more seeds, and that open a seed as a run of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bntui.recording.history import Fork
from bntui.recording.seeds import SeedCourse, SeedEnd
from bntui.viewer import live_states, opening, seed_rows
from bntui.viewer.app import LabApp
from bntui.viewer.draw.rows import text
from bntui.viewer.live_events import MoreSeeds, TrainAnew
from bntui.viewer.screens.lab import LabScreen
from bntui.viewer.screens.lab_recording import additions, seeds_left
from bntui.viewer.screens.seeds import SeedsScreen
from bntui.viewer.snapshot import Snapshot, take_snapshot
from tests.factory import run_view
from tests.fakes import FakeReader
from tests.test_seed_bands import seeds_of


async def test_the_keys_ask_for_more_seeds_and_open_the_chosen_one(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = FakeReader()
    monkeypatch.setattr(opening, "open_recording", lambda _, trainer=None: (reader, trainer))
    happened: list[object] = []
    async with LabApp(Path("a.bntui")).run_test(size=(120, 36)) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, LabScreen)
        loaded = screen.loaded
        monkeypatch.setattr(screen.trainer, "happened", happened.append)
        await pilot.press("b", "B")
        assert happened == [MoreSeeds()]
        assert pilot.app.screen is screen  # there is no seed yet
        run = reader._views[0]
        seeds = seeds_of(run, 4)
        reader._views = (replace(run, seeds=seeds), *reader._views[1:])
        loaded.look("epoch")
        await pilot.press("B")
        assert isinstance(pilot.app.screen, SeedsScreen)
        await pilot.press("down", "down", "up", "enter")
        assert happened[1:] == [TrainAnew(seeds[1].seed)]
        await pilot.press("B", "escape")
        assert len(happened) == 2
        monkeypatch.setattr(live_states, "would_stop", lambda _state, _facts: True)  # a training that was started here
        await pilot.press("B", "enter", "down", "up")
        assert len(happened) == 2
        await pilot.press("enter", "enter")
        assert happened[2:] == [TrainAnew(seeds[0].seed)]
        reader.paths = (Path("a.bntui"), Path("b.bntui"))  # a comparison shows them too
        await pilot.press("B")
        assert isinstance(pilot.app.screen, SeedsScreen)


def test_what_failed_is_told_once_and_is_left_to_be_tried_again() -> None:
    run = run_view(layers=1)
    good, bad = seeds_of(run, 3)
    failed = replace(bad, figures=bad.figures[:, :0], end=SeedEnd("failed", 0.0, "no data"))
    reader = FakeReader(run)
    before = take_snapshot(reader)

    def with_seeds(*courses: SeedCourse) -> Snapshot:
        return replace(before, seeds=(courses,))

    runs = [run.info]
    again = replace(failed)
    told = [
        additions(old, new, runs).failures
        for old, new in (
            (before, with_seeds(good, failed)), (with_seeds(good, failed), with_seeds(good, failed)),
            (with_seeds(good, failed), with_seeds(good, again)), (before, with_seeds(failed, again)),
        )
    ]  # fmt: skip
    assert told == [("no data",), (), ("no data",), ("no data",)]
    assert additions(before, replace(with_seeds(failed), source=FakeReader(run)), runs).failures == ()  # another file
    assert not seeds_left(with_seeds(good, bad), runs, 3)
    assert seeds_left(with_seeds(good, bad), runs, 4)
    assert seeds_left(with_seeds(good, failed), runs, 3)
    assert seeds_left(with_seeds(good, replace(bad, end=None)), runs, 3)
    fork = replace(run.info, fork=Fork(0, 12, 1.0))
    assert not seeds_left(with_seeds(good, failed), [fork], 3)  # its parent may end before it


@pytest.mark.parametrize("size", [(60, 6), (108, 7), (108, 20)])
def test_the_page_tells_how_each_seed_ended(size: tuple[int, int]) -> None:
    run = run_view(layers=1)
    trained, failed, going = seeds_of(run, 4)
    ended = replace(trained, end=SeedEnd("stopped_early", 7.0, "", 0.25))
    courses = [
        ended, replace(failed, figures=failed.figures[:, :0], end=SeedEnd("failed", 0.0, "no data")),
        replace(going, end=None),
    ]  # fmt: skip
    drawing = seed_rows.draw(run.info, courses, 1, *size)
    rows = [text(row) for row in drawing.rows]
    assert [len(row) for row in rows] == [size[0]] * size[1]
    assert any(row.startswith("▸") and "failed: no data" in row for row in rows)
    if size == (108, 20):
        assert f"{trained.figure('val_loss')[-1]:.3f}" in rows[2]
        assert "stopped early" in rows[2]
        assert "0.250" in rows[2]
        assert "still trained" in rows[4]

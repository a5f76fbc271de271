"""Tests several recordings read as one: run numbers are stable, everything else equals each file's own reader."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bntui.cli import obey
from bntui.errors import RecordingError, UsageError
from bntui.recording.codec import pack_arrays
from bntui.recording.history import Event, Fork, RunInfo
from bntui.recording.joined import Joined, tags
from bntui.recording.reader import Reader
from bntui.recording.writer import Writer
from bntui.viewer import goodbye, view_state
from bntui.viewer.app import LabApp
from bntui.viewer.draw.rows import text
from bntui.viewer.live_states import ONLY_LOOKING
from bntui.viewer.screens.lab import LabScreen
from bntui.viewer.snapshot import take_snapshot
from bntui.viewer.widgets import RowsWidget
from tests.factory import run_view
from tests.fakes import until
from tests.test_recording import same

PLAIN, NORMED = run_view(layers=1, keyframes=3), run_view(1, "batch norm", layers=1, keyframes=3, norm=True)
SAMPLES = np.arange(12, dtype=np.float32).reshape(6, 2)


def write(
    path: Path,
    *names: str,
    keyframes: int = 3,
    task: str = "classification",
    title: str = "A test",
    train: tuple[int, ...] = (0, 1, 2, 3),
    scaling: float = 1.0,
    closed: bool = True,
) -> Writer:
    """A recording with a run of each name; the ``n``-th keyframe of run ``r`` has the batch loss ``10 r + n``."""
    writer = Writer.create(path, {"title": title, "task": task, "scenario": "", "train_samples": "4"})
    for number, name in enumerate(names):
        add_run(writer, replace(PLAIN.info, index=number, name=name), scaling * (number + 1))
        add_keyframes(writer, number, range(keyframes))
    arrays: dict[str, NDArray[Any]] = {"x": SAMPLES, "y": np.zeros(6, np.int64)}
    arrays |= {"train": np.array(train), "validation": np.array([4, 5])}
    names_of = {"classes": json.dumps(["a", "b"]), "features": json.dumps(["p", "q"])}
    writer.add_data("data", pack_arrays(arrays, names_of), "made", b"0" * 16)
    if closed:
        writer.close()
    return writer


def add_run(writer: Writer, info: RunInfo, factor: float = 1.0) -> None:
    fitted = {"offset": np.zeros(2), "factor": np.full(2, factor)}
    writer.add_run(info, pack_arrays(fitted, {"kind": "minmax"}), 1e6)


def add_keyframes(writer: Writer, run: int, rows: range) -> None:
    assert PLAIN.frame is not None
    for row in rows:
        frame = replace(PLAIN.frame, run=run, step=24 * row, epoch=float(row), batch_loss=10.0 * run + row)
        event = Event(run, frame.step, frame.epoch, "finished", f"run {run}, row {row}")
        evidence = partial(pack_arrays, {"before/place": np.array([run, row])})
        writer.commit(frame, epoch_end=True, events=[event], evidence=evidence)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    one, other = tmp_path / "first.bntui", tmp_path / "second.bntui"
    write(one, "plain", "batch norm")
    write(other, "plain", "wide", "deep", keyframes=5, title="Another test")
    return one, other


def test_runs_come_one_file_after_the_other_and_everything_is_what_the_files_own_readers_give(
    two: tuple[Path, Path],
) -> None:
    joined = Joined(two)
    own = [(Reader(path), run) for path, runs in zip(two, (2, 3), strict=True) for run in range(runs)]
    assert [run.index for run in joined.runs] == [0, 1, 2, 3, 4]
    for number, (reader, run) in enumerate(own):
        info = joined.runs[number]
        assert info.config == reader.runs[run].config
        assert info.layers == reader.runs[run].layers
        assert len(joined.history(number)) == len(reader.history(run))
        np.testing.assert_array_equal(joined.history(number).ids, reader.history(run).ids)
        np.testing.assert_array_equal(joined.evidence_rows(number), reader.evidence_rows(run))
        for row in range(len(reader.history(run))):
            frame = joined.keyframe(number, row)
            assert frame.run == number
            assert frame.batch_loss == 10 * run + row
            assert same(replace(frame, run=run), reader.keyframe(run, row))
            evidence = joined.evidence(number, row)
            assert evidence is not None
            assert evidence.before["place"].tolist() == [run, row]
        events = joined.events(number)
        assert {event.run for event in events} == {number}
        assert [event.message for event in events] == [f"run {run}, row {row}" for row in range(len(events))]
        np.testing.assert_array_equal(
            joined.histograms(number, joined.history(number)).counts,
            reader.histograms(run, reader.history(run)).counts,
        )
    assert joined.title == "A test · Another test"
    assert joined.task == "classification"
    assert joined.meta["train_samples"] == "4"
    assert "title" not in joined.meta  # only what all files say


def test_names_that_collide_are_told_apart_by_their_files(two: tuple[Path, Path]) -> None:
    names = [run.name for run in Joined(two).runs]
    assert names == ["plain · first", "batch norm", "plain · second", "wide", "deep"]


def test_files_of_the_same_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    paths = [tmp_path / folder / "same.bntui" for folder in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        write(path, "plain")
    assert [run.name for run in Joined(paths).runs] == ["plain · a/same", "plain · b/same"]
    assert tags([Path("x/a.bntui"), Path("x/b.bntui"), Path("y/c.bntui")]) == ("a", "b", "c")
    assert tags([Path("x/a.bntui"), Path("x/a.old")]) == ("a.bntui", "a.old")


def test_it_opens_with_the_runs_of_the_same_name_side_by_side(two: tuple[Path, Path], tmp_path: Path) -> None:
    state = view_state.opening(Joined(two))
    assert (state.selected, state.pinned) == (0, 2)
    other = tmp_path / "other.bntui"
    write(other, "none of that name", "nor this")
    assert view_state.opening(Joined((two[0], other))).pinned == 2
    assert view_state.opening(Joined((other, two[1]))).pinned == 2


def test_numbers_stay_put_while_the_files_grow(tmp_path: Path) -> None:
    first, second = tmp_path / "first.bntui", tmp_path / "second.bntui"
    one = write(first, "plain", closed=False)
    other = write(second, "plain", "wide", closed=False)
    joined = Joined((first, second))
    before = joined.runs
    assert joined.dataset is not None
    assert len(joined.dataset.scalings) == 3
    joined.refresh()
    assert not joined.refresh()

    add_run(one, replace(PLAIN.info, index=1, name="fork of plain", fork=Fork(0, 24, 1.0)), 7)
    add_keyframes(one, 1, range(1, 3))
    assert joined.refresh()
    add_run(other, replace(PLAIN.info, index=2, name="fork of wide", fork=Fork(1, 48, 2.0)), 8)
    add_run(other, replace(PLAIN.info, index=3, name="fork of it", fork=Fork(2, 48, 2.0)), 9)
    add_keyframes(other, 1, range(3, 6))
    assert joined.refresh()
    assert not joined.refresh()

    assert joined.runs[:3] == before
    assert [run.index for run in joined.runs] == list(range(6))
    assert [run.name for run in joined.runs[3:]] == ["fork of plain", "fork of wide", "fork of it"]
    parents = [run.fork.run for run in joined.runs if run.fork is not None]
    assert parents == [0, 2, 4]
    assert joined.keyframe(3, 0).batch_loss == 11
    assert [scaling.factor[0] for scaling in joined.dataset.scalings] == [1, 1, 2, 7, 8, 9]
    assert len(joined.history(2)) == 6
    assert joined.keyframe(2, 5).batch_loss == 15
    one.close()
    other.close()


def test_a_fork_keeps_the_tag_of_its_parent(tmp_path: Path) -> None:
    one, other = (write(tmp_path / f"{name}.bntui", "plain", closed=False) for name in ("first", "second"))
    add_run(one, replace(PLAIN.info, index=1, name="plain · lr 0.01", fork=Fork(0, 24, 1.0)), 7)
    add_run(one, replace(PLAIN.info, index=2, name="plain · lr 0.01 · again", fork=Fork(1, 24, 1.0)), 8)
    one.close()
    other.close()
    with closing(Joined((tmp_path / "first.bntui", tmp_path / "second.bntui"))) as joined:
        assert [run.name for run in joined.runs] == [
            "plain · first", "plain · first · lr 0.01", "plain · first · lr 0.01 · again", "plain · second"
        ]  # fmt: skip


def test_a_fork_whose_parent_is_missing_is_said(tmp_path: Path) -> None:
    writer = write(tmp_path / "a.bntui", "plain", closed=False)
    write(tmp_path / "b.bntui", "plain")
    add_run(writer, replace(PLAIN.info, index=1, name="orphan", fork=Fork(7, 24, 1.0)))
    writer.close()
    with pytest.raises(RecordingError, match=r"a\.bntui is damaged: run 1 is not a fork of run 7"):
        Joined((tmp_path / "a.bntui", tmp_path / "b.bntui"))


def test_a_trainer_that_ends_is_not_kept_from_folding_its_journal_in(tmp_path: Path) -> None:
    path = tmp_path / "growing.bntui"
    writer = write(path, "plain", closed=False)
    write(tmp_path / "b.bntui", "plain")
    joined = Joined((path, tmp_path / "b.bntui"))
    joined.refresh()
    joined.keyframe(0, 0)
    joined.refresh()  # nothing is new
    writer.close()
    assert not path.with_name("growing.bntui-wal").exists()
    assert joined.keyframe(0, 1).batch_loss == 1


def test_tasks_that_differ_are_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "curve.bntui"
    write(other, "plain", task="regression")
    with pytest.raises(UsageError, match=r"first\.bntui is classification and .*curve\.bntui is regression"):
        Joined((two[0], other))


def test_one_file_is_nothing_to_compare(two: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="at least two recordings"):
        Joined(two[:1])
    with pytest.raises(UsageError, match=r"first\.bntui is given twice"):
        Joined((*two, two[0].parent / "." / two[0].name))
    with pytest.raises(RecordingError, match="no such recording"):
        Joined((two[0], two[0].with_name("nothing.bntui")))


def test_samples_are_shown_where_all_learned_from_the_same(two: tuple[Path, Path], tmp_path: Path) -> None:
    joined = Joined(two)
    assert joined.dataset is not None
    assert not joined.mixed
    np.testing.assert_array_equal(joined.dataset.x, SAMPLES)
    assert [scaling.factor[0] for scaling in joined.dataset.scalings] == [1, 2, 1, 2, 3]
    split = tmp_path / "split.bntui"
    write(split, "plain", train=(3, 2, 1, 0))
    joined = Joined((two[0], split))
    assert joined.dataset is None
    assert joined.mixed
    assert "These recordings do not share their samples" in _said_of_samples(joined)


def test_recordings_of_which_some_have_samples_share_none(two: tuple[Path, Path], tmp_path: Path) -> None:
    loop = tmp_path / "loop.bntui"
    write(loop, "plain")
    with closing(sqlite3.connect(loop)) as connection, connection:
        connection.execute("DELETE FROM data")
    other = tmp_path / "other.bntui"
    shutil.copy(loop, other)
    for paths in ((two[0], loop), (loop, two[0])):
        joined = Joined(paths)
        assert (joined.dataset, joined.mixed) == (None, True)
        assert "These recordings do not share their samples" in _said_of_samples(joined)
    assert not Joined((loop, other)).mixed


def _said_of_samples(joined: Joined) -> str:
    from bntui.viewer.panels import data

    view = view_state.build_view(take_snapshot(joined), view_state.opening(joined), dataset=True)
    return " ".join(text(row).strip() for row in data.draw(view, 60, 10).rows)


def test_the_command_line_that_opens_it_again(two: tuple[Path, Path]) -> None:
    assert goodbye.recorded(Joined(two), unfinished=False) == [
        f"Recorded. Open it again with: bntui compare {two[0]} {two[1]}"
    ]
    assert goodbye.recorded(Reader(two[0]), unfinished=True) == [
        f"Recorded. Open it again with: bntui replay {two[0]}",
        f"Go on with: bntui resume {two[0]}",
    ]


@pytest.mark.parametrize("arguments", [[], ["first.bntui"], ["first.bntui", "first.bntui"]])
def test_the_command_refuses_in_a_sentence(
    two: tuple[Path, Path], arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(two[0].parent)
    with pytest.raises(UsageError) as refused:
        obey(["compare", *arguments])
    assert refused.value.exit_code == 2


def test_it_needs_a_terminal(two: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="the screen needs a terminal"):
        obey(["compare", *map(str, two)])


async def test_the_laboratory_follows_files_that_grow(tmp_path: Path) -> None:
    paths = tmp_path / "a.bntui", tmp_path / "b.bntui"
    writer = write(paths[0], "plain", closed=False)
    write(paths[1], "plain")
    app = LabApp(paths)
    async with app.run_test(size=(160, 48)) as pilot:
        screen = app.screen
        assert isinstance(screen, LabScreen)
        compare = screen.query_one("#compare", RowsWidget)
        assert compare.display  # what the recordings were opened for is on the screen
        assert any("bit for bit equal" in text(row) for row in compare.rows)
        add_keyframes(writer, 0, range(3, 6))
        await until(pilot, lambda: screen.view_state.cursor == 5)
        header: Any = screen.query_one("#header", RowsWidget)
        assert "epoch 5/60" in text(header.rows[0])
        assert not any("bit for bit equal" in text(row) for row in compare.rows)
        for key in ("space", "f", "b", "R", "N"):
            await pilot.press(key)
            await pilot.pause()
            said = [notice.message for notice in app._notifications]
            assert said == [ONLY_LOOKING], key
            app.clear_notifications()
    writer.close()

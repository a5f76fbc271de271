"""Tests that what a thread writes behind training is what is written at once, and that its errors are not lost."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bntui.errors import StorageError
from bntui.recording.reader import Reader
from bntui.recording.writer import Writer
from bntui.scenario.load import parse
from bntui.trainer import write_behind
from bntui.trainer.session import Session
from tests.test_cores import SCENARIOS, contents, train_on
from tests.test_session import DIGITS, TWO_RUNS, never


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread is worth it for the smallest keyframes, and there are two cores."""
    monkeypatch.setattr(write_behind, "WORTH", 0)
    monkeypatch.setattr("bntui.trainer.session.cores", lambda: 2)


@pytest.fixture
def writing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the threads that commit keyframes, in turn."""
    names = []
    commit = Writer.commit

    def named(self: Writer, *of: Any, **more: Any) -> None:
        names.append(threading.current_thread().name)
        commit(self, *of, **more)

    monkeypatch.setattr(Writer, "commit", named)
    return names


def begun(path: Path, text: str, overrides: list[tuple[str, Any]], *, behind: bool) -> Session:
    session = Session.begin(parse(DIGITS + text, file="x", overrides=overrides), path, overrides)
    if behind:
        session.write_behind()
    return session


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_recording_is_the_one_that_is_written_at_once(tmp_path: Path, name: str, writing: list[str]) -> None:
    text, overrides = SCENARIOS[name]
    for behind in (False, True):
        writing.clear()
        train_on(begun(tmp_path / f"{behind}.bntui", text, overrides, behind=behind))
        assert any("bntui-writer" in name for name in writing) is behind
    assert contents(tmp_path / "True.bntui") == contents(tmp_path / "False.bntui")


def test_small_keyframes_are_written_at_once(
    tmp_path: Path, writing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_behind, "WORTH", 10**9)
    train_on(begun(tmp_path / "x.bntui", TWO_RUNS, [("training.epochs", 3)], behind=True))
    assert set(writing) == {"MainThread"}


def test_a_single_core_writes_at_once(tmp_path: Path, writing: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bntui.trainer.session.cores", lambda: 1)
    train_on(begun(tmp_path / "x.bntui", TWO_RUNS, [("training.epochs", 3)], behind=True))
    assert set(writing) == {"MainThread"}


def test_who_asks_for_the_writer_finds_everything_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = begun(tmp_path / "x.bntui", TWO_RUNS, [], behind=True)
    goes_on, commit = threading.Event(), Writer.commit

    def late(self: Writer, *of: Any, **more: Any) -> None:
        assert goes_on.wait(30)
        commit(self, *of, **more)

    session.epoch(never)
    with closing(Reader(session.writer.path)) as reader:
        assert [len(reader.history(run.index)) for run in reader.runs] == [2, 2]  # the initial state, and an epoch
    monkeypatch.setattr(Writer, "commit", late)
    with closing(session):
        session.runs[0].train_epoch(session._recorder, never)
        assert session.keyframes == 4  # training went on without the last one
        goes_on.set()
        assert session.writer.keyframes == session.keyframes == 5


def test_training_goes_on_until_too_much_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = begun(tmp_path / "x.bntui", TWO_RUNS, [], behind=True)
    size = session.writer.evidence_bytes(0)
    monkeypatch.setattr(write_behind, "MOST_BEHIND", 3 * size + size // 2)
    goes_on, commit = threading.Event(), Writer.commit

    def late(self: Writer, *of: Any, **more: Any) -> None:
        assert goes_on.wait(30)
        commit(self, *of, **more)

    monkeypatch.setattr(Writer, "commit", late)
    with closing(session):
        for _epoch in range(3):
            session.runs[0].train_epoch(session._recorder, never)
        assert session.runs[0].epoch == 3
        assert session.keyframes == 2
        threading.Timer(0.3, goes_on.set).start()
        session.runs[0].train_epoch(session._recorder, never)
        assert goes_on.is_set()
        assert session.writer.keyframes == 6


@pytest.mark.parametrize("engine", ["explicit", "autograd"])
def test_what_waits_does_not_change_when_the_next_epoch_overwrites_the_samples(tmp_path: Path, engine: str) -> None:
    session = begun(tmp_path / "x.bntui", TWO_RUNS, [("training.engine", engine)], behind=True)
    with closing(session):
        run = session.runs[0]
        batch = run._epoch.next
        taken = run.stepper.measured(batch.x, batch.y, run.step, 0.1)
        before = {name: values.copy() for name, values in taken.evidence().arrays().items()}
        batch.x.zero_()
        after = taken.evidence().arrays()
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_full_disk_is_told_by_what_comes_next_and_the_rest_is_intact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.bntui"
    session = begun(path, TWO_RUNS, [], behind=True)
    session.epoch(never)
    session.writer._db.execute("PRAGMA max_page_count = 1")  # SQLite makes it the number of pages there are

    def train() -> None:
        for _epoch in range(9):
            session.epoch(never)

    with pytest.raises(StorageError, match=r"full.*everything recorded before is intact"):
        train()
    session.leave()
    monkeypatch.undo()
    with closing(Reader(path)) as reader:
        steps = [reader.history(run.index).step.tolist() for run in reader.runs]
        assert all(len(of_run) >= 2 and set(np.diff(of_run)) == {session.runs[0].steps_per_epoch} for of_run in steps)
    resumed = Session.resume(path)
    with closing(resumed):
        resumed.epoch(never)
    with closing(Reader(path)) as reader:
        assert {int(reader.history(run.index).epoch[-1]) for run in reader.runs} == {int(resumed.runs[0].epoch)}

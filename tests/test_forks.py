"""Tests corner cases of forks: ends of runs, chains of forks, schedules, budgets, and refusals."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bntui.errors import RecordingError, ScenarioError, StorageError, UsageError
from bntui.link.requests import ForkRequest
from bntui.recording.codec import unpack_arrays
from bntui.recording.history import RunInfo
from bntui.recording.reader import Reader
from bntui.recording.writer import Writer
from bntui.scenario.load import Override, parse
from bntui.trainer.agenda import Agenda
from bntui.trainer.session import Session
from bntui.viewer.fork.check import judge
from bntui.viewer.fork.form import PATIENCE, ForkForm, opened
from bntui.viewer.screens.lab_pages import fork_from
from bntui.viewer.screens.lab_recording import LoadedRecording
from tests.same import compare
from tests.test_resume import kill, whole
from tests.test_session import DIGITS, never, rows, train


def begin(path: Path, *overrides: Override, text: str = DIGITS) -> Session:
    return Session.begin(parse(text, file="test.toml", overrides=overrides), path, overrides)


def trained(path: Path, *overrides: Override) -> Path:
    whole(begin(path, *overrides)).close()
    return path


def forked(path: Path, run: int, step: int, *changes: Override) -> RunInfo:
    session = Session.resume(path)
    try:
        child = session.fork(run, step, changes)
        while not session.over:
            session.epoch(never)
    finally:
        session.close()
    return child


def asked_for(path: Path, patience: str, cursor: float = math.inf) -> ForkForm:
    """The form at a keyframe of the first run, with this patience."""
    with closing(Reader(path)) as reader:
        found = fork_from(LoadedRecording(reader), reader.runs[0], cursor)
    assert found is not None
    form = opened(found.origin)
    assert (form.item.setting.path == PATIENCE) == (cursor == math.inf)
    return replace(form, typed={PATIENCE: patience})


def test_a_fork_with_another_monitor_counts_anew_and_may_start(tmp_path: Path) -> None:
    stopping = [("training.early_stopping.patience", 1), ("training.early_stopping.min_delta", 10.0)]
    path = trained(tmp_path / "x.bntui", *stopping)
    form = asked_for(path, "1")
    form = replace(form, typed={"training.early_stopping.monitor": "val_accuracy"})
    assert judge(form).valid
    with closing(Reader(path)) as reader:
        step = int(reader.history(0).step[-1])
    assert forked(path, 0, step, *judge(form).changes).fork is not None


def test_a_finished_run_that_is_given_more_epochs_is_the_longer_run(tmp_path: Path) -> None:
    path = trained(tmp_path / "x.bntui", ("training.epochs", 3), ("network.dropout", 0.1))
    child = forked(path, 0, 18, ("training.epochs", 6))
    reference = train(tmp_path, DIGITS, ("training.epochs", 6), ("network.dropout", 0.1))
    with closing(reference), closing(Reader(path)) as reader:
        assert compare(reference, 0, reader, child.index, after=18) == 3


def test_a_stopped_run_goes_on_with_more_patience_and_not_without(tmp_path: Path) -> None:
    stopping = [("training.early_stopping.patience", 1), ("training.early_stopping.min_delta", 10.0)]
    path = trained(tmp_path / "x.bntui", *stopping)
    with closing(Reader(path)) as reader:
        step = int(reader.history(0).step[-1])
        assert reader.events(0)[-1].kind == "stopped_early"
    with pytest.raises(ScenarioError, match="the run stopped early here: it waited 1 epochs, and patience is 1"):
        forked(path, 0, step)
    asked = {written: judge(asked_for(path, written)).valid for written in ("1", "2", "none")}
    assert asked == {"1": False, "2": True, "none": True}
    assert "raise patience, or fork from an earlier keyframe" in judge(asked_for(path, "1")).errors[PATIENCE]
    assert judge(asked_for(path, "1", cursor=1.0)).valid
    child = forked(path, 0, step, ("training.early_stopping.patience", 4))
    reference = train(tmp_path, DIGITS, ("training.early_stopping.patience", 4), stopping[1])
    with closing(reference), closing(Reader(path)) as reader:
        assert compare(reference, 0, reader, child.index, after=step) == 3


def test_dropping_the_rest_of_the_last_epoch_leaves_nothing(tmp_path: Path) -> None:
    path = trained(tmp_path / "x.bntui", ("training.epochs", 3), ("record.every", 1), ("data.last_batch", "keep"))
    with pytest.raises(ScenarioError, match="the fork starts at epoch 3 and would end at once"):
        forked(path, 0, 17, ("data.last_batch", "drop"))


def test_the_best_weights_of_a_grandparent_are_restored(tmp_path: Path) -> None:
    rule: list[Override] = [("training.early_stopping.patience", 50), ("training.lr", 1.0), ("training.epochs", 12)]
    path = trained(tmp_path / "x.bntui", *rule, ("network.activation", "relu"), ("record.budget", 0.5))
    with closing(Reader(path)) as reader:
        history = reader.history(0)
        best = int(history.best_epoch[9])
        assert best <= 9
    child = forked(path, 0, 54)
    restoring = ("training.early_stopping.restore_best_weights", True)
    grandchild = forked(path, child.index, 60, restoring, ("training.lr", 0.0))
    ((step, block),) = rows(path, f"SELECT step, block FROM checkpoint WHERE run = {grandchild.index}")
    kept = unpack_arrays(block)
    session = Session.resume(path)
    there = session._past.reach(0, step)
    session.close()
    assert step // 6 == Reader(path).history(grandchild.index).best_epoch[-1]
    for name, tensor in there.network.state().items():
        assert kept[name].ravel().tolist() == tensor.numpy().ravel().tolist()


def test_a_plateau_is_looked_for_only_while_the_schedule_says_so(tmp_path: Path) -> None:
    path = trained(tmp_path / "x.bntui", ("training.lr", 0.0), ("training.epochs", 20))
    child = forked(path, 0, 96, ("training.schedule.kind", "plateau"), ("training.lr", 0.25))
    with closing(Reader(path)) as reader:
        assert reader.history(child.index).lr.tolist() == [0.25] * 5


@pytest.mark.parametrize(("budget", "kept"), [(0.0, 0), (64.0, 3)])
def test_a_fork_has_the_budget_that_it_is_given(tmp_path: Path, budget: float, kept: int) -> None:
    path = trained(tmp_path / "x.bntui", ("record.budget", 32.0))
    child = forked(path, 0, 24, ("record.budget", budget))
    with closing(Reader(path)) as reader:
        assert len(reader.evidence_rows(child.index)) == kept
        assert len(reader.evidence_rows(0)) == 7
    session = Session.resume(path)
    grandchild = session.fork(child.index, 30, [])
    with closing(whole(session)) as reader:
        assert compare(reader, 0, reader, grandchild.index, after=30) == 1


def test_a_refused_fork_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "x.bntui"
    session = begin(path)
    session.epoch(never)
    session.close()
    tables = ("run", "keyframe", "event", "evidence", "checkpoint")
    before = [rows(path, f"SELECT * FROM {table}") for table in tables]
    session = Session.resume(path)
    with pytest.raises(ScenarioError):
        session.fork(0, 6, [("training.lr", -1)])
    session.close()
    assert [rows(path, f"SELECT * FROM {table}") for table in tables] == before


def test_another_runtime_folder_is_no_way_around_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = begin(tmp_path / "x.bntui")
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(other))
    with pytest.raises(RecordingError, match="is being written by"):
        Session.resume(tmp_path / "x.bntui")
    session.close()
    resumed = Session.resume(tmp_path / "x.bntui")
    with pytest.raises(RecordingError, match="is being written by"):
        Session.resume(tmp_path / "x.bntui")
    resumed.close()


def test_a_commit_that_fails_is_rolled_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bntui.recording.file.file_system", lambda _: "nfs")
    path = tmp_path / "x.bntui"
    session = begin(path)
    session.epoch(never)
    session.writer._db.execute("PRAGMA busy_timeout = 10")
    reading = sqlite3.connect(path, isolation_level=None)
    reading.execute("BEGIN")
    reading.execute("SELECT count(*) FROM keyframe").fetchone()
    with pytest.raises(StorageError, match="locked"):
        session.fork(0, 6, [("training.lr", 0.1)])
    reading.execute("COMMIT")
    reading.close()
    assert not session.writer._db.in_transaction
    assert len(session.runs) == 1
    session.epoch(never)
    kill(session)
    assert rows(path, "SELECT run, step FROM keyframe") == [(0, 0), (0, 6), (0, 12)]


def test_a_fork_that_is_committed_between_two_queries_is_seen_whole_or_not(tmp_path: Path) -> None:
    session = begin(tmp_path / "x.bntui")
    session.epoch(never)
    with closing(Reader(tmp_path / "x.bntui")) as reader:
        asked: list[str] = []

        class Spied:
            """A connection during whose first query a fork is committed."""

            def __init__(self, connection: sqlite3.Connection) -> None:
                self.connection = connection

            def close(self) -> None:
                self.connection.close()

            def execute(self, query: str, *arguments: Any) -> Any:
                found: Any = self.connection.execute(query, *arguments)
                if "FROM run WHERE" in query:
                    asked.append(query)
                    if len(asked) == 1:
                        session.fork(0, 6, [])
                return found

        reader._connection = Spied(reader._db)  # type: ignore[assignment]
        reader.refresh()
        assert (len(reader.runs), len(reader.history(0))) == (1, 2)
        reader.refresh()
        assert (len(reader.runs), len(reader.history(1))) == (2, 1)
    session.close()


def test_equal_requests_are_two_forks() -> None:
    fork = ForkRequest(0, 6, (("training.lr", 0.1),))
    agenda = Agenda().with_fork(fork).with_fork(fork)
    assert Agenda.parse(agenda.text()) == agenda
    assert agenda.after_first_fork().forks == (fork,)


@pytest.mark.parametrize("text", ["{", "[]", '{"steps": {"a": 1}}', '{"forks": [{}]}', '{"color": 1}'])
def test_a_damaged_agenda_is_said(text: str) -> None:
    with pytest.raises(RecordingError, match="the trainer's pending requests are damaged"):
        Agenda.parse(text)


def test_a_writer_that_is_abandoned_keeps_what_it_committed(tmp_path: Path) -> None:
    path = tmp_path / "x.bntui"
    begin(path).close()
    writer = Writer.reopen(path)
    writer.plan("{}")
    writer.abandon()
    assert rows(path, "SELECT text FROM agenda") == [("{}",)]


def test_a_fork_alone_leaves_the_others_where_they_were(tmp_path: Path) -> None:
    path = tmp_path / "x.bntui"
    session = begin(path)
    session.epoch(never)
    session.close()
    session = Session.resume(path, all_runs=False)
    child = session.fork(0, 6, [("training.lr", 0.1), ("training.epochs", 2)])
    whole(session).close()
    with closing(Reader(path)) as reader:
        assert reader.history(child.index).epoch[-1] == 2
        assert reader.history(0).epoch[-1] == 1
        assert [event.kind for event in reader.events(0)] == []
    with closing(train(tmp_path, DIGITS)) as reference, closing(whole(Session.resume(path))) as reader:
        assert compare(reference, 0, reader, 0) == 7


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"data.batch_size": 7, "network.dropout": 0.2, "network.norm": "batch", "training.lr": 5},
         "p · lr 5, norm batch, dropout 0.2, …"),
        ({"training.early_stopping.patience": 2}, "p · patience 2"),
        ({"training.clip_norm": 1.5}, "p · clip_norm 1.5"),
        ({}, "p · again"),
    ],
)  # fmt: skip
def test_a_forks_name_says_what_matters_first(changes: dict[str, Any], name: str) -> None:
    from bntui.scenario.fork import fork_name
    from bntui.scenario.fork import forked as valid

    config = parse(DIGITS, file="test.toml").runs[0].config.model_dump(mode="json")
    _config, differences = valid(config, list(changes.items()))
    assert fork_name("p", differences, ()) == name
    assert fork_name("p", differences, {name}) == f"{name} (2)"


def test_a_fork_of_many_forks_can_be_read(tmp_path: Path) -> None:
    """Each name has its parent's in it, and a reader takes a name of at most 1000 characters."""
    path, long = tmp_path / "x.bntui", "p" * 995
    session = begin(path, text=f'{DIGITS}\n[[run]]\nname = "{long}"\n')
    session.epoch(never)
    hidden = [20 + width for width in range(200)]
    for changes in ([("training.lr", 0.1)], [("training.lr", 0.1)], [("network.hidden", hidden)]):
        session.fork(len(session.runs) - 1, 6, changes)
    session.close()
    with closing(Reader(path)) as reader:
        names = [run.name for run in reader.runs]
    assert len(set(names)) == 4
    assert max(map(len, names)) <= 1000
    assert (names[0], names[1]) == (long, f"{'p' * 990}… · lr 0.1")
    assert names[2] == f"{'p' * 990}…… · again"
    assert " · hidden [20, 21, 22" in names[3]


def test_a_recording_with_all_its_runs_can_have_no_other_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bntui.trainer.fork_checks.MOST_RUNS", 2)
    session = begin(tmp_path / "x.bntui")
    session.epoch(never)
    session.fork(0, 6, [("training.lr", 0.1)])
    with pytest.raises(UsageError, match="has 2 runs, and can have no more"):
        session.fork(0, 6, [("training.lr", 0.2)])
    session.close()
    with closing(Reader(tmp_path / "x.bntui")) as reader:
        assert len(reader.runs) == 2


def test_none_leaves_out_what_may_be_left_out() -> None:
    from bntui.scenario.fork import forked as valid

    stopping: list[Override] = [("training.early_stopping.patience", 3), ("training.clip_norm", 1.0)]
    config = parse(DIGITS, file="test.toml", overrides=stopping).runs[0].config.model_dump(mode="json")
    for path in ("training.early_stopping", "training.early_stopping.patience"):
        assert valid(config, [(path, "none")])[0].training.early_stopping is None
    assert valid(config, [("training.clip_norm", "none")])[0].training.clip_norm is None
    with pytest.raises(ScenarioError, match="must be a number"):
        valid(config, [("training.lr", "none")])

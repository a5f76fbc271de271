"""Tests that a run interrupted anywhere and resumed equals the uninterrupted one, and that a fork without changes
equals its parent, over random networks, optimizers, schedules, and places.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bntui.errors import RecordingError, ScenarioError, UsageError
from bntui.recording.reader import Reader
from bntui.scenario.load import Override, parse
from bntui.trainer.session import Session
from tests.same import compare
from tests.spread import ALL
from tests.test_session import DIGITS, TWO_RUNS, never, rows, train

LAYERS = {
    "dense": ({"type": "linear", "units": 12}, {"type": "linear", "units": 10}),
    "conv": ({"type": "conv", "channels": 4, "kernel": 3, "pool": 2}, {"type": "linear", "units": 10}),
    "elman": ({"type": "recurrent", "units": 9},),
    "gru": ({"type": "recurrent", "units": 9, "cell": "gru"},),
    "lstm": ({"type": "recurrent", "units": 8, "cell": "lstm"}, {"type": "linear", "units": 8}),
}


@st.composite
def configurations(draw: st.DrawFn) -> list[Override]:
    """Everything that the next step may depend on."""
    kind = draw(st.sampled_from(sorted(LAYERS)))
    recurrent = kind in ("elman", "gru", "lstm")
    optimizer = draw(st.sampled_from(["sgd", "adam", "adamw", "rmsprop"]))
    given: dict[str, Any] = {
        "network.layer": list(LAYERS[kind]),
        "network.norm": draw(st.sampled_from(["none", "batch", "layer"])),
        "network.dropout": draw(st.sampled_from([0.0, 0.3])),
        "data.sequence": "rows" if recurrent else "none",
        "data.samples": 150,
        "data.batch_size": draw(st.sampled_from([20, 37])),
        "data.last_batch": draw(st.sampled_from(["first", "keep", "drop"])),
        "data.input_noise": draw(st.sampled_from([0.0, 0.1])),
        "training.optimizer": optimizer,
        "training.lr": 0.05 if optimizer == "sgd" else 0.005,
        "training.momentum": draw(st.sampled_from([0.0, 0.9])) if optimizer in ("sgd", "rmsprop") else 0.0,
        "training.weight_decay": draw(st.sampled_from([0.0, 0.01])),
        "training.schedule.kind": draw(st.sampled_from(["constant", "step", "cosine", "plateau"])),
        "training.schedule.step_size": 2,
        "training.schedule.patience": 0,
        "training.schedule.warmup_epochs": draw(st.sampled_from([0, 2])),
        "training.epochs": 5,
        "record.every": draw(st.sampled_from(["epoch", 1, 4])),
        "record.budget": draw(st.sampled_from([64.0, 0.4, 0.0])),
        "record.shift": draw(st.booleans()),
    }
    if recurrent:
        given["network.norm_recurrent"] = draw(st.sampled_from(["input", "step"]))
    if draw(st.booleans()):
        given |= {
            "training.early_stopping.patience": draw(st.sampled_from([1, 2, 9])),
            "training.early_stopping.restore_best_weights": True,
            "training.early_stopping.monitor": draw(st.sampled_from(["val_loss", "val_accuracy"])),
        }
    return list(given.items())


TEXT = DIGITS.replace("hidden = [20, 20]\n", "").replace('init = "normal:0.5"\n', "")


def begin(folder: Path, overrides: list[Override], name: str = "x.bntui") -> Session:
    return Session.begin(parse(TEXT, file="test.toml", overrides=overrides), folder / name, overrides)


def kill(session: Session) -> None:
    """What the system does to a process that is killed: nothing is flushed, nothing is said."""
    session.writer.abandon()
    session._hold.release()


def whole(session: Session) -> Reader:
    while not session.over:
        session.epoch(never)
    session.close()
    return Reader(session.writer.path)


SLOW = settings(max_examples=100 if ALL else 12, deadline=None, suppress_health_check=list(HealthCheck))


@SLOW
@given(configurations(), st.lists(st.integers(1, 34), min_size=1, max_size=3), st.booleans())
def test_a_resumed_run_is_the_uninterrupted_one(overrides: list[Override], stops: list[int], killed: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference = whole(begin(folder, overrides, "whole.bntui"))
        session = begin(folder, overrides)
        for stop in stops:
            steps = itertools.count()
            while not session.over and next(steps) < 5:
                session.epoch(lambda: next(steps) >= stop)  # noqa: B023
            if killed:
                kill(session)
            else:
                session.close()
            session = Session.resume(session.writer.path)
        with closing(whole(session)) as resumed, closing(reference):
            assert compare(reference, 0, resumed, 0) >= 1
            assert resumed.history(0).step[-1] == reference.history(0).step[-1]
            ends = [[e.message for e in r.events(0) if e.kind != "resumed"] for r in (reference, resumed)]
            assert ends[0] == ends[1]
            final = [rows(r.path, "SELECT step, digest FROM checkpoint") for r in (reference, resumed)]
            assert final[0] == final[1]


@settings(SLOW, max_examples=5)
@given(configurations())
def test_the_same_seed_gives_the_same_bits(overrides: list[Override]) -> None:
    with tempfile.TemporaryDirectory() as name:
        one, other = (whole(begin(Path(name), overrides, file)) for file in ("one.bntui", "other.bntui"))
        with closing(one), closing(other):
            assert compare(one, 0, other, 0) == one.history(0).has_frame.sum()


@SLOW
@given(configurations(), st.integers(0, 40), st.integers(0, 100))
def test_a_fork_with_nothing_changed_is_its_parent(overrides: list[Override], at: int, again: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        session = begin(Path(name), overrides)
        with closing(whole(session)) as parent:
            steps = parent.history(0).step[:-1]
        step = int(steps[at % len(steps)])
        session = Session.resume(session.writer.path)
        try:
            child = session.fork(0, step, [])
        except ScenarioError:  # it stands at its last epoch's end already
            session.close()
            return
        whole(session).close()
        session = Session.resume(session.writer.path)
        with closing(Reader(session.writer.path)) as reader:
            later = reader.history(child.index).step[:-1]
        grandchild = None
        if len(later):
            grandchild = session.fork(child.index, int(later[again % len(later)]), [])
        with closing(whole(session)) as reader:
            assert compare(reader, 0, reader, child.index, after=step) >= 0
            assert reader.weights(child.index)[step] == reader.weights(0)[step]
            assert reader.history(child.index).step[-1] == reader.history(0).step[-1]
            assert reader.runs[child.index].fork is not None
            if grandchild is not None:
                assert grandchild.fork is not None
                assert grandchild.fork.run == child.index
                compare(reader, 0, reader, grandchild.index, after=grandchild.fork.step)
            finals = dict(rows(reader.path, "SELECT run, digest FROM checkpoint"))
            assert finals[child.index] == finals[0]


def test_a_fork_that_keeps_the_parameters_keeps_all_state(tmp_path: Path) -> None:
    overrides: list[Override] = [("network.layer", list(LAYERS["dense"])), ("training.optimizer", "adam")]
    session = begin(tmp_path, overrides)
    whole(session).close()
    session = Session.resume(session.writer.path)
    changes = {
        "training.lr": 0.0, "network.dropout": 0.2, "training.weight_decay": 0.1, "data.batch_size": 30,
        "data.input_noise": 0.5, "record.every": 1,
    }  # fmt: skip
    children = [session.fork(0, 12, [change]) for change in changes.items()]
    with closing(whole(session)) as reader:
        for child, path in zip(children, changes, strict=True):
            assert child.fork is not None
            assert [change[0] for change in child.fork.changes] == [path]
            assert child.fork.new == ()
            assert child.name == f"run · {path.rpartition('.')[2]} {changes[path]:g}"
            assert reader.weights(child.index)[12] == reader.weights(0)[12]
            first = reader.state(child.index, 0)
            before = reader.state(0, 3)
            assert first is not None
            assert before is not None
            assert first.evidence.optimizer.keys() == before.evidence.optimizer.keys() != set()
            assert {average.name for average in first.evidence.optimizer} == {"exp_avg", "exp_avg_sq", "step"}
        still = reader.weights(children[0].index)
        assert len(set(still.values())) == 1  # with a learning rate of 0 nothing moves


def test_a_fork_of_another_structure_says_what_it_kept(tmp_path: Path) -> None:
    session = begin(tmp_path, [("network.hidden", [20, 20])])
    whole(session).close()
    session = Session.resume(session.writer.path)
    child = session.fork(0, 18, [("network.norm", "batch")])
    whole(session).close()
    assert child.fork is not None
    linear = [f"{name}.linear.{part}" for name in ("linear 1", "linear 2", "output") for part in ("weight", "bias")]
    assert sorted(child.fork.kept) == sorted(linear)
    norms = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert sorted(child.fork.new) == sorted(f"linear {n}.norm.{part}" for n in (1, 2) for part in norms)
    with closing(Reader(session.writer.path)) as reader:
        there, here = reader.state(0, 4), reader.state(child.index, 0)
        assert there is not None
        assert here is not None
        # the state before the parent's next keyframe's last step is not the fork's, the weights of the fork are
        assert reader.history(child.index).step[0] == 18
        assert reader.history(child.index).epoch[0] == 3
        assert here.evidence.before["linear 1.norm.weight"].tolist() == [1.0] * 20


def test_a_reader_that_is_open_sees_the_fork(tmp_path: Path) -> None:
    session = Session.begin(parse(DIGITS, file="test.toml"), tmp_path / "x.bntui")
    session.epoch(never)
    with closing(Reader(tmp_path / "x.bntui")) as reader:
        assert reader.dataset is not None
        assert len(reader.dataset.scalings) == 1
        session.fork(0, 6, [("training.lr", 0.1)])
        assert reader.refresh()
        assert [run.name for run in reader.runs] == ["run", "run · lr 0.1"]
        assert len(reader.dataset.scalings) == 2
        session.close()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("seed", 3)], "a fork keeps its parent's seed"),
        ([("data.source", "wine")], "a fork keeps its parent's seed"),
        ([("data.validation", 0.3)], "a fork keeps its parent's seed"),
        ([("training.lr", -1)], "must be at least 0.0"),
        ([("training.epochs", 2)], "give it more epochs"),
        ([("network.nrm", "batch")], "did you mean 'norm'"),
    ],
)
def test_a_fork_that_cannot_be_is_refused(tmp_path: Path, changes: list[Override], words: str) -> None:
    session = Session.begin(parse(DIGITS, file="test.toml"), tmp_path / "x.bntui")
    whole(session).close()
    session = Session.resume(tmp_path / "x.bntui")
    with pytest.raises(ScenarioError, match=words):
        session.fork(0, 12, changes)
    with pytest.raises(UsageError, match="run 0 has no keyframe at step 13"):
        session.fork(0, 13, [])
    session.close()
    with closing(Reader(tmp_path / "x.bntui")) as reader:
        assert len(reader.runs) == 1


def test_a_second_trainer_is_refused_and_the_holder_named(tmp_path: Path) -> None:
    session = Session.begin(parse(DIGITS, file="test.toml"), tmp_path / "x.bntui")
    with pytest.raises(RecordingError, match=f"is being written by process {os.getpid()}"):
        Session.resume(tmp_path / "x.bntui")
    session.close()


def test_a_recording_of_format_2_is_brought_to_this_one_and_gone_on_with(tmp_path: Path) -> None:
    reference = train(tmp_path, DIGITS + TWO_RUNS)
    path = tmp_path / "old.bntui"
    session = Session.begin(parse(DIGITS + TWO_RUNS, file="test.toml"), path)
    session.epoch(never)
    session.close()
    _as_format_2(path)
    session = Session.resume(path)
    with closing(whole(session)) as resumed, closing(reference):
        for run in (0, 1):
            assert compare(reference, run, resumed, run) == 7


def _as_format_2(path: Path) -> None:
    """The tables as that version wrote them."""
    import sqlite3

    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DROP TABLE agenda")
        db.execute("DROP TABLE seed")
        db.execute("DELETE FROM meta WHERE key = 'digest'")
        for column in ("fork", "budget", "stride", "digest"):
            db.execute(f"ALTER TABLE run DROP COLUMN {column}")
        db.execute("ALTER TABLE event DROP COLUMN digest")
        db.execute("ALTER TABLE keyframe DROP COLUMN gradient_scale")
        db.execute("DELETE FROM evidence")  # its evidence had no progress with it
        db.execute("PRAGMA user_version = 2")

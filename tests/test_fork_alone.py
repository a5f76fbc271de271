"""Tests that a fork of a paused laboratory trains alone to where its parent stands, and that all stays paused then."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bntui.link.address import lock_path
from bntui.link.client import IdleTrainer, Trainer
from bntui.link.requests import ForkRequest
from bntui.recording.reader import Reader
from bntui.scenario.load import parse
from bntui.scenario.pace import PacingOptions
from bntui.trainer.agenda import Agenda
from bntui.trainer.session import Session
from tests.commands import bntui
from tests.same import compare
from tests.test_process import LONG, connected, scenario, steps, until
from tests.test_session import DIGITS, TWO_RUNS, never, train

PER_EPOCH = 6
UNTHROTTLED = PacingOptions("max", paused=False)


def paused_at(trainer: Trainer, epochs: int) -> None:
    """Two runs trained for some epochs, one by one."""
    for _ in range(epochs):
        trainer.send("epoch")
    until(trainer, lambda status: status.state == "paused" and status.keyframes == 2 * (epochs + 1))


WAITING = PacingOptions("max", paused=True)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return IdleTrainer.start().open(scenario(tmp_path, LONG), tmp_path / "x.bntui", watching=WAITING)


def fork_is_done(trainer: Trainer, recording: Path, forks: int = 1) -> None:
    until(trainer, lambda status: status.state == "paused" and len(steps(recording)) == 2 + forks)


def test_only_the_fork_trains_and_stops_where_its_parent_stands(recording: Path) -> None:
    with connected(recording) as trainer:
        paused_at(trainer, 4)
        trainer.send("step")
        trainer.send("step")
        until(trainer, lambda status: status.state == "paused" and status.keyframes == 14)
        trainer.send("fork", run=0, step=6, changes=[])
        fork_is_done(trainer, recording)
        assert steps(recording) == [26, 26, 26]
        trainer.send("fork", run=1, step=12, changes=[["data.batch_size", 32]])
        fork_is_done(trainer, recording, 2)
        with closing(Reader(recording)) as reader:
            assert compare(reader, 0, reader, 2, after=6) == 4  # epochs 2, 3, 4, and two steps
            epochs = reader.history(3).epoch
            assert epochs[-2] < reader.history(1).epoch[-1] <= epochs[-1]
        assert steps(recording)[:3] == [26, 26, 26]
        trainer.send("run")
        until(trainer, lambda _status: min(steps(recording)) > 60)


def test_a_fork_of_what_runs_stops_nothing(recording: Path) -> None:
    with connected(recording) as trainer:
        trainer.send("pace", epochs_per_second=20)
        trainer.send("run")
        until(trainer, lambda status: status.keyframes >= 8)
        trainer.send("fork", run=0, step=6, changes=[])
        until(trainer, lambda _status: len(steps(recording)) == 3)
        before = steps(recording)
        until(trainer, lambda _status: all(now > then + 12 for now, then in zip(steps(recording), before, strict=True)))


def test_a_pause_ends_the_training_of_the_fork_alone(recording: Path) -> None:
    with connected(recording) as trainer:
        paused_at(trainer, 12)
        trainer.send("pace", epochs_per_second=2)
        trainer.send("fork", run=0, step=6, changes=[])
        until(trainer, lambda status: status.state == "running" and len(steps(recording)) == 3)
        until(trainer, lambda _status: steps(recording)[2] > 6)
        trainer.send("pause")
        until(trainer, lambda status: status.state == "paused")
        stands = steps(recording)
        assert stands[:2] == [72, 72]
        assert 6 < stands[2] < 72, "the pace of 2 epochs a second holds for a fork alone"
        trainer.send("pace", epochs_per_second=None)
        trainer.send("run")
        until(trainer, lambda _status: min(steps(recording)) > 80)


def test_a_kill_loses_nothing_of_it(recording: Path) -> None:
    with connected(recording) as trainer:
        paused_at(trainer, 12)
        trainer.send("pace", epochs_per_second=2)
        trainer.send("fork", run=0, step=6, changes=[])
        until(trainer, lambda _status: len(steps(recording)) == 3 and steps(recording)[2] > 6)
        os.kill(int(lock_path(recording).read_text()), signal.SIGKILL)
        while trainer.receive(timeout=60) is not None:  # what it said before it was killed
            pass
    assert steps(recording)[2] < 72
    IdleTrainer.start().resume(recording, watching=WAITING)
    with connected(recording) as trainer:
        until(trainer, lambda status: status.state == "paused")
        assert steps(recording) == [72, 72, 72]
    with closing(Reader(recording)) as reader:
        assert compare(reader, 0, reader, 2, after=6) == 11
        resumed = [{event.kind for event in reader.events(run)} & {"resumed"} for run in range(3)]
        assert resumed == [set(), set(), {"resumed"}], "the others did not go on"


def test_the_command_without_a_screen_returns_when_all_are_paused(recording: Path) -> None:
    with connected(recording) as trainer:
        paused_at(trainer, 4)
        done = bntui("fork", recording, "--run", "0", "--epoch", "1", "--set", "training.lr=0.1", "--json")
        assert done.returncode == 0, done.stderr
        assert '"state": "paused"' in done.stdout.splitlines()[-1].replace('":"', '": "')
        assert steps(recording) == [24, 24, 24]


def interrupted(folder: Path, text: str, epochs: int) -> Path:
    """A recording whose trainer is gone."""
    path = folder / "gone.bntui"
    session = Session.begin(parse(text, file="test.toml"), path)
    for _ in range(epochs):
        session.epoch(never)
    session.close()
    return path


def test_a_trainer_that_is_started_for_a_fork_ends_where_the_parent_stands(tmp_path: Path) -> None:
    path = interrupted(tmp_path, DIGITS + TWO_RUNS, 4)
    IdleTrainer.start().resume(path, fork=ForkRequest(0, 6).arguments(), watching=UNTHROTTLED)
    trainer = Trainer.connect(path)
    if trainer is not None:  # it may have ended already
        while (status := trainer.receive(timeout=60)) is not None:
            last = status
        trainer.close()
        assert last.state == "stopped"
    assert steps(path) == [24, 24, 24]
    done = bntui("resume", path, "--headless")
    assert done.returncode == 0, done.stderr
    assert steps(path) == [36, 36, 36]
    with closing(Reader(path)) as reader:
        assert compare(reader, 0, reader, 2, after=6) == 5


def test_the_fork_of_a_run_that_is_over_trains_to_its_own_end(tmp_path: Path) -> None:
    with closing(train(tmp_path, DIGITS)) as reader:
        path = reader.path
    changes = (("training.epochs", 9),)
    IdleTrainer.start().resume(path, fork=ForkRequest(0, 36, changes).arguments(), watching=UNTHROTTLED)
    trainer = Trainer.connect(path)
    if trainer is not None:
        while (status := trainer.receive(timeout=60)) is not None:
            last = status
        trainer.close()
        assert last.state == "finished"
    assert steps(path) == [36, 54]


@given(
    start=st.integers(0, 4), more=st.integers(0, 7), size=st.sampled_from([7, 32, 60, 100, 400]),
    every=st.sampled_from(["epoch", 1, 4]),
)  # fmt: skip
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_fork_stops_at_the_first_step_that_is_not_before_its_parent(
    tmp_path_factory: pytest.TempPathFactory, start: int, more: int, size: int, every: object
) -> None:
    path = interrupted(tmp_path_factory.mktemp("x"), DIGITS + TWO_RUNS, 5)
    session = Session.resume(path)
    for step in range(more):
        session.step({0: 31 + step})
    child = session.fork(0, start * PER_EPOCH, [("data.batch_size", size), ("record.every", every)])
    goals = {child.index: session.goal_of(child)}
    run = session.runs[-1]
    before = run.epoch
    assert bool(session.active(goals)) == (goals[child.index] > before)
    while session.active(goals):
        session.epoch(never, goals)
    session.close()
    with closing(Reader(path)) as reader:
        parent, own = reader.history(0), reader.history(child.index)
        goal = float(parent.epoch[-1])
        assert goals == {child.index: goal}
        steps_of = max(1, -(-320 // size))
        last = own.epoch[-1]
        assert last >= goal - 1e-9 or last == before
        if last > before:
            assert own.has_frame[-1]
            assert last - goal < 1 / steps_of + 1e-9 if goal % 1 else last == goal
        assert parent.step[-1] == 30 + more
        assert reader.history(1).step[-1] == 30
        np.testing.assert_array_equal(own.epoch, np.sort(own.epoch))


def test_goals_are_kept_in_the_agenda_until_something_else_is_asked_for() -> None:
    agenda = Agenda(pace=2).with_fork_alone(2, 4.5).with_fork_alone(3, 6)
    assert Agenda.parse(agenda.text()) == agenda
    assert agenda.alone == {2: 4.5, 3: 6}
    assert not agenda.running
    assert not agenda.paused().alone
    assert not agenda.one_more_epoch(3).alone
    assert not agenda.one_more_step({0: 3}).alone
    running = Agenda(running=True)
    assert running.with_fork_alone(2, 4.5) == running
    assert Agenda.parse('{"running": false, "forks": []}') == Agenda()  # of a version without them

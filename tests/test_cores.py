"""Tests that runs which train in workers are recorded bit for bit as by one process, whatever becomes of those."""

from __future__ import annotations

import itertools
import os
import random
import signal
import socket
import sqlite3
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from bntui.cpu import cores
from bntui.link.client import IdleTrainer, Trainer
from bntui.recording.codec import unpack_arrays
from bntui.recording.reader import Reader
from bntui.scenario.load import parse
from bntui.trainer.cores import crew as crew_module
from bntui.trainer.cores import worker as worker_module
from bntui.trainer.cores.carried import carried
from bntui.trainer.cores.messages import Done, Hand, Idle, Load, NotFound, Ready, Recall
from bntui.trainer.cores.shares import CALLS, FLOPS, KEYFRAME, estimate, expected, saved, shares, slowest
from bntui.trainer.cores.template import Template
from bntui.trainer.cores.worker import serve
from bntui.trainer.run import Run
from bntui.trainer.session import Session
from tests.same import compare
from tests.test_session import DIGITS, TWO_RUNS, never
from tests.waiting import until

THREE_RUNS = TWO_RUNS + '[[run]]\nname = "other mini-batches"\nset = { data.batch_size = 40 }\n'
SCENARIOS: dict[str, tuple[str, list[tuple[str, Any]]]] = {
    "dropout, Adam, stopped early": (
        THREE_RUNS,
        [("network.dropout", 0.2), ("training.optimizer", "adam"), ("training.lr", 0.02), ("training.epochs", 25),
         ("training.early_stopping.patience", 2), ("training.early_stopping.restore_best_weights", True)],
    ),
    "keyframes within epochs, thinned": (
        TWO_RUNS, [("record.every", 4), ("record.budget", 0.3), ("training.epochs", 10), ("training.momentum", 0.9)],
    ),
    "dying, no evidence": (
        TWO_RUNS,
        [("training.lr", 30.0), ("record.budget", 0.0), ("network.activation", "relu"), ("network.init", "he"),
         ("record.every", 9), ("training.epochs", 20), ("training.schedule.warmup_epochs", 20)],
    ),
    "autograd, plateau": (
        TWO_RUNS,
        [("training.engine", "autograd"), ("training.schedule.kind", "plateau"), ("data.last_batch", "first")],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    made = Template.start(serve)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are worth it for the shortest training, and there are two cores."""
    monkeypatch.setattr(crew_module, "WORTH", -1.0)
    monkeypatch.setattr("bntui.trainer.session.cores", lambda: 2)


def begun(path: Path, text: str, overrides: list[tuple[str, Any]], template: Template | None) -> Session:
    return Session.begin(parse(DIGITS + text, file="x", overrides=overrides), path, overrides, template)


def shared_out(session: Session) -> Session:
    """Train the first epochs, until workers train the runs."""
    for _round in range(4):
        session.epoch(never)
        for link in session._crew._links:
            while not link.ready:
                session._crew._receive(link, wait=30)
        if session.workers:
            return session
    raise AssertionError("no worker has taken a run")


def train_on(session: Session) -> None:
    while not session.over:
        session.epoch(never)
    session.close()


def contents(path: Path) -> dict[str, list[Any]]:
    """All rows in their order, but for the clock: wall times, and their traces in digests and blocks of evidence."""
    with closing(sqlite3.connect(path)) as db:
        found = {}
        for table in ("run", "keyframe", "measures", "event", "checkpoint"):
            columns = [column for _at, column, *_more in db.execute(f"PRAGMA table_info({table})")]
            timed = ("wall_time", "digest") if table == "keyframe" else ()
            chosen = ", ".join(column for column in columns if column not in timed)
            found[table] = db.execute(f"SELECT {chosen} FROM {table} ORDER BY rowid").fetchall()
        blocks = db.execute("SELECT id, block FROM evidence ORDER BY id").fetchall()
    found["evidence"] = [
        (row, {name: values.tobytes() for name, values in unpack_arrays(block).items()}) for row, block in blocks
    ]
    return found


@pytest.mark.parametrize("name", SCENARIOS)
def test_workers_record_what_one_process_records(tmp_path: Path, template: Template, name: str) -> None:
    text, overrides = SCENARIOS[name]
    alone, together = tmp_path / "alone.bntui", tmp_path / "together.bntui"
    train_on(begun(alone, text, overrides, None))
    train_on(shared_out(begun(together, text, overrides, template)))
    assert contents(together) == contents(alone)


def kill_worker(session: Session) -> None:
    os.kill(session.workers[0], signal.SIGKILL)


def test_a_dead_worker_loses_nothing_and_is_said(
    tmp_path: Path, template: Template, capfd: pytest.CaptureFixture[str]
) -> None:
    text, overrides = SCENARIOS["keyframes within epochs, thinned"]
    alone, together = tmp_path / "alone.bntui", tmp_path / "together.bntui"
    train_on(begun(alone, text, overrides, None))
    session = shared_out(begun(together, text, overrides, template))
    kill_worker(session)
    train_on(session)
    assert contents(together) == contents(alone)
    assert session.trouble == "training continues without one of its workers: its process was killed by SIGKILL"
    assert capfd.readouterr().err == session.trouble + "\n"


def killed_before_its_last_word(pipe: Connection) -> None:
    """A worker that is killed when it has sent a whole epoch, the sixth or the last, but not that it is done."""
    done = worker_module._done

    def killed(run: Run, *told: Any) -> Done:
        if run.over or round(run.epoch) == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return done(run, *told)

    worker_module._done = killed  # type: ignore[assignment]
    serve(pipe)


@pytest.mark.parametrize("name", ["dropout, Adam, stopped early", "keyframes within epochs, thinned"])
def test_an_epoch_that_is_sent_is_not_trained_twice(tmp_path: Path, name: str) -> None:
    text, overrides = SCENARIOS[name]
    alone, together = tmp_path / "alone.bntui", tmp_path / "together.bntui"
    train_on(begun(alone, text, overrides, None))
    deadly = Template.start(killed_before_its_last_word)
    session = shared_out(begun(together, text, overrides, deadly))
    train_on(session)
    deadly.close()
    assert contents(together) == contents(alone)
    assert session.trouble


def test_a_recording_that_is_renamed_while_workers_load_it_keeps_them(tmp_path: Path, template: Template) -> None:
    text, overrides = SCENARIOS["keyframes within epochs, thinned"]
    alone, before, after = (tmp_path / f"{name}.bntui" for name in ("alone", "before", "after"))
    train_on(begun(alone, text, overrides, None))
    session = begun(before, text, overrides, template)
    before.rename(after)
    while not session._crew._links:
        session.epoch(never)
    (link, *_others) = session._crew._links
    assert link.pipe.poll(30)  # it says that nothing is there
    session._crew._receive(None, wait=0)
    assert not link.ready
    assert session.follow()
    train_on(shared_out(session))
    assert session.trouble == ""
    assert contents(after) == contents(alone)


def test_a_worker_that_does_not_find_a_recording_goes_on(tmp_path: Path, template: Template) -> None:
    path, nowhere = tmp_path / "x.bntui", str(tmp_path / "nowhere.bntui")
    session = begun(path, *SCENARIOS["autograd, plateau"], None)
    hand = Hand(nowhere, 1, carried(session.runs[1]), 0, keeps=True)
    _pid, pipe = template.worker()
    with closing(session), closing(pipe):
        for order, answer in (
            (Load(nowhere), NotFound(None)), (Load(str(path)), Ready()), (hand, NotFound(1)), (Recall(), Idle()),
        ):  # fmt: skip
            pipe.send(order)
            assert pipe.poll(30)
            assert pipe.recv() == answer


def test_after_some_deaths_all_runs_are_trained_here(tmp_path: Path, template: Template) -> None:
    text, few = SCENARIOS["keyframes within epochs, thinned"]
    overrides = [*few, ("training.epochs", 30)]
    alone, together = tmp_path / "alone.bntui", tmp_path / "together.bntui"
    train_on(begun(alone, text, overrides, None))
    session = begun(together, text, overrides, template)
    for _death in range(crew_module.MOST_DEATHS):
        shared_out(session)
        kill_worker(session)
    while session._crew._deaths < crew_module.MOST_DEATHS:  # noticed when the worker is to answer
        assert not session.over
        session.epoch(never)
    session.epoch(never)
    assert not session.workers
    train_on(session)
    assert contents(together) == contents(alone)


def test_runs_are_interrupted_stepped_and_forked_while_workers_train_them(tmp_path: Path, template: Template) -> None:
    overrides: list[tuple[str, Any]] = [
        ("training.epochs", 16), ("training.optimizer", "adam"), ("training.lr", 0.002), ("network.dropout", 0.2),
    ]  # fmt: skip
    alone, together = tmp_path / "alone.bntui", tmp_path / "together.bntui"
    train_on(begun(alone, TWO_RUNS, overrides, None))
    session = shared_out(begun(together, TWO_RUNS, overrides, template))
    calls = itertools.count()
    session.epoch(lambda: next(calls) > 0)
    assert not session.workers  # whatever comes next, they are here
    session.step({run.info.index: run.step + 2 for run in session.runs})
    shared_out(session)
    fork = session.fork(0, 12, [("training.epochs", 12)])
    session.epoch(never, {fork.index: 5.0})
    shared_out(session)
    train_on(session)
    with closing(Reader(alone)) as reference, closing(Reader(together)) as reader:
        for run in (0, 1):
            assert compare(reference, run, reader, run) >= 17
        assert compare(reader, 0, reader, fork.index, after=12) >= 10
        last = [reader.events(run)[-1].kind for run in range(3)]
    assert last == ["finished"] * 3


def test_a_stopped_session_resumes_as_if_it_had_gone_on(tmp_path: Path, template: Template) -> None:
    text, overrides = SCENARIOS["autograd, plateau"]
    alone, together = tmp_path / "alone.bntui", tmp_path / "together.bntui"
    train_on(begun(alone, text, overrides, None))
    session = shared_out(begun(together, text, overrides, template))
    session.interrupt()
    session.close()
    train_on(Session.resume(together, template=template))
    with closing(Reader(alone)) as reference, closing(Reader(together)) as reader:
        assert [compare(reference, run, reader, run) for run in (0, 1)] == [7, 7]


def test_short_runs_stay_in_one_process(tmp_path: Path, template: Template, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew_module, "WORTH", 1000.0)  # seconds
    session = begun(tmp_path / "x.bntui", TWO_RUNS, [("training.epochs", 4)], template)
    for _epoch in range(3):
        session.epoch(never)
        assert not session._crew._links
    session.close()


def test_long_runs_are_shared_out_before_an_epoch_was_measured(
    tmp_path: Path, template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew_module, "WORTH", 0.3)
    short, long = (
        begun(tmp_path / f"{epochs}.bntui", TWO_RUNS, [("training.epochs", epochs)], template) for epochs in (2, 2000)
    )
    short.epoch(never)
    long.epoch(never)
    assert (len(short.workers), len(long.workers)) == (0, 2)
    short.close()
    long.close()


LAYERS = {
    "[64]": (64 * 64 + 64) + (64 * 10 + 10),
    '[{ type = "conv", channels = 4, kernel = 3, padding = 1 }]': 64 * (9 * 4 + 4) + (256 * 10 + 10),
    '[{ type = "recurrent", units = 5 }]': 8 * (8 * 5 + 5 * 5 + 5) + (5 * 10 + 10),
}
"""Products of a weight and a value for one sample of 8x8 pixels, by the network's layers."""


@pytest.mark.parametrize("layers", LAYERS)
def test_an_estimate_counts_products_and_calls(tmp_path: Path, layers: str) -> None:
    key = "layer" if "type" in layers else "hidden"
    session = begun(tmp_path / "x.bntui", "", [(f"network.{key}", tomllib.loads(f"x = {layers}")["x"])], None)
    run = session.runs[0]
    steps, batch = 24, 60
    seconds = 6 * batch * LAYERS[layers] / FLOPS + CALLS * len(run.network.stages)
    found = estimate(run.info.layers, len(run.network.stages), batch, steps)
    assert found == pytest.approx(steps * seconds + KEYFRAME)
    session.close()


def test_estimates_are_corrected_by_what_was_measured() -> None:
    assert expected({}, {0: 1.0, 1: 2.0}) == {0: 1.0, 1: 2.0}
    assert expected({1: 6.0}, {0: 1.0, 1: 2.0, 2: 0.5}) == {0: 3.0, 1: 6.0, 2: 1.5}


def test_one_run_or_one_core_needs_no_worker(
    tmp_path: Path, template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = begun(tmp_path / "one.bntui", "", [], template)
    monkeypatch.setattr("bntui.trainer.session.cores", lambda: 1)
    two = begun(tmp_path / "two.bntui", TWO_RUNS, [], template)
    for session in (one, two):
        session.epoch(never)
        session.epoch(never)
        assert not session._crew._links
        session.close()


def test_a_worker_ends_with_its_pipe_and_its_death_is_explained(template: Template) -> None:
    pid, pipe = template.worker()
    pipe.close()
    assert template.exit_code(pid) == 0
    killed, pipe = template.worker()
    os.kill(killed, signal.SIGKILL)
    assert template.exit_code(killed) == -signal.SIGKILL
    pipe.close()


def descendants(pid: int) -> set[int]:
    """The processes that a process has started, and those that they have."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except FileNotFoundError:
        return set()
    children = {int(child) for child in text.split()}
    return children.union(*map(descendants, children))


def is_alive(pid: int) -> bool:
    """It runs, and is not only waiting for its parent to notice its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(cores() < 2 or sys.platform != "linux", reason="no workers here")
def test_a_killed_trainer_takes_its_workers_with_it(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(DIGITS.replace("epochs = 6", "epochs = 100000") + TWO_RUNS)
    idle = IdleTrainer.start()
    recording = idle.open(tmp_path / "x.toml", tmp_path / "x.bntui")
    try:
        until(lambda: len(descendants(idle.pid)) >= 3, "the start of the template and two workers")
        processes = descendants(idle.pid)
        client = Trainer.connect(recording)
        assert client is not None
        with closing(client):
            first = client.receive(timeout=60)
            while (status := client.receive(timeout=60)) is not None and status.keyframes < first.keyframes + 20:  # type: ignore[union-attr]
                pass
    finally:
        os.kill(idle.pid, signal.SIGKILL)
    until(lambda: not any(map(is_alive, processes)), "the end of the workers")
    with closing(Reader(recording)) as reader:
        rows = [len(reader.history(run)) for run in (0, 1)]
    assert abs(rows[0] - rows[1]) <= 1  # side by side


def test_without_a_template_one_process_trains_on_and_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gone = Template.start(serve)
    gone._control.shutdown(socket.SHUT_RDWR)
    session = begun(tmp_path / "x.bntui", TWO_RUNS, [("training.epochs", 4)], gone)
    train_on(session)
    assert "one process trains all runs" in session.trouble
    assert capfd.readouterr().err == session.trouble + "\n"
    gone.close()


def best_possible(seconds: dict[int, float], workers: int) -> float:
    """The shortest time, by trying every way to share the runs out."""
    ways = itertools.product(range(workers), repeat=len(seconds))
    return min(
        slowest(seconds, [[run for run, of in zip(seconds, way, strict=True) if of == one] for one in range(workers)])
        for way in ways
    )


@pytest.mark.parametrize("seed", range(8))
def test_shares_are_nearly_even(seed: int) -> None:
    chance = random.Random(seed)
    seconds = {run: chance.expovariate(1) for run in range(chance.randint(1, 7))}
    workers = chance.randint(1, 3)
    each = shares(seconds, workers)
    assert sorted(run for runs in each for run in runs) == list(seconds)
    best = best_possible(seconds, workers)
    assert best <= slowest(seconds, each) <= 4 / 3 * best
    assert saved(seconds.values(), workers) >= sum(seconds.values()) - best - 1e-9

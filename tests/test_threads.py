"""Tests runs of several threads: which steps have them, that they are repeated bit for bit, and who else may train."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from bntui.errors import ScenarioError
from bntui.recording.reader import Reader
from bntui.scenario.load import parse
from bntui.study import pool
from bntui.study.trial import Over, Read, SeedsJob, Stem
from bntui.trainer import run as run_module
from bntui.trainer import validate
from bntui.trainer.cores import crew as crew_module
from bntui.trainer.cores.template import Template
from bntui.trainer.cores.worker import serve
from bntui.trainer.session import Session
from bntui.trainer.stack import stackable
from bntui.trainer.step import Stepper
from tests.same import compare
from tests.test_session import DIGITS, TWO_RUNS, never, rows, train

WIDE: list[tuple[str, Any]] = [
    ("network.hidden", [300, 280]), ("training.optimizer", "adam"), ("training.lr", 0.002), ("training.epochs", 3),
]  # fmt: skip
TWO: list[tuple[str, Any]] = [*WIDE, ("training.threads", 2)]


def digests(reader: Reader) -> list[Any]:
    found = rows(reader.path, "SELECT step, weights_digest, val_loss FROM keyframe ORDER BY id")
    assert len(found) >= 4
    return found


def test_every_step_and_every_validation_has_the_threads_of_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, set[int]] = {}
    for owner, name in ((Stepper, "bare"), (Stepper, "measured"), (validate, "_score")):
        work = getattr(owner, name)

        def counted(*given: Any, _work: Any = work, _name: str = name, **named: Any) -> Any:
            seen.setdefault(_name, set()).add(torch.get_num_threads())
            return _work(*given, **named)

        monkeypatch.setattr(owner, name, counted)
    train(tmp_path, DIGITS, *TWO).close()
    assert seen == {"bare": {2}, "measured": {2}, "_score": {2}}
    assert torch.get_num_threads() == 1
    seen.clear()
    train(tmp_path, DIGITS, *WIDE).close()
    assert seen == {"bare": {1}, "measured": {1}, "_score": {1}}


def test_the_bits_are_those_of_a_process_with_so_many_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(train(tmp_path, DIGITS, *TWO)) as reader:
        found = digests(reader)
        assert reader.runs[0].config["training"]["threads"] == 2
    monkeypatch.setattr(run_module, "threads", lambda _count: nullcontext())
    session = Session.begin(parse(DIGITS, file="x", overrides=WIDE), tmp_path / "all.bntui")
    torch.set_num_threads(2)
    try:
        while not session.over:
            session.epoch(never)
    finally:
        torch.set_num_threads(1)
    session.close()
    with closing(Reader(tmp_path / "all.bntui")) as reader:
        assert digests(reader) == found


@pytest.mark.parametrize("stop", [3, 8])
def test_a_run_of_two_threads_is_resumed_and_forked_bit_for_bit(tmp_path: Path, stop: int) -> None:
    with closing(train(tmp_path, DIGITS, *TWO)) as whole:
        session = Session.begin(parse(DIGITS, file="x", overrides=TWO), tmp_path / "y.bntui")
        steps = itertools.count()
        session.epoch(lambda: next(steps) >= stop)
        session.close()
        session = Session.resume(tmp_path / "y.bntui")
        while not session.over:
            session.epoch(never)
        session.close()
        with closing(Reader(tmp_path / "y.bntui")) as resumed:
            assert compare(whole, 0, resumed, 0) >= 3
            last = resumed.history(0).step[-1]
            step = int(resumed.history(0).step[1])
        session = Session.resume(tmp_path / "y.bntui")
        child = session.fork(0, step, [])
        while not session.over:
            session.epoch(never)
        session.close()
        with closing(Reader(tmp_path / "y.bntui")) as forked:
            assert forked.weights(child.index)[last] == whole.weights(0)[last]


def test_no_worker_shares_the_cores_with_a_run_of_two_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew_module, "WORTH", -1.0)
    monkeypatch.setattr("bntui.trainer.session.cores", lambda: 2)
    for threads in (1, 2):
        template = Template.start(serve)
        scenario = parse(DIGITS + TWO_RUNS, file="x", overrides=[("training.threads", threads)])
        with closing(template), closing(Session.begin(scenario, tmp_path / f"{threads}", template=template)) as session:
            for _epoch in range(4):
                session.epoch(never)
            assert bool(session._crew._links) == (threads == 1)
            assert not any(run.over for run in session.runs)
            assert stackable(session.runs[0], 2) == (threads == 1)


def test_seeds_of_two_threads_are_trained_by_half_as_many_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    pinned: list[object] = []
    begun = pool._Worker.__init__

    def counted(self: pool._Worker, nice: int) -> None:
        started.append(self)
        begun(self, nice)

    monkeypatch.setattr(pool._Worker, "__init__", counted)
    monkeypatch.setattr(pool, "cores", lambda: 4)
    monkeypatch.setattr(pool, "spread", pinned.append)
    for threads, workers in ((1, 3), (2, 2), (9, 1)):
        started.clear()
        pinned.clear()
        (run,) = parse(DIGITS, file="x", overrides=[*WIDE, ("training.threads", threads)]).runs
        jobs = [SeedsJob((run.config,), Path(), quantities=("val_loss",)) for _seed in range(3)]
        assert [job.threads for job in jobs] == [threads] * 3
        told = [answer for _number, answer in pool.answers(jobs, 3)]
        assert [one.failure for one in told if isinstance(one, Over)] == [""] * 3
        assert len({one.outcome.figures["val_loss"] for one in told if isinstance(one, Read)}) == 1
        assert len(started) == workers
        assert bool(pinned) == (threads == 1)


def test_the_threads_of_an_ancestor_count(tmp_path: Path) -> None:
    one, two = (parse(DIGITS, file="x", overrides=given).runs[0].config for given in (WIDE, TWO))
    assert SeedsJob((one,), tmp_path, (Stem(two, 3),)).threads == 2


@pytest.mark.parametrize("threads", [0, -1, 1.5, "two", 5000])
def test_other_numbers_of_threads_are_refused(threads: object) -> None:
    with pytest.raises(ScenarioError, match="threads"):
        parse(DIGITS, file="x", overrides=[("training.threads", threads)])


def test_threads_of_bntuis_processes_wait_briefly_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    look = "import os, bntui.study.preloaded, torch; print(os.environ['GOMP_SPINCOUNT'], torch.__name__)"
    for given, found in (({}, "3000 torch\n"), ({"GOMP_SPINCOUNT": "7"}, "7 torch\n")):
        monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
        done = subprocess.run([sys.executable, "-c", look], env=os.environ | given, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, found)

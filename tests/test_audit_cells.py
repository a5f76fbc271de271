"""Tests that the audit finds single edited cells that no recomputed figure depends on."""

from __future__ import annotations

import math
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bntui.audit.audit import audit
from bntui.recording.evidence import OPTIMIZER
from bntui.recording.reader import Reader
from bntui.scenario.load import parse
from bntui.trainer.session import Session
from tests import forger
from tests.forger import Arrays
from tests.test_session import never

SCENARIO = """
title = "Cells"
[data]
source = "{data}"
task = "regression"
batch_size = 10
[network]
hidden = [4]
[training]
optimizer = "{optimizer}"
lr = 1e-30
epochs = 2
[record]
every = 2
"""
AT = 4
FORKS: dict[int, tuple[int, list[tuple[str, Any]]]] = {
    1: (AT, [("training.lr", 1e-29)]),
    2: (AT, [("training.lr", 1e-28)]),
    3: (8, [("training.optimizer", "sgd"), ("training.momentum", 0.5)]),
    4: (10, [("training.optimizer", "adam"), ("training.momentum", 0.0)]),
}
"""Steps at which forks begin, each of the run before it, and what they change."""
SPOILED = 9e29
"""A target whose squared residual is infinite."""


def recorded(folder: Path, optimizer: str, target: float) -> Path:
    """A run of ten mini-batches an epoch, a fork, a fork of that at the same step, and forks of other optimizers."""
    draw = np.random.default_rng(0)
    x = draw.standard_normal((120, 2)).astype(np.float32)
    y = x[:, 0].copy()
    y[:4] = target
    np.savez(folder / "d.npz", x=x, y=y)
    path = folder / "x.bntui"
    session = Session.begin(parse(SCENARIO.format(data=folder / "d.npz", optimizer=optimizer), file="x"), path)
    with closing(session):
        while not session.over:
            session.epoch(never)
        for child, (step, changes) in FORKS.items() if target != SPOILED else ():
            session.fork(child - 1, step, changes)
            while not session.over:
                session.epoch(never)
    assert not audit(path).ledger.failures
    return path


@pytest.fixture(scope="module", params=["adam", "rmsprop"])
def genuine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("cells"), request.param, 1.0)


@pytest.fixture
def copy(genuine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(genuine, tmp_path / "forged.bntui"))


def accused(path: Path, figure: str) -> bool:
    return any(figure in failure.figure for failure in audit(path).ledger.failures)


def test_steps_that_an_optimizer_counted_are_those_of_its_runs(genuine: Path) -> None:
    """By hand: a fork goes on counting, except where it has another optimizer."""
    with closing(Reader(genuine)) as reader:
        for run, step, due in ((0, 6, 5), (1, AT, AT), (1, 6, 5), (2, AT, AT), (2, 8, 7), (4, 10, 0), (4, 12, 1)):
            evidence = reader.evidence(run, reader.history(run).step.tolist().index(step))
            assert evidence is not None
            counts = {value.item() for average, value in evidence.optimizer.items() if average.name == "step"}
            assert counts == {float(due)}


@pytest.mark.parametrize(("run", "step"), [(0, 0), (0, 6), (1, AT), (2, AT), (2, 8), (4, 10)])
def test_a_wrong_count_of_steps_is_found(copy: Path, run: int, step: int) -> None:
    def forged(arrays: Arrays) -> None:
        name = next(name for name in arrays if name.startswith(OPTIMIZER.prefix) and name.endswith("/step"))
        arrays[name] += np.float32(1)

    forger.evidence(copy, run, step, forged)
    assert accused(copy, "/step")


@pytest.mark.parametrize(("run", "step"), [(0, 0), (2, AT)])
def test_an_average_is_0_at_first_or_that_of_the_parent(copy: Path, run: int, step: int) -> None:
    """Run 2 begins where its parent began; neither has evidence of the step after that."""
    changed: list[str] = []

    def forged(arrays: Arrays) -> None:
        changed.extend(name for name in arrays if name.endswith(("/exp_avg", "/exp_avg_sq", "/square_avg")))
        for name in changed:
            arrays[name].reshape(-1)[0] += np.float32(1e-3)

    forger.evidence(copy, run, step, forged)
    assert changed
    assert all(accused(copy, name) for name in changed)


@pytest.mark.parametrize(
    ("column", "value"), [("batch_loss", 0.5), ("train_loss", -1.0), ("val_loss", -1.0), ("gradient_scale", 2.0)]
)
def test_a_row_without_measures_has_losses_alone(tmp_path: Path, column: str, value: float) -> None:
    """An epoch of four steps ends without a keyframe if there is one every three."""
    path = recorded_every_three(tmp_path)
    with forger.opened(path) as db:
        rows = db.execute("SELECT run, step FROM keyframe WHERE layers IS NULL").fetchall()
    assert rows
    forger.scalar(path, rows[0]["run"], rows[0]["step"], column, lambda _told: value)
    assert accused(path, column)


def recorded_every_three(folder: Path) -> Path:
    path = folder / "y.bntui"
    data = '[data]\nsource = "line"\nsamples = 100\nbatch_size = 20\n'
    text = f'title = "x"\n{data}[network]\nhidden = [3]\n[training]\nepochs = 2\n[record]\n'
    with closing(Session.begin(parse(text + "every = 3", file="x"), path)) as session:
        while not session.over:
            session.epoch(never)
    assert not audit(path).ledger.failures
    return path


@pytest.mark.parametrize("column", ["train_accuracy", "val_accuracy"])
def test_r2_is_at_most_1(tmp_path: Path, column: str) -> None:
    path = recorded_every_three(tmp_path)
    forger.scalar(path, 0, 4, column, lambda _told: 1.5)
    assert accused(path, column)


@pytest.mark.parametrize("device", ["upcy", "cuda", "cuda:x", ""])
def test_a_fork_names_a_device(copy: Path, device: str) -> None:
    forger.run_row(copy, 1, "device", lambda _told: device)
    assert accused(copy, "device")


def test_a_loss_that_was_not_finite_is_told_only_of_a_sum_that_is_not(copy: Path) -> None:
    forger.progress(copy, 0, 6, lambda told: told["sums"].update(bad_loss=math.inf))
    assert accused(copy, "bad_loss")


@pytest.mark.parametrize("value", [math.nan, 1.0, "x"])
def test_the_first_loss_that_was_not_finite_is_of_the_kind_of_the_sum(tmp_path: Path, value: object) -> None:
    """A run that notices an infinite loss a step later has it in that step's evidence."""
    path = recorded(tmp_path, "adam", SPOILED)
    with closing(Reader(path)) as reader:
        step = int(reader.history(0).step[-1])
    kept = []

    def forged(told: Any) -> None:
        kept.append(told["sums"]["bad_loss"])
        told["sums"]["bad_loss"] = value

    forger.progress(path, 0, step, forged)
    assert kept == [math.inf]
    assert accused(path, "bad_loss")

"""Tests that the audit believes forks whose epoch had diverged before they began, and nobody who moves that step."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from bntui.audit.audit import audit
from bntui.recording.reader import Reader
from bntui.scenario.load import parse
from bntui.trainer.session import Session
from tests import forger
from tests.test_session import never

SCENARIO = """
title = "One target is too large for its square"
[data]
source = "{data}"
task = "regression"
batch_size = 10
[network]
hidden = [4]
[training]
optimizer = "sgd"
lr = 1e-30
epochs = 3
[record]
every = {every}
"""


@pytest.fixture(params=[(every, seed) for every in (1, 2, 3) for seed in (0, 1)], ids=str)
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A run whose loss is infinite in one mini-batch, with forks of its last keyframes, and forks of these."""
    every, seed = request.param
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((120, 2)).astype(np.float32)
    y = x[:, 0].copy()
    y[7] = 3e19  # its squared residual is beyond single precision
    np.savez(tmp_path / "d.npz", x=x, y=y)
    path = tmp_path / "x.bntui"
    text = SCENARIO.format(data=tmp_path / "d.npz", every=every)
    session = Session.begin(parse(text, file="x", overrides=[("seed", seed)]), path)
    with closing(session):
        while not session.over:
            session.epoch(never)
        parents = [0]
        for number in parents:
            with closing(Reader(path)) as reader:
                steps = reader.history(number).step[-2:].astype(int).tolist()
            for step in steps if len(parents) < 5 else ():
                parents.append(session.fork(number, step, [("training.lr", 1e-31 / len(parents))]).index)
                while not session.over:
                    session.epoch(never)
    return path


def test_forks_of_a_diverged_epoch_are_true(recording: Path) -> None:
    with closing(Reader(recording)) as reader:
        inherited = 0
        for run in reader.runs:
            (ended,) = (event for event in reader.events(run.index) if event.kind == "diverged")
            step = ended.arguments.get("step")
            inherited += run.fork is not None and isinstance(step, int) and step <= run.fork.step
        assert inherited >= 2
    assert not audit(recording).ledger.failures


@pytest.mark.parametrize("later", [-1, 1])
def test_another_step_is_found(recording: Path, tmp_path: Path, later: int) -> None:
    with closing(Reader(recording)) as reader:
        found = [
            (run.index, event.arguments["step"])
            for run in reader.runs
            for event in reader.events(run.index)
            if event.kind == "diverged" and "step" in event.arguments
        ]
    assert len(found) >= 3
    for run, step in found:
        forged = tmp_path / "forged.bntui"
        shutil.copy(recording, forged)
        forger.retell(forged, "diverged", run, step_=step + later)
        failures = audit(forged).ledger.failures
        assert any(one.figure == "diverged, step" for one in failures), (run, step)


@pytest.mark.parametrize("units", [[4], [3, 3]])
def test_a_gradient_beyond_single_precision_is_true(tmp_path: Path, units: list[int]) -> None:
    draw = np.random.default_rng(len(units))
    x = draw.standard_normal((40, 2)).astype(np.float32)
    y = x[:, 0].copy()
    y[:30:3] = 3e38  # twice the residual is beyond single precision, the residual is not
    np.savez(tmp_path / "d.npz", x=x, y=y)
    path, text = tmp_path / "x.bntui", SCENARIO.format(data=tmp_path / "d.npz", every=1)
    session = Session.begin(parse(text, file="x", overrides=[("data.batch_size", 1), ("network.hidden", units)]), path)
    with closing(session):
        while not session.over:
            session.epoch(never)
    with closing(Reader(path)) as reader:
        rows = reader.history(0).frame_rows.tolist()
        sizes = [reader.keyframe(0, row).layers[-1].activation_gradient_norm for row in rows]
    assert np.isinf(sizes).any()
    assert not audit(path).ledger.failures

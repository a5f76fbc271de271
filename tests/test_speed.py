"""Guards the speed of training by ratios that are far from what is measured, so that a busy machine does not fail.

Both sides of a ratio are processor time of this process, in interleaved rounds.  ``python -m benchmarks`` measures.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from bntui.scenario.load import parse
from bntui.study.together import trained_together
from bntui.study.trial import SeedsJob
from bntui.trainer.run import Run
from bntui.trainer.session import Session

TEXT: Final = """
title = "Speed"
[data]
source = "sine"
samples = 500
batch_size = 10
[network]
hidden = [8, 8]
activation = "tanh"
[training]
lr = 0.05
epochs = 100000
"""
ROUNDS: Final = 5


def ratio(one: Callable[[], object], other: Callable[[], object]) -> float:
    """The median time of one over that of the other."""

    def took(work: Callable[[], object]) -> float:
        began = time.process_time()
        work()
        return time.process_time() - began

    found = [took(one) / took(other) for _ in range(ROUNDS + 1)]
    return statistics.median(found[1:])


def begun(path: Path, engine: str) -> Session:
    return Session.begin(parse(TEXT, file="x", overrides=[("training.engine", engine)]), path)


def bare(run: Run) -> Callable[[], object]:
    """Steps of an epoch that are not measured."""
    batches = run._epoch.left

    def steps() -> None:
        with run.stepper.training():
            for batch in batches:
                run.stepper.bare(batch.x, batch.y, 1, 0.0)

    return steps


@pytest.fixture
def sessions(tmp_path: Path) -> tuple[Session, Session]:
    explicit, autograd = (begun(tmp_path / f"{engine}.bntui", engine) for engine in ("explicit", "autograd"))
    return explicit, autograd


def test_formulas_take_less_than_autograd(sessions: tuple[Session, Session]) -> None:
    explicit, autograd = sessions
    with closing(explicit), closing(autograd):
        assert ratio(bare(autograd.runs[0]), bare(explicit.runs[0])) > 2  # measured: 4.5 to 5.8


def test_a_keyframe_takes_few_steps(sessions: tuple[Session, Session]) -> None:
    """An epoch of 40 steps, with its keyframe, against its steps alone."""
    explicit, autograd = sessions
    with closing(explicit), closing(autograd):
        steps = bare(explicit.runs[0])
        assert ratio(lambda: explicit.epoch(lambda: False), steps) < 4  # measured: 1.9 to 2.2


def test_seeds_at_once_take_less_than_seeds_alone() -> None:
    (run,) = parse(TEXT.replace("100000", "10"), file="x").runs
    configs = tuple(run.config.model_copy(update={"seed": seed}) for seed in range(8))

    def train(stacked: bool) -> Callable[[], object]:
        return lambda: trained_together(SeedsJob(configs, Path()), lambda _epochs: None, stacked=stacked)

    assert ratio(train(False), train(True)) > 1.2  # measured: 1.5 to 1.9

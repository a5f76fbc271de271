"""Trains an epoch of several runs together, each as if it were alone, bit for bit.

Every run has its own initial weights, split, scaling, order of samples, masks, and optimizer; only calls are shared.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from bntui.trainer.engine.explicit import Explicit
from bntui.trainer.engine.stacked import StackedNetworks
from bntui.trainer.run import Run
from bntui.trainer.score import Score

if TYPE_CHECKING:
    from bntui.trainer.recorder import RunWriter

MOST_PRODUCTS: Final = 1_500_000
"""Products of a weight and a value in the widest layer of one run, above which runs are as fast one after another."""
MOST_VALUES: Final = 32_000_000
"""Values of the inputs of all runs, which are in memory at once."""


def stackable(run: Run, runs: int) -> bool:
    """True if so many runs like this one are trained faster at once."""
    weights = max(parameter.numel() for parameter in run.network.named_parameters().values())
    return (
        isinstance(run.stepper.engine, Explicit)
        and run.device.type == "cpu"
        and run.config.training.threads == 1
        and run.config.data.batch_size * weights <= MOST_PRODUCTS
        and runs * (run.samples.x.numel() + run.samples.x_val.numel()) <= MOST_VALUES
    )


def alike(runs: Sequence[Run]) -> list[list[int]]:
    """The numbers of the runs that can be in one stack: their samples have the same shape."""
    groups: dict[object, list[int]] = {}
    for at, run in enumerate(runs):
        groups.setdefault((run.samples.x.shape, run.samples.outputs), []).append(at)
    return list(groups.values())


class Stack:
    """Runs at the beginning of an epoch; see :func:`alike`."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = tuple(runs)
        engines = [run.stepper.engine for run in runs if isinstance(run.stepper.engine, Explicit)]
        self._networks = StackedNetworks(runs[0].samples.task, engines)

    def epoch(self, writers: Sequence[RunWriter], measured: Sequence[bool]) -> None:
        """Train an epoch, and record each run's.

        Args:
            measured: of each run, whether its last step is measured; if any is, all do that step one after another.
        """
        started, runs, networks = time.perf_counter(), self.runs, self._networks
        rates = [run.lr_at(0) for run in runs]
        warmup = runs[0].step < runs[0].config.training.schedule.warmup_epochs * runs[0].steps_per_epoch
        scores = [Score(run.samples.task) for run in runs]
        optimizers = [run.stepper.optimizer for run in runs]
        step, apart = runs[0].step, any(measured)
        steps = list(zip(*(run.batches for run in runs), strict=True))
        with runs[0].stepper.training():
            for batches in steps[:-1] if apart else steps:
                for run in runs:
                    run.stepper.at(step)
                taken = networks.learn([batch.x for batch in batches], [batch.y for batch in batches])
                if warmup:
                    rates = [run.lr_at(batch.start) for run, batch in zip(runs, batches, strict=True)]
                for optimizer, rate in zip(optimizers, rates, strict=True):
                    optimizer.step(rate)
                for score, batch, loss, output in zip(scores, batches, *taken, strict=True):
                    score.add(loss, output, batch.y)
                step += 1
        for run, writer, score, rate, last in zip(runs, writers, scores, rates, measured, strict=True):
            if apart:
                run.advance(len(steps) - 1, score, started)
                run.train_step(writer, measured=last)
            else:
                run.record_epoch(writer, score, rate, started)

"""Trains several runs together, epoch by epoch, each as if it were alone.

Every run has its own initial weights, split, scaling, order of samples, masks, and end; only the calls are shared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bntui.recording.evidence import Average
from bntui.trainer.batches import sizes
from bntui.trainer.draw import Draws
from bntui.trainer.engine.stacked import StackedNetworks, stackable
from bntui.trainer.network import Stage
from bntui.trainer.run import Run
from bntui.trainer.score import Score
from bntui.trainer.stacked_score import Piece, sums_of
from bntui.trainer.step import drawn
from bntui.trainer.validate import EVALUATION_BATCH

if TYPE_CHECKING:
    from bntui.trainer.recorder import Recorder

MOST_PRODUCTS = 4_000_000
"""Products of a weight and a value in a step of one run, above which runs are faster one after another."""
MOST_VALUES = 32_000_000
"""Values of the inputs of all runs that are copied to stack them."""


def together(runs: Sequence[Run]) -> bool:
    """True if runs whose configurations differ by seed only can be stacked, and are faster so."""
    first = runs[0]
    config, batch = first.config, first.config.data.batch_size
    weights = sum(parameter.numel() for parameter in first.network.named_parameters().values())
    values = sum(run.samples.x.numel() + run.samples.x_val.numel() for run in runs)
    return (
        len(runs) > 1
        and config.training.engine == "explicit"
        and config.training.validation_mode == "evaluation"
        and config.record.every == "epoch"
        and stackable(first.network)
        and batch * weights <= MOST_PRODUCTS
        and values <= MOST_VALUES
        and len({(run.samples.x.shape, run.samples.x_val.shape, run.samples.outputs) for run in runs}) == 1
    )


class Stack:
    """Runs at the beginning of the same epoch, with the same learning rate; see :func:`together`."""

    def __init__(self, runs: Sequence[Run], averages: Sequence[Mapping[Average, Tensor]] = ()) -> None:
        """``averages`` are the states of the runs' optimizers, if they have taken steps."""
        self.runs = tuple(runs)
        self._step = 0
        first = runs[0]
        self._task = first.samples.task
        self._networks = StackedNetworks(
            first.config.training, self._task, [run.network for run in runs], [self._draw(run) for run in runs],
            averages,
        )  # fmt: skip
        self._x, self._y = (torch.cat([getattr(run.samples, name) for run in runs]) for name in ("x", "y"))
        self._x_val, self._y_val = (
            torch.stack([getattr(run.samples, name) for run in runs]) for name in ("x_val", "y_val")
        )
        samples = len(first.samples.x)
        self._first = torch.arange(len(runs)).mul_(samples).unsqueeze(1)
        self._groups: list[_Group] = []
        start = 0
        each = sizes(samples, first.config.data)
        for size in dict.fromkeys(each):
            group = _Group.of(self._x, self._y, (each.count(size), len(runs), size), start, first.samples.outputs)
            self._groups.append(group)
            start = group.stop

    def epoch(self, writers: Sequence[Recorder]) -> list[float]:
        """Train an epoch, and record each run's.

        Returns:
            For each run, the ratio of the first layer's weight gradient to the last layer's in the last mini-batch.
        """
        started, runs, networks = time.perf_counter(), self.runs, self._networks
        self._step, lr = runs[0].step, runs[0].lr_at(0)
        warmup = runs[0].step < runs[0].config.training.schedule.warmup_epochs * runs[0].steps_per_epoch
        order = torch.stack([run.order for run in runs]).add_(self._first).to(self._x.device)
        with torch.inference_mode():
            for group in self._groups:
                group.gather(self._x, self._y, order)
                for at, (x, y, output) in enumerate(group.batches):
                    output.copy_(networks.learn(x, y))
                    if warmup:
                        lr = runs[0].lr_at(group.start + at * x.shape[1])
                    last = group is self._groups[-1] and at == len(group.batches) - 1
                    ratios = networks.gradient_ratios() if last else None  # before the gradients are clipped
                    networks.optimizer.step(lr)
                    self._step += 1
            trained = sums_of(self._task, [(group.outputs, group.y) for group in self._groups])
            validated = sums_of(self._task, [self._validated(slice(at, at + EVALUATION_BATCH))
                                           for at in range(0, self._x_val.shape[1], EVALUATION_BATCH)])  # fmt: skip
        for run, writer, sums, validation in zip(runs, writers, trained, validated, strict=True):
            run.record_epoch(writer, sums, Score(self._task, validation).fold(), lr, started)
        assert ratios is not None
        return [float(ratio) for ratio in ratios]

    def divided(self) -> list[Stack]:
        """The runs that are not over, in stacks of equal learning rates."""
        by_rate: dict[float, list[int]] = {}
        for at, run in enumerate(self.runs):
            if not run.over:
                by_rate.setdefault(run.lr_at(0), []).append(at)
        parts = list(by_rate.values())
        if parts == [list(range(len(self.runs)))]:
            return [self]
        averages = self._networks.averages()
        return [Stack([self.runs[at] for at in part], [averages[at] for at in part]) for part in parts]

    def _draw(self, run: Run) -> Callable[[Stage, Tensor], tuple[Tensor, Tensor]]:
        draws = Draws(run.config.seed, run.device).streamed()
        return lambda stage, x: drawn(draws, run.network, stage, self._step, x)

    def _validated(self, part: slice) -> Piece:
        return self._networks.evaluate(self._x_val[:, part]).unsqueeze(0), self._y_val[:, part].unsqueeze(0)


@dataclass(frozen=True, slots=True)
class _Group:
    """Consecutive mini-batches of equal size, in memory that all epochs share."""

    start: int
    """Samples of the epoch before them."""
    x: Tensor
    """Inputs, shape ``(K, S, B, …)``."""
    y: Tensor
    outputs: Tensor
    """Outputs, shape ``(K, S, B, outputs)``."""
    batches: Sequence[tuple[Tensor, Tensor, Tensor]]
    """Inputs, targets and outputs of each."""

    @classmethod
    def of(cls, x: Tensor, y: Tensor, shape: tuple[int, int, int], start: int, outputs: int) -> _Group:
        """Memory for mini-batches; ``shape`` is ``(K, S, B)``."""
        into = x.new_empty((*shape, *x.shape[1:])), y.new_empty((*shape, *y.shape[1:])), x.new_empty((*shape, outputs))
        return cls(start, *into, list(zip(*(values.unbind() for values in into), strict=True)))

    @property
    def stop(self) -> int:
        """Samples of the epoch before those that follow."""
        return self.start + self.x.shape[0] * self.x.shape[2]

    def gather(self, x: Tensor, y: Tensor, order: Tensor) -> None:
        """Copy the samples of an epoch.

        Args:
            x: inputs of all runs, shape ``(S * N, …)``.
            y: their targets.
            order: row numbers in ``x`` in the order of the epoch, shape ``(S, N)``.
        """
        count, runs, size = self.x.shape[:3]
        rows = order[:, self.start : self.stop].view(runs, count, size).transpose(0, 1).reshape(-1)
        for whole, into in ((x, self.x), (y, self.y)):
            torch.index_select(whole, 0, rows, out=into.view(-1, *whole.shape[1:]))

"""Trains the seeds of one configuration in this process, stacked where that is faster; runs in a worker process."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bntui.insight.claims import Trained
from bntui.keyframe import Keyframe
from bntui.recording.memory import MemoryWriter
from bntui.recording.sentences import traits
from bntui.scenario.schema import RunConfig
from bntui.study.train import begun
from bntui.study.trial import EpochRow
from bntui.trainer.run import Run
from bntui.trainer.stack import Stack, together


class _Rows(MemoryWriter):
    """Also keeps the last row as a keyframe."""

    last: Keyframe

    def commit(self, frame: Keyframe, **more: Any) -> None:
        """See :meth:`MemoryWriter.commit`."""
        super().commit(frame, **more)
        self.last = frame

    def row(self, run: Run, ratio: float | None = None) -> EpochRow:
        """The last row; ``ratio`` is the gradient ratio of a row that was not measured."""
        frame = self.last
        if ratio is None:
            first, last = (frame.layers[at].weight_gradient_norm for at in (0, -1))
            ratio = first / last if last else math.nan
        ended = next((str(event.kind) for event in self.events if traits(event.kind).ends == "run"), "")
        return EpochRow(
            run.config.seed, round(frame.epoch), frame.train_loss, frame.train_accuracy, frame.val_loss,
            frame.val_accuracy, ratio, ended,
        )  # fmt: skip


def trained_together(
    configs: Sequence[RunConfig], folder: Path, tell: Callable[[EpochRow], object], *, stacked: bool = True
) -> list[Trained]:
    """Train configurations that differ by seed only, an epoch of each in turn, and tell every epoch of every seed.

    Where calls cost more than arithmetic, the seeds are stacked: all their figures are those of separate runs up to
    float32 rounding.  Otherwise they are trained one after another, and are the same, bit for bit.

    Args:
        configs: one configuration with each seed.
        folder: paths of data files are relative to it.
        tell: called with each row as soon as it is known.
        stacked: stack the seeds where that is faster.

    Returns:
        Each run, with the scalars of every epoch.

    Raises:
        BntuiError: the configuration does not fit the data, or the data or device is missing.
    """
    runs = [begun(config, folder) for config in configs]
    writers = [_Rows() for _run in runs]
    for run, writer in zip(runs, writers, strict=True):
        run.begin(writer)
        tell(writer.row(run))
    if stacked and together(runs):
        _in_stacks(runs, writers, tell)
    else:
        _in_turn(runs, writers, tell)
    return [
        Trained(run.info, writer.history(run.info), writer.events) for run, writer in zip(runs, writers, strict=True)
    ]


def _in_stacks(runs: Sequence[Run], writers: Sequence[_Rows], tell: Callable[[EpochRow], object]) -> None:
    of_run = {id(run): writer for run, writer in zip(runs, writers, strict=True)}
    begun_ = [run for run in runs if not run.over]  # a run may diverge before its first step
    stacks = [Stack(begun_)] if begun_ else []
    while stacks:
        for stack in stacks:
            ratios = stack.epoch([of_run[id(run)] for run in stack.runs])
            for run, ratio in zip(stack.runs, ratios, strict=True):
                tell(of_run[id(run)].row(run, ratio))
        stacks = [part for stack in stacks for part in stack.divided()]


def _in_turn(runs: Sequence[Run], writers: Sequence[_Rows], tell: Callable[[EpochRow], object]) -> None:
    while any(not run.over for run in runs):
        for run, writer in zip(runs, writers, strict=True):
            if not run.over:
                run.train_epoch(writer, lambda: False, math.floor(run.epoch + 1e-9) + 1.0)
                tell(writer.row(run))

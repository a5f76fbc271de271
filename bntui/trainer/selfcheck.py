"""Checks that a fork without changes gives the same bits, by training it in a copy of the recording."""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from bntui.recording.copy import copied
from bntui.recording.reader import Reader
from bntui.trainer.session import Session


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """The result of a self-check."""

    steps: tuple[int, ...]
    """Steps after the fork at which both runs have a keyframe."""
    departed: int | None
    """The first of these steps at which the runs differ; None if they are equal."""
    figures: tuple[str, ...] = ()
    """Names of the figures that differ there."""


def no_change_fork(recording: Path, run: int, step: int) -> SelfCheck:
    """Fork a run after a step without changes, train as far as the run, and compare; the recording is not modified.

    Raises:
        RecordingError: the recording is damaged, or is being written.
        ScenarioError: the fork would end without training.
        UsageError: the run has no keyframe at this step.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = copied(recording, Path(folder))
        session = Session.resume(copy)
        try:
            child = session.fork(run, step, [])
            (made,) = (made for made in session.runs if made.info.index == child.index)
            with closing(Reader(copy)) as reader:
                last = int(reader.history(run).step[-1])
            while not made.over and made.step < last:
                made.train_epoch(session.writer, lambda: made.step + 1 >= last)
        finally:
            session.close()
        with closing(Reader(copy)) as reader:
            return _compared(reader, run, child.index, step)


def _compared(reader: Reader, parent: int, child: int, after: int) -> SelfCheck:
    one, other = reader.history(parent), reader.history(child)
    weights, its = reader.weights(parent), reader.weights(child)
    common = tuple(step for step in np.intersect1d(one.step, other.step).tolist() if step > after)
    names = [field.name for field in fields(one) if field.name not in ("ids", "wall_time", "has_frame")]
    for step in common:
        row, at = np.searchsorted(one.step, step), np.searchsorted(other.step, step)
        both = one.has_frame[row] and other.has_frame[at]
        wrong = [
            name
            for name in names
            if (both or name not in ("layers", "batch_loss"))
            and not np.array_equal(getattr(one, name)[row], getattr(other, name)[at], equal_nan=name != "epoch_end")
        ]
        if weights[step] != its[step]:
            wrong.append("weights")
        if wrong:
            return SelfCheck(common, step, tuple(wrong))
    return SelfCheck(common, None)

"""Reaches an earlier keyframe again: runs forward from the nearest one whose state was kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np

from bntui.recording.history import RunInfo
from bntui.recording.reader import Reader
from bntui.scenario.fork_plan import State
from bntui.trainer.fork_transfer import take_over
from bntui.trainer.run import Run


class Past:
    """The runs of a recording as they were at any of their steps.

    Everything that a step depends on is recorded or derived from the seed, so running forward arrives at the same
    bits; the recorded digests of the weights say whether it did.
    """

    def __init__(self, path: Path, make: Callable[[RunInfo], Run]) -> None:
        """``make`` builds a run in the state that its configuration gives it, without a parent's."""
        self.path = path
        """Of the recording, which may change while it is written."""
        self._make = make

    def reach(self, index: int, step: int) -> Run:
        """A run as it stood after a step; ``departed`` says where it is no longer the recorded one.

        Raises:
            RecordingError: what the recording holds of it is damaged.
        """
        with closing(Reader(self.path)) as reader:
            return self._reach(reader, index, step)

    def _reach(self, reader: Reader, index: int, step: int) -> Run:
        run = self._nearest(reader, index, step)
        recorded = reader.weights(index)
        while run.step < step:
            run.train_step(None)
            digest = recorded.get(run.step)
            if digest is not None and run.departed is None and run.digest() != digest:
                run.departed = run.step
        self._find_best(reader, run)
        return run

    def _nearest(self, reader: Reader, index: int, step: int) -> Run:
        """The run as it stood before the last keyframe that has its state kept, or as it began."""
        info = reader.runs[index]
        run = self._make(info)
        rows = reader.evidence_rows(index)
        for row in rows[reader.history(index).step[rows] <= step][::-1].tolist():
            state = reader.state(index, row)
            if state is not None:
                run.load(state)
                return run
        if info.fork is not None:
            parent = self._reach(reader, info.fork.run, info.fork.step)
            take_over(run, parent)
            run.departed = parent.departed
        return run

    def _find_best(self, reader: Reader, run: Run) -> None:
        """The weights that early stopping would restore, where they are those of an earlier step."""
        step, holder = run.best_step, run.info
        if step is None or run.best is not None:
            return
        run.keep_best(run if step == run.step else self._when(reader, holder, step))

    def _when(self, reader: Reader, holder: RunInfo, step: int) -> Run:
        """A run after a step, or the one that it comes from, if that was before it began."""
        while holder.fork is not None and step <= holder.fork.step:
            holder = reader.runs[holder.fork.run]
        return self._reach(reader, holder.index, step)

    def fork(self, child: Run, parent: int, step: int) -> State:
        """Let a run begin where another stood after a step; the names of what was kept, and of what is new.

        Raises:
            RecordingError: what the recording holds of it is damaged.
        """
        with closing(Reader(self.path)) as reader:
            there = self._reach(reader, parent, step)
            state = take_over(child, there)
            child.departed = there.departed
            if child.best_step is not None and child.best is None:
                child.keep_best(self._when(reader, reader.runs[parent], child.best_step))
        return state


def last_step(reader: Reader, index: int) -> int | None:
    """The last step of a run that is recorded; None before its first keyframe."""
    steps = reader.history(index).step
    return int(np.max(steps)) if len(steps) else None

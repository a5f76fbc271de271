"""Restores the state of a run at an earlier step, by training again from the nearest keyframe with evidence."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from bntui.recording.history import RunInfo
from bntui.recording.opened import Recording
from bntui.scenario.fork_plan import State
from bntui.trainer.fork_transfer import transfer
from bntui.trainer.run import Run


class Past:
    """Restores the runs of a recording at any of their steps.

    Everything that a step depends on is recorded or derived from the seed, so repeating steps gives the same bits.  The
    recorded digests of the weights verify this.
    """

    def __init__(self, path: Callable[[], Path], make: Callable[[RunInfo], Run]) -> None:
        """``path`` gives the recording's current path, once everything is written; ``make`` builds a run.

        A run is built in its initial state, without that of a parent.
        """
        self._path = path
        self._make = make

    def reach(self, index: int, step: int) -> Run:
        """Restore a run as it was after a step; its ``departed`` says where it differs from the recorded one.

        Raises:
            RecordingError: the recording is damaged.
        """
        with closing(Recording(self._path())) as reader:
            return self._reach(reader, index, step)

    def _reach(self, reader: Recording, index: int, step: int) -> Run:
        run = self._nearest(reader, index, step)
        recorded = reader.weights(index, after=run.step) if run.step < step else {}
        while run.step < step:
            run.train_step(None)
            digest = recorded.get(run.step)
            if digest is not None and run.departed is None and run.digest() != digest:
                run.departed = run.step
        self._find_best(reader, run)
        return run

    def _nearest(self, reader: Recording, index: int, step: int) -> Run:
        """The run before the last keyframe up to ``step`` that has evidence, or else in its initial state."""
        info = reader.runs[index]
        run = self._make(info)
        state = reader.nearest_state(index, step)
        if state is not None:
            run.load(state)
            return run
        if info.fork is not None:
            parent = self._reach(reader, info.fork.run, info.fork.step)
            transfer(run, parent)
            run.departed = parent.departed
        return run

    def _find_best(self, reader: Recording, run: Run) -> None:
        """Find the weights that early stopping would restore, if the run does not have them."""
        step, holder = run.best_step, run.info
        if step is None or run.best is not None:
            return
        run.keep_best(run if step == run.step else self._when(reader, holder, step))

    def _when(self, reader: Recording, holder: RunInfo, step: int) -> Run:
        """Restore a run after a step, or its ancestor if the step is before the fork."""
        while holder.fork is not None and step <= holder.fork.step:
            holder = reader.runs[holder.fork.run]
        return self._reach(reader, holder.index, step)

    def fork(self, child: Run, parent: int, step: int) -> State:
        """Let a child continue from its parent's state after a step.

        Returns:
            Names of the parameters and buffers copied from the parent, and of those the child initialized itself.

        Raises:
            RecordingError: the recording is damaged.
        """
        with closing(Recording(self._path())) as reader:
            there = self._reach(reader, parent, step)
            state = transfer(child, there)
            child.departed = there.departed
            if child.best_step is not None and child.best is None:
                child.keep_best(self._when(reader, reader.runs[parent], child.best_step))
        return state

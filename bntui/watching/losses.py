"""Keeps the losses of an epoch for their mean, and notices the first one that is not finite."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

import numpy as np


class EpochLosses:
    """The losses that a loop has told."""

    def __init__(self) -> None:
        self._since = array("d")
        """Those since the epoch began; NumPy takes thousands of them at once, unlike those of a list."""
        self.last = 0.0
        self.bad_step: int | None = None
        """The step of the first one that is not finite."""
        self.bad_epoch: float | None = None
        """Epochs done at that step, once a row follows."""
        self._row = (0, 0.0)
        """Step and epoch of the last row."""
        self._told = 0
        """Losses of steps after it."""

    def tell(self, losses: Sequence[float]) -> None:
        """Add losses of steps that have no row, in order, one for each."""
        self.add(losses, self._row[0] + 1 + self._told)
        self._told += len(losses)

    def add(self, losses: Sequence[float], step: int) -> None:
        """Add losses of one step, or of several from this one on."""
        self._since.extend(losses)
        self.watch(losses, step)

    def watch(self, losses: Sequence[float], step: int) -> None:
        """Look at losses that are not those of the epoch's mini-batches alone."""
        if losses:
            self.last = losses[-1]
            if self.bad_step is None and not all(map(math.isfinite, losses)):
                self.bad_step = step + next(at for at, loss in enumerate(losses) if not math.isfinite(loss))

    def reach(self, step: int, epoch: float) -> None:
        """A row follows, or the epoch of the last one is known better."""
        before, begun = self._row
        if self.bad_step is not None and self.bad_epoch is None:
            self.bad_step = min(self.bad_step, step)  # a loop may tell several losses of a step
            done = (self.bad_step - before) / (step - before) if step > before else 1.0
            self.bad_epoch = begun + done * (epoch - begun)
        elif self.bad_step == step:
            self.bad_epoch = epoch
        self._row, self._told = (step, epoch), 0

    def mean(self) -> float | None:
        """Mean loss of the epoch so far; None without one."""
        # what np.mean computes, without its calls
        return float(np.add.reduce(np.frombuffer(self._since)) / len(self._since)) if self._since else None

    def begin_epoch(self) -> None:
        """Forget those of the epoch before."""
        self._since = array("d")

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

    def add(self, losses: Sequence[float], step: int) -> None:
        """Add losses of one step, or of several from this one on."""
        self._since.extend(losses)
        self.watch(losses, step)

    def watch(self, losses: Sequence[float], step: int) -> None:
        """Look at losses that are not those of the epoch's mini-batches alone."""
        if losses:
            self.last = losses[-1]
            if self.bad_step is None and not all(map(math.isfinite, losses)):
                self.bad_step = step

    def mean(self) -> float | None:
        """Mean loss of the epoch so far; None without one."""
        # what np.mean computes, without its calls
        return float(np.add.reduce(np.frombuffer(self._since)) / len(self._since)) if self._since else None

    def begin_epoch(self) -> None:
        """Forget those of the epoch before."""
        self._since = array("d")

"""Converts samples of an epoch to optimizer steps and epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bntui.scenario.data import Data


@dataclass(frozen=True, slots=True)
class EpochLength:
    """An epoch of a run: its samples, and how they are divided into mini-batches.

    Positions are fractional where a fork changed the batch size within an epoch: they are those to which as many
    samples lead with this batch size all along.
    """

    samples: int
    data: Data

    @property
    def steps(self) -> int:
        """Optimizer steps in an epoch."""
        batches = self.samples / self.data.batch_size
        return math.floor(batches) if self.data.last_batch == "drop" else math.ceil(batches)

    def steps_at(self, epoch: int, offset: int) -> float:
        """Optimizer steps to this place in the training.

        Args:
            epoch: whole epochs done.
            offset: samples of the current epoch that were used.
        """
        size = self.data.batch_size
        done = offset / size
        if self.data.last_batch == "first":
            remnant = self.samples % size or size
            done = offset / remnant if offset < remnant else self.steps - (self.samples - offset) / size
        return epoch * self.steps + done

    def epochs_at(self, epoch: int, offset: int) -> float:
        """Epochs to this place in the training; a whole number at the end of an epoch."""
        return self.steps_at(epoch, offset) / self.steps

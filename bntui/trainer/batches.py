"""Divides the samples of an epoch into mini-batches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bntui.scenario.data import Data
from bntui.trainer.draw import permutation
from bntui.trainer.samples import DeviceSamples


@dataclass(frozen=True, slots=True)
class Batch:
    """A mini-batch: its samples, and their range in the order of the epoch.

    The next epoch overwrites the samples.
    """

    x: Tensor
    y: Tensor
    start: int
    stop: int
    last: bool
    """It is the last one of its epoch."""

    @property
    def range(self) -> slice:
        """Its samples in the order of the epoch."""
        return slice(self.start, self.stop)


def sizes(samples: int, data: Data) -> list[int]:
    """Sizes of the mini-batches of the rest of an epoch, which has so many samples."""
    whole, rest = divmod(samples, data.batch_size)
    full, others = [data.batch_size] * whole, [rest] if rest and data.last_batch != "drop" else []
    return others + full if data.last_batch == "first" else full + others


class Epoch:
    """The mini-batches of an epoch that are not used yet, gathered in memory that all epochs of a run share."""

    def __init__(self, samples: DeviceSamples, data: Data, seed: int) -> None:
        self._samples, self._data, self._seed = samples, data, seed
        self._x, self._y = torch.empty_like(samples.x), torch.empty_like(samples.y)
        self._whole = self._divided(0)
        self._gathered: list[Batch] | None = None
        self._offset = self._at = 0

    def shuffle(self, epoch: int, offset: int) -> None:
        """Go to an epoch, and skip the samples that were used before."""
        self.order = permutation(self._seed, epoch, len(self._x))
        """The samples in the order of the epoch, on the CPU; int64."""
        self._gathered, self._offset, self._at = None, offset, 0

    @property
    def _batches(self) -> list[Batch]:
        """The mini-batches from the offset on; samples are gathered when they are needed."""
        if self._gathered is None:
            order = self.order.to(self._x.device)
            for whole, shuffled in ((self._samples.x, self._x), (self._samples.y, self._y)):
                torch.index_select(whole, 0, order, out=shuffled)
            self._gathered = self._divided(self._offset) if self._offset else self._whole
        return self._gathered

    @property
    def left(self) -> list[Batch]:
        """The mini-batches that are not used yet."""
        return self._batches[self._at :]

    @property
    def next(self) -> Batch:
        """The next mini-batch."""
        return self._batches[self._at]

    @property
    def next_full(self) -> Batch:
        """The next mini-batch, or the one after it where that is larger."""
        first, *others = self._batches[self._at : self._at + 2]
        return max(first, *others, key=lambda batch: len(batch.x)) if others else first

    def use(self, batches: int = 1) -> None:
        """Skip mini-batches that were used."""
        self._at += batches

    def _divided(self, offset: int) -> list[Batch]:
        each = sizes(len(self._x) - offset, self._data)
        used = offset + sum(each)
        parts = (values[offset:used].split_with_sizes(each) if each else () for values in (self._x, self._y))
        batches = []
        for x, y in zip(*parts, strict=True):
            stop = offset + len(x)
            batches.append(Batch(x, y, offset, stop, stop == used))
            offset = stop
        return batches

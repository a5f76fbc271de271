"""Sums loss and accuracy over many mini-batches, and reads them back from the device only once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bntui.keyframe import FloatArray


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums over a number of mini-batches."""

    batches: int = 0
    samples: int = 0
    loss: float = 0.0
    """Sum of each mini-batch's mean loss times its number of samples."""
    right: int = 0
    """Number of correctly classified samples."""
    residuals: tuple[float, ...] = ()
    """Sum of the squared residuals per output, in regression."""
    targets: tuple[float, ...] = ()
    """Sum of the targets per output, in regression."""
    squares: tuple[float, ...] = ()
    """Sum of the squared targets per output, in regression."""
    first_bad: int | None = None
    """Number of the first mini-batch (from 0) whose loss is NaN or infinite."""
    bad_loss: float | None = None
    """Loss of that mini-batch."""


Columns = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]
"""Figures per output: residuals, targets, and squares of :class:`Sums`."""


class Score:
    """Mean loss and accuracy of the samples added so far; in regression, accuracy is R², the mean over outputs.

    :meth:`add` only keeps references, so that the training loop never waits for the device; the sums are computed when
    they are read.  The result does not depend on how often that happens, because values are added one after the other.
    """

    def __init__(self, task: str, sums: Sums = Sums()) -> None:
        self._classification = task == "classification"
        self._losses: list[Tensor] = []
        self._outputs: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._sums = sums

    def add(self, loss: Tensor, output: Tensor, target: Tensor) -> None:
        """Add one mini-batch: its mean loss, outputs and targets."""
        self._losses.append(loss)
        self._outputs.append(output)
        self._targets.append(target)

    def sums(self) -> Sums:
        """The sums over all mini-batches added so far."""
        if self._losses:
            before = self._sums
            losses = torch.stack(self._losses).cpu().numpy().astype(np.float64)
            sizes = np.array([target.size(0) for target in self._targets])
            bad = np.flatnonzero(~np.isfinite(losses))
            output, target = torch.cat(self._outputs), torch.cat(self._targets)
            right, regression = before.right, (before.residuals, before.targets, before.squares)
            if self._classification:
                right += int((output.argmax(1) == target).sum())
            else:
                regression = _of_regression(regression, output.cpu().numpy(), target.cpu().numpy())
            self._sums = Sums(
                before.batches + len(losses),
                before.samples + int(sizes.sum()),
                float(_onward(before.loss, losses * sizes)),
                right,
                *regression,
                *(
                    (before.batches + int(bad[0]), float(losses[bad[0]]))
                    if before.first_bad is None and len(bad)
                    else (before.first_bad, before.bad_loss)
                ),
            )
            self._losses, self._outputs, self._targets = [], [], []
        return self._sums

    def fold(self) -> tuple[float, float]:
        """Mean loss and accuracy over all samples added so far."""
        sums = self.sums()
        return sums.loss / sums.samples, self._accuracy(sums)

    def _accuracy(self, sums: Sums) -> float:
        if self._classification:
            return sums.right / sums.samples
        each = []
        for residual, total, square in zip(sums.residuals, sums.targets, sums.squares, strict=True):
            spread = square - total * total / sums.samples
            each.append(1 - residual / spread if spread > 0 else math.nan)  # constant targets have none
        return each[0] if len(each) == 1 else float(np.mean(each))


def _of_regression(before: Columns, output: NDArray[Any], target: NDArray[Any]) -> Columns:
    """The sums of the squared residuals, the targets, and the squared targets, onward from those before."""
    added = np.empty((*target.shape, 3))
    residuals, targets, squares = added[..., 0], added[..., 1], added[..., 2]
    targets[:] = target
    with np.errstate(all="ignore"):  # residuals of diverged networks overflow
        np.subtract(output, targets, out=residuals)
        residuals *= residuals
        np.multiply(targets, targets, out=squares)
    sums = _onward(np.array(before).T if before[0] else 0.0, added).T.tolist()
    return tuple(sums[0]), tuple(sums[1]), tuple(sums[2])


def _onward(start: FloatArray | float, values: FloatArray) -> FloatArray:
    """The sum of ``start`` and ``values`` along the first axis, added one after the other; overwrites ``values``."""
    with np.errstate(all="ignore"):
        values[0] += start
        onward: FloatArray = np.add.accumulate(values)[-1]
    return onward

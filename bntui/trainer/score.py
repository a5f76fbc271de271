"""Sums loss and accuracy over many mini-batches, and reads them back from the device only once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
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
                wide, truth = (tensor.cpu().numpy().astype(np.float64) for tensor in (output, target))
                added = ((wide - truth) ** 2, truth, truth**2)
                regression = tuple(
                    tuple(_onward(np.array(start or np.zeros(truth.shape[1])), column).tolist())
                    for start, column in zip(regression, added, strict=True)
                )  # type: ignore[assignment]
            self._sums = Sums(
                before.batches + len(losses),
                before.samples + int(sizes.sum()),
                float(_onward(np.array(before.loss), losses * sizes)),
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
        residuals, targets, squares = map(np.array, (sums.residuals, sums.targets, sums.squares))
        spread = squares - targets**2 / sums.samples
        with np.errstate(all="ignore"):  # constant targets have no spread; residuals of diverged networks overflow
            each = np.where(spread > 0, 1 - residuals / spread, np.nan)
        return float(each.mean())


def _onward(start: FloatArray, values: FloatArray) -> FloatArray:
    """The sum of ``start`` and all ``values`` along the first axis, added one after the other."""
    with np.errstate(all="ignore"):
        onward: FloatArray = np.add.accumulate(np.concatenate([start[np.newaxis], values]))[-1]
    return onward

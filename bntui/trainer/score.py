"""Sums loss and accuracy over many mini-batches on the device, and reads them back once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bntui.keyframe import FloatArray


@dataclass(frozen=True, slots=True)
class Sums:
    """Everything that a score knows of the mini-batches it has folded."""

    batches: int = 0
    samples: int = 0
    loss: float = 0.0
    """Each mini-batch's mean loss times its samples."""
    right: int = 0
    """Samples classified right."""
    residuals: tuple[float, ...] = ()
    """Regression, per output: sum of the squared residuals."""
    targets: tuple[float, ...] = ()
    squares: tuple[float, ...] = ()
    """Of the targets."""
    first_bad: int | None = None
    """Number of the first mini-batch (from 0) whose loss is NaN or infinite."""
    bad_loss: float | None = None
    """That mini-batch's loss."""


class Score:
    """Mean loss and accuracy (share classified right, or R², the mean over outputs) of the samples added so far.

    Adding only keeps references, so that the training loop never waits for the device; the figures
    are made when :meth:`fold` is called.  How often that is makes no difference to a single bit: the sums are
    taken one after the other.
    """

    def __init__(self, task: str, sums: Sums = Sums()) -> None:
        self._classification = task == "classification"
        self._losses: list[Tensor] = []
        self._outputs: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._sums = sums

    def add(self, loss: Tensor, output: Tensor, target: Tensor) -> None:
        """Note one mini-batch: its mean loss, its outputs and targets."""
        self._losses.append(loss)
        self._outputs.append(output)
        self._targets.append(target)

    def sums(self) -> Sums:
        """All mini-batches added so far, folded."""
        if self._losses:
            before = self._sums
            losses = torch.stack(self._losses).cpu().numpy().astype(np.float64)
            sizes = np.array([len(target) for target in self._targets])
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
        """Mean loss and accuracy over everything added so far."""
        sums = self.sums()
        return sums.loss / sums.samples, self._accuracy(sums)

    def _accuracy(self, sums: Sums) -> float:
        if self._classification:
            return sums.right / sums.samples
        residuals, targets, squares = map(np.array, (sums.residuals, sums.targets, sums.squares))
        spread = squares - targets**2 / sums.samples
        with np.errstate(all="ignore"):  # a constant target has no spread, a diverged network no finite residual
            each = np.where(spread > 0, 1 - residuals / spread, np.nan)
        return float(each.mean())


def _onward(start: FloatArray, values: FloatArray) -> FloatArray:
    """``start`` and all ``values`` (along the first axis), added one after the other."""
    with np.errstate(all="ignore"):
        onward: FloatArray = np.add.accumulate(np.concatenate([start[np.newaxis], values]))[-1]
    return onward

"""Loss and accuracy over many mini-batches, summed where they are and read back once."""

from __future__ import annotations

import torch
from torch import Tensor


class Score:
    """Mean loss and accuracy (share classified right, or R², the mean over outputs) of the samples added so far.

    Adding only keeps references, so that the training loop never waits for the device; the figures
    are made when :meth:`fold` is called.
    """

    def __init__(self, task: str) -> None:
        self._classification = task == "classification"
        self._losses: list[Tensor] = []
        self._outputs: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._batches = 0
        self._samples = 0
        self._loss = 0.0
        self._right = 0
        """Samples classified right."""
        # in regression, per output: sums of squared residuals, of the targets, of their squares
        self._residuals = self._sum = self._squares = torch.zeros(1, dtype=torch.float64)
        self.first_bad: int | None = None
        """Number of the first mini-batch (from 0) whose loss is NaN or infinite, among those folded."""

    def add(self, loss: Tensor, output: Tensor, target: Tensor) -> None:
        """Note one mini-batch: its mean loss, its outputs and targets."""
        self._losses.append(loss)
        self._outputs.append(output)
        self._targets.append(target)

    def fold(self) -> tuple[float, float]:
        """Mean loss and accuracy over everything added so far."""
        if self._losses:
            losses = torch.stack(self._losses).cpu().double()  # not every device knows float64
            sizes = torch.tensor([len(target) for target in self._targets])
            self._loss += float((losses * sizes).sum())
            self._samples += int(sizes.sum())
            bad = torch.nonzero(~torch.isfinite(losses))
            if len(bad) and self.first_bad is None:
                self.first_bad = self._batches + int(bad[0])
            self._batches += len(losses)
            output, target = torch.cat(self._outputs), torch.cat(self._targets)
            if self._classification:
                self._right += int((output.argmax(1) == target).sum())
            else:
                wide, truth = output.cpu().double(), target.cpu().double()
                self._residuals = self._residuals + ((wide - truth) ** 2).sum(0)
                self._sum = self._sum + truth.sum(0)
                self._squares = self._squares + (truth**2).sum(0)
            self._losses, self._outputs, self._targets = [], [], []
        return self._loss / self._samples, self._accuracy()

    def _accuracy(self) -> float:
        if self._classification:
            return self._right / self._samples
        spread = self._squares - self._sum**2 / self._samples
        each = torch.where(spread > 0, 1 - self._residuals / spread, torch.nan)
        return float(each.mean())

"""Sums loss and accuracy of stacked runs over many mini-batches at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bntui.keyframe import FloatArray
from bntui.trainer.probes import array
from bntui.trainer.score import Sums

Piece = tuple[Tensor, Tensor]
"""Outputs and targets of mini-batches of equal size, shapes ``(K, S, B, outputs)`` and ``(K, S, B, …)``."""

Outputs = tuple[float, ...]
"""A figure of each output."""


def sums_of(task: str, pieces: Sequence[Piece]) -> list[Sums]:
    """The sums of each run over mini-batches, as :class:`Score` would give them, up to rounding."""
    sized = [(output.shape[0], output.shape[2]) for output, _target in pieces]
    each = np.repeat([size for _count, size in sized], [count for count, _size in sized])
    losses: FloatArray = np.concatenate([array(_losses(task, *piece)).astype(np.float64) for piece in pieces])
    with np.errstate(all="ignore"):
        weighted = (losses * each[:, np.newaxis]).sum(0)
    bad = ~np.isfinite(losses)
    found = []
    for run, (right, regression) in enumerate(_accuracies(task, pieces)):
        first = int(bad[:, run].argmax()) if bad[:, run].any() else None
        value = None if first is None else float(losses[first, run])
        found.append(
            Sums(
                len(losses), int(each.sum()), float(weighted[run]), right, *regression, first_bad=first, bad_loss=value
            )
        )
    return found


def _accuracies(task: str, pieces: Sequence[Piece]) -> list[tuple[int, tuple[Outputs, Outputs, Outputs]]]:
    """Of each run: the number of right answers; in regression, sums of squared residuals, targets, squared targets."""
    if task == "classification":
        right = torch.stack([(output.argmax(-1) == target).sum((0, 2)) for output, target in pieces]).sum(0)
        return [(own, ((), (), ())) for own in right.tolist()]
    added = torch.stack([_squares(*piece) for piece in pieces]).sum(0).tolist()
    return [(0, (tuple(own[0]), tuple(own[1]), tuple(own[2]))) for own in added]


def _losses(task: str, output: Tensor, target: Tensor) -> Tensor:
    """The mean loss of each mini-batch, shape ``(K, S)``."""
    if task == "classification":
        return torch.log_softmax(output, -1).gather(-1, target.unsqueeze(-1)).mean((2, 3)).neg_()
    return (output - target).square_().mean((2, 3))


def _squares(output: Tensor, target: Tensor) -> Tensor:
    """Sums of squared residuals, targets, and squared targets per output, shape ``(S, 3, outputs)``."""
    wide, truth = output.double(), target.double()
    return torch.stack([values.sum((0, 2)) for values in ((wide - truth).square_(), truth, truth.square())], 1)

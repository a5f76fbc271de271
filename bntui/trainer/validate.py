"""Evaluates a network on the validation set, in evaluation mode or as if ``eval()`` had been forgotten."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bntui.trainer.network import Network, Stage, forward
from bntui.trainer.score import Score
from bntui.trainer.step import loss_function

EVALUATION_BATCH = 8192
"""Validation runs in pieces of so many samples: the memory it needs stays bounded."""

Draw = Callable[[Stage, Tensor], Tensor]


def evaluate(network: Network, x: Tensor, y: Tensor, task: str) -> tuple[float, float]:
    """Mean loss and accuracy in evaluation mode; draws nothing, changes nothing."""
    network.train(False)
    pieces = [slice(start, start + EVALUATION_BATCH) for start in range(0, len(x), EVALUATION_BATCH)]
    result = _score(network, x, y, task, pieces, [None] * len(pieces))
    network.train(True)
    return result


def forget_eval(
    network: Network, x: Tensor, y: Tensor, task: str, batch: int, draw: Callable[[int], Draw]
) -> tuple[float, float]:
    """Mean loss and accuracy in training mode: statistics of each mini-batch of ``batch`` samples, dropout and noise.

    The running statistics move as they would, and are put back: measuring changes nothing.

    Args:
        draw: gives what draws dropout and noise in the mini-batch of that number.
    """
    pieces = mini_batches(len(x), batch)
    before = {name: tensor.clone() for name, tensor in network.state().items()}
    result = _score(network, x, y, task, pieces, [draw(number) for number in range(len(pieces))])
    network.load(before)
    return result


def mini_batches(samples: int, batch: int) -> list[slice]:
    """Mini-batches of ``batch`` samples and what is left over; a last one that is alone joins those before it."""
    starts = list(range(0, samples, batch))
    if len(starts) > 1 and samples - starts[-1] == 1:
        starts.pop()
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], samples], strict=True)]


def _score(
    network: Network, x: Tensor, y: Tensor, task: str, pieces: Sequence[slice], draws: Sequence[Draw | None]
) -> tuple[float, float]:
    score = Score(task)
    with torch.inference_mode():
        for piece, draw in zip(pieces, draws, strict=True):
            output = forward(network.stages, x[piece], draw)[-1]
            score.add(loss_function(task, output, y[piece]), output, y[piece])
        return score.fold()

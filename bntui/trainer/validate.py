"""Evaluates a network on the validation set, in evaluation mode or as if ``eval()`` had been forgotten."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bntui.scenario.schema import RunConfig
from bntui.trainer.draw import Draws
from bntui.trainer.loss import loss_function
from bntui.trainer.network import Network, Stage, forward
from bntui.trainer.samples import DeviceSamples
from bntui.trainer.score import Score
from bntui.trainer.step import drawn

EVALUATION_BATCH = 8192
"""Samples per forward pass in evaluation mode, to bound memory."""

Draw = Callable[[Stage, Tensor], Tensor]


def validate(network: Network, samples: DeviceSamples, config: RunConfig, step: int) -> tuple[float, float]:
    """Mean loss and accuracy of the validation part in the configured mode; the network is left unchanged.

    Args:
        step: completed optimizer steps; dropout and noise are drawn by it if ``eval()`` is forgotten.
    """
    x, y, training = samples.x_val, samples.y_val, config.training
    if training.validation_mode == "evaluation":
        return evaluate(network, x, y, samples.task)

    def draw(number: int) -> Draw:
        draws = Draws(config.seed, x.device, "validation", number)
        return lambda stage, values: drawn(draws, network, stage, step, values)[0]

    return forget_eval(network, x, y, samples.task, training.validation_batch or config.data.batch_size, draw)


def evaluate(network: Network, x: Tensor, y: Tensor, task: str) -> tuple[float, float]:
    """Mean loss and accuracy in evaluation mode; the network is left unchanged."""
    network.train(False)
    pieces = [slice(start, start + EVALUATION_BATCH) for start in range(0, len(x), EVALUATION_BATCH)]
    result = _score(network, x, y, task, pieces, [None] * len(pieces))
    network.train(True)
    return result


def forget_eval(
    network: Network, x: Tensor, y: Tensor, task: str, batch: int, draw: Callable[[int], Draw]
) -> tuple[float, float]:
    """Mean loss and accuracy in training mode, with the statistics of each mini-batch, dropout and noise.

    The running statistics are updated by each mini-batch and restored afterwards, so the network is left unchanged.

    Args:
        batch: samples in a mini-batch.
        draw: gives, for the number of a mini-batch, the function that draws its dropout and noise.
    """
    pieces = mini_batches(len(x), batch)
    before = {name: tensor.clone() for name, tensor in network.state().items()}
    result = _score(network, x, y, task, pieces, [draw(number) for number in range(len(pieces))])
    network.load(before)
    return result


def mini_batches(samples: int, batch: int) -> list[slice]:
    """Mini-batches of ``batch`` samples and the rest; a rest of one sample is added to the mini-batch before it."""
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

"""Evaluates a network on a grid over its inputs."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch.nn import functional

from bntui.keyframe import FloatArray, Predictions, SingleArray
from bntui.trainer.data.dataset import Dataset, Scaling, as_sequence
from bntui.trainer.network import Network, forward
from bntui.trainer.probes import array

COLUMNS: Final = 48
ROWS: Final = 32
POINTS: Final = 128
MARGIN: Final = 0.1
"""The grid extends beyond the samples by this share of their range on each side."""


def grid_axes(data: Dataset) -> tuple[SingleArray | FloatArray, ...]:
    """The points of each axis of the grid, in raw units; empty if the data has no grid.

    Classification with two features has ``COLUMNS`` points for the first and ``ROWS`` for the second one.  Regression
    with one feature has ``POINTS``.  The grid covers the training and validation samples.
    """
    shape, classes = data.x.shape[1:], len(data.classes)
    if data.task == "regression" and shape == (1,):
        counts: tuple[int, ...] = (POINTS,)
    elif data.task == "classification" and shape == (2,) and classes <= 256:  # a class is stored in one byte
        counts = (COLUMNS, ROWS)
    else:
        return ()
    axes: list[SingleArray | FloatArray] = []
    for feature, count in zip(data.x.T.astype(np.float64), counts, strict=True):
        low, high = feature.min(), feature.max()
        margin = MARGIN * (high - low) or 1.0  # a constant feature has no range
        axis: FloatArray = np.linspace(low - margin, high + margin, count)
        axes.append(axis.astype(np.float32) if data.x.dtype == np.float32 else axis)
    return tuple(axes)


def grid_points(
    axes: tuple[SingleArray | FloatArray, ...], scaling: Scaling, sequence: str = "none"
) -> torch.Tensor | None:
    """The grid's points as inputs of a network, row by row; None without a grid.

    Args:
        axes: the axes in raw units.
        scaling: the run's feature scaling.
        sequence: ``data.sequence``; unless it is ``none``, the points have the shape of sequences.

    Returns:
        Shape ``(points, features)``, or that of a sequence.
    """
    if not axes:
        return None
    points = np.stack([axis.ravel() for axis in np.meshgrid(*axes)], axis=1)
    return torch.from_numpy(as_sequence(scaling.apply(points), sequence))


def predict(network: Network, points: torch.Tensor, task: str) -> Predictions:
    """The network's predictions at :func:`grid_points`, in evaluation mode; the network is left unchanged.

    The class is the argmax of the logits, as in accuracy, because the softmax is equal for logits that differ by less
    than 6e-8.
    """
    network.train(False)
    with torch.inference_mode():
        output = forward(network.stages, points)[-1]
    network.train(True)
    if task == "regression":
        return Predictions(array(output), None)
    answer, probability = output.argmax(1), functional.softmax(output, 1).amax(1)
    # rounded to half precision like the recording, so that live and recorded keyframes are equal
    values = array(probability).astype(np.float16).astype(np.float32)
    return Predictions(values.reshape(ROWS, COLUMNS), array(answer).astype(np.uint8).reshape(ROWS, COLUMNS))

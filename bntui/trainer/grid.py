"""Predicts on a grid over the inputs."""

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
"""The grid goes beyond the samples by this share of their range, on each side."""


def grid_axes(data: Dataset) -> tuple[SingleArray | FloatArray, ...]:
    """The values of the grid's axes in raw units, over training and validation samples; empty where there is none.

    Classification with two features has ``COLUMNS`` values of the first and ``ROWS`` of the second; regression
    with one feature has ``POINTS``.
    """
    shape, classes = data.x.shape[1:], len(data.classes)
    if data.task == "regression" and shape == (1,):
        counts: tuple[int, ...] = (POINTS,)
    elif data.task == "classification" and shape == (2,) and classes <= 256:  # a class is kept in a byte
        counts = (COLUMNS, ROWS)
    else:
        return ()
    axes: list[SingleArray | FloatArray] = []
    for feature, count in zip(data.x.T.astype(np.float64), counts, strict=True):
        low, high = feature.min(), feature.max()
        margin = MARGIN * (high - low) or 1.0  # around a constant any width will do
        axis: FloatArray = np.linspace(low - margin, high + margin, count)
        axes.append(axis.astype(np.float32) if data.x.dtype == np.float32 else axis)
    return tuple(axes)


def grid_points(
    axes: tuple[SingleArray | FloatArray, ...], scaling: Scaling, sequence: str = "none"
) -> torch.Tensor | None:
    """The grid's points as they enter a network, ``(points, features)``, row by row; None without a grid.

    ``sequence`` is ``data.sequence``: with it the points have the shape of sequences.
    """
    if not axes:
        return None
    points = np.stack([axis.ravel() for axis in np.meshgrid(*axes)], axis=1)
    return torch.from_numpy(as_sequence(scaling.apply(points), sequence))


def predict(network: Network, points: torch.Tensor, task: str) -> Predictions:
    """The network's answers at :func:`grid_points`, evaluation mode; draws nothing, changes nothing.

    The class is the argmax of the logits, as in accuracy.  Their softmax ties where logits differ by less than 6e-8.
    """
    network.train(False)
    with torch.inference_mode():
        output = forward(network.stages, points)[-1]
    network.train(True)
    if task == "regression":
        return Predictions(array(output), None)
    answer, probability = output.argmax(1), functional.softmax(output, 1).amax(1)
    # rounded as the recording keeps it, so that live and recorded keyframes are the same
    values = array(probability).astype(np.float16).astype(np.float32)
    return Predictions(values.reshape(ROWS, COLUMNS), array(answer).astype(np.uint8).reshape(ROWS, COLUMNS))

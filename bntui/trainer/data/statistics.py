"""Computes the statistics that features are scaled with, bit for bit those of scikit-learn's scalers.

It is not imported, because that takes half of a start.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from bntui.keyframe import FloatArray, SingleArray

CHUNK: Final = 8192
"""Number of samples at a time; a float64 copy of all of MNIST would need 400 MB."""


def extent(x: SingleArray | FloatArray) -> tuple[FloatArray, FloatArray]:
    """Minimum of each feature, and 1 / (max − min) as of ``MinMaxScaler``, which is 1 for a constant feature.

    Args:
        x: samples, shape ``(N, features)``.
    """
    parts = [(chunk.min(axis=0), chunk.max(axis=0)) for chunk in _chunks(x)]
    low, high = np.min([low for low, _ in parts], axis=0), np.max([high for _, high in parts], axis=0)
    span = high - low
    return low, 1.0 / np.where(span < 10 * np.finfo(np.float64).eps, 1.0, span)


def moments(x: SingleArray | FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation (ddof = 0) of each feature as of ``StandardScaler``: 1 for a constant feature.

    Chunks are combined as by Chan, Golub and LeVeque, 1982.
    """
    count = 0
    mean, variance = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for chunk in _chunks(x):
        new, before = chunk.shape[0], mean * count
        total = chunk.sum(axis=0)
        apart = chunk - total / new
        squares = (apart**2).sum(axis=0) - apart.sum(axis=0) ** 2 / new
        if count:
            ratio = np.float64(count) / new
            squares = variance * count + squares + ratio / (count + new) * (before / ratio - total) ** 2
        count += new
        mean, variance = (before + total) / count, squares / count
    eps = np.finfo(np.float64).eps
    constant = variance <= count * eps * variance + (count * mean * eps) ** 2
    return mean, np.where(constant, 1.0, np.sqrt(variance))


def _chunks(x: SingleArray | FloatArray) -> Iterator[FloatArray]:
    for start in range(0, len(x), CHUNK):
        yield x[start : start + CHUNK].astype(np.float64)

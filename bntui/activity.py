"""Counts dead units and saturated values, for the trainer and for recorders of other loops."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bntui.scenario.activations import activation


def dead_fraction(name: str, output: NDArray[np.float32], axis: int) -> float:
    """Share of units, along ``axis``, that give 0 for every sample (and pixel or time step) of the batch.

    NaN for activation functions whose units do not die.

    Args:
        name: name of the activation function.
        output: its output, shape ``(B, ...)``.
    """
    if not activation(name).dies:
        return math.nan
    others = tuple(number for number in range(output.ndim) if number != axis % output.ndim)
    return float((output == 0).all(axis=others).mean())


def saturated_fraction(name: str, output: NDArray[np.float32]) -> float:
    """Share of values that are closer to an end of the activation's range than ``SATURATED_WITHIN`` of its width.

    NaN for activation functions that do not saturate.
    """
    between = activation(name).saturated_outside
    if between is None:
        return math.nan
    low, high = between
    return float(((output < low) | (output > high)).mean())

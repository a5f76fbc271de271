"""Shares runs out among workers so that these take about the same time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from bntui.recording.history import LayerInfo

CALLS: Final = 20e-6
"""Seconds that a stage takes in an optimizer step if its arithmetic took none."""
FLOPS: Final = 5e10
"""Floating-point operations per second of one core."""
KEYFRAME: Final = 3e-3
"""Seconds to measure and pack a keyframe, and to validate."""


def estimate(layers: Iterable[LayerInfo], stages: int, batch: int, steps: int) -> float:
    """Roughly the seconds of an epoch, before one was measured.

    Args:
        stages: number of stages of the network.
        batch: samples of a mini-batch.
        steps: optimizer steps per epoch.
    """
    products = sum(layer.parameters * _places(layer) for layer in layers)
    arithmetic = 6 * batch * products / FLOPS  # forward, and backward to the weights and to the inputs
    return steps * (CALLS * stages + arithmetic) + KEYFRAME


def _places(layer: LayerInfo) -> int:
    """How often a sample meets each weight: at every pixel, in every time step."""
    return layer.shape[0] if layer.kind == "recurrent" else math.prod(layer.shape[1:])


def expected(measured: Mapping[int, float], estimates: Mapping[int, float]) -> dict[int, float]:
    """Seconds per epoch of each run: measured, or else estimated and corrected by how wrong other estimates were."""
    wrong = [measured[run] / estimates[run] for run in estimates if run in measured]
    factor = statistics.median(wrong) if wrong else 1.0
    return {run: measured.get(run, factor * seconds) for run, seconds in estimates.items()}


def shares(seconds: Mapping[int, float], workers: int) -> list[list[int]]:
    """The runs of each worker, in the order of their numbers.

    The longest run goes first, each to the worker that has the least to do: at most 4/3 of the best possible time
    (Graham, Bounds on multiprocessing timing anomalies, 1969).

    Args:
        seconds: time of each run, by number.
    """
    each: list[list[int]] = [[] for _ in range(workers)]
    loads = [0.0] * workers
    for run in sorted(seconds, key=lambda run: (-seconds[run], run)):
        least = loads.index(min(loads))
        each[least].append(run)
        loads[least] += seconds[run]
    return [sorted(runs) for runs in each]


def slowest(seconds: Mapping[int, float], each: Iterable[Collection[int]]) -> float:
    """The time until the last worker is done."""
    return max((sum(seconds[run] for run in runs) for runs in each), default=0.0)


def saved(seconds: Collection[float], workers: int) -> float:
    """The seconds that workers save, if they take none themselves."""
    return sum(seconds) - max(sum(seconds) / workers, max(seconds, default=0.0))

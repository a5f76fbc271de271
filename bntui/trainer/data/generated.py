"""Generates small random problems: two-dimensional classes, and a line and a sine to fit.

======== ============== ================================================ ======= ===== ===================
source   task           what                                             samples noise noise is
======== ============== ================================================ ======= ===== ===================
moons    classification two interleaving half circles                    500     0.2   σ added to x1, x2
circles  classification a circle of radius 0.5 within one of radius 1    500     0.1   σ added to x1, x2
spirals  classification two arms of 1.5 turns, radius 0 to 1             500     0.03  σ added to x1, x2
xor      classification clusters around (±1, ±1); opposite ones alike    500     0.4   σ of each cluster
blobs    classification three Gaussian clusters, centers within ±10      500     1.5   σ of each cluster
line     regression     y = 2x, x uniform in [−1, 1]                     50      0.3   σ added to y
sine     regression     y = sin(πx), x uniform in [−1, 1]                50      0.2   σ added to y
======== ============== ================================================ ======= ===== ===================

Samples and noise are the defaults; σ is the standard deviation of Gaussian noise in units of the data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from bntui.keyframe import FloatArray, IntArray

DEFAULT_NOISE: Final = {
    "moons": 0.2,
    "circles": 0.1,
    "spirals": 0.03,
    "xor": 0.4,
    "blobs": 1.5,
    "line": 0.3,
    "sine": 0.2,
}
REGRESSION: Final = ("line", "sine")
DEFAULT_SAMPLES: Final = {name: 50 if name in REGRESSION else 500 for name in DEFAULT_NOISE}

_SPIRAL_TURNS: Final = 1.5


def generate(
    source: str, samples: int | None, noise: float | None, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray | IntArray]:
    """Draw the samples of a problem.

    Args:
        source: a key of ``DEFAULT_NOISE``.
        samples: number of samples; None for the default.
        noise: standard deviation of the noise; None for the default.

    Returns:
        ``x`` with shape ``(samples, features)``, and ``y``: class numbers ``(samples,)`` or values ``(samples, 1)``.
    """
    count = DEFAULT_SAMPLES[source] if samples is None else samples
    sigma = DEFAULT_NOISE[source] if noise is None else noise
    if source == "line":
        return _curve(lambda x: 2 * x, count, sigma, rng)
    if source == "sine":
        return _curve(lambda x: np.sin(np.pi * x), count, sigma, rng)
    if source == "spirals":
        return _spirals(count, sigma, rng)
    if source == "xor":
        return _xor(count, sigma, rng)
    return _as_scikit_learn(source, count, sigma, np.random.RandomState(int(rng.integers(2**32))))


def _as_scikit_learn(source: str, count: int, sigma: float, draw: np.random.RandomState) -> tuple[FloatArray, IntArray]:
    """The samples of ``make_moons``, ``make_circles`` and ``make_blobs``, bit for bit.

    scikit-learn is not imported, because that takes half of a start.
    """
    half, rest = count // 2, count - count // 2
    parts: list[list[FloatArray]]
    if source == "moons":
        outer, inner = np.linspace(0, np.pi, half), np.linspace(0, np.pi, rest)
        parts = [[np.cos(outer), np.sin(outer)], [1 - np.cos(inner), 1 - np.sin(inner) - 0.5]]
    elif source == "circles":
        outer, inner = (np.linspace(0, 2 * np.pi, number, endpoint=False) for number in (half, rest))
        parts = [[np.cos(outer), np.sin(outer)], [np.cos(inner) * 0.5, np.sin(inner) * 0.5]]
    else:
        centers = draw.uniform(-10.0, 10.0, size=(3, 2))
        sizes = [count // 3 + (number < count % 3) for number in range(3)]
        clusters = zip(centers, sizes, strict=True)
        parts = [list(draw.normal(loc=center, scale=sigma, size=(size, 2)).T) for center, size in clusters]
    x = np.concatenate([np.stack(part, axis=1) for part in parts])
    y = np.repeat(np.arange(len(parts), dtype=np.int64), [len(part[0]) for part in parts])
    order = np.arange(count)
    draw.shuffle(order)
    x = x[order]
    if source != "blobs":
        x += draw.normal(scale=sigma, size=x.shape)
    return x, y[order]


def _balanced(count: int, groups: int, rng: np.random.Generator) -> IntArray:
    """Group numbers in random order; the sizes of the groups differ by at most one."""
    return rng.permutation(np.arange(count, dtype=np.int64) % groups)


def _spirals(count: int, sigma: float, rng: np.random.Generator) -> tuple[FloatArray, IntArray]:
    arm = _balanced(count, 2, rng)
    # the square root spreads the samples evenly along the arm instead of crowding them at the center
    radius = np.sqrt(rng.uniform(0.0, 1.0, count))
    angle = 2 * np.pi * _SPIRAL_TURNS * radius + np.pi * arm
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return x + rng.normal(0.0, sigma, x.shape), arm


def _xor(count: int, sigma: float, rng: np.random.Generator) -> tuple[FloatArray, IntArray]:
    quadrant = _balanced(count, 4, rng)
    right, upper = quadrant % 2, quadrant // 2
    centers = 2.0 * np.stack([right, upper], axis=1) - 1.0
    return centers + rng.normal(0.0, sigma, centers.shape), right ^ upper


def _curve(
    function: Callable[[FloatArray], FloatArray], count: int, sigma: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    x = rng.uniform(-1.0, 1.0, (count, 1))
    return x, function(x) + rng.normal(0.0, sigma, x.shape)

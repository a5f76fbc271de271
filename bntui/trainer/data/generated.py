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
    return _from_sklearn(source, count, sigma, rng)


def _from_sklearn(
    source: str, count: int, sigma: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray | IntArray]:
    from sklearn.datasets import make_blobs, make_circles, make_moons

    random_state = int(rng.integers(2**32))
    if source == "moons":
        x, y = make_moons(n_samples=count, noise=sigma, random_state=random_state)
    elif source == "circles":
        x, y = make_circles(n_samples=count, noise=sigma, factor=0.5, random_state=random_state)
    else:
        x, y = make_blobs(n_samples=count, centers=3, cluster_std=sigma, random_state=random_state)
    return np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.int64)


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

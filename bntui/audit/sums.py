"""Sums and products of values with bounds: matrices, sums over a mini-batch, and parts put together.

The bounds are those of ``bounded.py``; a sum of n products loses at most γ_n of their magnitudes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from bntui.audit.bounded import (
    FREE,
    LARGEST,
    SHARED,
    TINY,
    Bounded,
    Values,
    carried,
    euclidean,
    lifted,
    norm_of,
    of_sum,
    spread_over,
    tightened,
    tried,
)


def spectral(matrix: Values) -> float:
    """An upper bound of a matrix's largest singular value, at most a third above it for 100 rows or columns.

    ``‖A‖₂⁸ = ‖(AᵀA)⁴‖₂ ≤ ‖(AᵀA)⁴‖_F``.
    """
    largest = float(np.abs(matrix).max(initial=0))
    if not largest or not math.isfinite(largest):
        return largest
    scaled = matrix / largest
    gram = scaled.T @ scaled if scaled.shape[0] > scaled.shape[1] else scaled @ scaled.T
    square = gram @ gram
    fourth = square @ square
    return float(largest * math.sqrt(math.sqrt(math.sqrt(math.sqrt(float((fourth * fourth).sum()))))))


def matmul(a: Bounded, b: Bounded, added: Bounded | None = None, *, factors: float = 0.0) -> Bounded:
    """``a @ b + added``, ``(..., K) @ (K, N)``, as one sum of K + 1 terms, as fused kernels compute it.

    ``factors``: relative error of the device's rounding of the factors before multiplication.
    """
    value, size = a.value @ b.value, a.reach @ b.reach
    parts = [part for part in (added,) if part is not None]
    for part in parts:
        value, size = value + part.value, size + part.reach
    rounding = (of_sum(b.shape[0] + 2, a, b, *parts) + 3 * factors) * size + TINY * b.shape[0] * (size != 0)
    rounding = np.where(size > LARGEST, np.inf, rounding)
    error, norm = rounding, norm_of(rounding, a.norm)
    if not a.is_exact:
        columns = np.sqrt((b.reach**2).sum(0))
        error = error + np.fmin(a.error @ b.reach, spread_over(a.norm, value.ndim) * columns)
        norm = norm + a.norm * (spectral(b.value) + euclidean(b.error))
    if not b.is_exact:
        grown = np.abs(a.value) @ b.error
        error, norm = error + grown, norm + norm_of(grown, a.norm)
    for part in parts:
        error, norm = error + part.error, norm + norm_of(np.broadcast_to(part.error, value.shape), a.norm)
    trials = None
    if tried(a, b, *parts):
        moved = [lifted(part, value.ndim) for part in parts]
        if not a.is_exact or a.trials is not None:
            moved.append(lifted(a, a.value.ndim) @ b.value)
        if not b.is_exact or b.trials is not None:
            through = a.value if a.trials is None else a.value + a.trials  # products of two trials are second order
            moved.append(through @ lifted(b, 2).reshape(-1, *(1 for _ in range(a.value.ndim - 2)), *b.shape))
        trials = carried(rounding, *moved, np.zeros(()))
    return tightened(value, error, norm, a.unit, trials)


def summed_products(d: Bounded, x: Bounded, *, factors: float = 0.0) -> Bounded:
    """``dᵀ x``, ``(M, J)`` and ``(M, I)`` to ``(J, I)``: a parameter's gradient, summed over the mini-batch."""
    value, size = d.value.T @ x.value, d.reach.T @ x.reach
    rounding = (of_sum(len(d.value) + 2, d, x) + 3 * factors) * size + TINY * len(d.value) * (size != 0)
    rounding = np.where(size > LARGEST, np.inf, rounding)
    error, norm = rounding, norm_of(rounding, d.norm)
    if not d.is_exact:
        each = np.sqrt((x.reach**2).sum(0))
        error = error + np.fmin(d.error.T @ x.reach, d.norm * each)
        norm = norm + d.norm * (spectral(x.value) + euclidean(x.error))
    if not x.is_exact:
        grown = np.abs(d.value).T @ x.error
        error, norm = error + grown, norm + norm_of(grown, d.norm)
    trials = None
    if tried(d, x):
        moved = [np.zeros(())]
        if not d.is_exact or d.trials is not None:
            moved.append(np.swapaxes(lifted(d, 2), 1, 2) @ x.value)
        if not x.is_exact or x.trials is not None:
            moved.append(d.value.T @ lifted(x, 2))
        trials = carried(rounding, *moved)
    return tightened(value, error, norm, d.unit, trials)


def total(terms: Bounded, axis: int | tuple[int, ...] = 0) -> Bounded:
    """The sum along axes."""
    value, size = terms.value.sum(axis), terms.reach.sum(axis)
    axes = (axis,) if isinstance(axis, int) else axis
    count = math.prod(terms.shape[at] for at in axes)
    rounding = np.where(size > LARGEST, np.inf, of_sum(count, terms) * size)
    grown = terms.error.sum(axis)
    error = rounding + np.fmin(grown, math.sqrt(count) * euclidean(terms.error))
    moved = None if terms.trials is None else terms.trials.sum(tuple(at + 1 for at in axes))
    return tightened(value, error, np.asarray(euclidean(error)), terms.unit, carried(rounding, moved))


def concatenated(parts: Sequence[Bounded], axis: int) -> Bounded:
    """Concatenate parts along an existing axis."""
    return _joined(parts, lambda arrays: np.concatenate(arrays, axis))


def stacked(parts: Sequence[Bounded], axis: int) -> Bounded:
    """Stack parts along a new axis."""
    return _joined(parts, lambda arrays: np.stack(arrays, axis))


def _joined(parts: Sequence[Bounded], how: Callable[[list[Values]], Values]) -> Bounded:
    value, error = how([part.value for part in parts]), how([part.error for part in parts])
    norm = np.sqrt(np.sum([part.norm**2 for part in parts], 0))
    trials = None
    if tried(*parts):
        whole = [lifted(part, part.value.ndim) + np.zeros((FREE + SHARED, *part.shape)) for part in parts]
        trials = np.stack([how([each[at] for each in whole]) for at in range(FREE + SHARED)])
    return tightened(value, error, np.asarray(norm), parts[0].unit, trials)

"""Normalizes a mini-batch, forward and backward, over any set of axes.

Ioffe and Szegedy, arXiv:1502.03167, algorithm 1; Ba et al., arXiv:1607.06450; Wu and He, arXiv:1803.08494.  All are
x̂ = (x - mean) / sqrt(var + ε) and y = γ x̂ + β; they differ in the axes of mean and var.

The bounds hold for any order of computation: two passes or Welford's single pass (Chan, Golub and LeVeque, 1983,
table 1), and x̂ as (x - mean) · s or as x · s - mean · s.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.bounded import (
    FIRST_ORDER,
    LARGEST,
    TINY,
    Bounded,
    carried,
    drawn,
    euclidean,
    lifted,
    of_sum,
    tightened,
)
from bntui.audit.network import RecordedStage

Values = NDArray[Any]
Axes = tuple[int, ...]
FEW: Final = 8
"""Number of roundings in the operations around a sum."""


@dataclass(frozen=True, slots=True)
class Standardized:
    """``x̂`` and its statistics, in the shape over which they were computed."""

    values: Bounded
    mean: Bounded
    var: Bounded
    """Biased variance; its reduced axes have length 1."""
    inverse: Bounded
    """1 / sqrt(var + ε)."""
    raw: Values
    """|x| + |mean|: the magnitudes that PyTorch's kernels sum before scaling."""
    uncentered: Values
    """(|x| + |mean|) / sqrt(var + ε): the scale of rounding errors if the mean is not subtracted first."""
    axes: Axes

    @property
    def count(self) -> int:
        """Number of values in each mean."""
        return self.values.value.size // max(self.mean.value.size, 1)


def standardize(x: Bounded, axes: Axes, eps: float) -> Standardized:
    """Scale to mean 0 and, up to ε, variance 1 over ``axes``."""
    unit, size = x.unit, x.reach
    count = math.prod(x.shape[axis] for axis in axes)
    lost = of_sum(count + FEW, x)
    mean = x.value.mean(axes, keepdims=True)
    from_x = x.error.mean(axes, keepdims=True)
    off_mean = from_x + lost * size.mean(axes, keepdims=True)
    away = x.value - mean
    var = (away * away).mean(axes, keepdims=True)
    spread, root = np.sqrt(var), np.sqrt((size * size).mean(axes, keepdims=True))
    moved = np.sqrt((x.error * x.error).mean(axes, keepdims=True))
    off_var = 2 * spread * moved + moved**2 + off_mean**2 + lost * (var + 2 * spread * root) + TINY
    beyond = ~(root <= math.sqrt(LARGEST / count))  # the sum of squares may have overflowed: the result is unknown
    off_var = np.where(beyond, np.inf, off_var)
    inverse = 1 / np.sqrt(var + eps)
    relative = off_var / (var + eps)
    with_bound = inverse * (1 / np.sqrt(np.maximum(1 - relative, 0)) - 1)
    # a computed variance is at least 0, so the inverse is at most 1 / sqrt(ε)
    most = np.maximum(inverse, 1 / math.sqrt(eps) - inverse)
    off_inverse = np.where(beyond, np.inf, np.fmin(with_bound, most) + 4 * unit * inverse)
    largest = inverse + off_inverse
    # centering and scaling project the errors of x, so their norm does not grow
    grown = (x.error + from_x) * largest
    raw = size + np.abs(mean)
    uncentered = raw * largest
    around = (off_mean - from_x) * largest + FEW * unit * uncentered
    rounding = around + np.abs(away) * off_inverse
    values = away * inverse
    anywhere = np.abs(values) + _farthest(x, axes) + around
    error = np.fmin(grown + rounding, np.where(beyond, np.inf, anywhere))
    norm = np.asarray(euclidean(rounding) + float(largest.max(initial=0)) * float(x.norm.max(initial=0)))
    if x.norm.ndim:
        norm = np.sqrt((error.reshape(len(values), -1) ** 2).sum(1))
    off = (rounding, off_mean - from_x, lost * (var + 2 * spread * root), 4 * unit * inverse)
    tried = _tried(x, axes, away, var + eps, off)
    return Standardized(
        tightened(values, error, norm, unit, tried[0]),
        _plain(mean, off_mean, unit, tried[1]),
        _plain(var, off_var, unit, tried[2]),
        _plain(inverse, off_inverse, unit, tried[3]),
        raw,
        uncentered,
        axes,
    )


def _tried(x: Bounded, axes: Axes, away: Values, wide: Values, off: tuple[Values, ...]) -> tuple[Values | None, ...]:
    """Trials of ``x̂``, mean, variance, and inverse; ``off`` holds the rounding error of each.

    If x is as uncertain as it is spread, derivatives are useless: with two samples, x̂ may change its sign.
    """
    if x.trials is None:
        return (None,) * 4
    within, inverse = tuple(axis + 1 for axis in axes), 1 / np.sqrt(wide)
    mean = x.trials.mean(within, keepdims=True)
    var = 2 * (x.trials * away).mean(within, keepdims=True)
    moved, values = x.trials - mean, away * inverse
    unsure = (moved**2).mean((0, *within)).reshape(wide.shape) > FIRST_ORDER**2 * wide
    anywhere = np.where(unsure, np.abs(values) + _farthest(x, axes), 0.0)
    nothing = np.where(unsure, np.inf, 0.0)
    return (
        carried(off[0], inverse * moved - values * var / (2 * wide), drawn(anywhere)),
        carried(off[1], mean),
        carried(off[2], var, nothing),
        carried(off[3], -var * inverse / (2 * wide), nothing),
    )


def _farthest(x: Bounded, axes: Axes) -> float:
    """Bound on |x̂|: √(n - 1) for any n values."""
    return math.sqrt(math.prod(x.shape[axis] for axis in axes) - 1)


def _plain(value: Values, error: Values, unit: float, trials: Values | None) -> Bounded:
    return tightened(value, error, np.asarray(euclidean(error)), unit, trials)


def backward(of: Standardized, d: Bounded, unscaled: Bounded, *, centered: bool) -> Bounded:
    """The gradient of x from that of x̂, without its components along a shift or a scaling of x.

    Args:
        unscaled: the gradient of γ x̂, which kernels may multiply by γ at the end.
        centered: True if the sums run over d (x - mean), as in batch normalization; layer and group normalization
            subtract sums over d x and over d.
    """
    axes, x, unit = of.axes, of.values.value, d.unit
    common = d.value.mean(axes, keepdims=True)
    along = (d.value * x).mean(axes, keepdims=True)
    inner = d.value - common - x * along
    size, off_x = np.abs(x) + of.values.error, of.values.error
    reach = size if centered else np.maximum(size, of.uncentered)
    value = of.inverse.value * inner
    largest = of.inverse.value + of.inverse.error
    magnitude = d.reach.mean(axes, keepdims=True) + reach * (d.reach * reach).mean(axes, keepdims=True)
    lost = (of_sum(of.count + FEW, d, of.values) * magnitude + FEW * unit * (d.reach + magnitude)) * largest
    lost += largest * (off_x * np.abs(along) + size * (d.reach * off_x).mean(axes, keepdims=True))
    lost += of.inverse.error * np.abs(inner) + TINY * (magnitude != 0)
    lost += _beyond_range(of, d, along, np.maximum(d.reach, unscaled.reach))
    grown = 0.0
    norm = np.asarray(euclidean(lost))
    if not d.is_exact:
        grown = largest * (
            d.error + d.error.mean(axes, keepdims=True) + size * (d.error * size).mean(axes, keepdims=True)
        )
        norm = norm + np.minimum(float(largest.max(initial=0)) * d.norm, euclidean(grown))
    return tightened(value, grown + lost, norm, unit, _tried_back(of, d, inner, along, lost))


def _beyond_range(of: Standardized, d: Bounded, along: Values, reach: Values) -> Values:
    """Error due to float32's range.

    With s = 1 / sqrt(var + ε), PyTorch sums d · x before it multiplies by s³, divides by the count, and multiplies by
    x; and it sums d before it multiplies by s and divides.  It multiplies by γ, which may be 0, before or after that.

    Args:
        reach: magnitudes of the gradient with or without γ, whichever is larger.
    """
    sums = of.count * (reach * of.raw).mean(of.axes, keepdims=True)
    factor = np.maximum(of.inverse.value + of.inverse.error, 1.0)
    plain = of.count * reach.mean(of.axes, keepdims=True)
    largest = np.maximum(sums * factor**3 * np.maximum(of.raw, 1.0), plain * factor)
    vanished = of.inverse.value**3 < TINY
    lost = np.where(vanished, of.inverse.value * np.abs(of.values.value * along), 0.0)
    lost = lost + FEW * TINY * of.raw * (d.reach.max(of.axes, keepdims=True) > 0)  # the sum times s³ multiplies x
    return np.where(largest <= LARGEST, lost, np.inf)


def _tried_back(of: Standardized, d: Bounded, inner: Values, along: Values, lost: Values) -> Values | None:
    """Trials of :func:`backward`, which is linear in d with coefficients that depend on x."""
    within = tuple(axis + 1 for axis in of.axes)
    x, inverse, moved = of.values.value, of.inverse.value, []
    if d.trials is None and of.values.trials is None:
        return None
    tries, shifted, narrowed = (lifted(part, part.value.ndim) for part in (d, of.values, of.inverse))
    if tries.ndim:
        common, across = (part.mean(within, keepdims=True) for part in (tries, tries * x))
        moved.append(inverse * (tries - common - x * across))
    if shifted.ndim:
        across = (d.value * shifted).mean(within, keepdims=True)
        moved.append(narrowed * inner - inverse * (shifted * along + x * across))
    return carried(lost, *moved)


def _over_batch(stage: RecordedStage, x: Bounded) -> Axes:
    """Batch: over samples and pixels; in a recurrent layer over samples, and over time unless they are per step."""
    if stage.info.kind == "recurrent":
        return (0,) if stage.info.per_step else (0, 1)
    return (0, *range(2, x.value.ndim))


def _over_layer(stage: RecordedStage, x: Bounded) -> Axes:
    """Layer: over all values of a sample; in a recurrent layer, of a time step."""
    ndim = x.value.ndim
    return (ndim - 1,) if stage.info.kind == "recurrent" else tuple(range(1, ndim))


def _over_group(_stage: RecordedStage, _x: Bounded) -> Axes:
    """Group: over the values of each group of channels of a sample, after :func:`arranged`."""
    return (2,)


NORMS: Final[dict[str, Callable[[RecordedStage, Bounded], Axes]]] = {
    "batch": _over_batch,
    "layer": _over_layer,
    "group": _over_group,
}
"""The axes over which each norm of the scenario schema computes its statistics."""


def arranged(stage: RecordedStage, x: Bounded) -> Bounded:
    """Reshape values for the statistics: ``(B, groups, ...)`` for group normalization, otherwise unchanged."""
    return x.reshape(len(x.value), stage.info.groups, -1) if stage.info.norm == "group" else x


def standardized(stage: RecordedStage, x: Bounded) -> Standardized:
    """Standardize a mini-batch as the ``norm`` stage does, before scale and shift."""
    return standardize(arranged(stage, x), NORMS[stage.info.norm](stage, x), stage.options["eps"])


def scaled(of: Standardized, gamma_: Bounded, beta: Bounded, shape: tuple[int, ...]) -> Bounded:
    """γ x̂ + β, computed as (x - mean) · s · γ + β or as x · (s γ) + (β - mean · s γ)."""
    made = of.values.reshape(*shape) * gamma_ + beta
    lost = made.unit * (FEW * of.uncentered.reshape(shape) * gamma_.reach + 2 * beta.reach)
    largest = np.maximum(of.raw, 1.0) * (of.inverse.value + of.inverse.error)  # s, x · s and mean · s may overflow
    lost = np.where(largest.reshape(shape) * gamma_.reach + beta.reach > LARGEST, np.inf, lost)
    return made.function(made.value, 1.0, lost)


def per_feature(stage: RecordedStage, parameter: Bounded, ndim: int) -> Bounded:
    """γ or β (or running statistics ``(T, C)``) reshaped to broadcast over ``(B, ...)``."""
    if stage.info.kind != "recurrent" and stage.info.norm in ("batch", "group"):
        return parameter.reshape(-1, *(1 for _ in range(ndim - 2)))
    return parameter

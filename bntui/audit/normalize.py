"""What does normalization do with a mini-batch, forward and backward, whatever its statistics are taken over?

Ioffe and Szegedy, arXiv:1502.03167, algorithm 1; Ba et al., arXiv:1607.06450; Wu and He, arXiv:1803.08494.  All are
x̂ = (x - mean) / sqrt(var + ε) and y = γ x̂ + β; they differ in the axes of mean and var.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.audit.network import Stage

Values = NDArray[Any]
Axes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Standardized:
    """``x̂``, and what was taken off and divided by; in the shape in which the statistics were taken."""

    values: Values
    mean: Values
    var: Values
    """Biased, kept as axes of length 1."""
    inverse: Values
    """1 / sqrt(var + ε)."""
    axes: Axes


def standardize(x: Values, axes: Axes, eps: float) -> Standardized:
    """Mean 0 and variance 1 over ``axes``, but for ε."""
    with np.errstate(all="ignore"):
        mean = x.mean(axes, keepdims=True)
        away = x - mean
        var = (away * away).mean(axes, keepdims=True)
        inverse = 1 / np.sqrt(var + x.dtype.type(eps))
        return Standardized(away * inverse, mean, var, inverse, axes)


def backward(of: Standardized, d: Values) -> Values:
    """The gradient of x from that of x̂: what a shift or a scale of x would do is taken out."""
    common = d.mean(of.axes, keepdims=True)
    along = (d * of.values).mean(of.axes, keepdims=True)
    result: Values = of.inverse * (d - common - of.values * along)
    return result


def _over_batch(stage: Stage, x: Values) -> Axes:
    """Batch: over samples and pixels; in a recurrent layer over samples, and time unless each step is by itself."""
    if stage.info.kind == "recurrent":
        return (0,) if stage.info.per_step else (0, 1)
    return (0, *range(2, x.ndim))


def _over_layer(stage: Stage, x: Values) -> Axes:
    """Layer: over all values of a sample; in a recurrent layer of a time step."""
    return (x.ndim - 1,) if stage.info.kind == "recurrent" else tuple(range(1, x.ndim))


def _over_group(_stage: Stage, _x: Values) -> Axes:
    """Group: the values of a sample's groups of channels, once :func:`arranged`."""
    return (2,)


NORMS: Final[dict[str, Callable[[Stage, Values], Axes]]] = {
    "batch": _over_batch,
    "layer": _over_layer,
    "group": _over_group,
}
"""Over which axes each norm of the scenario's schema takes its statistics."""


def arranged(stage: Stage, x: Values) -> Values:
    """The values in the shape in which statistics are taken: ``(B, groups, ...)`` for groups, else as they are."""
    return x.reshape(len(x), stage.info.groups, -1) if stage.info.norm == "group" else x


def standardized(stage: Stage, x: Values) -> Standardized:
    """What the ``norm`` stage makes of a mini-batch before scale and shift."""
    return standardize(arranged(stage, x), NORMS[stage.info.norm](stage, x), stage.options["eps"])


def per_feature(stage: Stage, parameter: Values, ndim: int) -> Values:
    """γ or β (or running statistics ``(T, C)``) shaped to be broadcast over ``(B, ...)``."""
    if stage.info.kind != "recurrent" and stage.info.norm in ("batch", "group"):
        return parameter.reshape(-1, *(1 for _ in range(ndim - 2)))
    return parameter

"""Computes the four steps of a normalization for the values that are normalized together, in NumPy.

Batch normalization normalizes one unit over the mini-batch (a convolution's channel also over all pixels, a recurrent
layer's unit over time or at one time step), layer normalization the features of one sample, and group normalization one
group of them.  Each of these is called a *set*, all sets of a layer at a keyframe are a *slide*, and the chosen set is
the *specimen*.

Everything is computed in float64 from the recorded float32 values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.keyframe import FloatArray, IntArray, Keyframe
from bntui.recording.evidence import Evidence
from bntui.recording.history import LayerInfo, RunInfo
from bntui.viewer.draw.extremes import root

FIGURES: Final = (
    "mean", "var", "running_mean", "running_var", "gamma", "beta", "gamma_gradient", "beta_gradient", "eps_share",
    "evaluation",
)  # fmt: skip
"""Figures of every set of a normalization; see :meth:`Slide.figures`."""


@dataclass(frozen=True, slots=True)
class Running:
    """Running statistics of batch normalization; shapes ``(steps, units)``, unbiased variance."""

    mean: FloatArray
    var: FloatArray


@dataclass(frozen=True)
class Slide:
    """All sets of one normalization at one keyframe.

    ``pool`` has the inputs, shape ``(steps, sets, values)``, with one step unless each time step has its own
    statistics.  It is None without evidence, and so are other fields that only evidence contains.
    """

    info: LayerInfo
    kind: str
    """``batch``, ``layer`` or ``group``."""
    eps: float
    momentum: float
    """Weight of the new value in the running statistics."""
    pool: NDArray[Any] | None
    position: tuple[int, ...]
    """Shape of one sample's values in one set; empty for a single value (a dense unit)."""
    batch: IntArray
    """The mini-batch's samples as rows of the training part."""
    measured: tuple[FloatArray, FloatArray] | None
    """Batch mean and biased variance as recorded, ``(steps, units)``; batch normalization only."""
    gamma: FloatArray | None
    """Per unit, ``(C,)``, or per feature for layer normalization, flat; None if not known."""
    beta: FloatArray | None
    gamma_gradient: FloatArray | None
    """Gradient of the loss, before clipping; NaN if it was not recorded."""
    beta_gradient: FloatArray | None
    before: Running | None
    """Running statistics before the step, from the evidence."""
    after: Running | None
    """Running statistics after the step, from the measures."""

    @property
    def steps(self) -> int:
        """Number of time steps with separate statistics; 1 if there are no such steps."""
        if self.pool is not None:
            return len(self.pool)
        return 1 if self.measured is None else len(self.measured[0])

    @property
    def sets(self) -> int:
        if self.pool is not None:
            return int(self.pool.shape[1])
        return 0 if self.measured is None else self.measured[0].shape[1]

    @property
    def count(self) -> int:
        """Number m of values in a set."""
        if self.pool is not None:
            return int(self.pool.shape[2])
        return len(self.batch) * math.prod(self.position) if self.kind == "batch" else 0

    @property
    def evaluating(self) -> Running | None:
        """The statistics of evaluation mode: the running ones before the step if known, else after it."""
        return self.before if self.before is not None else self.after

    def affine(self, chosen: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray] | None:
        """γ, β and their gradients for each value of a set, shapes ``(values,)`` or ``(1,)``."""
        arrays = (self.gamma, self.beta, self.gamma_gradient, self.beta_gradient)
        if self.gamma is None or self.beta is None:
            return None
        picked = [np.full_like(self.gamma, np.nan) if values is None else values for values in arrays]
        if self.kind == "batch":
            return _four(*(values[chosen : chosen + 1] for values in picked))
        if self.kind == "layer":
            return _four(*picked)
        size = len(self.gamma) // self.info.groups
        first = chosen % self.info.groups * size
        pixels = math.prod(self.position[1:])
        return _four(*(np.repeat(values[first : first + size], pixels) for values in picked))

    def specimen(self, step: int, chosen: int) -> Specimen:
        """One set with its four steps."""
        x: FloatArray | None = None
        running = None if self.after is None else _pair(self.after, step, chosen)
        evaluating = None if self.evaluating is None else _pair(self.evaluating, step, chosen)
        if self.pool is not None:
            x = self.pool[step, chosen].astype(np.float64)
            with np.errstate(all="ignore"):  # diverged values are displayed as they are
                mean = float(x.mean())
                # the variance of equal values is exactly 0, even if their mean is rounded
                var = 0.0 if x.min() == x.max() else float(x.var())
        elif self.measured is not None:
            mean, var = (float(values[step, chosen]) for values in self.measured)
        else:
            mean = var = math.nan
        return Specimen(self.kind, self.count, x, mean, var, self.eps, self.affine(chosen), running, evaluating)

    @cached_property
    def _moments(self) -> tuple[FloatArray, FloatArray] | None:
        if self.measured is not None or self.pool is None:
            return self.measured
        with np.errstate(all="ignore"):
            return self.pool.mean(-1, dtype=np.float64), self.pool.var(-1, dtype=np.float64)

    def figures(self, step: int) -> Mapping[str, FloatArray]:
        """The known figures of every set at a time step, shapes ``(sets,)``.

        ``evaluation`` is the root mean square difference between the outputs in training and in evaluation mode.  Both
        are linear in x, so it follows from mean and variance.
        """
        found: dict[str, FloatArray] = {}
        if self._moments is None:
            return found
        mean, var = (values[step] for values in self._moments)
        found |= {"mean": mean, "var": var}
        if self.after is not None:
            found |= {"running_mean": self.after.mean[step], "running_var": self.after.var[step]}
        if self.kind == "batch" and self.gamma is not None and self.beta is not None:
            found |= {"gamma": self.gamma, "beta": self.beta}
            if self.gamma_gradient is not None and self.beta_gradient is not None:
                found |= {"gamma_gradient": self.gamma_gradient, "beta_gradient": self.beta_gradient}
        with np.errstate(all="ignore"):
            found["eps_share"] = self.eps / (var + self.eps)
            if self.evaluating is not None and self.gamma is not None:
                slope = self.gamma / np.sqrt(self.evaluating.var[step] + self.eps)
                # at x = μ, training mode gives β; tilt is the difference of the two slopes
                tilt = slope - self.gamma / np.sqrt(var + self.eps)
                found["evaluation"] = np.sqrt((slope * (mean - self.evaluating.mean[step])) ** 2 + tilt**2 * var)
        return found


@dataclass(frozen=True)
class Specimen:
    """One set in the four steps; ``x`` has its inputs, or is None if they were not kept."""

    kind: str
    count: int
    x: FloatArray | None
    mean: float
    """(a) μ = 1/m Σ xᵢ."""
    var: float
    """(b) σ² = 1/m Σ (xᵢ − μ)², biased."""
    eps: float
    affine: tuple[FloatArray, FloatArray, FloatArray, FloatArray] | None
    running: tuple[float, float] | None
    """Running mean and variance after the step."""
    evaluating: tuple[float, float] | None
    """Mean and variance that evaluation mode would have used for these values."""

    @property
    def std(self) -> float:
        return root(self.var)

    @property
    def eps_share(self) -> float:
        """The share of ε under the root, ε/(σ² + ε)."""
        return self.eps / (self.var + self.eps)

    @property
    def spread(self) -> float:
        """Standard deviation of x̂: slightly below 1 because of ε, and 0 if all values are equal."""
        return self.std / root(self.var + self.eps)

    @cached_property
    def normalized(self) -> FloatArray | None:
        """(c) x̂ᵢ = (xᵢ − μ)/√(σ² + ε)."""
        if self.x is None:
            return None
        with np.errstate(all="ignore"):
            centred = np.zeros_like(self.x) if self.var == 0 else self.x - self.mean
            return centred / root(self.var + self.eps)

    @cached_property
    def y(self) -> FloatArray | None:
        """(d) yᵢ = γ x̂ᵢ + β."""
        if self.normalized is None or self.affine is None:
            return None
        gamma, beta, _, _ = self.affine
        with np.errstate(all="ignore"):
            return gamma * self.normalized + beta

    @cached_property
    def evaluated(self) -> FloatArray | None:
        """The outputs in evaluation mode, which uses the running statistics in batch normalization; else equal to y."""
        if self.x is None or self.affine is None or self.kind != "batch":
            return self.y
        if self.evaluating is None:
            return None
        mean, var = self.evaluating
        gamma, beta, _, _ = self.affine
        with np.errstate(all="ignore"):
            return gamma * (self.x - mean) / root(var + self.eps) + beta

    def of(self, marked: int) -> tuple[float, float, float, float]:
        """γ, β and their gradients for one value; NaN if not known."""
        if self.affine is None:
            return (math.nan,) * 4
        gamma, beta, gamma_gradient, beta_gradient = (float(values[marked % len(values)]) for values in self.affine)
        return gamma, beta, gamma_gradient, beta_gradient


def normalized_layers(run: RunInfo) -> tuple[int, ...]:
    """Numbers of the layers whose normalization the microscope can display."""
    return tuple(number for number, layer in enumerate(run.layers) if layer.norm in ("batch", "layer", "group"))


def slide(run: RunInfo, number: int, frame: Keyframe, evidence: Evidence | None) -> Slide:
    """The normalization of layer ``number`` at a keyframe, from its measures and, if kept, its evidence."""
    info = run.layers[number]
    kept = Evidence() if evidence is None else evidence
    values = _entered(run, number, kept)
    measures = frame.layers[number].batch_norm
    name = f"{info.name}.norm"
    before = None
    mean, var = (kept.before.get(f"{name}.{what}") for what in ("running_mean", "running_var"))
    if mean is not None and var is not None and info.norm == "batch":
        before = Running(_wide(mean), _variance(var))
    measured = None if measures is None else (_wide(measures.batch_mean), _variance(measures.batch_var))
    pool = None if values is None else pooled(info, values)
    if pool is not None and measured is not None and pool.shape[:2] != measured[0].shape:
        values = pool = None  # a forged file with the values of another layer
    known = measured[0].shape if measured is not None else None if pool is None else pool.shape[:2]
    if before is not None and not before.mean.shape == before.var.shape == known:
        before = None
    affine: list[FloatArray | None]
    if measures is not None:
        affine = [_flat(v) for v in (measures.gamma, measures.beta, measures.gamma_gradient, measures.beta_gradient)]
    else:
        found = [of.get(f"{name}.{what}") for of in (kept.before, kept.gradients) for what in ("weight", "bias")]
        affine = [None if one is None else _flat(one) for one in found]
        sizes = {len(v) for v in affine if v is not None}
        if len(sizes) > 1 or (info.norm == "group" and sizes and sizes.pop() % info.groups):
            affine = [None] * 4
    return Slide(
        info=info,
        kind=info.norm,
        eps=measures.eps if measures is not None else float(run.setting("network", "norm_eps", 1e-5)),
        momentum=math.nan if run.watched else float(run.setting("network", "norm_momentum", 0.1)),
        pool=pool,
        position=_position(info, values),
        batch=frame.batch_indices,
        measured=measured,
        gamma=affine[0],
        beta=affine[1],
        gamma_gradient=affine[2],
        beta_gradient=affine[3],
        before=before,
        after=None if measures is None else Running(_wide(measures.running_mean), _variance(measures.running_var)),
    )


def pooled(info: LayerInfo, values: NDArray[Any]) -> NDArray[Any]:
    """The inputs of a normalization, arranged by set.

    Args:
        values: shape ``(B, C)``, ``(B, C, height, width)`` or, in a recurrent layer, ``(B, T, C)``.

    Returns:
        Shape ``(steps, sets, values)``.
    """
    recurrent = info.kind == "recurrent"
    if info.norm == "batch":
        if not recurrent:
            return np.moveaxis(values, 1, 0).reshape(1, values.shape[1], -1)
        if info.per_step:
            return np.moveaxis(values, 0, -1)
        return values.reshape(1, -1, values.shape[-1]).swapaxes(1, 2)
    by_step = np.moveaxis(values, 1, 0) if recurrent else values[np.newaxis]
    sets = len(values) * (info.groups if info.norm == "group" else 1)
    return by_step.reshape(len(by_step), sets, -1)


def _position(info: LayerInfo, values: NDArray[Any] | None) -> tuple[int, ...]:
    recurrent = info.kind == "recurrent"
    # without values, use the layer's shape, which is that after pooling
    shape = info.shape if values is None else values.shape[1:]
    if info.norm == "batch":
        if recurrent:
            return () if info.per_step else shape[:1]
        return shape[1:]
    features = shape[1:] if recurrent else shape
    if info.norm == "layer":
        return features
    return (features[0] // info.groups, *features[1:])


def _entered(run: RunInfo, number: int, evidence: Evidence) -> NDArray[Any] | None:
    """The inputs of the normalization, which are the outputs of the stage before it."""
    at = next((at for at, stage in enumerate(run.stages) if stage == (number, "norm")), 0)
    found, given = evidence.stages.get(at - 1), evidence.stages.get(at)
    if found is None or given is None or found.shape != given.shape:
        return None
    return found


def _flat(values: NDArray[Any]) -> FloatArray:
    return values.astype(np.float64).ravel()


def _wide(values: NDArray[Any]) -> FloatArray:
    """Statistics with shape ``(steps, units)``."""
    wide: FloatArray = np.atleast_2d(values.astype(np.float64))
    return wide


def _variance(values: NDArray[Any]) -> FloatArray:
    """Variances with shape ``(steps, units)``; negative ones become NaN here, and are reported by the audit."""
    wide = _wide(values)
    return np.where(wide < 0, np.nan, wide)


def _pair(running: Running, step: int, chosen: int) -> tuple[float, float]:
    return float(running.mean[step, chosen]), float(running.var[step, chosen])


def _four(*values: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    gamma, beta, gamma_gradient, beta_gradient = values
    return gamma, beta, gamma_gradient, beta_gradient

"""Computes the measures of a step: converts its tensors into the NumPy figures of a keyframe."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bntui.keyframe import (
    HISTOGRAM_BINS,
    MASK_SAMPLES,
    STATISTICS,
    UNIT_STATISTICS,
    BatchNorm,
    CountArray,
    Distribution,
    DropoutMask,
    LayerMeasures,
)
from bntui.scenario.activations import activation
from bntui.trainer.network import Network, Stage
from bntui.trainer.normalization import SequenceBatchNorm, StepBatchNorm

Values = NDArray[np.float32]

_SHARES = np.array([0.15, 0.50, 0.85])
_EDGES = np.arange(HISTOGRAM_BINS + 1)


def array(tensor: Tensor) -> NDArray[Any]:
    """The tensor's values as an array on the CPU, detached from the graph."""
    result: NDArray[Any] = tensor.detach().cpu().numpy()
    return result


def norm(values: NDArray[Any]) -> float:
    """Euclidean norm, accumulated in float64."""
    # not a dot product, for which BLAS would start its threads: that costs more than the sum
    return float(np.sqrt(np.square(values, dtype=np.float64).sum()))


def distribution(values: Values) -> Distribution:
    """Mean, population standard deviation, percentiles, extremes and histogram of all values together.

    One sort serves the percentiles (by linear interpolation), the extremes and the histogram (by a binary search for
    the bin edges).
    """
    wide = values.ravel().astype(np.float64)
    ordered = np.sort(wide)  # NaN sorts last
    low, high = ordered[0], ordered[-1]
    finite = ordered if np.isfinite(low) and np.isfinite(high) else ordered[np.isfinite(ordered)]
    if np.isnan(high):
        low = high
    marks = _percentiles(ordered)
    mean = wide.mean(keepdims=True)
    figures = dict(zip(STATISTICS, map(float, (mean[0], wide.std(mean=mean), *marks, low, high)), strict=True))
    return Distribution(**figures, counts=_counts(finite))


def unit_percentiles(values: Values) -> dict[str, float]:
    """15th, 50th and 85th percentile of one unit's values, by field name; NaN unless all values are finite."""
    own = values.ravel().astype(np.float64)
    return dict(zip(UNIT_STATISTICS, map(float, _percentiles(np.sort(own))), strict=True))


def _percentiles(ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    """15th, 50th and 85th percentile of sorted values, by linear interpolation; NaN unless all values are finite."""
    if not (np.isfinite(ordered[0]) and np.isfinite(ordered[-1])):
        return np.full(3, np.nan)
    place = _SHARES * (ordered.size - 1)
    below = place.astype(np.int64)
    above = np.minimum(below + 1, ordered.size - 1)
    marks: NDArray[np.float64] = ordered[below] + (place - below) * (ordered[above] - ordered[below])
    return marks


def _counts(ordered: NDArray[np.float64]) -> CountArray:
    if not ordered.size:
        return np.zeros(HISTOGRAM_BINS, np.int32)
    edges = ordered[0] + _EDGES * ((ordered[-1] - ordered[0]) / HISTOGRAM_BINS)
    places = np.searchsorted(ordered, edges, side="left")
    places[-1] = ordered.size  # the last bin is closed
    counts: CountArray = np.diff(places).astype(np.int32)
    return counts


def dead_fraction(name: str, output: Values, axis: int = 1) -> float:
    """Share of units, along ``axis``, that give 0 for every sample (and pixel or time step) of the batch.

    NaN for activation functions whose units do not die.

    Args:
        name: name of the activation function.
        output: its output, shape ``(B, ...)``.
    """
    if not activation(name).dies:
        return float("nan")
    others = tuple(number for number in range(output.ndim) if number != axis % output.ndim)
    return float((output == 0).all(axis=others).mean())


def saturated_fraction(name: str, output: Values) -> float:
    """Share of values that are closer to an end of the activation's range than ``SATURATED_WITHIN`` of its width.

    NaN for activation functions that do not saturate.
    """
    between = activation(name).saturated_outside
    if between is None:
        return float("nan")
    low, high = between
    return float(((output < low) | (output > high)).mean())


def dropout_mask(p: float, mask: Values) -> DropoutMask:
    """The dropout mask of a step, from a ``mask`` that is 1/(1-p) for units that were kept, and 0 for others."""
    kept = mask.reshape(len(mask), -1) > 0
    return DropoutMask(p, float(kept.mean()), kept[:MASK_SAMPLES])


def batch_norm(
    module: torch.nn.Module, values: Values, affine: tuple[Values, Values], gradients: tuple[Values, Values]
) -> BatchNorm:
    """Batch normalization of one layer per feature.

    Args:
        module: the normalization, for its running statistics and ε.
        values: its inputs, shape ``(B, C)``, ``(B, C, H, W)`` or ``(B, T, C)``.
        affine: γ and β.
        gradients: gradients of γ and β.
    """
    assert isinstance(module, torch.nn.modules.batchnorm._BatchNorm | StepBatchNorm)
    assert module.running_mean is not None
    assert module.running_var is not None
    axes: tuple[int, ...] = (0, *range(2, values.ndim))
    if isinstance(module, SequenceBatchNorm):
        axes = (0, 1)
    elif isinstance(module, StepBatchNorm):
        axes = (0,)
    wide = values.astype(np.float64)
    return BatchNorm(
        batch_mean=wide.mean(axes).astype(np.float32),
        batch_var=wide.var(axes).astype(np.float32),
        running_mean=array(module.running_mean).copy(),
        running_var=array(module.running_var).copy(),
        gamma=affine[0],
        beta=affine[1],
        eps=module.eps,
        gamma_gradient=gradients[0],
        beta_gradient=gradients[1],
    )


@dataclass(frozen=True, slots=True)
class Propagation:
    """The forward and backward pass of one mini-batch."""

    inputs: Tensor
    """The mini-batch, scaled, shape ``(B, *shape)``."""
    values: Sequence[Tensor]
    """Output of every stage."""
    gradients: Sequence[Tensor | None]
    """Gradient of the loss with respect to each of ``values``; None where it is not computed."""
    masks: Mapping[str, Tensor]
    """Dropout masks by layer name."""
    parameters: Mapping[str, NDArray[Any]]
    """Parameters and buffers before the step."""
    parameter_gradients: Mapping[str, NDArray[Any]]
    """Gradient of the loss with respect to each parameter, by its name in ``parameters``."""


def layer_measures(
    network: Network, way: Propagation, *, shifts: Sequence[float] | None, unit: int, updated: bool
) -> tuple[LayerMeasures, ...]:
    """The measures of all layers in one step.

    Args:
        network: the network, after the step.
        way: the step's forward and backward pass.
        shifts: gradient shift of each layer; None if it was not measured.
        unit: number of the unit whose percentiles are measured, modulo the number of units in a layer.
        updated: the parameters were updated; otherwise the update-to-weight ratio is NaN.
    """
    known: dict[int, Distribution] = {}  # most layers share their input with the output of the layer before

    def of(tensor: Tensor) -> Distribution:
        found = known.get(id(tensor))
        if found is None:
            found = known[id(tensor)] = distribution(array(tensor))
        return found

    after = network.state()
    measured = []
    for number, info in enumerate(network.layers):
        stages: dict[str, tuple[Stage, Tensor, Tensor]] = {}
        for at, stage in enumerate(network.stages):
            if stage.layer == number:
                stages[stage.kind] = (stage, way.values[at - 1] if at else way.inputs, way.values[at])
        at_activation = next(i for i, s in enumerate(network.stages) if s.layer == number and s.kind == "activation")
        _, entered, pre_norm = stages[info.kind]
        output = stages["activation"][2]
        weight = f"{info.name}.{info.kind}.weight"
        weight_norm = norm(way.parameters[weight])
        gradient = way.gradients[at_activation]
        statistics = None
        if info.norm == "batch":
            stage, normed, _ = stages["norm"]
            names = (f"{info.name}.norm.weight", f"{info.name}.norm.bias")
            gamma, beta = (way.parameters[name] for name in names)
            of_gamma, of_beta = (way.parameter_gradients[name] for name in names)
            statistics = batch_norm(stage.module, array(normed), (gamma, beta), (of_gamma, of_beta))
        normalized = None
        if "norm" in stages:
            normalized = of(stages["noise" if "noise" in stages else "norm"][2])
        out = array(output)
        axis, units = (-1, info.shape[-1]) if info.kind == "recurrent" else (1, info.shape[0])
        enters = array(stages["activation"][1].select(axis, unit % units))
        measured.append(
            LayerMeasures(
                name=info.name,
                kind=info.kind,
                input=of(entered),
                pre_norm=of(pre_norm),
                normalized=normalized,
                output=of(output),
                weight_norm=weight_norm,
                weight_gradient_norm=norm(way.parameter_gradients[weight]),
                activation_gradient_norm=float("nan") if gradient is None else norm(array(gradient)),
                update_ratio=norm(array(after[weight]) - way.parameters[weight]) / weight_norm
                if updated and weight_norm
                else np.nan,
                dead_fraction=dead_fraction(info.activation, out, axis),
                saturated_fraction=saturated_fraction(info.activation, out),
                batch_norm=statistics,
                dropout=dropout_mask(info.dropout, array(way.masks[info.name])) if info.name in way.masks else None,
                gradient_shift=np.nan if shifts is None else shifts[number],
                **unit_percentiles(enters),
            )
        )
    return tuple(measured)


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """BLAKE2b digest of all parameters and buffers, in the order of ``state``, hexadecimal."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in state.items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array(tensor)).data)
    return digest.hexdigest()

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

from bntui.activity import dead_fraction, saturated_fraction
from bntui.distributions import Values, distributions, norm, unit_percentiles
from bntui.keyframe import MASK_SAMPLES, BatchNorm, DropoutMask, LayerMeasures
from bntui.trainer.network import Network
from bntui.trainer.normalization import SequenceBatchNorm, StepBatchNorm


def array(tensor: Tensor) -> NDArray[Any]:
    """The tensor's values as an array on the CPU, detached from the graph."""
    result: NDArray[Any] = tensor.numpy(force=True)
    return result


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
    mean = wide.mean(axes, keepdims=True)
    return BatchNorm(
        batch_mean=mean.squeeze(axes).astype(np.float32),
        batch_var=wide.var(axes, mean=mean).astype(np.float32),
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
    passed = [_passed(network, way, number) for number in range(len(network.layers))]
    quantities = [_quantities(info.kind, stages) for info, stages in zip(network.layers, passed, strict=True)]
    # most layers share their input with the output of the layer before
    tensors = {id(tensor): tensor for of_layer in quantities for tensor in of_layer.values()}
    known = dict(zip(tensors, distributions([array(tensor) for tensor in tensors.values()]), strict=True))
    after = network.state()
    measured = []
    for number, info in enumerate(network.layers):
        stages, tensor_of = passed[number], quantities[number]
        at_activation = stages["activation"][0]
        weight = f"{info.name}.{info.kind}.weight"
        weight_norm = norm(way.parameters[weight])
        gradient = way.gradients[at_activation]
        statistics = None
        if info.norm == "batch":
            at_norm, normed, _ = stages["norm"]
            names = (f"{info.name}.norm.weight", f"{info.name}.norm.bias")
            gamma, beta = (way.parameters[name] for name in names)
            of_gamma, of_beta = (way.parameter_gradients[name] for name in names)
            statistics = batch_norm(network.stages[at_norm].module, array(normed), (gamma, beta), (of_gamma, of_beta))
        distribution_of = {name: known[id(tensor)] for name, tensor in tensor_of.items()}
        out = array(tensor_of["output"])
        axis, units = (-1, info.shape[-1]) if info.kind == "recurrent" else (1, info.shape[0])
        enters = array(stages["activation"][1].select(axis, unit % units))
        measured.append(
            LayerMeasures(
                name=info.name,
                kind=info.kind,
                input=distribution_of["input"],
                pre_norm=distribution_of["pre_norm"],
                normalized=distribution_of.get("normalized"),
                output=distribution_of["output"],
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


Passed = Mapping[str, tuple[int, Tensor, Tensor]]
"""Index, input and output of each stage of a layer, by its kind."""


def _passed(network: Network, way: Propagation, layer: int) -> Passed:
    """What passed through the stages of a layer."""
    return {
        stage.kind: (at, way.values[at - 1] if at else way.inputs, way.values[at])
        for at, stage in enumerate(network.stages)
        if stage.layer == layer
    }


def _quantities(kind: str, stages: Passed) -> dict[str, Tensor]:
    """The tensor of each quantity of a layer; without a normalization, nothing is normalized."""
    _, entered, pre_norm = stages[kind]
    found = {"input": entered, "pre_norm": pre_norm, "output": stages["activation"][2]}
    if "norm" in stages:
        found["normalized"] = stages["noise" if "noise" in stages else "norm"][2]
    return found


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """BLAKE2b digest of all parameters and buffers, in the order of ``state``, hexadecimal."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in state.items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array(tensor)).data)
    return digest.hexdigest()

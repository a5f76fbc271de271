"""Makes the measures of a keyframe of what was captured in a step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from torch import Tensor, nn

from bntui.distributions import UNMEASURED, Values, dead_share, share_outside, unit_percentiles
from bntui.keyframe import (
    MASK_SAMPLES,
    UNIT_STATISTICS,
    BatchNorm,
    Distribution,
    DropoutMask,
    Foreign,
    LayerMeasures,
    SingleArray,
)
from bntui.recording.history import LayerInfo
from bntui.scenario.activations import activation
from bntui.watching.layers import Layer
from bntui.watching.pytorch.capture import Call
from bntui.watching.pytorch.held import Held, Small, array, described, norm, numbers, on_cpu
from bntui.watching.pytorch.masks import of_samples
from bntui.watching.pytorch.parameters import Parameters

_NO_UNIT: Final = dict.fromkeys(UNIT_STATISTICS, math.nan)


@dataclass(frozen=True, slots=True)
class _MeasuredStep:
    """What is known of a step beside its calls."""

    near: Mapping[int, Held]
    """What was kept of each tensor, on the CPU, by its identity."""
    known: Mapping[int, Distribution]
    parameters: Parameters
    scale: float
    """What gradients were multiplied by."""
    infos: dict[Any, LayerInfo]


def layers_of(calls: Sequence[Call], parameters: Parameters, scale: float, infos: dict[Any, LayerInfo]) -> list[Layer]:
    """The layers of a step.

    Args:
        infos: what is fixed about layers that were measured before; extended by this step's.
        scale: what gradients were multiplied by.
    """
    held = {id(one): one for call in calls for one in _held(call) if one is not None}
    near = dict(zip(held, on_cpu(list(held.values())), strict=True))
    known = dict(zip(held, described(list(near.values())), strict=True))
    single = numbers([figure for call in calls for figure in _singles(call, parameters)])
    width = len(single) // len(calls) if calls else 0
    step = _MeasuredStep(near, known, parameters, scale, infos)
    return [_layer(call, single[at * width : (at + 1) * width], step) for at, call in enumerate(calls)]


def _held(call: Call) -> Iterable[Held | None]:
    return (call.input, call.pre_norm, call.normalized, call.output)


def _singles(call: Call, parameters: Parameters) -> list[Tensor | float]:
    """Single values of a layer, in the order in which :func:`_layer` takes them."""
    weight = parameters.weight_of.get(call.module)
    found: list[Tensor | float | None] = [call.gradient, call.dead, call.saturated, call.kept_fraction]
    if weight is not None:
        found += [parameters.norms.get(weight), parameters.gradient_norms.get(weight), parameters.moved.get(weight)]
        if found[4] is None:
            found[4] = norm(weight)
    else:
        found += [None] * 3
    return [math.nan if one is None else one for one in found]


def _unit(call: Call, near: Mapping[int, Held]) -> dict[str, float]:
    """Percentiles of what enters the activation of the first unit."""
    values, entered = call.unit, call.normalized or call.pre_norm
    if values is None and entered is not None:
        kept = near[id(entered)]
        if isinstance(kept, Small) and kept.values.ndim:
            values = kept.values.select(call.axis, 0)
    return _NO_UNIT if values is None or not values.numel() else unit_percentiles(array(values))


def _layer(call: Call, single: Sequence[float], step: _MeasuredStep) -> Layer:
    near, parameters, scale = step.near, step.parameters, step.scale
    gradient, dead, saturated, kept, weight_norm, weight_gradient, moved = single

    def of(held: Held | None) -> Distribution:
        return UNMEASURED if held is None else step.known[id(held)]

    if call.output is not None and isinstance(output := near[id(call.output)], Small):
        dead, saturated = _shares(call, array(output.values))
    last = call.output or call.normalized or call.pre_norm
    measures = LayerMeasures(
        name=call.role.name,
        kind=Foreign(call.role.kind if call.role.part == "main" else "norm"),
        input=of(call.input),
        pre_norm=of(call.pre_norm),
        normalized=None if call.norm is None else of(call.normalized),
        output=of(last),
        weight_norm=weight_norm,
        weight_gradient_norm=weight_gradient / parameters.divisor(scale),
        activation_gradient_norm=gradient / scale,
        update_ratio=moved / weight_norm if weight_norm else math.nan,
        dead_fraction=dead,
        saturated_fraction=saturated,
        batch_norm=_batch_norm(call, parameters, parameters.divisor(scale)),
        dropout=_dropout(call, kept),
        **_unit(call, near),
    )
    absent = {
        name
        for name, missing in (
            ("activation_gradient_norm", isinstance(call.gradient, float)),
            ("weight_gradient_norm", parameters.weight_of.get(call.module) not in parameters.gradient_norms),
        )
        if missing
    }
    looks = (call.role.name, call.shape[1:], call.order, call.activation, call.norm, call.dropout and call.dropout[0])
    info = step.infos.get(looks)
    if info is None:
        info = step.infos[looks] = _info(call)
    return Layer(info, measures, frozenset(absent))


def _shares(call: Call, output: Values) -> tuple[float, float]:
    """Dead and saturated share of an activation's values."""
    properties, dead, saturated = activation(call.activation), math.nan, math.nan
    if properties.dies and output.ndim > 1:
        dead = dead_share(output, call.axis)
    elif properties.saturated_outside is not None:
        saturated = share_outside(output, *properties.saturated_outside)
    return dead, saturated


def _info(call: Call) -> LayerInfo:
    modules = [call.module, *([] if call.norm_module in (None, call.module) else [call.norm_module])]
    units = call.shape[call.role.axis] if len(call.shape) > 1 else call.shape[0] if call.shape else 1
    shape: tuple[int, ...] = (units,)
    if call.role.kind == "conv" and call.role.part == "main":
        pixels = call.shape[2:]
        shape = (units, math.prod(pixels[:-1]), pixels[-1]) if pixels else (units, 1, 1)
    elif call.role.kind == "recurrent":
        time = call.shape[0 if getattr(call.module, "batch_first", None) is False else 1] if len(call.shape) == 3 else 1
        shape = (time, units)
    return LayerInfo(
        name=call.role.name,
        kind=Foreign(call.role.kind if call.role.part == "main" else "norm"),
        shape=tuple(max(1, side) for side in shape),
        norm="none" if call.norm is None else call.norm.kind,
        activation=call.activation,
        dropout=0.0 if call.dropout is None else call.dropout[0],
        parameters=sum(one.numel() for module in modules for one in module.parameters() if one.requires_grad),
        stages=call.order,
        cell=_cell(call.module),
        groups=_groups(call.norm_module),
    )


def _cell(module: nn.Module) -> str:
    """The cell of a recurrent layer."""
    if isinstance(module, nn.RNNBase):
        return {"RNN_TANH": "elman", "RNN_RELU": "elman"}.get(module.mode, module.mode.lower())
    return type(module).__name__.removesuffix("Cell").lower() if isinstance(module, nn.RNNCellBase) else ""


def _groups(module: nn.Module | None) -> int:
    return module.num_groups if isinstance(module, nn.GroupNorm) else 1


def _batch_norm(call: Call, parameters: Parameters, scale: float) -> BatchNorm | None:
    if not call.statistics or call.norm_module is None:
        return None
    eps = float(getattr(call.norm_module, "eps", math.nan))
    if not 0 < eps < math.inf:  # a recording has no place for it
        return None
    mean, variance, running_mean, running_var, gamma, beta = (array(one.float()) for one in call.statistics)
    own = dict(call.norm_module.named_parameters(recurse=False))
    of_gamma, of_beta = (
        _gradient(parameters.gradients.get(own[name]) if name in own else None, mean, scale)
        for name in ("weight", "bias")
    )
    return BatchNorm(mean, variance, running_mean, running_var, gamma, beta, eps, of_gamma, of_beta)


def _gradient(gradient: Tensor | None, like: SingleArray, scale: float) -> SingleArray:
    if gradient is None:
        return np.full_like(like, np.nan)
    unscaled: SingleArray = (array(gradient.float()) / scale).astype(np.float32)
    return unscaled


def _dropout(call: Call, kept: float) -> DropoutMask | None:
    p, mask = call.dropout or (0.0, None)
    if mask is None:
        return None
    return DropoutMask(p, kept, array(of_samples(mask, MASK_SAMPLES)))


def unmeasured(layer: Layer) -> Layer:
    """A layer that was not called in a step."""
    figures = (
        "weight_norm", "weight_gradient_norm", "activation_gradient_norm", "update_ratio", "dead_fraction",
        "saturated_fraction", *UNIT_STATISTICS,
    )  # fmt: skip
    before = layer.measures
    unknown: dict[str, Any] = {"input": UNMEASURED, "pre_norm": UNMEASURED, "output": UNMEASURED, "batch_norm": None}
    unknown |= {"normalized": None if before.normalized is None else UNMEASURED, "dropout": None}
    measures = replace(before, **{**dict.fromkeys(figures, math.nan), **unknown})
    return Layer(layer.info, measures, frozenset(figures))

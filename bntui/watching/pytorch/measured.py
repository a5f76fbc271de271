"""Takes what was captured of a step out of PyTorch: arrays and figures, which any process can measure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from torch import Tensor, nn

from bntui.keyframe import MASK_SAMPLES, BatchNorm, DropoutMask, Foreign, SingleArray
from bntui.recording.history import LayerInfo
from bntui.scenario.activations import activation
from bntui.watching.captured import ABSENT_IF_NOT_CALLED, Captured, CapturedLayer
from bntui.watching.pytorch.attribution import Call
from bntui.watching.pytorch.held import Held, array, fetched, norm, numbers
from bntui.watching.pytorch.masks import of_samples
from bntui.watching.pytorch.parameters import Parameters


@cache
def _absent(**seen: bool) -> frozenset[str]:
    """Figures that a layer lacks, of those that were looked for."""
    return frozenset(name for name, found in seen.items() if not found)


@dataclass(frozen=True, slots=True)
class SeenLayer:
    """A layer of a step."""

    info: LayerInfo
    captured: CapturedLayer
    absent: frozenset[str] = frozenset()
    """Fields of its measures that are NaN because nobody measured them."""


def uncalled(info: LayerInfo, normed: bool) -> SeenLayer:
    """A layer in a step that did not call it."""
    return SeenLayer(info, CapturedLayer(info.name, str(info.kind), normed), ABSENT_IF_NOT_CALLED)


@dataclass(frozen=True, slots=True)
class _SeenStep:
    """What is known of a step beside its calls."""

    places: Mapping[int, int]
    """Places of what was kept, by its identity."""
    parameters: Parameters
    scale: float
    """What gradients were multiplied by."""
    infos: dict[Any, LayerInfo]


def layers_of(
    calls: Sequence[Call], parameters: Parameters, scale: float, infos: dict[Any, LayerInfo]
) -> tuple[list[SeenLayer], tuple[Captured, ...]]:
    """The layers of a step, and their values.

    Args:
        infos: what is fixed about layers that were measured before; extended by this step's.
        scale: what gradients were multiplied by.
    """
    held = {id(one): one for call in calls for one in _held(call) if one is not None}
    single = numbers([figure for call in calls for figure in _singles(call, parameters)])
    width = len(single) // len(calls) if calls else 0
    step = _SeenStep({key: place for place, key in enumerate(held)}, parameters, scale, infos)
    layers = [_layer(call, single[at * width : (at + 1) * width], step) for at, call in enumerate(calls)]
    return layers, tuple(fetched(list(held.values())))


def _held(call: Call) -> Iterable[Held | None]:
    return (call.input, call.pre_norm, call.normalized, call.output)


def _singles(call: Call, parameters: Parameters) -> list[Tensor | float]:
    """Single values of a layer, in the order in which :func:`_layer` takes them."""
    weight = parameters.weight_of.get(call.module)
    found: list[Tensor | float | None] = [call.gradient, call.dead, call.saturated, call.kept_fraction]
    if weight is not None:
        key = id(weight)
        found += [parameters.norms.get(key), parameters.gradient_norm(weight), parameters.moved.get(key)]
        if found[4] is None:
            found[4] = norm(weight)
    else:
        found += [None] * 3
    return [math.nan if one is None else one for one in found]


def _layer(call: Call, single: Sequence[float], step: _SeenStep) -> SeenLayer:
    parameters, scale = step.parameters, step.scale
    gradient, dead, saturated, kept, weight_norm, weight_gradient, moved = single
    weight = parameters.weight_of.get(call.module)

    def of(held: Held | None) -> int | None:
        return None if held is None else step.places[id(held)]

    captured = CapturedLayer(
        name=call.role.name,
        kind=call.role.kind if call.role.part == "main" else "norm",
        normed=call.norm is not None,
        activation=call.activation,
        axis=call.axis,
        units=None if call.units is None else (*call.units,),
        input=of(call.input),
        pre_norm=of(call.pre_norm),
        normalized=of(call.normalized),
        output=of(call.output),
        unit=None if call.unit is None else array(call.unit),
        weight_norm=weight_norm,
        weight_gradient_norm=weight_gradient / parameters.divisor(scale, weight),
        activation_gradient_norm=gradient / scale,
        update_ratio=moved / weight_norm if weight_norm else math.nan,
        dead=dead,
        saturated=saturated,
        batch_norm=_batch_norm(call, parameters, parameters.divisor(scale)),
        dropout=_dropout(call, kept),
    )
    looks = (call.role.name, call.shape[1:], call.order, call.activation, call.norm, call.dropout and call.dropout[0])
    info = step.infos.get(looks)
    if info is None:
        info = step.infos[looks] = _info(call)
    absent = _absent(
        activation_gradient_norm=not isinstance(call.gradient, float),
        weight_norm=weight is not None,
        weight_gradient_norm=weight is not None and parameters.gradient_norm(weight) is not None,
        update_ratio=id(weight) in parameters.moved,
        dead_fraction=call.units is not None or not activation(call.activation).dies,
    )
    return SeenLayer(info, captured, absent)


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
        _gradient(parameters.gradients.get(id(own[name])) if name in own else None, mean, scale)
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

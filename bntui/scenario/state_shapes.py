"""Derives the names and shapes of a network's parameters and buffers from its configuration, without PyTorch."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bntui.scenario.blocks import OUTPUT, Block
from bntui.scenario.network import NetworkConfig
from bntui.scenario.schema import RunConfig
from bntui.scenario.structure import Placed, Shape, as_sequence, placed

GATES = {"elman": 1, "gru": 3, "lstm": 4}
"""Pre-activations per hidden unit of a recurrent layer."""


def state_shapes(config: RunConfig, shape: Shape | None) -> dict[str, Shape] | None:
    """Shape of every parameter and buffer by its name in a recording, in the order of the stages.

    Args:
        shape: of one sample in the data.

    Returns:
        None if too little is known about ``shape``.  The output layer counts as having no units: the data determines
        their number, and a fork has its parent's data.
    """
    found = dict(_state(config, shape))
    return None if any(side is None for sides in found.values() for side in sides) else found


def _state(config: RunConfig, shape: Shape | None) -> Iterator[tuple[str, Shape]]:
    entering = as_sequence(shape, config.data.sequence)
    before: Block | None = None
    for layer in placed(config, shape):
        yield from _layer(layer, _into(layer.block, entering, before), config.network)
        before, entering = layer.block, layer.after
    # the data determines the outputs, and a fork has its parent's data: any number will do
    output = Block(OUTPUT, "linear", 0, norm="none", activation="none", dropout=0.0, init="")
    yield from _layer(Placed(output, (), (0,), (0,)), _into(output, entering, before), config.network)


def _into(block: Block, shape: Shape | None, before: Block | None) -> int | None:
    """Number of input features, channels, or values per time step of a block."""
    if shape is None:
        return None
    if block.type == "conv":
        return shape[0]
    if block.type == "recurrent":
        return shape[1] if len(shape) == 2 else _product(shape[0], shape[2]) if len(shape) == 3 else shape[0]
    last_step = len(shape) == 2 and before is not None and before.type == "recurrent"
    return shape[1] if last_step else _product(*shape)


def _product(*sides: int | None) -> int | None:
    known = [side for side in sides if side is not None]
    return math.prod(known) if len(known) == len(sides) else None


def _layer(layer: Placed, features: int | None, network: NetworkConfig) -> Iterator[tuple[str, Shape]]:
    block = layer.block
    units = block.units * GATES.get(block.cell, 1)
    kernel = (block.kernel, block.kernel) if block.type == "conv" else ()
    parts: list[tuple[str, Shape]] = [
        (f"{block.type}.weight", (units, features, *kernel)),
        (f"{block.type}.bias", (units,)),
    ]
    stepwise = block.type == "recurrent" and (
        block.norm == "layer" or (block.norm == "batch" and network.norm_recurrent == "step")
    )
    inner = [*_recurrence(block, layer.entered[0], stepwise=stepwise)] if block.type == "recurrent" else []
    norm = [*_norm(block, layer, units, stepwise=stepwise)] if block.norm != "none" else []
    parts += [*norm, *inner] if network.norm_position == "before_activation" else [*inner, *norm]
    for name, sides in parts:
        yield f"{block.name}.{name}", sides


def _norm(block: Block, layer: Placed, units: int, *, stepwise: bool) -> Iterator[tuple[str, Shape]]:
    scaled: Shape = layer.entered if block.norm == "layer" and block.type != "recurrent" else (units,)
    yield "norm.weight", scaled
    yield "norm.bias", scaled
    if block.norm == "batch":
        statistics: Shape = (layer.entered[0], units) if stepwise else (units,)
        yield "norm.running_mean", statistics
        yield "norm.running_var", statistics
        if not stepwise:
            yield "norm.num_batches_tracked", ()


def _recurrence(block: Block, steps: int | None, *, stepwise: bool) -> Iterator[tuple[str, Shape]]:
    units = block.units * GATES[block.cell]
    yield "activation.weight_hh", (units, block.units)
    if block.cell == "gru":
        yield "activation.bias", (block.units,)
    if not stepwise:
        return
    inner: list[tuple[str, int, tuple[str, ...]]] = [("norm", units, ("weight",))]
    if block.cell == "lstm":
        inner.append(("norm_cell", block.units, ("weight", "bias")))
    for name, size, parameters in inner:
        for parameter in parameters:
            yield f"activation.{name}.{parameter}", (size,)
        if block.norm == "batch":
            yield f"activation.{name}.running_mean", (steps, size)
            yield f"activation.{name}.running_var", (steps, size)

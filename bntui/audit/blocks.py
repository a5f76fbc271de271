"""Derives a network's layers from a run's settings, following the scenario format rather than the trainer's code."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bntui.audit.network import GATES
from bntui.keyframe import Foreign, LayerKind
from bntui.recording.history import LayerInfo
from bntui.text.output import clean

Shape = tuple[int, ...]
Said = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DescribedLayer:
    """A layer as described by the settings."""

    name: str
    kind: LayerKind | Foreign
    units: int
    norm: str
    activation: str
    dropout: float
    kernel: int = 1
    stride: int = 1
    padding: int | str = 0
    pool: int = 1
    cell: str = ""
    init: str = "default"


def blocks_of(config: Said) -> tuple[DescribedLayer, ...]:
    """The hidden layers; an unnamed layer is named after its kind, with a number counted per kind."""
    network = config["network"]
    tables: Sequence[Said] = network.get("layer") or ()
    if network.get("layer") is None:
        tables = [{"type": "linear", "units": units} for units in network.get("hidden") or ()]
    counts: dict[str, int] = {}
    made = []
    for table in tables:
        kind = table["type"]
        counts[kind] = counts.get(kind, 0) + 1
        conv = kind == "conv"

        def or_network(key: str, table: Said = table) -> Any:
            return network[key] if table.get(key) is None else table[key]

        made.append(
            DescribedLayer(
                clean(table.get("name") or f"{kind} {counts[kind]}"), kind, table["channels" if conv else "units"],
                or_network("norm"), or_network("activation"), or_network("dropout"),
                table.get("kernel", 3) if conv else 1, table.get("stride", 1) if conv else 1,
                table.get("padding", "same") if conv else 0, table.get("pool", 1) if conv else 1,
                table.get("cell", "elman") if kind == "recurrent" else "", or_network("init"),
            )
        )  # fmt: skip
    return tuple(made)


def structural(before: Said, after: Said) -> bool:
    """True if two configurations differ in the stages of their networks, apart from dropout."""

    def shape(config: Said) -> list[Any]:
        network = config["network"]
        common = [network.get(key) for key in ("norm_position", "groups", "norm_recurrent")]
        return [*common, *((*_all_but_dropout(block),) for block in blocks_of(config))]

    return shape(before) != shape(after)


def _all_but_dropout(block: DescribedLayer) -> tuple[Any, ...]:
    return (
        block.name, block.kind, block.units, block.norm, block.activation, block.kernel, block.stride, block.padding,
        block.pool, block.cell,
    )  # fmt: skip


def layers_of(config: Said, shape: Shape, outputs: int) -> tuple[LayerInfo, ...]:
    """The layers that these settings produce for samples of ``shape``, output layer last."""
    network = config["network"]
    output = DescribedLayer("output", "linear", outputs, "none", "none", 0.0)
    made: list[LayerInfo] = []
    for number, block in enumerate((*blocks_of(config), output)):
        stages = ["input_noise"] if not number and config["data"].get("input_noise") else []
        if block.kind == "linear" and len(shape) == 2 and made and made[-1].kind == "recurrent":
            stages, shape = [*stages, "last"], shape[1:]
        elif block.kind == "linear" and len(shape) > 1:
            stages, shape = [*stages, "flatten"], (math.prod(shape),)
        elif block.kind == "recurrent" and len(shape) == 3:
            stages, shape = [*stages, "rows"], (shape[1], shape[0] * shape[2])
        parameters = _parameters(block, shape, network)
        norm = [] if block.norm == "none" else ["norm"]
        norm += ["noise"] if block.norm == "batch" and network.get("norm_noise") else []
        before = network.get("norm_position", "before_activation") == "before_activation"
        stages += [block.kind, *norm, "activation"] if before else [block.kind, "activation", *norm]
        shape, left = _shapes(block, shape)
        stages += ["pool"] if block.kind == "conv" and block.pool > 1 else []
        stages += ["dropout"] if block.dropout else []
        made.append(
            LayerInfo(
                block.name, block.kind, left, block.norm, _function(block), block.dropout, parameters, tuple(stages),
                cell=block.cell, per_step=_per_step(block, network),
                groups=network["groups"] if block.norm == "group" else 1,
            )
        )  # fmt: skip
        shape = left
    return tuple(made)


def _function(block: DescribedLayer) -> str:
    """The layer's activation; GRU and LSTM always use tanh."""
    return "tanh" if block.cell in ("gru", "lstm") else block.activation


def _per_step(block: DescribedLayer, network: Said) -> bool:
    if block.kind != "recurrent":
        return False
    return block.norm == "layer" or (block.norm == "batch" and network.get("norm_recurrent", "input") == "step")


def _shapes(block: DescribedLayer, shape: Shape) -> tuple[Shape, Shape]:
    """Shape of a sample after the layer's activation, and after its pooling."""
    if block.kind == "linear":
        return (block.units,), (block.units,)
    if block.kind == "recurrent":
        return (shape[0], block.units), (shape[0], block.units)
    height, width = shape[1:]
    if block.padding != "same":
        rim = 2 * int(block.padding) - block.kernel
        height, width = ((side + rim) // block.stride + 1 for side in (height, width))
    left = (block.units, height // block.pool, width // block.pool)
    return (block.units, height, width), left


def _parameters(block: DescribedLayer, shape: Shape, network: Said) -> int:
    """Number of trainable parameters: weights, biases, γ and β, and those of a recurrence."""
    units = block.units
    if block.kind == "conv":
        scaled = math.prod(_shapes(block, shape)[0]) if block.norm == "layer" else units
        return shape[0] * block.kernel**2 * units + units + (0 if block.norm == "none" else 2 * scaled)
    if block.kind == "linear":
        return shape[0] * units + units + (0 if block.norm == "none" else 2 * units)
    rows = GATES[block.cell] * units
    count = shape[1] * rows + rows + rows * units + (0 if block.norm == "none" else 2 * rows)
    count += units if block.cell == "gru" else 0
    if _per_step(block, network):
        count += rows + (2 * units if block.cell == "lstm" else 0)
    return count

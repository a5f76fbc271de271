"""Resolves the hidden layers of a network, with all defaults filled in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from bntui.keyframe import OUTPUT as OUTPUT
from bntui.keyframe import LayerKind
from bntui.scenario.activations import ActivationName
from bntui.scenario.network import ConvLayer, LinearLayer, NetworkConfig, Norm, RecurrentLayer


@dataclass(frozen=True, slots=True)
class Block:
    """One hidden layer: linear, convolution or recurrent, then norm, activation, pooling, dropout."""

    name: str
    type: LayerKind
    units: int
    """Units of a linear or recurrent layer, output channels of a convolution."""
    norm: Norm
    activation: ActivationName
    dropout: float
    """Probability of dropping a unit."""
    init: str
    kernel: int = 1
    stride: int = 1
    padding: int | Literal["same"] = 0
    pool: int = 1
    """Kernel, stride, padding, and max pooling of a convolution, in pixels; unused in other layers."""
    cell: str = ""
    """``elman``, ``gru`` or ``lstm`` of a recurrent layer."""

    @property
    def function(self) -> ActivationName:
        """The output's activation function: the block's, but always tanh for GRU and LSTM."""
        return "tanh" if self.cell in ("gru", "lstm") else self.activation

    @property
    def channels(self) -> int:
        """Output channels of a convolution."""
        return self.units


def blocks(network: NetworkConfig) -> tuple[Block, ...]:
    """Hidden layers from first to last, as the trainer builds them.

    An unnamed layer is named after its kind, with a number counted per kind, so that naming one layer does not
    rename others.
    """
    layers: tuple[LinearLayer | ConvLayer | RecurrentLayer, ...]
    if network.layer is not None:
        layers = network.layer
    else:
        layers = tuple(LinearLayer(type="linear", units=units) for units in network.hidden or ())
    count: Counter[LayerKind] = Counter()
    made: list[Block] = []
    for layer in layers:
        count[layer.type] += 1
        block = Block(
            name=layer.name or f"{layer.type} {count[layer.type]}",
            type=layer.type,
            units=layer.channels if isinstance(layer, ConvLayer) else layer.units,
            norm=layer.norm or network.norm,
            activation=layer.activation or network.activation,
            dropout=network.dropout if layer.dropout is None else layer.dropout,
            init=layer.init or network.init,
            kernel=layer.kernel if isinstance(layer, ConvLayer) else 1,
            stride=layer.stride if isinstance(layer, ConvLayer) else 1,
            padding=layer.padding if isinstance(layer, ConvLayer) else 0,
            pool=layer.pool if isinstance(layer, ConvLayer) else 1,
            cell=layer.cell if isinstance(layer, RecurrentLayer) else "",
        )
        made.append(block)
    return tuple(made)


def convolved(block: Block, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the convolution's output for an image of this size, before pooling; may be below 1."""
    if block.padding == "same":
        return size
    padding = block.padding
    height, width = ((side + 2 * padding - block.kernel) // block.stride + 1 for side in size)
    return height, width


def pooled(block: Block, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width after the block's max pooling; incomplete windows are dropped."""
    return size[0] // block.pool, size[1] // block.pool

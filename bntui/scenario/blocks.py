"""Which hidden layers a network has, once every default is resolved."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

from bntui.scenario.activations import ActivationName
from bntui.scenario.schema import ConvLayer, LayerKind, LinearLayer, Network, Norm, RecurrentLayer

OUTPUT: Final = "output"
"""Name of the output layer, which the data decides and no hidden layer may bear."""


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
    """Kernel, stride, padding and max pooling of a convolution, in pixels; they say nothing in other layers."""
    cell: str = ""
    """``elman``, ``gru`` or ``lstm`` of a recurrent layer."""

    @property
    def function(self) -> ActivationName:
        """The activation function that makes the output: the block's, but GRU and LSTM have a tanh of their own."""
        return "tanh" if self.cell in ("gru", "lstm") else self.activation

    @property
    def channels(self) -> int:
        """Output channels of a convolution."""
        return self.units


def blocks(network: Network) -> tuple[Block, ...]:
    """Hidden layers from first to last; the trainer builds its network from them.

    A layer without a name is called by its kind and its number among the layers of that kind, so
    that naming one layer renames no other.
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
    """Height and width that the convolution gives for an image of this size, before pooling; may fall below 1."""
    if block.padding == "same":
        return size
    padding = block.padding
    height, width = ((side + 2 * padding - block.kernel) // block.stride + 1 for side in size)
    return height, width


def pooled(block: Block, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width after the block's max pooling; what does not fill a square is left out."""
    return size[0] // block.pool, size[1] // block.pool

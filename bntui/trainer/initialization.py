"""Initializes the weights of layers with the method that the scenario names, each from its own generator."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bntui.scenario.blocks import Block
from bntui.trainer.draw import generator
from bntui.trainer.recurrent import GRU, Recurrence

_CPU = torch.device("cpu")


def initialize(entry: nn.Module, recurrence: Recurrence | None, block: Block, seed: int) -> None:
    """Draw a block's weights: those of its linear stage or convolution, and of its recurrence if it has one.

    Each parameter has its own generator, derived from the names of layer and parameter.  Each gate of a recurrent layer
    is drawn like a separate layer.  Biases start at 0, except with ``default``.
    """
    weight, bias = entry.weight, entry.bias
    assert isinstance(weight, nn.Parameter)
    assert isinstance(bias, nn.Parameter)
    gates = 1 if recurrence is None else recurrence.gates
    with torch.no_grad():
        bias.zero_()
        if block.init == "default":
            _default(weight, bias, recurrence, block, seed)
            return
        draw = generator(_CPU, seed, "init", block.name, "weight")
        for gate in weight.chunk(gates):
            _draw(gate, block.init, draw)
        if recurrence is not None:
            draw = generator(_CPU, seed, "init", block.name, "weight_hh")
            for gate in recurrence.weight_hh.chunk(gates):
                nn.init.orthogonal_(gate, generator=draw)


def _default(weight: Tensor, bias: Tensor, recurrence: Recurrence | None, block: Block, seed: int) -> None:
    """PyTorch's default: uniform within ±1/√(inputs), or ±1/√(units) in recurrent layers."""

    def draw(parameter: str) -> torch.Generator:
        return generator(_CPU, seed, "init", block.name, parameter)

    if recurrence is None:
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=draw("weight"))
        limit = 1 / math.sqrt(weight[0].numel())
        nn.init.uniform_(bias, -limit, limit, generator=draw("bias"))
        return
    parameters = {"weight": weight, "bias": bias, "weight_hh": recurrence.weight_hh}
    if isinstance(recurrence, GRU):
        parameters["bias_hh"] = recurrence.bias
    limit = 1 / math.sqrt(block.units)
    for name, parameter in parameters.items():
        nn.init.uniform_(parameter, -limit, limit, generator=draw(name))


def _draw(weight: Tensor, init: str, draw: torch.Generator) -> None:
    name, _, number = init.partition(":")
    if name == "normal":
        nn.init.normal_(weight, 0.0, float(number), generator=draw)
    elif name == "uniform":
        nn.init.uniform_(weight, -float(number), float(number), generator=draw)
    elif name == "xavier":
        nn.init.xavier_uniform_(weight, generator=draw)
    elif name == "xavier_normal":
        nn.init.xavier_normal_(weight, generator=draw)
    elif name == "he":
        nn.init.kaiming_uniform_(weight, nonlinearity="relu", generator=draw)
    elif name == "he_normal":
        nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=draw)
    elif name == "lecun":
        nn.init.normal_(weight, 0.0, math.sqrt(1 / weight[0].numel()), generator=draw)
    elif name == "orthogonal":
        nn.init.orthogonal_(weight, generator=draw)
    else:
        nn.init.zeros_(weight)

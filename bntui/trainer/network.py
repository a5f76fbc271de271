"""What is trained: a list of named stages, so that the forward pass keeps every stage's output."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bntui.recording.history import LayerInfo
from bntui.scenario.blocks import OUTPUT, Block, blocks, convolved, pooled
from bntui.scenario.schema import Network as NetworkConfig
from bntui.trainer.draw import generator

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "softsign": nn.Softsign,
    "none": nn.Identity,
}


DRAWN = ("dropout", "noise")
"""Stages whose output is drawn in training, and is their input in evaluation mode."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One operation of a layer's block."""

    layer: int
    """Number of the layer it belongs to."""
    kind: str
    """``flatten``, ``linear``, ``conv``, ``norm``, ``noise``, ``activation``, ``pool`` or ``dropout``."""
    module: nn.Module
    amount: float = 0.0
    """Dropout: probability of dropping; noise: its strength; else 0."""


@dataclass(frozen=True, slots=True)
class Network:
    """Stages in order, and the layers they make up; the last layer is the output layer."""

    layers: tuple[LayerInfo, ...]
    stages: tuple[Stage, ...]

    def named_parameters(self) -> dict[str, nn.Parameter]:
        """All trainable parameters by name, such as ``linear 1.linear.weight``."""
        return {
            f"{self.layers[stage.layer].name}.{stage.kind}.{name}": parameter
            for stage in self.stages
            for name, parameter in stage.module.named_parameters()
        }

    def state(self) -> dict[str, Tensor]:
        """Parameters and buffers by name: :meth:`named_parameters` and, say, ``linear 1.norm.running_mean``."""
        return {
            f"{self.layers[stage.layer].name}.{stage.kind}.{name}": tensor
            for stage in self.stages
            for name, tensor in stage.module.state_dict().items()
        }

    def load(self, state: dict[str, Tensor]) -> None:
        """Set parameters and buffers to those of an earlier :meth:`state`."""
        with torch.no_grad():
            for name, tensor in self.state().items():
                tensor.copy_(state[name])

    def train(self, mode: bool) -> None:
        """Training mode (the batch's statistics) or evaluation mode (the running ones)."""
        for stage in self.stages:
            if stage.kind == "norm":
                stage.module.training = mode


def forward(stages: Iterable[Stage], x: Tensor, draw: Callable[[Stage, Tensor], Tensor] | None = None) -> list[Tensor]:
    """The outputs of all stages, in order; ``draw`` gives those of dropout and noise (None: evaluation mode)."""
    values: list[Tensor] = []
    for stage in stages:
        if stage.kind not in DRAWN:
            x = stage.module(x)
        elif draw is not None:
            x = draw(stage, x)
        values.append(x)
    return values


def build(config: NetworkConfig, shape: Sequence[int], outputs: int, seed: int, device: torch.device) -> Network:
    """The network of a scenario for samples of ``shape``, its weights drawn per layer name and parameter."""
    layers: list[LayerInfo] = []
    stages: list[Stage] = []
    shape = tuple(shape)
    output = Block(OUTPUT, "linear", outputs, norm="none", activation="none", dropout=0.0, init=config.init)
    for number, block in enumerate((*blocks(config), output)):
        if block.type == "linear" and len(shape) > 1:
            stages.append(Stage(number, "flatten", nn.Flatten()))
            shape = (math.prod(shape),)
        made, shape = _block(block, shape, config)
        _initialize(made[0][1], block, seed)
        amounts = {"dropout": block.dropout, "noise": config.norm_noise}
        stages += [Stage(number, kind, module, amounts.get(kind, 0.0)) for kind, module in made]
        parameters = sum(p.numel() for _, module in made for p in module.parameters())
        kinds = tuple(stage.kind for stage in stages if stage.layer == number)
        layers.append(
            LayerInfo(
                block.name, block.type, shape, block.norm, block.activation, block.dropout, parameters, kinds,
                groups=config.groups if block.norm == "group" else 1,
            )
        )  # fmt: skip
    for stage in stages:
        stage.module.to(device)
    return Network(tuple(layers), tuple(stages))


def _block(
    block: Block, shape: tuple[int, ...], config: NetworkConfig
) -> tuple[list[tuple[str, nn.Module]], tuple[int, ...]]:
    """The stages of one block and the shape of a sample after it."""
    image: tuple[int, int] | None = None
    made: list[tuple[str, nn.Module]]
    if block.type == "linear":
        made = [("linear", nn.Linear(shape[0], block.units))]
    else:
        made = [("conv", nn.Conv2d(shape[0], block.units, block.kernel, block.stride, block.padding))]
        image = convolved(block, (shape[1], shape[2]))
    shape = (block.units, *(image or ()))
    activation = ("activation", ACTIVATIONS[block.activation]())
    norm = [("norm", _norm(block, shape, config.groups))] if block.norm != "none" else []
    if block.norm == "batch" and config.norm_noise:
        norm.append(("noise", nn.Identity()))
    if config.norm_position == "before_activation":
        made += [*norm, activation]
    else:
        made += [activation, *norm]
    if image is not None and block.pool > 1:
        made.append(("pool", nn.MaxPool2d(block.pool)))
        shape = (block.units, *pooled(block, image))
    if block.dropout:
        made.append(("dropout", nn.Identity()))
    return made, shape


def _norm(block: Block, shape: tuple[int, ...], groups: int) -> nn.Module:
    if block.norm == "batch":
        return nn.BatchNorm1d(shape[0]) if len(shape) == 1 else nn.BatchNorm2d(shape[0])
    if block.norm == "group":
        return nn.GroupNorm(groups, shape[0])
    return nn.LayerNorm(shape)


def _initialize(module: nn.Module, block: Block, seed: int) -> None:
    """Draw the weight by name of the initialization; other biases than the default's start at zero."""
    weight, bias = module.weight, module.bias
    assert isinstance(weight, nn.Parameter)
    assert isinstance(bias, nn.Parameter)
    fan_in = weight[0].numel()
    cpu = torch.device("cpu")
    draw = generator(cpu, seed, "init", block.name, "weight")
    name, _, number = block.init.partition(":")
    nn.init.zeros_(bias)
    if name == "default":  # what nn.Linear and nn.Conv2d do by themselves, from our generator
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=draw)
        limit = 1 / math.sqrt(fan_in)
        nn.init.uniform_(bias, -limit, limit, generator=generator(cpu, seed, "init", block.name, "bias"))
    elif name == "normal":
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
        nn.init.normal_(weight, 0.0, math.sqrt(1 / fan_in), generator=draw)
    elif name == "orthogonal":
        nn.init.orthogonal_(weight, generator=draw)
    else:
        nn.init.zeros_(weight)

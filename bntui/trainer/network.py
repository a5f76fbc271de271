"""Builds a network as a list of named stages, so that the forward pass can keep the output of every stage."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from bntui.recording.history import LayerInfo
from bntui.scenario.activations import ACTIVATIONS
from bntui.scenario.blocks import OUTPUT, Block, blocks, convolved, pooled
from bntui.scenario.network import NetworkConfig
from bntui.trainer.initialization import initialize
from bntui.trainer.normalization import normalization, per_step
from bntui.trainer.recurrent import ImageRows, LastStep, Recurrence, recurrence

DRAWN = ("dropout", "noise", "input_noise")
"""Kinds of stages that are random in training mode, and the identity in evaluation mode."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One operation of a layer's block."""

    layer: int
    """Number of the layer that the stage belongs to."""
    kind: str
    """``input_noise``; ``flatten``, ``last`` or ``rows``; ``linear``, ``conv`` or ``recurrent``; ``norm``, ``noise``,
    ``activation``, ``pool`` or ``dropout``."""
    module: nn.Module
    amount: float = 0.0
    """Probability of dropping for dropout; strength or standard deviation for noise; 0 for other kinds."""


@dataclass(frozen=True, slots=True)
class Network:
    """The layers of a network and its stages, in order; the last layer is the output layer."""

    layers: tuple[LayerInfo, ...]
    stages: tuple[Stage, ...]
    _places: tuple[tuple[str, dict[str, Tensor | None], str], ...] = field(init=False, repr=False, compare=False)
    """Where each parameter and buffer is: its name, the table of its module, and its key there."""
    _moody: tuple[nn.Module, ...] = field(init=False, repr=False, compare=False)
    """The modules that work differently in evaluation mode: those with running statistics."""

    def __post_init__(self) -> None:
        stages = [(f"{self.layers[stage.layer].name}.{stage.kind}.", stage.module) for stage in self.stages]
        object.__setattr__(
            self, "_places", tuple(place for prefix, module in stages for place in _tables(prefix, module))
        )
        moody = (module for _prefix, module in stages if any(True for _ in module.buffers()))
        object.__setattr__(self, "_moody", tuple(moody))

    def named_parameters(self) -> dict[str, nn.Parameter]:
        """All trainable parameters by name, such as ``linear 1.linear.weight``."""
        return {
            f"{self.layers[stage.layer].name}.{stage.kind}.{name}": parameter
            for stage in self.stages
            for name, parameter in stage.module.named_parameters()
        }

    def state(self) -> dict[str, Tensor]:
        """Parameters and buffers by name, such as ``linear 1.linear.weight`` and ``linear 1.norm.running_mean``."""
        found = ((name, table[key]) for name, table, key in self._places)
        return {name: tensor.detach() for name, tensor in found if tensor is not None}

    def load(self, state: dict[str, Tensor]) -> None:
        """Copy the values of a :meth:`state` into the parameters and buffers."""
        with torch.no_grad():
            for name, tensor in self.state().items():
                tensor.copy_(state[name].view_as(tensor))  # a scalar is stored with shape (1,)

    def train(self, mode: bool) -> None:
        """Select training mode (batch statistics) or evaluation mode (running statistics)."""
        for module in self._moody:
            module.train(mode)


def _tables(prefix: str, whole: nn.Module) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The entries of a module's ``state_dict``, in its order, by where they are; that takes a tenth of its time."""
    for path, module in whole.named_modules():
        own = f"{prefix}{path}." if path else prefix
        for table in (module._parameters, module._buffers):
            for key, tensor in table.items():
                if tensor is not None and key not in module._non_persistent_buffers_set:
                    yield own + key, table, key


def recurrent(network: Network) -> bool:
    """True if a layer of the network is recurrent."""
    return any(layer.kind == "recurrent" for layer in network.layers)


def forward(stages: Iterable[Stage], x: Tensor, draw: Callable[[Stage, Tensor], Tensor] | None = None) -> list[Tensor]:
    """The outputs of all stages, in order.

    Args:
        x: inputs, shape ``(B, *shape)``.
        draw: applies dropout or noise to the input of a stage; None skips these stages, as in evaluation mode.
    """
    values: list[Tensor] = []
    for stage in stages:
        if stage.kind not in DRAWN:
            x = stage.module(x)
        elif draw is not None:
            x = draw(stage, x)
        values.append(x)
    return values


def build(
    config: NetworkConfig, shape: Sequence[int], outputs: int, seed: int, device: torch.device, input_noise: float = 0.0
) -> Network:
    """Build the network of a configuration, and initialize its weights from the seed.

    Args:
        shape: shape of one sample.
        outputs: number of classes, or of target values.
        input_noise: standard deviation of the noise added to the inputs.
    """
    layers: list[LayerInfo] = []
    stages: list[Stage] = []
    shape = tuple(shape)
    output = Block(OUTPUT, "linear", outputs, norm="none", activation="none", dropout=0.0, init=config.init)
    for number, block in enumerate((*blocks(config), output)):
        after_recurrent = bool(layers) and layers[-1].kind == "recurrent"
        arrangement, shape = _arranged(block, shape, after_recurrent)
        if input_noise and not stages:
            stages.append(Stage(0, "input_noise", nn.Identity(), input_noise))
        stages += [Stage(number, kind, module) for kind, module in arrangement]
        made, shape = _block(block, shape, config)
        cell = next((module for _, module in made if isinstance(module, Recurrence)), None)
        initialize(made[0][1], cell, block, seed)
        amounts = {"dropout": block.dropout, "noise": config.norm_noise}
        stages += [Stage(number, kind, module, amounts.get(kind, 0.0)) for kind, module in made]
        parameters = sum(p.numel() for _, module in made for p in module.parameters())
        kinds = tuple(stage.kind for stage in stages if stage.layer == number)
        layers.append(
            LayerInfo(
                block.name, block.type, shape, block.norm, block.function, block.dropout, parameters, kinds,
                cell=block.cell, per_step=per_step(block, config), groups=config.groups if block.norm == "group" else 1,
            )
        )  # fmt: skip
    for stage in stages:
        if device.type != "cpu":  # where it was made; to() imports modules of torch that nothing else needs
            stage.module.to(device)
    return Network(tuple(layers), tuple(stages))


def _arranged(
    block: Block, shape: tuple[int, ...], after_recurrent: bool
) -> tuple[list[tuple[str, nn.Module]], tuple[int, ...]]:
    """The stage that changes the shape of a sample for a block, if one is needed, and the new shape.

    A linear layer receives the last time step of a recurrent layer, or all values flattened.  A recurrent layer
    receives an image as a sequence of rows.
    """
    if block.type == "linear" and len(shape) == 2 and after_recurrent:
        return [("last", LastStep())], shape[1:]
    if block.type == "linear" and len(shape) > 1:
        return [("flatten", nn.Flatten())], (math.prod(shape),)
    if block.type == "recurrent" and len(shape) == 3:
        channels, height, width = shape
        return [("rows", ImageRows())], (height, channels * width)
    return [], shape


def _block(
    block: Block, shape: tuple[int, ...], config: NetworkConfig
) -> tuple[list[tuple[str, nn.Module]], tuple[int, ...]]:
    """The stages of one block and the shape of a sample after it."""
    image: tuple[int, int] | None = None
    entered: tuple[int, ...]
    entry: nn.Module
    function = getattr(nn, ACTIVATIONS[block.activation].module)()
    if block.type == "linear":
        entry = nn.Linear(shape[0], block.units)
        entered = shape = (block.units,)
    elif block.type == "conv":
        entry = nn.Conv2d(shape[0], block.units, block.kernel, block.stride, block.padding)
        image = convolved(block, (shape[1], shape[2]))
        entered = shape = (block.units, *image)
    else:
        steps, features = shape
        function = cell = recurrence(block, function, steps, config)
        entry = nn.Linear(features, cell.gates * block.units)
        entered, shape = (steps, cell.gates * block.units), (steps, block.units)
    made: list[tuple[str, nn.Module]] = [(block.type, entry)]
    activation = ("activation", function)
    norm = [("norm", normalization(block, entered, config))] if block.norm != "none" else []
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

"""Measures how far a layer's gradient moves when the layers before it are updated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bntui.distributions import norm
from bntui.trainer.network import Network, Stage, forward
from bntui.trainer.probes import array


def gradient_shift(
    network: Network,
    x: Tensor,
    loss: Callable[[Tensor], Tensor],
    draw: Callable[[Stage, Tensor], Tensor],
    before: Mapping[str, NDArray[Any]],
) -> list[float]:
    """‖G − G′‖₂ of each layer: the internal covariate shift of Santurkar et al., 2018, definition 2.1.

    The network, its gradients and the optimizer are left unchanged.

    Args:
        network: the network after the step, in training mode.
        x: the step's mini-batch, scaled.
        loss: computes the step's loss from the network's output.
        draw: applies the step's masks and noise again.
        before: parameters and buffers before the step, by name.

    Returns:
        One value for each layer, over all its parameters together; 0 for the first layer.
    """
    after = {name: tensor.clone() for name, tensor in network.state().items()}
    network.load({name: torch.from_numpy(values) for name, values in before.items()})
    parameters = list(zip(network.named_parameters().items(), _owners(network), strict=True))
    # G, again: another engine's rounding would look like a shift
    answers = torch.autograd.grad(loss(forward(network.stages, x, draw)[-1]), [one for (_, one), _ in parameters])
    gradients = {name: array(answer) for ((name, _), _), answer in zip(parameters, answers, strict=True)}
    shifts = []
    for number in range(len(network.layers)):
        own = {name: parameter for (name, parameter), owner in parameters if owner == number}
        shift = 0.0
        if number:  # x has passed the updated earlier layers; this layer and later ones are as before the step
            output = forward((stage for stage in network.stages if stage.layer >= number), x, draw)[-1]
            moved = torch.autograd.grad(loss(output), tuple(own.values()))
            each = [norm(array(there) - gradients[name]) for name, there in zip(own, moved, strict=True)]
            shift = float(np.hypot.reduce(each))
        shifts.append(shift)
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(after[name])
            x = forward((stage for stage in network.stages if stage.layer == number), x, draw)[-1]
    network.load(after)
    return shifts


def _owners(network: Network) -> list[int]:
    """The layer number of every parameter, in the order of :meth:`Network.named_parameters`."""
    return [stage.layer for stage in network.stages for _ in stage.module.parameters()]

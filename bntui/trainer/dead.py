"""Detects that a layer's gradient has died, from the figures of a step and, at exactly 0, from all samples.

A layer's gradient has died if the loss still has a gradient, but that of the layer's weight is below ``DEAD_BELOW`` of
the output layer's, or exactly 0.  A mini-batch may give exactly 0 by chance, for instance if dropout dropped a whole
layer, or if no sample of a small batch activates a unit.  An exact 0 therefore counts only if no training sample gives
the layer a gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
import torch

from bntui.keyframe import LayerMeasures
from bntui.recording.sentences import DEAD_BELOW
from bntui.trainer.loss import loss_function
from bntui.trainer.network import DRAWN, Network, Stage, forward
from bntui.trainer.samples import DeviceSamples
from bntui.trainer.validate import mini_batches

ASKS: Final = float(np.finfo(np.float32).tiny) / DEAD_BELOW
"""Smallest norm of the output layer's gradient for which ``DEAD_BELOW`` of it is still a normal float32.  Below it, the
network fits its samples, and gradients of 0 mean nothing."""

ENOUGH: Final = 2000
"""Minimum number of samples to pass through the network if it has dropout or noise."""

TOGETHER: Final = 256
"""Samples passed through the network at once, unless batch normalization makes them depend on each other."""


@dataclass(frozen=True, slots=True)
class Dead:
    """A layer that receives no gradient in a step."""

    layer: str
    weight: str
    """Name of its weight among the network's parameters."""
    ratio: float
    """Norm of its weight gradient divided by that of the output layer; 0 if its gradient is exactly 0, even if both
    are."""
    units: bool
    """The activation is ReLU, and all units give 0 for all samples of the mini-batch."""
    blocked: bool
    """Units of this layer or of a later one block the gradient, or no weight has a gradient.  Otherwise weights of
    later layers are 0, which the first update changes."""


def died(layers: Sequence[LayerMeasures]) -> Dead | None:
    """The dead layer nearest to the output, from the measures of one step; None if there is none.

    A layer whose inputs are all 0 is skipped: its weight gradient is 0 in any case, because of the layer before it.
    """
    *earlier, last = layers
    if not ASKS <= last.activation_gradient_norm < math.inf:
        return None
    beside, blocked = last.weight_gradient_norm, not any(layer.weight_gradient_norm for layer in layers)
    for layer in reversed(earlier):
        norm, fed = layer.weight_gradient_norm, not layer.input.min == layer.input.max == 0
        stops = layer.dead_fraction == 1 or (fed and norm == 0)
        blocked = blocked or (stops and layer.activation_gradient_norm > 0)
        if fed and (norm == 0 or (ASKS <= beside < math.inf and norm / beside < DEAD_BELOW)):
            weight = f"{layer.name}.{layer.kind}.weight"
            return Dead(layer.name, weight, norm / beside if norm else 0.0, layer.dead_fraction == 1, blocked)
    return None


def reached(
    network: Network,
    samples: DeviceSamples,
    batch: int,
    weight: str,
    draw: Callable[[int], Callable[[Stage, torch.Tensor], torch.Tensor]],
) -> bool:
    """True if any training sample gives a weight a gradient, in training mode; the network is left unchanged.

    Passes the training part through the network in mini-batches, up to the first one with a gradient.  With dropout or
    noise, it is first passed without them, and a small one then several times, because masks may drop all of a few
    units in nearly every sample.

    Args:
        batch: samples in a mini-batch.
        weight: name of the weight.
        draw: gives, for the number of a mini-batch, the function that draws its dropout and noise.
    """
    parameter = network.named_parameters()[weight]
    if all(layer.norm != "batch" for layer in network.layers):
        batch = max(batch, TOGETHER)  # samples have no influence on each other
    drawn = any(stage.kind in DRAWN and stage.amount for stage in network.stages)
    order = torch.arange(len(samples.x), device=samples.x.device)
    bare = [(order[piece], _nothing) for piece in mini_batches(len(order), batch)] if drawn else []
    order = order.repeat(math.ceil(ENOUGH / len(order)) if drawn else 1)
    masked = ((order[piece], draw(number)) for number, piece in enumerate(mini_batches(len(order), batch)))
    before = {name: tensor.clone() for name, tensor in network.state().items()}
    try:
        return any(
            bool(_gradient(network, samples, piece, parameter, drawn_by).any())
            for piece, drawn_by in chain(bare, masked)
        )
    finally:
        network.load(before)  # the forward passes changed the running statistics


def _nothing(_stage: Stage, x: torch.Tensor) -> torch.Tensor:
    """Draws neither masks nor noise."""
    return x


def _gradient(
    network: Network,
    samples: DeviceSamples,
    piece: torch.Tensor,
    parameter: torch.Tensor,
    draw: Callable[[Stage, torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    output = forward(network.stages, samples.x[piece], draw)[-1]
    (gradient,) = torch.autograd.grad(loss_function(samples.task, output, samples.y[piece]), (parameter,))
    return gradient

"""Detects that a layer's gradient has died, from the figures of a step and, at exactly 0, from all samples.

A gradient has died where the loss still asks the network to change and this does not reach the layer's weight: its
gradient is below ``DEAD_BELOW`` of the output layer's, or exactly 0.  A mini-batch may give exactly 0 by chance, for
instance where dropout dropped a whole layer, or where no sample of a small batch activates a unit.  So an exact 0
counts only if no training sample gives the layer a gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from bntui.keyframe import LayerMeasures
from bntui.recording.sentences import DEAD_BELOW
from bntui.trainer.network import DRAWN, Network, Stage, forward
from bntui.trainer.samples import DeviceSamples
from bntui.trainer.step import loss_function
from bntui.trainer.validate import mini_batches

ASKS: Final = float(np.finfo(np.float32).tiny) / DEAD_BELOW
"""A gradient norm from here on is no rounding: ``DEAD_BELOW`` of it is still a normal float32.  The loss of a network
that fits its samples asks for less, and then gradients of 0 mean nothing."""

ENOUGH: Final = 2000
"""DeviceSamples that are looked at, at least, where masks are drawn."""


@dataclass(frozen=True, slots=True)
class Dead:
    """A layer that gets no gradient in a step."""

    layer: str
    weight: str
    """Name of its weight among the network's parameters."""
    ratio: float
    """Norm of its weight gradient, as a share of the output layer's; exactly 0 where it is, whatever that one's is."""
    units: bool
    """It is ReLU, and all its units give 0 for all samples of the mini-batch."""
    blocked: bool
    """Units of this layer or of one behind it pass nothing on, or no weight at all has a gradient.  Where neither is
    so, weights behind it are 0, and the first update changes that."""


def died(layers: Sequence[LayerMeasures]) -> Dead | None:
    """The dead layer nearest to the output, by the figures of one step; None without one.

    A layer whose inputs are all 0 has a weight gradient of 0 whatever comes back to it: that tells of the layer before.
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
    """Whether any training sample gives a weight a gradient, in training mode; changes nothing.

    Takes the training part in mini-batches of ``batch`` samples, up to the first that does.  Where dropout or noise is
    drawn, a small training part is taken several times: of few units a mask may drop all.

    Args:
        draw: gives what draws dropout and noise in the mini-batch of that number.
    """
    parameter = network.named_parameters()[weight]
    pieces = mini_batches(len(samples.x), batch)
    if any(stage.kind in DRAWN and stage.amount for stage in network.stages):
        pieces *= math.ceil(ENOUGH / len(samples.x))
    before = {name: tensor.clone() for name, tensor in network.state().items()}
    try:
        return any(
            bool(_gradient(network, samples, piece, parameter, draw(number)).any())
            for number, piece in enumerate(pieces)
        )
    finally:
        network.load(before)  # the passes have moved the running statistics


def _gradient(
    network: Network,
    samples: DeviceSamples,
    piece: slice,
    parameter: torch.Tensor,
    draw: Callable[[Stage, torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    output = forward(network.stages, samples.x[piece], draw)[-1]
    (gradient,) = torch.autograd.grad(loss_function(samples.task, output, samples.y[piece]), (parameter,))
    return gradient

"""Draws the masks and noise of a network's stages, and applies them."""

from __future__ import annotations

import torch
from torch import Tensor

from bntui.trainer.draw import Draws
from bntui.trainer.network import Network, Stage


def draw_of(draws: Draws, network: Network, stage: Stage, step: int, like: Tensor) -> Tensor:
    """The draw of a dropout or noise stage in a step: mask, noise, or stacked scale and shift.

    Args:
        like: a tensor of the shape and type of the stage's input; its values do not matter.
    """
    name = network.layers[stage.layer].name
    if stage.kind == "input_noise":
        return draws.input_noise(step, like, stage.amount)
    if stage.kind == "noise":
        return torch.stack(draws.noise(name, step, like, stage.amount))
    return draws.mask(name, step, like, stage.amount)


def applied(stage: Stage, x: Tensor, draw: Tensor) -> Tensor:
    """The output of a dropout or noise stage for input ``x``."""
    if stage.kind == "input_noise":
        return x + draw
    if stage.kind == "noise":
        scale, shift = draw.unbind()
        return scale * x + shift
    return x * draw

"""Moves the parameters of a network into one flat tensor, with a second one for their gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bntui.trainer.network import Network
from bntui.trainer.probes import array

ALIGNED: Final = 16
"""Every parameter starts at a multiple of this many values, 64 bytes, as if it were allocated alone."""


@dataclass(frozen=True, slots=True)
class ParameterSlice:
    """Where a parameter is in the flat tensors."""

    start: int
    stop: int
    """One after its last value; the values up to the next start are always 0."""
    shape: tuple[int, ...]

    def of(self, flat: Tensor) -> Tensor:
        """The parameter's part of a flat tensor, in its shape."""
        return flat[self.start : self.stop].view(self.shape)


class Flat:
    """The parameters of a network as views of one tensor.

    The optimizer then updates all parameters with one operation.
    """

    def __init__(self, named: Mapping[str, nn.Parameter], device: torch.device) -> None:
        self.places: dict[str, ParameterSlice] = {}
        """Where each parameter is, by name."""
        start = 0
        for name, parameter in named.items():
            self.places[name] = ParameterSlice(start, start + parameter.numel(), tuple(parameter.shape))
            start += math.ceil(parameter.numel() / ALIGNED) * ALIGNED
        self.values, self.gradients = (torch.zeros(start, device=device) for _ in range(2))
        for name, parameter in named.items():
            view = self.places[name].of(self.values)
            with torch.no_grad():
                view.copy_(parameter)
            parameter.data = view
        self.named_gradients = self.views(self.gradients)
        """The gradient of each parameter, by name."""

    def clip_norm(self, largest: float) -> None:
        """Scale the gradients down where their norm is above ``largest``."""
        norm = torch.linalg.vector_norm(self.gradients)
        self.gradients.mul_(torch.clamp(largest / (norm + 1e-6), max=1.0))

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """The part of each parameter in a flat tensor, by name."""
        return {name: place.of(flat) for name, place in self.places.items()}

    def copies(self, flat: Tensor) -> dict[str, NDArray[Any]]:
        """The part of each parameter in a copy of a flat tensor, by name."""
        whole = array(flat).copy()
        return {name: whole[place.start : place.stop].reshape(place.shape) for name, place in self.places.items()}


def one_count(network: Network, device: torch.device) -> Tensor | None:
    """Move the counts of the batch normalizations' mini-batches into one tensor, to count once per step.

    Returns:
        The tensor; None without a batch normalization.
    """
    modules = [stage.module for stage in network.stages if isinstance(stage.module, nn.modules.batchnorm._BatchNorm)]
    counts = torch.zeros(len(modules), dtype=torch.int64, device=device)
    for count, module in zip(counts.unbind(), modules, strict=True):
        assert module.num_batches_tracked is not None
        count.copy_(module.num_batches_tracked)
        module.num_batches_tracked = count
    return counts if modules else None

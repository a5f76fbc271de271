"""Defines what an engine does: the forward pass, the backward pass and the update of one network, and of one stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray
from torch import Tensor

from bntui.recording.evidence import Average
from bntui.trainer.network import Stage

Draw = Callable[[Stage, Tensor], tuple[Tensor, Tensor]]
"""Applies dropout or noise to the input of a stage; gives the output, and the draw as ``step.drawn`` does."""


@dataclass(frozen=True, slots=True)
class Passes:
    """The forward and the backward pass of one mini-batch, with everything in between."""

    loss: Tensor
    values: Sequence[Tensor]
    """Output of every stage, in memory of its own: neither a later step nor the next epoch changes it."""
    gradients: Sequence[Tensor | None]
    """Gradient of the loss with respect to each of ``values``; None before the first layer, where none is computed."""
    parameter_gradients: Mapping[str, Tensor]
    """Gradient of the loss with respect to each parameter, by name; the next step overwrites it."""
    draws: Mapping[int, Tensor]
    """Draws of the dropout and noise stages, by index of the stage."""


class Optimizer(Protocol):
    """Updates the parameters by the gradients of the last mini-batch."""

    def step(self, lr: float) -> None:
        """Update the parameters by their gradients, clipped if configured."""

    def forget(self) -> None:
        """Discard the gradients instead."""

    def state(self) -> dict[Average, Tensor]:
        """Running averages and step counts of each parameter."""

    def copied(self) -> dict[Average, NDArray[Any]]:
        """A copy of the :meth:`state`, on the CPU."""

    def load(self, state: Mapping[Average, Tensor]) -> None:
        """Copy the entries of a :meth:`state` that exist in this optimizer."""


class Operation(Protocol):
    """A stage in training mode."""

    def forward(self, x: Tensor) -> Tensor:
        """The stage's output."""

    def backward(self, gradient: Tensor) -> Tensor:
        """The gradient of the loss with respect to the stage's input, from that of its output."""


class WeightedOperation(Operation, Protocol):
    """A linear or convolutional stage; the input of the first one is the data, whose gradient nobody needs."""

    def learn(self, gradient: Tensor) -> None:
        """Store the gradients of the parameters only."""


class Engine(Protocol):
    """Computes the gradients of a network, and leaves them to its optimizer."""

    @property
    def optimizer(self) -> Optimizer:
        """Updates the network's parameters."""

    def training(self) -> AbstractContextManager[object]:
        """The context in which :meth:`learn` and the optimizer's steps that follow are called."""

    def learn(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the gradients of a mini-batch without waiting for the device; gives its loss and output."""

    def passes(self, x: Tensor, y: Tensor) -> Passes:
        """Compute the same gradients, bit for bit, and give everything that was computed on the way."""

"""Computes gradients with the formulas of each stage, without autograd's bookkeeping.

All tensors are inference tensors, parameters and gradients are flat, and the update is a single operation.  The results
are those of PyTorch's modules up to float32 rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Final

import torch
from torch import Tensor

from bntui.scenario.schema import Training
from bntui.trainer.engine.base import Draw, Passes
from bntui.trainer.engine.flat import Flat, one_count
from bntui.trainer.engine.flat_optimizer import FlatOptimizer
from bntui.trainer.engine.operations import Convolution, Drawn, Entry, Linear, Operation, operation
from bntui.trainer.network import Network

_aten: Final = torch.ops.aten

LossGradient = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From output and targets: the loss, and its gradient with respect to the output."""


class Explicit:
    """The engine for networks without recurrent layers."""

    def __init__(self, training: Training, task: str, network: Network, draw: Draw, device: torch.device) -> None:
        flat = Flat(network.named_parameters(), device)
        self.optimizer = FlatOptimizer(training, flat)
        self._gradients = flat.named_gradients
        self._network, self._draw = network, draw
        self._counts = one_count(network, device)
        self._loss = (_cross_entropy if task == "classification" else _mean_squared_error)(device)
        self._ways: dict[int, _Way] = {}
        """By size of the mini-batch; two sizes occur in an epoch."""

    def training(self) -> AbstractContextManager[object]:
        """See :meth:`bntui.trainer.engine.base.Engine.training`."""
        return torch.inference_mode()

    def learn(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`bntui.trainer.engine.base.Engine.learn`."""
        way = self._way(x)
        for pass_forward in way.forward:
            x = pass_forward(x)
        loss, gradient = self._loss(x, y)
        for pass_backward in way.backward:
            gradient = pass_backward(gradient)
        way.entry.learn(gradient)
        self._counts.add_(1)
        return loss, x.clone()  # the next mini-batch overwrites it

    @torch.inference_mode()
    def passes(self, x: Tensor, y: Tensor) -> Passes:
        """See :meth:`bntui.trainer.engine.base.Engine.passes`."""
        way = self._way(x)
        values: list[Tensor] = []
        for pass_forward in way.forward:
            x = pass_forward(x)
            values.append(x)
        loss, gradient = self._loss(x, y)
        gradients = [gradient]
        for pass_backward in way.backward:
            gradient = pass_backward(gradient)
            gradients.append(gradient)
        way.entry.learn(gradient)
        self._counts.add_(1)
        before: list[Tensor | None] = [None] * (len(values) - len(gradients))
        own = {id(value): value.clone() for value in values}  # the next mini-batch overwrites the values
        kept = [own[id(value)] for value in values]
        return Passes(loss, kept, (*before, *reversed(gradients)), self._gradients, way.draws())

    def _way(self, x: Tensor) -> _Way:
        size = x.shape[0]
        if size not in self._ways:
            self._ways[size] = _Way(self._network, self._gradients, self._draw)
        return self._ways[size]


class _Way:
    """The operations of a network for mini-batches of one size."""

    def __init__(self, network: Network, gradients: Mapping[str, Tensor], draw: Draw) -> None:
        self._operations: list[Operation] = []
        for stage in network.stages:
            prefix = f"{network.layers[stage.layer].name}.{stage.kind}."
            own = {name: gradients[prefix + name] for name, _ in stage.module.named_parameters()}
            self._operations.append(operation(stage, own, draw))
        at = next(at for at, stage in enumerate(network.stages) if stage.kind in ("linear", "conv"))
        entry = self._operations[at]
        assert isinstance(entry, Linear | Convolution)
        self.entry: Entry = entry
        """The first operation with parameters; nobody needs the gradient of its input."""
        self.forward = [one.forward for one in self._operations]
        self.backward = [one.backward for one in self._operations[:at:-1]]
        """From the last operation to the one after the entry."""

    def draws(self) -> dict[int, Tensor]:
        """The draws of the last mini-batch, by index of the stage."""
        return {at: one.drawn for at, one in enumerate(self._operations) if isinstance(one, Drawn)}


def _cross_entropy(device: torch.device) -> LossGradient:
    one = torch.ones((), device=device)

    def loss_gradient(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        logs = torch.log_softmax(output, 1)
        loss, weight = _aten.nll_loss_forward.default(logs, target, None, 1, -100)
        gradient = _aten.nll_loss_backward.default(one, logs, target, None, 1, -100, weight)
        return loss, _aten._log_softmax_backward_data.default(gradient, logs, 1, output.dtype)

    return loss_gradient


def _mean_squared_error(device: torch.device) -> LossGradient:
    one = torch.ones((), device=device)

    def loss_gradient(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        loss = _aten.mse_loss.default(output, target)
        return loss, _aten.mse_loss_backward.default(one, output, target, 1)

    return loss_gradient

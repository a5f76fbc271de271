"""Computes gradients with the formulas of each stage, without autograd's bookkeeping.

All tensors are inference tensors, parameters and gradients are flat, and the update is a single operation.  The results
are those of PyTorch's modules up to float32 rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from bntui.scenario.schema import Training
from bntui.trainer.engine.base import Draw, Passes
from bntui.trainer.engine.flat import Flat
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
        self._operations: list[Operation] = []
        for stage in network.stages:
            prefix = f"{network.layers[stage.layer].name}.{stage.kind}."
            own = {name: self._gradients[prefix + name] for name, _ in stage.module.named_parameters()}
            self._operations.append(operation(stage, own, draw))
        entry = next(at for at, stage in enumerate(network.stages) if stage.kind in ("linear", "conv"))
        first = self._operations[entry]
        assert isinstance(first, Linear | Convolution)
        self._first: Entry = first
        self._later = self._operations[:entry:-1]
        """The operations that propagate gradients, from the last to the one after the first layer's entry."""
        self._loss = (_cross_entropy if task == "classification" else _mean_squared_error)(device)

    @torch.inference_mode()
    def learn(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`bntui.trainer.engine.base.Engine.learn`."""
        for one in self._operations:
            x = one.forward(x)
        loss, gradient = self._loss(x, y)
        for one in self._later:
            gradient = one.backward(gradient)
        self._first.learn(gradient)
        return loss, x

    @torch.inference_mode()
    def passes(self, x: Tensor, y: Tensor) -> Passes:
        """See :meth:`bntui.trainer.engine.base.Engine.passes`."""
        values: list[Tensor] = []
        for one in self._operations:
            x = one.forward(x)
            values.append(x)
        loss, gradient = self._loss(x, y)
        gradients = [gradient]
        for one in self._later:
            gradient = one.backward(gradient)
            gradients.append(gradient)
        self._first.learn(gradient)
        before: list[Tensor | None] = [None] * (len(values) - len(gradients))
        draws = {at: one.drawn for at, one in enumerate(self._operations) if isinstance(one, Drawn)}
        return Passes(loss, values, (*before, *reversed(gradients)), self._gradients, draws)


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
        loss = torch.nn.functional.mse_loss(output, target)
        return loss, _aten.mse_loss_backward.default(one, output, target, 1)

    return loss_gradient

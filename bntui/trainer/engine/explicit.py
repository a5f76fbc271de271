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

from bntui.scenario.training import Training
from bntui.trainer.engine.activations import Derived
from bntui.trainer.engine.base import Draw, Operation, Passes, WeightedOperation
from bntui.trainer.engine.flat import Flat, one_count
from bntui.trainer.engine.flat_optimizer import FlatOptimizer
from bntui.trainer.engine.operations import Drawn, operation
from bntui.trainer.engine.weighted import Convolution, Linear
from bntui.trainer.network import Network

_aten: Final = torch.ops.aten

Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From output and targets: the loss, and its gradient with respect to the output."""


class Explicit:
    """The engine for networks without recurrent layers."""

    def __init__(self, training: Training, task: str, network: Network, draw: Draw, device: torch.device) -> None:
        flat = Flat(network.named_parameters(), device)
        self.optimizer = FlatOptimizer(training, flat)
        self._gradients = flat.named_gradients
        self._network, self._draw = network, draw
        self._counts = one_count(network, device)
        self._task, self._device = task, device
        self._ways: dict[int, Way] = {}
        """By size of the mini-batch; two sizes occur in an epoch."""

    def training(self) -> AbstractContextManager[object]:
        """See :meth:`bntui.trainer.engine.base.Engine.training`."""
        return torch.inference_mode()

    def learn(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`bntui.trainer.engine.base.Engine.learn`."""
        return self.learn_by(self._way(x), x, y)

    def learn_by(self, way: Way, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Do :meth:`learn` with these operations."""
        for pass_forward in way.forward:
            x = pass_forward(x)
        loss, gradient = way.loss(x, y)
        for pass_backward in way.backward:
            gradient = pass_backward(gradient)
        way.entry.learn(gradient)
        self.count()
        return loss, x.clone()  # the next mini-batch overwrites it

    @torch.inference_mode()
    def passes(self, x: Tensor, y: Tensor) -> Passes:
        """See :meth:`bntui.trainer.engine.base.Engine.passes`."""
        way = self._way(x)
        values: list[Tensor] = []
        for pass_forward in way.forward:
            x = pass_forward(x)
            values.append(x)
        loss, gradient = way.loss(x, y)
        gradients = [gradient]
        for pass_backward in way.backward:
            gradient = pass_backward(gradient)
            gradients.append(gradient)
        way.entry.learn(gradient)
        self.count()
        before: list[Tensor | None] = [None] * (len(values) - len(gradients))
        own = {id(value): value.clone() for value in values}  # the next mini-batch overwrites the values
        kept = [own[id(value)] for value in values]
        return Passes(loss, kept, (*before, *reversed(gradients)), self._gradients, way.draws())

    def count(self) -> None:
        """Count a mini-batch, as batch normalization does."""
        if self._counts is not None:
            self._counts.add_(1)

    def way(self, draw: Draw | None = None) -> Way:
        """The operations of the network, with other dropout and noise if ``draw`` is given."""
        return Way(self._network, self._gradients, draw or self._draw, self._task, self._device)

    def changed_by_steps(self) -> list[Tensor]:
        """All tensors of which a step depends on the values that the last one has left."""
        return [*self._network.state().values(), *self.optimizer.changed_by_steps()]

    @property
    def capturable(self) -> bool:
        """True if the operations are kernels only, without autograd."""
        return self.way().capturable

    def _way(self, x: Tensor) -> Way:
        size = x.shape[0]
        if size not in self._ways:
            self._ways[size] = self.way()
        return self._ways[size]


class Way:
    """The operations of a network for mini-batches of one size."""

    def __init__(
        self, network: Network, gradients: Mapping[str, Tensor], draw: Draw, task: str, device: torch.device
    ) -> None:
        self.operations: list[Operation] = []
        for stage in network.stages:
            prefix = f"{network.layers[stage.layer].name}.{stage.kind}."
            own = {name: gradients[prefix + name] for name, _ in stage.module.named_parameters()}
            self.operations.append(operation(stage, own, draw))
        at = next(at for at, stage in enumerate(network.stages) if stage.kind in ("linear", "conv"))
        entry = self.operations[at]
        assert isinstance(entry, Linear | Convolution)
        self.entry: WeightedOperation = entry
        """The first operation with parameters; nobody needs the gradient of its input."""
        self.forward = [one.forward for one in self.operations]
        self.backward = [one.backward for one in self.operations[:at:-1]]
        """From the last operation to the one after the entry."""

        self.loss: Loss = (_CrossEntropy if task == "classification" else _MeanSquaredError)(device)

    @property
    def capturable(self) -> bool:
        """See :attr:`Explicit.capturable`."""
        return not any(isinstance(one, Derived) for one in self.operations)

    def draws(self) -> dict[int, Tensor]:
        """The draws of the last mini-batch, by index of the stage."""
        return {at: one.drawn for at, one in enumerate(self.operations) if isinstance(one, Drawn)}


class _CrossEntropy:
    """Mean cross-entropy of logits."""

    def __init__(self, device: torch.device) -> None:
        self._one = torch.ones((), device=device)
        self._gradient: Tensor | None = None

    def __call__(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        logs = torch.log_softmax(output, 1)
        loss, weight = _aten.nll_loss_forward.default(logs, target, None, 1, -100)
        gradient = _aten.nll_loss_backward.default(self._one, logs, target, None, 1, -100, weight)
        if self._gradient is None:
            self._gradient = torch.empty_like(output)
        _aten._log_softmax_backward_data.out(gradient, logs, 1, output.dtype, out=self._gradient)
        return loss, self._gradient


class _MeanSquaredError:
    """Mean squared error over samples and outputs."""

    def __init__(self, device: torch.device) -> None:
        self._one = torch.ones((), device=device)
        self._gradient: Tensor | None = None

    def __call__(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        if self._gradient is None:
            self._gradient = torch.empty_like(output)
        _aten.mse_loss_backward.grad_input(self._one, output, target, 1, grad_input=self._gradient)
        return _aten.mse_loss.default(output, target), self._gradient

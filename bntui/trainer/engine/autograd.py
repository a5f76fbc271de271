"""Computes gradients with PyTorch's autograd, for any network."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from bntui.scenario.training import Training
from bntui.trainer.engine.base import Draw, Passes
from bntui.trainer.loss import loss_function
from bntui.trainer.network import DRAWN, Network, Stage, forward
from bntui.trainer.optim import FunctionalOptimizer


class Autograd:
    """The engine that passes mini-batches through the network's modules."""

    def __init__(self, training: Training, task: str, network: Network, draw: Draw, device: torch.device) -> None:
        self._task = task
        self._draw = draw
        self._stages = network.stages
        self._named = network.named_parameters()
        self._parameters = list(self._named.values())
        self.optimizer = FunctionalOptimizer(training, self._named, device)

    def training(self) -> AbstractContextManager[object]:
        """See :meth:`bntui.trainer.engine.base.Engine.training`."""
        return nullcontext()

    def learn(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`bntui.trainer.engine.base.Engine.learn`."""
        output = forward(self._stages, x, lambda stage, entered: self._draw(stage, entered)[0])[-1]
        loss = loss_function(self._task, output, y)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), output.detach()

    def passes(self, x: Tensor, y: Tensor) -> Passes:
        """See :meth:`bntui.trainer.engine.base.Engine.passes`; one gradient call for all stages and parameters."""
        drawn: list[Tensor] = []

        def keep(stage: Stage, entered: Tensor) -> Tensor:
            value, draw = self._draw(stage, entered)
            drawn.append(draw)
            return value

        values = forward(self._stages, x, keep)
        loss = loss_function(self._task, values[-1], y)
        asked = [value for value in values if value.requires_grad]  # excludes the flattened input
        answers = torch.autograd.grad(loss, (*asked, *self._parameters))
        of_value = dict(zip(map(id, asked), answers, strict=False))
        named = dict(zip(self._named, answers[len(asked) :], strict=True))
        for name, parameter in self._named.items():
            parameter.grad = named[name]
        draws = dict(zip((at for at, stage in enumerate(self._stages) if stage.kind in DRAWN), drawn, strict=True))
        gradients = [of_value.get(id(value)) for value in values]
        # the next epoch overwrites the samples; a step by a copy of them might differ in the last bit from one by them
        of_samples = x.untyped_storage().data_ptr()
        kept = [one.clone() if one.untyped_storage().data_ptr() == of_samples else one for one in values]
        return Passes(loss.detach(), kept, gradients, named, draws)

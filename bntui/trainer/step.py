"""Does one optimizer step, with or without measuring it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bntui.keyframe import LayerMeasures
from bntui.recording.evidence import Evidence
from bntui.scenario.schema import Record, Training
from bntui.trainer.draw import Draws
from bntui.trainer.network import Network, Stage, forward
from bntui.trainer.optim import Optimizer
from bntui.trainer.probes import Propagation, array, layer_measures
from bntui.trainer.shift import gradient_shift


def loss_function(task: str, output: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy of logits, or mean squared error."""
    if task == "classification":
        return functional.cross_entropy(output, target)
    return functional.mse_loss(output, target)


def drawn(draws: Draws, network: Network, stage: Stage, step: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """The output of a dropout or noise stage for input ``x``, and the draw: mask, noise, or stacked scale and shift."""
    name = network.layers[stage.layer].name
    if stage.kind == "input_noise":
        noise = draws.input_noise(step, x, stage.amount)
        return x + noise, noise
    if stage.kind == "noise":
        scale, shift = draws.noise(name, step, x, stage.amount)
        return scale * x + shift, torch.stack([scale, shift])
    mask = draws.mask(name, step, x, stage.amount)
    return x * mask, mask


@dataclass(frozen=True, slots=True)
class Measured:
    """The results of a measured step."""

    loss: Tensor
    output: Tensor
    layers: tuple[LayerMeasures, ...]
    evidence: Callable[[], Evidence]
    """Gives the evidence of the step; copies tensors when called."""


class Stepper:
    """Does the steps of one network with one optimizer."""

    def __init__(
        self,
        training: Training,
        task: str,
        network: Network,
        draws: Draws,
        device: torch.device,
        record: Record = Record(),  # noqa: B008 - frozen
    ) -> None:
        self._task = task
        self._network = network
        self._draws = draws
        self._record = record
        self._named = network.named_parameters()
        self._parameters = list(self._named.values())
        self.optimizer = Optimizer(training, self._named, device)
        self._step = 0

    def bare(self, x: Tensor, y: Tensor, step: int, lr: float) -> tuple[Tensor, Tensor]:
        """Do a step without measuring it or waiting for the device; returns its loss and output."""
        self._step = step
        output = forward(self._network.stages, x, self._draw)[-1]
        loss = loss_function(self._task, output, y)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step(lr)
        return loss.detach(), output.detach()

    def measured(self, x: Tensor, y: Tensor, step: int, lr: float | None) -> Measured:
        """Do the same step and measure it, with one gradient call over all stage outputs and parameters.

        Args:
            x: inputs of the mini-batch, shape ``(B, *shape)``.
            y: its targets.
            step: number of the step, from which dropout and noise are derived.
            lr: learning rate; None to measure without an update, which leaves the network unchanged.
        """
        self._step = step
        draws: dict[str, dict[str, Tensor]] = {"dropout": {}, "noise": {}, "input_noise": {}}
        masks = draws["dropout"]
        before = {name: array(tensor).copy() for name, tensor in self._network.state().items()}
        averages = {key: array(value).copy() for key, value in self.optimizer.state().items()}
        values = forward(self._network.stages, x, partial(self._draw, kept=draws))
        loss = loss_function(self._task, values[-1], y)
        asked = [value for value in values if value.requires_grad]  # excludes the flattened input
        answers = torch.autograd.grad(loss, (*asked, *self._parameters))
        of_value = dict(zip(map(id, asked), answers, strict=False))
        of_parameter = answers[len(asked) :]
        # copy the gradients, because the optimizer clips them in place
        recorded = {name: array(gradient).copy() for name, gradient in zip(self._named, of_parameter, strict=True)}
        if lr is not None:
            for parameter, gradient in zip(self._parameters, of_parameter, strict=True):
                parameter.grad = gradient
            self.optimizer.step(lr)
        else:  # undo the forward pass's update of the running statistics
            self._network.load({name: torch.from_numpy(values) for name, values in before.items()})
        with np.errstate(all="ignore"):  # the measures of a diverging network overflow
            gradients = [of_value.get(id(value)) for value in values]
            shifts = None
            if self._record.shift and lr is not None:
                loss_of = partial(loss_function, self._task, target=y)
                shifts = gradient_shift(self._network, x, loss_of, self._draw, before, recorded)
            propagation = Propagation(x, values, gradients, masks, before, recorded)
            layers = layer_measures(
                self._network, propagation, shifts=shifts, unit=self._record.unit, updated=lr is not None
            )

        def evidence() -> Evidence:
            return Evidence(
                before=before,
                optimizer=averages,
                stages={at: array(value) for at, value in enumerate(values)},
                gradients={name: gradient for name, gradient in recorded.items() if ".norm." in name},
                noise={name: array(scale_and_shift) for name, scale_and_shift in draws["noise"].items()},
                masks={name: np.packbits(array(mask) > 0) for name, mask in masks.items()},
            )

        return Measured(loss.detach(), values[-1].detach(), layers, evidence)

    def _draw(self, stage: Stage, x: Tensor, kept: dict[str, dict[str, Tensor]] | None = None) -> Tensor:
        """The output of a dropout or noise stage in this step; the draw is added to ``kept`` by kind and layer."""
        value, draw = drawn(self._draws, self._network, stage, self._step, x)
        if kept is not None:
            kept[stage.kind][self._network.layers[stage.layer].name] = draw
        return value

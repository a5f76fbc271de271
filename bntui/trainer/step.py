"""Does one optimizer step, with or without measuring it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from bntui.keyframe import LayerMeasures
from bntui.recording.evidence import Evidence
from bntui.scenario.schema import Record
from bntui.scenario.training import Training
from bntui.trainer.draw import Draws
from bntui.trainer.engine.autograd import Autograd
from bntui.trainer.engine.base import Engine, Passes
from bntui.trainer.engine.captured import Captured
from bntui.trainer.engine.explicit import Explicit
from bntui.trainer.loss import loss_function
from bntui.trainer.network import Network, Stage, recurrent
from bntui.trainer.probes import Propagation, array, layer_measures
from bntui.trainer.shift import gradient_shift
from bntui.trainer.stage_draws import applied, draw_of


def drawn(draws: Draws, network: Network, stage: Stage, step: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """The output of a dropout or noise stage for input ``x``, and the draw: mask, noise, or stacked scale and shift."""
    draw = draw_of(draws, network, stage, step, x)
    return applied(stage, x, draw), draw


@dataclass(frozen=True, slots=True)
class MeasuredStep:
    """The results of a measured step."""

    loss: Tensor
    output: Tensor
    layers: tuple[LayerMeasures, ...]
    evidence: Callable[[], Evidence]
    """Gives the evidence of the step; copies tensors when called."""


class Stepper:
    """Does the steps of one network with one engine and its optimizer."""

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
        self._record = record
        self._step = 0
        explicit = training.engine == "explicit" and not recurrent(network)
        self._draws = draws.streamed() if explicit else draws
        self.engine: Engine = (Explicit if explicit else Autograd)(training, task, network, self._draw, device)
        self.optimizer = self.engine.optimizer
        self._captured = None
        if isinstance(self.engine, Explicit) and device.type == "cuda":
            self._captured = Captured(self.engine, self._draw_of)

    def at(self, step: int) -> None:
        """Derive dropout and noise from the number of a step that another one does; see :mod:`bntui.trainer.stack`."""
        self._step = step

    def training(self) -> AbstractContextManager[object]:
        """The context in which :meth:`bare` is called."""
        return self.engine.training()

    def bare(self, x: Tensor, y: Tensor, step: int, lr: float) -> tuple[Tensor, Tensor]:
        """Do a step without measuring it or waiting for the device; returns its loss and output.

        Call it within :meth:`training`, which costs as much as a small operation and may hold many steps.
        """
        self._step = step
        if self._captured is not None and (done := self._captured.step(x, y, lr)) is not None:
            return done
        taken = self.engine.learn(x, y)
        self.optimizer.step(lr)
        return taken

    def measured(self, x: Tensor, y: Tensor, step: int, lr: float | None) -> MeasuredStep:
        """Do the same step and measure it.

        Args:
            x: inputs of the mini-batch, shape ``(B, *shape)``.
            y: its targets.
            step: number of the step, from which dropout and noise are derived.
            lr: learning rate; None to measure without an update, which leaves the network unchanged.
        """
        self._step = step
        before = {name: array(tensor).copy() for name, tensor in self._network.state().items()}
        averages = self.optimizer.copied()
        passes = self.engine.passes(x, y)
        # copy the gradients, because the optimizer clips them in place
        recorded = {name: array(gradient).copy() for name, gradient in passes.parameter_gradients.items()}
        if lr is not None:
            self.optimizer.step(lr)
        else:  # undo the forward pass's update of the running statistics
            self.optimizer.forget()
            self._network.load({name: torch.from_numpy(values) for name, values in before.items()})
        masks, noise = (self._drawn(passes, kind) for kind in ("dropout", "noise"))
        with np.errstate(all="ignore"):  # the measures of a diverging network overflow
            shifts = None
            if self._record.shift and lr is not None:
                loss_of = partial(loss_function, self._task, target=y)
                shifts = gradient_shift(self._network, x, loss_of, lambda *of: self._draw(*of)[0], before)
            propagation = Propagation(x, passes.values, passes.gradients, masks, before, recorded)
            layers = layer_measures(
                self._network, propagation, shifts=shifts, unit=self._record.unit, updated=lr is not None
            )

        def evidence() -> Evidence:
            return Evidence(
                before=before,
                optimizer=averages,
                stages={at: array(value) for at, value in enumerate(passes.values)},
                gradients={name: gradient for name, gradient in recorded.items() if ".norm." in name},
                noise={name: array(scale_and_shift) for name, scale_and_shift in noise.items()},
                masks={name: np.packbits(array(mask) > 0) for name, mask in masks.items()},
            )

        return MeasuredStep(passes.loss, passes.values[-1].detach(), layers, evidence)

    def _drawn(self, passes: Passes, kind: str) -> dict[str, Tensor]:
        """The draws of the stages of one kind, by layer name."""
        stages = self._network.stages
        layers = {at: self._network.layers[stage.layer].name for at, stage in enumerate(stages) if stage.kind == kind}
        return {name: passes.draws[at] for at, name in layers.items()}

    def _draw_of(self, stage: Stage, like: Tensor) -> Tensor:
        """The draw of a dropout or noise stage in this step."""
        return draw_of(self._draws, self._network, stage, self._step, like)

    def _draw(self, stage: Stage, x: Tensor) -> tuple[Tensor, Tensor]:
        """The output of a dropout or noise stage in this step, and the draw."""
        return drawn(self._draws, self._network, stage, self._step, x)

"""Updates parameters with PyTorch's optimizers, and computes the learning rate of each step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

from bntui.recording.evidence import Average
from bntui.scenario.training import Schedule, Training
from bntui.trainer.probes import array

EPSILON: Final = 1e-8
"""ε in the denominators of Adam, AdamW and RMSprop: PyTorch's default."""


def averages_of(config: Training) -> tuple[str, ...]:
    """PyTorch's names of the running averages that an optimizer keeps of each parameter."""
    kinds = {"adam": ("exp_avg", "exp_avg_sq"), "adamw": ("exp_avg", "exp_avg_sq"), "rmsprop": ("square_avg",)}
    return (*kinds.get(config.optimizer, ()), *(("momentum_buffer",) if config.momentum else ()))


class FunctionalOptimizer:
    """PyTorch's optimizers in functional form, fused where the device supports it, with their state kept here.

    The classes of ``torch.optim`` import ``torch._dynamo`` at their first use, which delays every start by a second or
    two; the functions that they call do not.  A test checks that both give the same weights.
    """

    def __init__(self, config: Training, named: Mapping[str, nn.Parameter], device: torch.device) -> None:
        self._config = config
        self._names = tuple(named)
        self._parameters = list(named.values())
        self._fused = device.type in ("cpu", "cuda")
        self._state: dict[str, list[Tensor]] = {
            name: [torch.zeros_like(parameter, requires_grad=False) for parameter in self._parameters]
            for name in averages_of(config)
            if config.optimizer != "sgd"
        }
        self._momentum: list[Tensor | None] = [None for _ in self._parameters]
        where = device if config.optimizer in ("adam", "adamw") and self._fused else torch.device("cpu")
        self._steps = [torch.zeros((), dtype=torch.float32, device=where) for _ in self._parameters]

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Update the parameters by their gradients, clipped if configured, and clear the gradients."""
        config, parameters, state = self._config, self._parameters, self._state
        if config.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)
        if config.clip_value is not None:
            torch.nn.utils.clip_grad_value_(parameters, config.clip_value)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        leaves: list[Tensor] = list(parameters)
        decay = config.weight_decay
        if config.optimizer == "sgd":
            sgd(
                leaves, gradients, self._momentum, fused=self._fused, weight_decay=decay, momentum=config.momentum,
                lr=lr, dampening=0.0, nesterov=config.nesterov, maximize=False,
            )  # fmt: skip
        elif config.optimizer == "rmsprop":
            rmsprop(
                leaves, gradients, state["square_avg"], [], state.get("momentum_buffer", []), self._steps,
                foreach=True, lr=lr, alpha=config.alpha, eps=EPSILON, weight_decay=decay, momentum=config.momentum,
                centered=False,
            )  # fmt: skip
        else:
            adam(
                leaves, gradients, state["exp_avg"], state["exp_avg_sq"], [], self._steps, fused=self._fused,
                decoupled_weight_decay=config.optimizer == "adamw", amsgrad=False, beta1=config.betas[0],
                beta2=config.betas[1], lr=lr, weight_decay=decay, eps=EPSILON, maximize=False,
            )  # fmt: skip
        self.forget()

    def forget(self) -> None:
        """Discard the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    def state(self) -> dict[Average, Tensor]:
        """Running averages and step counts of each parameter."""
        columns: dict[str, Sequence[Tensor | None]] = {"momentum_buffer": self._momentum, **self._state}
        if self._config.optimizer != "sgd":
            columns["step"] = self._steps
        return {
            Average(parameter, name): tensor
            for name, column in columns.items()
            for parameter, tensor in zip(self._names, column, strict=True)
            if tensor is not None
        }

    def copied(self) -> dict[Average, NDArray[Any]]:
        """A copy of the :meth:`state`, on the CPU."""
        return {key: array(tensor).copy() for key, tensor in self.state().items()}

    @torch.no_grad()
    def load(self, state: Mapping[Average, Tensor]) -> None:
        """Copy the entries of a :meth:`state` that exist in this optimizer."""
        places = {name: at for at, name in enumerate(self._names)}
        for (parameter, kind), tensor in state.items():
            at = places.get(parameter)
            if at is None:
                continue
            if kind == "step" and self._config.optimizer != "sgd":
                self._steps[at].copy_(tensor.view(()))
            elif kind in self._state:
                self._state[kind][at].copy_(tensor)
            elif kind == "momentum_buffer" and self._config.optimizer == "sgd" and self._config.momentum:
                self._momentum[at] = tensor.to(self._parameters[at]).clone()
        # the fused step needs all buffers or none, and a buffer of zeros is equivalent to a missing one
        if any(buffer is not None for buffer in self._momentum):
            for at, leaf in enumerate(self._parameters):
                if self._momentum[at] is None:
                    self._momentum[at] = torch.zeros_like(leaf, requires_grad=False)


@dataclass(frozen=True, slots=True)
class Plateau:
    """State of reduce-on-plateau."""

    factor: float = 1.0
    """Current factor of the learning rate."""
    best: float = math.inf
    """Best validation loss."""
    bad_epochs: int = 0
    """Epochs since the last improvement or reduction."""


def observe_plateau(schedule: Schedule, before: Plateau, val_loss: float) -> Plateau:
    """The state after an epoch: PyTorch's ReduceLROnPlateau in mode ``min``, relative threshold, no cooldown."""
    if val_loss < before.best * (1 - schedule.threshold):
        return Plateau(before.factor, val_loss, 0)
    bad = before.bad_epochs + 1
    if bad > schedule.patience:
        return Plateau(before.factor * schedule.gamma, before.best, 0)
    return Plateau(before.factor, before.best, bad)


def learning_rate(config: Training, step: float, steps_per_epoch: int, plateau: Plateau) -> float:
    """Learning rate of a step.

    Warm-up increases it linearly, step by step, up to ``lr`` in its last step.  The schedule starts after the warm-up,
    and changes the learning rate only at the end of an epoch, as PyTorch's schedulers do.

    Args:
        step: number of the step from 0; fractional if a fork changed the batch size within an epoch.
    """
    schedule = config.schedule
    warmup = schedule.warmup_epochs * steps_per_epoch
    if step < warmup:
        return config.lr * min(1.0, (step + 1) / warmup)
    epoch = (step - warmup) // steps_per_epoch
    if schedule.kind == "step":
        return float(config.lr * schedule.gamma ** (epoch // schedule.step_size))
    if schedule.kind == "cosine":
        length = max(1, config.epochs - schedule.warmup_epochs)
        return schedule.min_lr + (config.lr - schedule.min_lr) * (1 + math.cos(math.pi * epoch / length)) / 2
    if schedule.kind == "plateau":
        return max(config.lr * plateau.factor, schedule.min_lr)
    return config.lr

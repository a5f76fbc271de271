"""How a step is taken: PyTorch's optimizers, and the learning rate as a function of the step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from bntui.scenario.schema import Schedule, Training

if TYPE_CHECKING:
    from torch.optim import Optimizer


def build_optimizer(config: Training, parameters: Sequence[nn.Parameter], device: torch.device) -> Optimizer:
    """PyTorch's optimizer in its fused form where there is one for the device."""
    # importing torch.optim's machinery takes most of a second: not before keyframe 0 is on the screen
    from torch import optim

    fused = device.type in ("cpu", "cuda")
    decay = config.weight_decay
    if config.optimizer == "sgd":
        return optim.SGD(
            parameters, config.lr, config.momentum, weight_decay=decay, nesterov=config.nesterov, fused=fused
        )
    if config.optimizer == "adam":
        return optim.Adam(parameters, config.lr, config.betas, weight_decay=decay, fused=fused)
    if config.optimizer == "adamw":
        return optim.AdamW(parameters, config.lr, config.betas, weight_decay=decay, fused=fused)
    return optim.RMSprop(
        parameters, config.lr, config.alpha, weight_decay=decay, momentum=config.momentum, foreach=True
    )


@dataclass(frozen=True, slots=True)
class Plateau:
    """State of reduce-on-plateau: factor reached so far, best validation loss, epochs without a better one."""

    factor: float = 1.0
    best: float = math.inf
    bad_epochs: int = 0


def observe_plateau(schedule: Schedule, before: Plateau, val_loss: float) -> Plateau:
    """PyTorch's ReduceLROnPlateau, mode ``min``, relative threshold, no cooldown."""
    if val_loss < before.best * (1 - schedule.threshold):
        return Plateau(before.factor, val_loss, 0)
    bad = before.bad_epochs + 1
    if bad > schedule.patience:
        return Plateau(before.factor * schedule.gamma, before.best, 0)
    return Plateau(before.factor, before.best, bad)


def learning_rate(config: Training, step: int, steps_per_epoch: int, plateau: Plateau) -> float:
    """Learning rate of a step (counted from 0).

    Warm-up rises linearly over its epochs, step by step, and reaches ``lr`` with its last step; the
    schedule's epochs are counted from there, and change at an epoch's end as PyTorch's do.
    """
    schedule = config.schedule
    warmup = schedule.warmup_epochs * steps_per_epoch
    if step < warmup:
        return config.lr * (step + 1) / warmup
    epoch = (step - warmup) // steps_per_epoch
    if schedule.kind == "step":
        return float(config.lr * schedule.gamma ** (epoch // schedule.step_size))
    if schedule.kind == "cosine":
        length = max(1, config.epochs - schedule.warmup_epochs)
        return schedule.min_lr + (config.lr - schedule.min_lr) * (1 + math.cos(math.pi * epoch / length)) / 2
    if schedule.kind == "plateau":
        return max(config.lr * plateau.factor, schedule.min_lr)
    return config.lr

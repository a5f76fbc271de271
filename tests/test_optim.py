"""Tests learning rates against PyTorch's schedulers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from bntui.scenario.training import Training
from bntui.trainer.optim import Plateau, learning_rate, observe_plateau

STEPS = 4


def config(**schedule: Any) -> Training:
    return Training.model_validate({"lr": 0.5, "epochs": 12, "schedule": schedule})


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)


@pytest.mark.parametrize("kind", ["step", "cosine"])
def test_schedules_agree_with_pytorch(kind: str) -> None:
    training, theirs = config(kind=kind, step_size=3, gamma=0.3), optimizer()
    scheduler: lr_scheduler.LRScheduler = (
        lr_scheduler.StepLR(theirs, 3, 0.3) if kind == "step" else lr_scheduler.CosineAnnealingLR(theirs, 12)
    )
    for epoch in range(12):
        for step in range(STEPS):
            ours = learning_rate(training, epoch * STEPS + step, STEPS, Plateau())
            assert ours == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-9)
        theirs.step()
        scheduler.step()


def test_plateau_agrees_with_pytorch() -> None:
    training, theirs = config(kind="plateau", gamma=0.5, patience=2, threshold=0.01, min_lr=0.05), optimizer()
    scheduler = lr_scheduler.ReduceLROnPlateau(theirs, factor=0.5, patience=2, threshold=0.01, min_lr=0.05)
    plateau = Plateau()
    losses = [
        1.0,
        0.9,
        0.899,
        0.9,
        0.91,
        0.9,
        0.95,
        0.8,
        0.81,
        0.82,
        0.83,
        0.84,
        0.85,
        0.86,
        0.87,
        0.88,
        0.89,
        0.9,
        0.9,
    ]
    for epoch, loss in enumerate(losses):
        assert learning_rate(training, epoch, 1, plateau) == pytest.approx(theirs.param_groups[0]["lr"])
        plateau = observe_plateau(training.schedule, plateau, loss)
        scheduler.step(loss)
    assert learning_rate(training, 99, 1, plateau) == 0.05


def test_warm_up_rises_by_equal_steps_and_the_schedule_counts_from_its_end() -> None:
    training = config(kind="step", step_size=2, gamma=0.1, warmup_epochs=2)
    rates = [learning_rate(training, step, STEPS, Plateau()) for step in range(5 * STEPS)]
    assert rates[: 2 * STEPS] == pytest.approx([0.5 * (step + 1) / 8 for step in range(8)])
    assert rates[2 * STEPS : 4 * STEPS] == [0.5] * 8
    assert rates[4 * STEPS] == pytest.approx(0.05)

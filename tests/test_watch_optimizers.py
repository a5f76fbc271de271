"""Loops with several optimizers, and with gradients that the loop sets itself: compared with what NumPy computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import bntui
from bntui.audit.audit import audit
from tests.test_watch import recorded
from tests.test_watch_parameters import norm

STEPS = 7


def batch(step: int) -> torch.Tensor:
    return torch.randn(8, 6, generator=torch.Generator().manual_seed(step))


def parts() -> Any:
    torch.manual_seed(0)
    return nn.ModuleDict({"body": nn.Linear(6, 8), "head": nn.Linear(8, 2)})


def loss_of(model: Any, step: int) -> Any:
    return model["head"](functional.relu(model["body"](batch(step)))).square().mean()


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("told", ["before the steps", "between them", "after them", "never"])
def test_an_optimizer_that_follows_the_first_belongs_to_its_step(every: int, told: str, tmp_path: Path) -> None:
    """The weights of both are those of the forward pass, and the change is that of the step with this gradient."""
    model = parts()
    body = torch.optim.Adam(model["body"].parameters(), lr=0.01)
    head = torch.optim.SGD(model["head"].parameters(), lr=0.3)
    by_hand: dict[int, Any] = {}
    losses = {}
    with bntui.watch(model, [body, head], tmp_path / "run.bntui", every=every, quiet=True) as recorder:
        for step in range(1, STEPS + 1):
            before = {name: part.weight.detach().clone() for name, part in model.items()}
            loss = loss_of(model, step)
            losses[step] = loss.item()
            loss.backward()
            gradients = {name: norm(part.weight.grad) for name, part in model.items()}
            if told == "before the steps":
                recorder.step(loss=loss)
            body.step()
            if told == "between them":
                recorder.step(loss=loss)
            head.step()
            if told == "after them":
                recorder.step(loss=loss)
            moved = {
                name: norm(part.weight.detach() - before[name]) / norm(before[name]) for name, part in model.items()
            }
            by_hand[step] = {name: (norm(before[name]), gradients[name], moved[name]) for name in model}
            model.zero_grad()
    _info, frames = recorded(tmp_path / "run.bntui")
    assert [frame.step for frame in frames] == [step for step in range(1, STEPS + 1) if step == 1 or step % every == 0]
    for frame in frames:
        if told != "never":
            assert frame.batch_loss == pytest.approx(losses[frame.step], rel=1e-5)
        for layer in frame.layers:
            weight, gradient, ratio = by_hand[frame.step][layer.name]
            assert layer.weight_norm == pytest.approx(weight, rel=1e-5), (frame.step, layer.name)
            assert layer.weight_gradient_norm == pytest.approx(gradient, rel=1e-5)
            if layer.name == "body" or told != "between them":  # a loss that is told ends the step
                assert layer.update_ratio == pytest.approx(ratio, rel=1e-4), (frame.step, layer.name)
    assert audit(tmp_path / "run.bntui").true


def test_a_loop_with_two_optimizers_keeps_no_hooks_and_computes_the_same_bits(tmp_path: Path) -> None:
    ends = []
    for watched in (False, True):
        model = parts()
        both = [torch.optim.Adam(model["body"].parameters()), torch.optim.SGD(model["head"].parameters(), lr=0.3)]
        recorder = bntui.watch(model, both, tmp_path / "run.bntui", every=2, quiet=True) if watched else None
        for step in range(STEPS):
            loss = loss_of(model, step)
            loss.backward()
            for optimizer in both:
                optimizer.step()
            model.zero_grad()
            if recorder is not None:
                recorder.step(loss=loss)
        if recorder is not None:
            recorder.close()
            for optimizer in both:
                assert not optimizer._optimizer_step_pre_hooks
                assert not optimizer._optimizer_step_post_hooks
        ends.append([one.detach().clone() for one in model.parameters()])
    assert all(torch.equal(alone, seen) for alone, seen in zip(*ends, strict=True))


@pytest.mark.parametrize("scaled", [False, True])
def test_gradients_that_the_loop_sets_itself_are_those_that_the_optimizer_uses(scaled: bool, tmp_path: Path) -> None:
    """``torch.autograd.grad`` accumulates nothing; a scaler divides what is set before the optimizer uses it."""
    model = parts()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0) if scaled else None
    by_hand = {}
    with bntui.watch(model, optimizer, tmp_path / "run.bntui", every=2, scaler=scaler, quiet=True) as recorder:
        for step in range(1, STEPS + 1):
            loss = loss_of(model, step)
            goal = loss if scaler is None else scaler.scale(loss)
            for parameter, gradient in zip(
                model.parameters(), torch.autograd.grad(goal, list(model.parameters())), strict=True
            ):
                parameter.grad = gradient
            factor = 64.0 if scaled else 1.0
            by_hand[step] = {name: norm(part.weight.grad) / factor for name, part in model.items()}
            if scaler is None:
                optimizer.step()
            else:
                scaler.step(optimizer)
                scaler.update()
            recorder.step(loss=loss)
    for frame in recorded(tmp_path / "run.bntui")[1]:
        for layer in frame.layers:
            assert layer.weight_gradient_norm == pytest.approx(by_hand[frame.step][layer.name], rel=1e-5)

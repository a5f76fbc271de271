"""Unusual but honest loops, watched and alone: the same bits, no warning, and an audit that finds no contradiction."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torch.nn.utils.rnn import pack_padded_sequence
from torch.optim.swa_utils import AveragedModel
from torch.utils._python_dispatch import TorchDispatchMode

import bntui
from bntui.audit.audit import audit

STEPS = 6
Step = Callable[[Tensor, Tensor], Tensor]
Loop = Callable[[], tuple[nn.Module, Any, Step]]


def perceptron(*, norm: bool = False) -> nn.Sequential:
    middle = [nn.BatchNorm1d(8)] if norm else []
    return nn.Sequential(nn.Linear(6, 8), *middle, nn.ReLU(), nn.Linear(8, 2))


def usual(model: nn.Module, optimizer: Any, x: Tensor, y: Tensor) -> Tensor:
    loss = functional.cross_entropy(model(x), y)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    optimizer.zero_grad()
    return loss


def averaged_copy() -> tuple[nn.Module, Any, Step]:
    model = perceptron(norm=True)
    both = nn.ModuleList([model, AveragedModel(model, use_buffers=True)])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x: Tensor, y: Tensor) -> Tensor:
        loss = usual(model, optimizer, x, y)
        both[1].update_parameters(model)  # type: ignore[operator]
        return loss

    return both, optimizer, step


def sharpness_aware() -> tuple[nn.Module, Any, Step]:
    model = perceptron(norm=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x: Tensor, y: Tensor) -> Tensor:
        functional.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        moves = [0.05 * one.grad for one in model.parameters() if one.grad is not None]
        with torch.no_grad():
            for one, move in zip(model.parameters(), moves, strict=True):
                one.add_(move)
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for one, move in zip(model.parameters(), moves, strict=True):
                one.sub_(move)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return model, optimizer, step


def normalized_by_its_largest_singular_value() -> tuple[nn.Module, Any, Step]:
    model = perceptron()
    parametrizations.spectral_norm(model[0])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    return model, optimizer, lambda x, y: usual(model, optimizer, x, y)


def embedded_with_a_largest_norm() -> tuple[nn.Module, Any, Step]:
    """The forward pass itself changes the weight."""
    bag = nn.EmbeddingBag(20, 8, max_norm=1.0, sparse=True, mode="sum")
    model = nn.Sequential(bag, nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return model, optimizer, lambda x, y: usual(model, optimizer, (x.abs() * 9).long().clamp(max=19), y)


def packed_sequences() -> tuple[nn.Module, Any, Step]:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent = nn.LSTM(3, 5, 2, batch_first=True, bidirectional=True, dropout=0.1)
            self.out = nn.Linear(10, 2)

        def forward(self, x: Tensor) -> Tensor:
            packed = pack_padded_sequence(x.reshape(-1, 2, 3), [2] * 4 + [1] * 4, batch_first=True)
            _all, (last, _cell) = self.recurrent(packed)
            out: Tensor = self.out(torch.cat([last[-1], last[-2]], 1))
            return out

    model = Packed()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    return model, optimizer, lambda x, y: usual(model, optimizer, x, y)


def one_optimizer_for_each_parameter() -> tuple[nn.Module, Any, Step]:
    """Each steps in the backward pass, when its gradient is complete."""
    model = perceptron()
    for parameter in model.parameters():
        optimizer = torch.optim.SGD([parameter], lr=0.1)

        def move(_one: Tensor, optimizer: torch.optim.Optimizer = optimizer) -> None:
            optimizer.step()
            optimizer.zero_grad()

        parameter.register_post_accumulate_grad_hook(move)  # type: ignore[no-untyped-call]

    def step(x: Tensor, y: Tensor) -> Tensor:
        loss = functional.cross_entropy(model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    return model, None, step


def within_a_dispatch_mode() -> tuple[nn.Module, Any, Step]:
    class Mode(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return function(*args, **(kwargs or {}))

    model = perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x: Tensor, y: Tensor) -> Tensor:
        with Mode():  # type: ignore[no-untyped-call]
            return usual(model, optimizer, x, y)

    return model, optimizer, step


def a_model_that_is_loaded_again() -> tuple[nn.Module, Any, Step]:
    model = perceptron(norm=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    kept: list[Any] = []

    def step(x: Tensor, y: Tensor) -> Tensor:
        if len(kept) == 4:
            model.load_state_dict(kept[1])
        kept.append(copy.deepcopy(model.state_dict()))
        return usual(model, optimizer, x, y)

    return model, optimizer, step


LOOPS: tuple[Loop, ...] = (
    averaged_copy, sharpness_aware, normalized_by_its_largest_singular_value, embedded_with_a_largest_norm,
    packed_sequences, one_optimizer_for_each_parameter, within_a_dispatch_mode, a_model_that_is_loaded_again,
)  # fmt: skip


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.__name__)
def test_an_unusual_loop_computes_the_same_bits(loop: Loop, every: int, tmp_path: Path) -> None:
    ends = []
    for watched in (False, True):
        torch.manual_seed(0)
        model, optimizer, step = loop()
        recorder = None
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if watched:
                recorder = bntui.watch(model, optimizer, tmp_path / "run.bntui", every=every, quiet=True)
            for number in range(STEPS):
                x = torch.randn(8, 6, generator=torch.Generator().manual_seed(number))
                loss = step(x, (x.sum(1) > 0).long())
                if recorder is not None:
                    recorder.step(loss=loss)
            if recorder is not None:
                recorder.close()
        ends.append([*(one.clone() for one in model.state_dict().values()), torch.get_rng_state()])
    assert all(torch.equal(alone, seen) for alone, seen in zip(*ends, strict=True))
    found = audit(tmp_path / "run.bntui")
    assert found.true, found.ledger.failures

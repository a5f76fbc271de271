"""Tests the logic around captured steps on the CPU, where work is repeated instead of captured, and that steps between
keyframes never wait for a device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from bntui.scenario.network import NetworkConfig
from bntui.scenario.training import Training
from bntui.trainer.draw import Draws
from bntui.trainer.engine.captured import OFTEN, WARM_UP, Captured, Work
from bntui.trainer.engine.explicit import Explicit
from bntui.trainer.network import build
from bntui.trainer.step import Stepper

CPU = torch.device("cpu")
CONV = {"type": "conv", "channels": 4, "kernel": 3, "padding": 1, "pool": 2, "norm": "group"}
CASES: dict[str, tuple[tuple[int, ...], str, dict[str, Any], dict[str, Any], float]] = {
    "batch norm, dropout, Adam": (
        (6,), "classification", {"hidden": (12, 8), "norm": "batch", "dropout": 0.3}, {"optimizer": "adam"}, 0.0,
    ),
    "convolution, noise, momentum": (
        (1, 8, 8), "classification",
        {"layer": (CONV, {"type": "linear", "units": 6, "norm": "batch"}), "groups": 2, "norm_noise": 0.3},
        {"optimizer": "sgd", "momentum": 0.9, "lr": 0.05, "clip_norm": 0.1}, 0.0,
    ),
    "input noise, layer norm, RMSprop": (
        (6,), "regression", {"hidden": (12,), "norm": "layer", "activation": "gelu"},
        {"optimizer": "rmsprop", "momentum": 0.5, "weight_decay": 0.01, "clip_value": 0.05}, 0.2,
    ),
    "plain": ((6,), "regression", {"hidden": (4,), "activation": "tanh"}, {"optimizer": "sgd", "lr": 0.05}, 0.0),
}  # fmt: skip


class Pretended:
    """Captures by remembering the work, and counts how often it is repeated."""

    def __init__(self) -> None:
        self.replays = 0

    def __call__(self, work: Work) -> Work:
        for _step in range(WARM_UP):
            work()

        def replay() -> None:
            self.replays += 1
            work()

        return replay


def stepper_of(name: str) -> tuple[Stepper, Callable[[], dict[Any, Tensor]]]:
    """A stepper, and everything that its steps change."""
    shape, task, of_network, of_training, noise = CASES[name]
    network = build(NetworkConfig.model_validate(of_network), shape, 3, 7, CPU, noise)
    stepper = Stepper(Training.model_validate(of_training), task, network, Draws(7, CPU), CPU)
    return stepper, lambda: {**network.state(), **stepper.optimizer.state()}


def batch(name: str, size: int, seed: int) -> tuple[Tensor, Tensor]:
    shape, task, *_more = CASES[name]
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(size, *shape, generator=random)
    if task == "classification":
        return x, torch.randint(3, (size,), generator=random)
    return x, torch.randn(size, 3, generator=random)


def same(found: Mapping[Any, Tensor] | Sequence[Tensor], wanted: Mapping[Any, Tensor] | Sequence[Tensor]) -> bool:
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        assert found.keys() == wanted.keys()
        found, wanted = list(found.values()), list(wanted.values())
    return all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_captured_steps_are_the_usual_ones_bit_for_bit(name: str) -> None:
    usual, state_of_usual = stepper_of(name)
    replayed, state_of_replayed = stepper_of(name)
    engine, pretended = replayed.engine, Pretended()
    assert isinstance(engine, Explicit)
    replayed._captured = Captured(engine, replayed._draw_of, pretended)
    kept = []
    for step in range(8 * OFTEN):
        x, y = batch(name, 5 if step % 4 == 3 else 8, step)
        lr = 0.01 if step < 5 * OFTEN else 0.005
        if step == 4 * OFTEN:  # as when a run is restored: the counts move to other memory
            for one in (usual, replayed):
                one.optimizer.load({key: value.clone() for key, value in one.optimizer.state().items()})
        results = []
        for one in (usual, replayed):
            if step % 9 == 8:
                results.append(one.measured(x, y, step, lr).loss.clone())
            else:
                with one.training():
                    kept.append(one.bare(x, y, step, lr))
        assert same(results[:1], results[1:])
        assert same(state_of_replayed(), state_of_usual()), step
    pairs = zip(kept[::2], kept[1::2], strict=True)
    assert all(same(a, b) for a, b in pairs)  # none was overwritten by a later one
    assert pretended.replays > OFTEN


def test_what_cannot_be_captured_is_stepped_as_usual() -> None:
    def refuse(_work: Work) -> Work:
        raise RuntimeError("operation not permitted when stream is capturing")

    usual, state_of_usual = stepper_of("plain")
    refused, state_of_refused = stepper_of("plain")
    engine = refused.engine
    assert isinstance(engine, Explicit)
    refused._captured = Captured(engine, refused._draw_of, refuse)
    for step in range(2 * OFTEN):
        x, y = batch("plain", 8, step)
        for one in (usual, refused):
            with one.training():
                one.bare(x, y, step, 0.01)
    assert same(state_of_refused(), state_of_usual())


def test_an_activation_that_needs_autograd_is_not_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bntui.trainer.engine.activations._ACTIVATIONS", {})
    stepper, _state = stepper_of("plain")
    assert isinstance(stepper.engine, Explicit)
    captured = Captured(stepper.engine, stepper._draw_of, Pretended())
    with stepper.training():
        assert [captured.step(*batch("plain", 8, 0), 0.01) for _step in range(2 * OFTEN)] == [None] * 2 * OFTEN


class Waits(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collects operations whose results the CPU must know, for which it would wait for a device."""

    WAITING = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "unique", "_to_copy", "item")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        if any(word in func.__name__ for word in self.WAITING):
            self.found.append(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", CASES)
def test_steps_between_keyframes_never_wait_for_the_device(name: str) -> None:
    stepper, _state = stepper_of(name)
    with stepper.training(), Waits() as waits:
        for step in range(3):
            stepper.bare(*batch(name, 8, step), step, 0.01)
    assert waits.count > 20
    assert not waits.found
    with Waits() as waits:
        float(torch.ones(()))
    assert waits.found  # waiting is noticed

"""Tests that the audit's bounds hold PyTorch's float32 where figures leave its range or a momentum is near 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bntui.audit.bounded import Bounded
from bntui.audit.ledger import Ledger, Place
from bntui.audit.masks import check_noise
from bntui.audit.normalize import backward, scaled, standardize
from bntui.audit.optimizers import OPTIMIZERS
from bntui.audit.recurrence import normalized_by
from bntui.audit.values import running
from bntui.scenario.schema import RunConfig


@pytest.mark.parametrize("momentum", [1e-6, 0.1, 0.9, 0.99, 0.9999, 1 - 1e-7, 1.0])
def test_running_statistics_lie_within_the_bound_for_every_momentum(momentum: float) -> None:
    """1 - momentum loses the digits that momentum lost: with a mean of 0, nothing else is left of the bound."""
    rng = np.random.default_rng(3)
    before = rng.normal(size=1000).astype(np.float32)
    x = torch.zeros(5, 1000)
    x[:, ::2] = torch.from_numpy(rng.normal(size=(5, 500)).astype(np.float32))
    norm = torch.nn.BatchNorm1d(1000, momentum=momentum)
    assert norm.running_mean is not None
    norm.running_mean.copy_(torch.from_numpy(before))
    norm(x)
    ours = running(before, standardize(Bounded.exact(x.numpy()), (0,), 1e-5).mean[0], momentum)
    assert (np.abs(norm.running_mean.numpy() - ours.value) <= ours.error).all()
    assert ours.error.max() < 1e-5


BEYOND = [
    pytest.param(2.0**53, 1e-30, 5e9, id="mean · s · gamma is infinite"),
    pytest.param(0.5, 1e-30, 1e25, id="s · gamma is infinite"),
]


@pytest.mark.parametrize(("value", "eps", "gamma"), BEYOND)
@pytest.mark.parametrize("training", [True, False])
def test_what_overflows_on_the_way_is_undetermined(value: float, eps: float, gamma: float, training: bool) -> None:
    """PyTorch computes x · (s · gamma) + (beta - mean · s · gamma); both may be infinite where γ x̂ + β is 0."""
    x = np.full((6, 2), value, np.float32)
    mean, var, scale, shift = (np.array([number] * 2, np.float32) for number in (value, 0, gamma, 1))
    tensors = [torch.from_numpy(array.copy()) for array in (x, mean, var, scale, shift)]
    theirs = torch.batch_norm(
        tensors[0], tensors[3], tensors[4], tensors[1], tensors[2], training, 0.1, eps, cudnn_enabled=False
    ).numpy()
    assert not np.isfinite(theirs).all()
    known = [Bounded.exact(array) for array in (x, mean, var, scale, shift)]
    with np.errstate(all="ignore"):
        if training:
            ours = scaled(standardize(known[0], (0,), eps), known[3], known[4], x.shape)
        else:
            ours = normalized_by(known[0], known[1], known[2], eps, known[3], known[4])
    assert not np.isfinite(ours.error).any()


@pytest.mark.parametrize("power", range(50, 68))
def test_sums_of_squares_that_overflow_are_undetermined(power: int) -> None:
    """The squares of nine values near 2^63 are below float32's largest number, but not their sum."""
    x = (2.0**power * np.random.default_rng(power).normal(size=(20, 9))).astype(np.float32)
    ones = np.ones(9, np.float32)
    theirs = torch.nn.functional.layer_norm(torch.from_numpy(x), (9,), eps=1e-12).numpy()
    with np.errstate(all="ignore"):
        ours = scaled(standardize(Bounded.exact(x), (1,), 1e-12), Bounded.exact(ones), Bounded.exact(0 * ones), x.shape)
        sound = np.isfinite(ours.error)
        assert (np.abs(theirs - ours.value)[sound] <= ours.error[sound]).all()
    assert sound.all() or power > 60


def test_what_stays_in_range_is_determined() -> None:
    x = (1e12 + 1e10 * np.random.default_rng(0).normal(size=(6, 2))).astype(np.float32)
    ones = np.ones(2, np.float32)
    theirs = torch.nn.functional.batch_norm(
        torch.from_numpy(x), None, None, torch.from_numpy(1e9 * ones), torch.from_numpy(ones), training=True, eps=1e-5
    ).numpy()
    ours = scaled(standardize(Bounded.exact(x), (0,), 1e-5), Bounded.exact(1e9 * ones), Bounded.exact(ones), x.shape)
    assert (np.abs(theirs - ours.value) <= ours.error).all()
    assert np.isfinite(ours.error).all()


OPTIMIZING: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": "sgd"},
    "sgd, nesterov": {"optimizer": "sgd", "momentum": 0.9, "nesterov": True},
    "adam": {"optimizer": "adam"},
    "adamw": {"optimizer": "adamw"},
    "rmsprop": {"optimizer": "rmsprop"},
    "rmsprop, momentum": {"optimizer": "rmsprop", "momentum": 0.5},
}
TO: dict[str, Any] = {
    "sgd": lambda p, lr, c: torch.optim.SGD(
        p, lr, momentum=c["momentum"], nesterov=c["nesterov"], weight_decay=c["weight_decay"], fused=True
    ),
    "rmsprop": lambda p, lr, c: torch.optim.RMSprop(
        p, lr, momentum=c["momentum"], weight_decay=c["weight_decay"], foreach=True
    ),
    "adam": lambda p, lr, c: torch.optim.Adam(p, lr, weight_decay=c["weight_decay"], fused=True),
    "adamw": lambda p, lr, c: torch.optim.AdamW(p, lr, weight_decay=c["weight_decay"], fused=True),
}


@pytest.mark.parametrize("decay", [0.0, 0.1, 1e6])
@pytest.mark.parametrize("name", OPTIMIZING)
def test_steps_of_every_size_lie_within_the_bounds_or_are_undetermined(name: str, decay: float) -> None:
    """Two steps of PyTorch's optimizer in float32: parameters, gradients, and rates from 1e-30 to 1e30."""
    made = {"data": {"source": "digits"}, "network": {}, "training": OPTIMIZING[name] | {"weight_decay": decay}}
    config = RunConfig.model_validate({**made, "record": {}}).training.model_dump()
    rng = np.random.default_rng(5)
    judged = 0
    for lr in (1e-30, 1e-3, 1.0, 1e10, 1e20, 1e30):
        p, *gradients = (
            (10.0 ** rng.uniform(-30, 30, 2000) * rng.choice([-1, 1], 2000)).astype(np.float32) for _ in range(3)
        )
        tensor = torch.from_numpy(p.copy())
        optimizer = TO[config["optimizer"]]([tensor], lr, config)
        for number, gradient in enumerate(gradients):
            state = optimizer.state.get(tensor, {})
            memory = {key: value.numpy().astype(np.float64) for key, value in state.items() if value is not None}
            if not memory and config["optimizer"] != "sgd":
                zeros = np.zeros(2000)
                memory = dict.fromkeys(("exp_avg", "exp_avg_sq", "square_avg", "momentum_buffer"), zeros)
            known = {**memory, "step": np.array([float(number)])}
            before, tensor.grad = tensor.numpy().astype(np.float64), torch.from_numpy(gradient)
            optimizer.step()
            with np.errstate(all="ignore"):
                ours, _ = OPTIMIZERS[config["optimizer"]](config, before, Bounded.exact(gradient), known, lr)
                sound = np.isfinite(before) & np.isfinite(ours.error)
                for value in memory.values():
                    sound &= np.isfinite(value)
                apart = np.abs(tensor.numpy() - ours.value)
            assert (apart[sound] <= ours.error[sound]).all(), (lr, number)
            judged += int(sound.sum())
    assert judged > 5000


@pytest.mark.parametrize(
    ("size", "noise", "fits"), [(1.0, 10.0, True), (4e10, 10.0, True), (1e6, 0.1, True), (1, 20, False)]
)
def test_noise_may_be_lost_in_large_inputs(size: float, noise: float, fits: bool) -> None:
    """float32 near 4e10 has steps of 4096; at 1e6, of 0.0625."""
    drawn = np.random.default_rng(0).normal(size=(500, 2)) * noise
    x = np.random.default_rng(1).normal(size=(500, 2)).astype(np.float32) * np.float32(size)
    noisy = x + drawn.astype(np.float32)
    ledger = Ledger()
    check_noise(ledger, Place("a", 1, 0.5), x, noisy, noise if fits else noise / 2)
    assert bool(ledger.failures) is not fits


@pytest.mark.parametrize("power", [-30, -26, -22, -18, -10, 0])
def test_gradients_of_large_inputs_lie_within_the_bounds(power: int) -> None:
    """PyTorch multiplies Σ d x by s³ first, which may be below float32's range, and then by x, which may be large."""
    x = (4e10 + 3e9 * np.random.default_rng(0).normal(size=(48, 2))).astype(np.float32)
    d = (10.0**power * np.random.default_rng(1).normal(size=(48, 2))).astype(np.float32)
    leaf = torch.from_numpy(x).requires_grad_()
    torch.nn.functional.layer_norm(leaf, (2,), eps=1e10).backward(torch.from_numpy(d))  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    ours = backward(standardize(Bounded.exact(x), (1,), 1e10), Bounded.exact(d), Bounded.exact(d), centered=False)
    assert (np.abs(leaf.grad.numpy() - ours.value) <= ours.error).all()
    assert power < -10 or ours.error.max() < 1e-8 * 10.0**power

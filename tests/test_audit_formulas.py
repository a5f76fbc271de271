"""Tests the audit's formulas against PyTorch: networks of every kind, autograd, optimizers, float32 rounding."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from bntui.audit.backward import ForwardPass, Gradients, backpropagate, cross_entropy, loss_gradient, squared_error
from bntui.audit.bounded import Bounded
from bntui.audit.forward import evaluate, train
from bntui.audit.network import RecordedStage, members, parameter_names, stages_of, state_names
from bntui.audit.optimizers import OPTIMIZERS, clipped
from bntui.audit.recurrence import unroll
from bntui.audit.subject import Subject
from bntui.audit.sums import spectral
from bntui.audit.tolerances import Precision
from bntui.audit.validation import exactly
from bntui.recording.history import RunInfo
from bntui.scenario.activations import ActivationName
from bntui.scenario.network import NetworkConfig
from bntui.scenario.schema import RunConfig
from bntui.trainer import network as theirs

CPU = torch.device("cpu")
WIDE = Precision(unit=2.0**-53)
"""PyTorch in float64 stands for the trainer where a formula is held against it."""
Values = NDArray[Any]

NETWORKS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    **{f"dense, {name}": ({"hidden": (7, 5), "activation": name, "norm": "batch"}, (6,))
       for name in get_args(ActivationName)},
    "layer norm": ({"hidden": (8, 8), "norm": "layer", "activation": "tanh", "dropout": 0.4}, (6,)),
    "group norm": ({"hidden": (8, 6), "norm": "group", "groups": 2, "activation": "gelu"}, (6,)),
    "norm after the activation": (
        {"hidden": (8, 6), "norm": "batch", "norm_position": "after_activation", "activation": "relu"}, (6,)),
    "noise": ({"hidden": (8, 6), "norm": "batch", "norm_noise": 0.5, "activation": "tanh"}, (6,)),
    "images": (
        {"layer": (
            {"type": "conv", "channels": 4, "pool": 2},
            {"type": "conv", "channels": 6, "kernel": 2, "stride": 2, "padding": 1},
            {"type": "linear", "units": 5}),
         "norm": "batch", "activation": "relu", "dropout": 0.2}, (2, 7, 8)),
    "images, group norm": (
        {"layer": ({"type": "conv", "channels": 4},), "norm": "group", "groups": 2, "activation": "tanh"}, (1, 5, 5)),
    "images, layer norm": (
        {"layer": ({"type": "conv", "channels": 4},), "norm": "layer", "activation": "tanh"}, (1, 5, 5)),
    "an image's rows": ({"layer": ({"type": "recurrent", "units": 5, "cell": "gru"},)}, (2, 4, 3)),
    "steps of a sequence, flattened": ({"hidden": (5,)}, (4, 3)),
    **{f"{cell}, {norm}, {where}": (
        {"layer": (
            {"type": "recurrent", "units": 5, "cell": cell}, {"type": "recurrent", "units": 4, "cell": cell},
            {"type": "linear", "units": 3}),
         "norm": norm, "norm_recurrent": where, "activation": "tanh", "norm_gamma": 0.4, "dropout": 0.2}, (6, 3))
       for cell in ("elman", "gru", "lstm") for norm, where in (
           ("none", "input"), ("batch", "input"), ("batch", "step"), ("layer", "input"))},
    "elman, relu": ({"layer": ({"type": "recurrent", "units": 5},), "activation": "relu"}, (6, 3)),
}  # fmt: skip


def built(name: str, classes: int = 4, seed: int = 5) -> tuple[theirs.Network, Subject]:
    """PyTorch's network in float64, its parameters moved off their special values, and the audit's view of it."""
    kind, shape = NETWORKS[name]
    config = NetworkConfig(**kind)
    network = theirs.build(config, shape, classes, seed, CPU)
    drawn = torch.Generator().manual_seed(seed)
    for stage in network.stages:
        stage.module.double()
        for parameter in stage.module.parameters():
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=drawn, dtype=torch.float64)
    plain = {"data": {}, "training": {}, "record": {}, "network": config.model_dump(mode="json")}
    run = RunInfo(0, "x", plain, network.layers, 1, "cpu")
    return network, Subject(run, stages_of(run), None, "classification", WIDE)


def sample(name: str, count: int, seed: int) -> Tensor:
    shape = NETWORKS[name][1]
    return torch.randn((count, *shape), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def state_of(network: theirs.Network) -> dict[str, Values]:
    return {name: tensor.detach().numpy().copy() for name, tensor in network.state().items()}


def drawing(
    stages: tuple[RecordedStage, ...], seed: int
) -> tuple[dict[int, Values], Callable[[theirs.Stage, Tensor], Tensor]]:
    """Masks and noise, as the audit has them, and a function that gives PyTorch the same."""
    rng = np.random.default_rng(seed)
    draws: dict[int, Values] = {}
    waiting = [stage for stage in stages if stage.kind in ("dropout", "noise")]

    def draw(stage: theirs.Stage, x: Tensor) -> Tensor:
        mine = waiting.pop(0)
        assert mine.kind == stage.kind
        if stage.kind == "dropout":
            draws[mine.at] = rng.random(x.shape) > stage.amount
            return x * torch.from_numpy(draws[mine.at]).double() / (1 - stage.amount)
        draws[mine.at] = np.stack([1 + rng.random(x.shape), rng.random(x.shape)])
        return torch.from_numpy(draws[mine.at][0]) * x + torch.from_numpy(draws[mine.at][1])

    return draws, draw


@pytest.mark.parametrize("name", NETWORKS)
def test_all_stages_and_all_gradients_are_autograds(name: str) -> None:
    network, subject = built(name)
    x = sample(name, 9, 1)
    target = torch.arange(9) % 4
    before = state_of(network)
    draws, draw = drawing(subject.stages, 2)
    values = theirs.forward(network.stages, x, draw)
    parameters = network.named_parameters()
    loss = torch.nn.functional.cross_entropy(values[-1], target)
    asked = [value for value in values if value.requires_grad]
    answers = torch.autograd.grad(loss, (*asked, *parameters.values()))
    of_value = dict(zip(map(id, asked), answers, strict=False))

    state, entering = exactly(before, WIDE.unit), Bounded.exact(x.numpy(), WIDE.unit)
    ours = train(subject.stages, entering, state, draws, WIDE)
    for stage, mine, there in zip(subject.stages, ours, values, strict=True):
        np.testing.assert_allclose(mine.value, there.detach().numpy(), rtol=1e-9, atol=1e-11, err_msg=stage.kind)
    assert cross_entropy(ours[-1], target.numpy()).value.mean() == pytest.approx(float(loss.detach()), rel=1e-12)

    d = loss_gradient("classification", ours[-1], target.numpy())
    found = backpropagate(ForwardPass(subject.stages, entering, ours, state, draws, WIDE), d)
    for stage, back, value in zip(subject.stages, found.values, values, strict=True):
        if id(value) in of_value:
            assert back is not None
            np.testing.assert_allclose(
                back.value, of_value[id(value)].numpy(), rtol=1e-7, atol=1e-11, err_msg=f"{stage.at} {stage.kind}"
            )
    assert set(found.parameters) == set(parameters) == set(parameter_names(subject.stages))
    for (parameter, _tensor), there in zip(parameters.items(), answers[len(asked) :], strict=True):
        of_parameter = found.parameters[parameter].value.reshape(there.shape)
        np.testing.assert_allclose(of_parameter, there.numpy(), rtol=1e-7, atol=1e-11, err_msg=parameter)


@pytest.mark.parametrize("name", NETWORKS)
def test_evaluation_mode_is_pytorchs(name: str) -> None:
    network, subject = built(name)
    draws, draw = drawing(subject.stages, 2)
    theirs.forward(network.stages, sample(name, 9, 1), draw)  # the running statistics move
    network.train(False)
    x = sample(name, 5, 3)
    there = theirs.forward(network.stages, x)[-1].detach().numpy()
    entering = Bounded.exact(x.numpy(), WIDE.unit, by_sample=True)
    ours = evaluate(subject.stages, entering, exactly(state_of(network), WIDE.unit), WIDE)
    np.testing.assert_allclose(ours.value, there, rtol=1e-9, atol=1e-11)
    assert draws or "dropout" not in {stage.kind for stage in subject.stages}


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_and_buffers_stand_in_pytorchs_order(name: str) -> None:
    network, subject = built(name)
    assert state_names(subject.stages) == list(network.state())
    assert parameter_names(subject.stages) == list(network.named_parameters())


def test_a_stage_without_parameters_has_no_members() -> None:
    _network, subject = built("images")
    assert [members(stage) for stage in subject.stages if stage.kind in ("pool", "dropout", "flatten")] == [[]] * 5


@pytest.mark.parametrize("cell", ["elman", "gru", "lstm"])
def test_running_statistics_within_a_recurrence_are_pytorchs(cell: str) -> None:
    name = f"{cell}, batch, step"
    network, subject = built(name)
    before = state_of(network)
    stage = next(s for s in subject.stages if s.kind == "activation")
    draws, draw = drawing(subject.stages, 2)
    values = theirs.forward(network.stages, sample(name, 9, 1), draw)
    assert draws
    projected = Bounded.exact(values[stage.at - 1].detach().numpy(), WIDE.unit)
    unrolled = unroll(stage, projected, exactly(before, WIDE.unit))
    for prefix, (mean, var) in unrolled.statistics.items():
        for of, new in (("running_mean", mean.value), ("running_var", var.value * 9 / 8)):
            full = stage.name(f"{prefix}.{of}")
            expected = network.state()[full].numpy()
            np.testing.assert_allclose(0.9 * before[full] + 0.1 * new, expected, rtol=1e-9, atol=1e-12)
    assert set(unrolled.statistics) == ({"norm", "norm_cell"} if cell == "lstm" else {"norm"})


def test_the_gradient_of_the_squared_error_in_float32_lies_within_the_bounds() -> None:
    """Also where 2 / samples is no float32 number."""
    rng = np.random.default_rng(3)
    for samples in range(1, 60):
        output, target = rng.normal(size=(2, samples, 1)).astype(np.float32)
        x = torch.tensor(output, requires_grad=True)
        (gradient,) = torch.autograd.grad(torch.nn.functional.mse_loss(x, torch.tensor(target)), x)
        ours = loss_gradient("regression", Bounded.exact(output.astype(np.float64), 2.0**-24), target)
        assert (np.abs(gradient.numpy() - ours.value) <= ours.error).all(), samples
        size, lost = ours.length()
        assert abs(float(np.linalg.norm(gradient.numpy().astype(np.float64))) - size) <= lost, samples


def test_the_squared_error_is_pytorchs() -> None:
    output, target = torch.randn(6, 3, dtype=torch.float64, requires_grad=True), torch.randn(6, 3, dtype=torch.float64)
    loss = torch.nn.functional.mse_loss(output, target)
    loss.backward()  # type: ignore[no-untyped-call]
    mine = Bounded.exact(output.detach().numpy(), WIDE.unit)
    assert squared_error(mine, target.numpy()).value.mean() == pytest.approx(float(loss.detach()))
    assert output.grad is not None
    np.testing.assert_allclose(loss_gradient("regression", mine, target.numpy()).value, output.grad.numpy())


OPTIMIZING = {
    "sgd": {"optimizer": "sgd"},
    "sgd, momentum": {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.01},
    "sgd, nesterov": {"optimizer": "sgd", "momentum": 0.9, "nesterov": True},
    "adam": {"optimizer": "adam", "weight_decay": 0.01},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1, "betas": (0.8, 0.99)},
    "rmsprop": {"optimizer": "rmsprop", "weight_decay": 0.01},
    "rmsprop, momentum": {"optimizer": "rmsprop", "momentum": 0.5, "alpha": 0.9},
    "clipped norm": {"optimizer": "sgd", "clip_norm": 0.5},
    "clipped values": {"optimizer": "adam", "clip_value": 0.1},
    "both": {"optimizer": "sgd", "clip_norm": 0.9, "clip_value": 0.1},
}  # fmt: skip


def pytorchs(config: dict[str, Any], parameters: list[Tensor], lr: float) -> torch.optim.Optimizer:
    decay = config["weight_decay"]
    if config["optimizer"] == "sgd":
        return torch.optim.SGD(
            parameters, lr, momentum=config["momentum"], nesterov=config["nesterov"], weight_decay=decay
        )
    if config["optimizer"] == "rmsprop":
        return torch.optim.RMSprop(
            parameters, lr, alpha=config["alpha"], momentum=config["momentum"], weight_decay=decay
        )
    kind = torch.optim.Adam if config["optimizer"] == "adam" else torch.optim.AdamW
    return kind(parameters, lr, betas=config["betas"], weight_decay=decay)


@pytest.mark.parametrize("name", OPTIMIZING)
def test_a_step_is_the_one_of_pytorchs_optimizer(name: str) -> None:
    made = RunConfig.model_validate(
        {"data": {"source": "digits"}, "network": {}, "training": OPTIMIZING[name], "record": {}}
    )
    config = made.training.model_dump()
    rng = np.random.default_rng(1)
    mine = {"a": rng.normal(size=(3, 4)), "b": rng.normal(size=5)}
    tensors = {key: torch.from_numpy(values.copy()) for key, values in mine.items()}
    optimizer = pytorchs(config, list(tensors.values()), 0.03)
    zero = {"exp_avg", "exp_avg_sq", "square_avg"} if config["optimizer"] != "sgd" else set()
    memory: dict[str, dict[str, Values]] = {
        key: {state: np.zeros_like(values) for state in (*zero, *(["momentum_buffer"] if zero else []))}
        for key, values in mine.items()
    }
    for step in range(5):
        gradients = {key: rng.normal(size=values.shape) for key, values in mine.items()}
        for key, tensor in tensors.items():
            tensor.grad = torch.from_numpy(gradients[key].copy())
        if config["clip_norm"] is not None:
            torch.nn.utils.clip_grad_norm_(tensors.values(), config["clip_norm"])
        if config["clip_value"] is not None:
            torch.nn.utils.clip_grad_value_(tensors.values(), config["clip_value"])
        optimizer.step()
        within = clipped(config, exactly(gradients, WIDE.unit))
        for key in mine:
            known = memory[key] | {"step": np.array([float(step)])}
            after, moved = OPTIMIZERS[config["optimizer"]](config, mine[key], within[key], known, 0.03)
            mine[key] = after.value
            memory[key] |= moved
            np.testing.assert_allclose(mine[key], tensors[key].numpy(), rtol=1e-10, atol=1e-13)


def quietly(test: Callable[..., None]) -> Callable[..., None]:
    """Infinite bounds are part of the arithmetic, as in the audit itself."""

    @functools.wraps(test)
    def quiet(*args: Any, **kwargs: Any) -> None:
        with np.errstate(all="ignore"):
            test(*args, **kwargs)

    return quiet


BOUNDING = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@BOUNDING
@given(
    name=st.sampled_from(sorted(NETWORKS)),
    seed=st.integers(0, 10_000),
    count=st.integers(2, 12),
    scale=st.sampled_from([1e-4, 0.01, 1.0, 30.0, 1e4]),
    shift=st.sampled_from([0.0, 0.0, 100.0]),
)
@quietly
def test_float32_lies_within_the_bounds(name: str, seed: int, count: int, scale: float, shift: float) -> None:
    """PyTorch in float32 stands for the trainer: all that it computes has to lie within the bound, whatever the
    network; outputs of a whole pass, gradients of values and parameters."""
    network, subject = built(name, seed=seed)
    single = copy.deepcopy(network)
    for stage in single.stages:
        stage.module.float()
    x = (scale * sample(name, count, seed) + scale * shift).float()
    target = torch.arange(count) % 4
    cpu = Precision()
    before = exactly(state_of(single), cpu.unit)
    draws, draw = drawing(subject.stages, seed)
    values = theirs.forward(single.stages, x, lambda stage, v: draw(stage, v.double()).float())
    parameters = single.named_parameters()
    loss = torch.nn.functional.cross_entropy(values[-1], target)
    asked = [value for value in values if value.requires_grad]
    answers = torch.autograd.grad(loss, (*asked, *parameters.values()))
    recorded = [Bounded.exact(value.detach().numpy(), cpu.unit) for value in values]
    entering = Bounded.exact(x.numpy(), cpu.unit)
    draws = {at: drawn.astype(np.float32) for at, drawn in draws.items()}
    d = loss_gradient("classification", recorded[-1], target.numpy())

    forward = ForwardPass(subject.stages, entering, recorded, before, draws, cpu)

    def back(tried: bool) -> Gradients:
        return backpropagate(forward, d.tried() if tried else d)

    exact = back(False)
    likely = exact.or_smaller(back(True))
    for name, bound in likely.parameters.items():  # what probability says holds too
        within(answers[len(asked) + list(parameters).index(name)].numpy().reshape(bound.shape), bound, name)
    for (parameter, _tensor), there in zip(parameters.items(), answers[len(asked) :], strict=True):
        within(there.numpy(), exact.parameters[parameter].reshape(*there.shape), parameter)
    of_value = dict(zip(map(id, asked), answers, strict=False))
    for value, ours in zip(values, exact.values, strict=True):
        if ours is not None and id(value) in of_value:
            within(of_value[id(value)].numpy(), ours, "value")
    whole = train(subject.stages, entering, before, draws, cpu)
    for value, ours in zip(values, whole, strict=True):
        within(value.detach().numpy(), ours, "training mode")
    last = exact.parameters["output.linear.weight"]
    assert float(last.error.max()) <= 1e-4 * float(np.abs(recorded[-2].value).max() + 1)  # and would not pass anything


@BOUNDING
@given(
    name=st.sampled_from(sorted(NETWORKS)),
    seed=st.integers(0, 10_000),
    scale=st.sampled_from([1e-4, 1.0, 30.0]),
)
@quietly
def test_float32_in_evaluation_mode_lies_within_the_bounds(name: str, seed: int, scale: float) -> None:
    network, subject = built(name, seed=seed)
    for stage in network.stages:
        stage.module.float()
    _draws, draw = drawing(subject.stages, seed)
    x = (scale * sample(name, 9, seed)).float()
    theirs.forward(network.stages, x, lambda stage, v: draw(stage, v.double()).float())
    network.train(False)
    there = theirs.forward(network.stages, x)[-1].detach().numpy()
    cpu = Precision()
    entering = Bounded.exact(x.numpy(), cpu.unit, by_sample=True)
    ours = evaluate(subject.stages, entering, exactly(state_of(network), cpu.unit), cpu)
    within(there, ours, "evaluation mode")
    if subject.stages[0].kind == "linear":  # and the bound is no pass for everything
        assert float(ours.error.max()) <= 1e-3 * float(np.abs(ours.value).max() + 1)


def within(single: Values, ours: Bounded, what: str) -> None:
    """Each value within its bound, and all of them within the bound of their norm."""
    apart = np.abs(single.astype(np.float64) - ours.value)
    assert ours.error.shape == ours.value.shape == single.shape
    known = np.isfinite(ours.error)
    assert (apart[known] <= ours.error[known]).all(), (what, float((apart / ours.error)[known].max()))
    if known.all():
        assert float(np.sqrt((apart**2).sum())) <= float(np.sqrt((ours.norm**2).sum())) * (1 + 1e-9), what


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 1000), st.sampled_from([0.0, 1e-30, 1.0, 1e30]))
def test_the_spectral_norm_is_bounded_from_above_and_not_by_much(m: int, n: int, seed: int, scale: float) -> None:
    matrix = scale * np.random.default_rng(seed).normal(size=(m, n))
    norm = float(np.linalg.norm(matrix, 2))
    assert norm * (1 - 1e-12) <= spectral(matrix) <= 1.54 * norm  # 30 ** (1 / 8)

"""Tests the explicit engine against PyTorch's modules, autograd, and optimizers, over random networks."""

from __future__ import annotations

import itertools
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bntui.audit.audit import audit
from bntui.recording.reader import Reader
from bntui.scenario.activations import ACTIVATIONS
from bntui.scenario.load import Override, parse
from bntui.scenario.network import NetworkConfig
from bntui.scenario.training import Training
from bntui.trainer.draw import Draws
from bntui.trainer.engine.autograd import Autograd
from bntui.trainer.engine.explicit import Explicit
from bntui.trainer.network import Network, Stage, build
from bntui.trainer.session import Session
from bntui.trainer.step import drawn
from tests import forger
from tests.honest import BASE, CONV, SEQUENCE, after, finish, fork, kill, stop
from tests.same import compare
from tests.spread import ALL
from tests.test_session import never, train

CPU = torch.device("cpu")
SLOW = settings(max_examples=400 if ALL else 60, deadline=None, suppress_health_check=list(HealthCheck))
OPTIMIZERS = {
    "sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop,
}  # fmt: skip


@st.composite
def networks(draw: st.DrawFn) -> dict[str, Any]:
    """Hidden layers of all kinds with norms, activations, and dropout of their own."""
    layers: list[dict[str, Any]] = []
    side = 8
    for _ in range(draw(st.integers(0, 2))):
        kernel, stride = draw(st.sampled_from([1, 2, 3])), draw(st.sampled_from([1, 2]))
        padding = draw(st.sampled_from([1, 2] if side < kernel else [0, 1, 2]))
        side = (side + 2 * padding - kernel) // stride + 1
        layer: dict[str, Any] = {"type": "conv", "channels": draw(st.sampled_from([2, 4])), "kernel": kernel}
        layer |= {"stride": stride, "padding": padding}
        if stride == 1 and kernel == 2 * padding + 1:
            layer["padding"] = draw(st.sampled_from([padding, "same"]))
        if side > 1:
            layer["pool"] = draw(st.sampled_from([1, 2]))
            side //= layer["pool"]
        layers.append(layer)
    dense = st.lists(st.sampled_from([2, 4, 12, 20]), min_size=0 if layers else 1, max_size=3)
    layers += [{"type": "linear", "units": units} for units in draw(dense)]
    for layer in layers:
        layer["activation"] = draw(st.sampled_from(sorted(ACTIVATIONS)))
        layer["norm"] = draw(st.sampled_from(["none", "batch", "layer", "group"]))
        layer["dropout"] = draw(st.sampled_from([0.0, 0.0, 0.3]))
    return {
        "layer": tuple(layers),
        "groups": draw(st.sampled_from([1, 2])),
        "norm_position": draw(st.sampled_from(["before_activation", "after_activation"])),
        "norm_noise": draw(st.sampled_from([0.0, 0.0, 0.3])),
        "norm_eps": draw(st.sampled_from([1e-5, 1e-3])),
        "norm_momentum": draw(st.sampled_from([0.1, 0.5])),
        "init": draw(st.sampled_from(["default", "he", "normal:0.5"])),
    }


@st.composite
def trainings(draw: st.DrawFn) -> dict[str, Any]:
    optimizer = draw(st.sampled_from(sorted(OPTIMIZERS)))
    found: dict[str, Any] = {"optimizer": optimizer, "lr": 0.05 if optimizer == "sgd" else 0.01}
    if optimizer in ("sgd", "rmsprop"):
        found["momentum"] = draw(st.sampled_from([0.0, 0.9]))
    if optimizer == "sgd" and found["momentum"]:
        found["nesterov"] = draw(st.booleans())
    if optimizer in ("adam", "adamw"):
        found["betas"] = draw(st.sampled_from([(0.9, 0.999), (0.5, 0.9)]))
    found["weight_decay"] = draw(st.sampled_from([0.0, 0.01]))
    found["clip_norm"] = draw(st.sampled_from([None, 0.1]))
    found["clip_value"] = draw(st.sampled_from([None, 0.05]))
    return found


def no_draw(stage: Stage, x: Tensor) -> tuple[Tensor, Tensor]:
    raise AssertionError(stage.kind, x.shape)


class Oracle:
    """The same network by PyTorch's modules alone."""

    def __init__(self, network: Network, task: str, dtype: torch.dtype) -> None:
        self.network, self.task, self.dtype = network, task, dtype
        for stage in network.stages:
            stage.module.to(dtype)

    def passes(self, x: Tensor, y: Tensor, draws: list[Tensor]) -> tuple[list[Tensor], dict[str, Tensor], Tensor]:
        """Outputs of all stages, gradients of all parameters, and the loss."""
        given_ = (draw.clone() for draw in draws)  # inference tensors are unknown to autograd
        values: list[Tensor] = []
        x = x.to(self.dtype)
        for stage in self.network.stages:
            if stage.kind == "dropout":
                x = x * next(given_).to(self.dtype)
            elif stage.kind == "input_noise":
                x = x + next(given_).to(self.dtype)
            elif stage.kind == "noise":
                scale, shift = next(given_).to(self.dtype)
                x = scale * x + shift
            else:
                x = stage.module(x)
            values.append(x)
        loss = (
            nn.functional.cross_entropy(x, y)
            if self.task == "classification"
            else nn.functional.mse_loss(x, y.to(self.dtype))
        )
        named = self.network.named_parameters()
        return values, dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True)), loss.detach()


def close(found: Tensor, single: Tensor, exact: Tensor, size: float) -> bool:
    """True if ``found`` is as close to the result in float64 as rounding in float32 allows.

    Args:
        single: PyTorch's result in float32, whose error may be ten times as large.
        size: magnitude of the figures that were added and cancelled.
    """
    allowed = 10 * float((single.double() - exact).abs().max()) + 1e-5 * size
    return bool((found.double() - exact).abs().max() <= allowed)


@SLOW
@given(
    networks(), trainings(), st.sampled_from([1, 2, 7, 30]), st.sampled_from(["classification", "regression"]),
    st.sampled_from([0.0, 0.1]), st.integers(0, 1000),
)  # fmt: skip
def test_passes_and_updates_are_those_of_pytorch(
    config: dict[str, Any], training: dict[str, Any], batch: int, task: str, input_noise: float, seed: int
) -> None:
    if batch == 1:  # there is nothing to normalize
        config["layer"] = tuple(layer | {"norm": layer["norm"].replace("batch", "none")} for layer in config["layer"])
        config["groups"] = 1
    training_config = Training.model_validate(training)
    made, single, double = (
        build(NetworkConfig.model_validate(config), (1, 8, 8), 5, seed, CPU, input_noise) for _ in range(3)
    )
    single_oracle, oracle = Oracle(single, task, torch.float32), Oracle(double, task, torch.float64)
    draws, random = Draws(seed, CPU), torch.Generator().manual_seed(seed)
    steps = itertools.count()

    def draw(stage: Stage, x: Tensor) -> tuple[Tensor, Tensor]:
        return drawn(draws, made, stage, next(steps), x)

    engine = Explicit(training_config, task, made, draw, CPU)
    arguments = {
        name: value for name, value in training.items() if name not in ("optimizer", "clip_norm", "clip_value")
    }
    optimizer = OPTIMIZERS[training["optimizer"]](single.named_parameters().values(), **arguments)
    for _ in range(3):
        x = torch.randn((batch, 1, 8, 8), generator=random)
        y = torch.randint(0, 5, (batch,), generator=random)
        if task == "regression":
            y = torch.randn((batch, 5), generator=random)
        passes = engine.passes(x, y)
        own = list(passes.draws.values())
        theirs, exact = single_oracle.passes(x, y, own), oracle.passes(x, y, own)
        for value, one, wide in zip(passes.values, theirs[0], exact[0], strict=True):
            assert close(value, one.detach(), wide.detach(), float(wide.detach().abs().max()))
        assert close(passes.loss, theirs[2], exact[2], float(exact[2].abs()))
        largest = max(float(wide.abs().max()) for wide in exact[1].values())
        for name, gradient in passes.parameter_gradients.items():
            assert close(gradient, theirs[1][name], exact[1][name], largest), name
        # the update, by PyTorch's optimizer from the same gradients
        for name, parameter in single.named_parameters().items():
            parameter.grad = passes.parameter_gradients[name].clone()
        if training["clip_norm"] is not None:
            nn.utils.clip_grad_norm_(single.named_parameters().values(), training["clip_norm"])
        if training["clip_value"] is not None:
            nn.utils.clip_grad_value_(single.named_parameters().values(), training["clip_value"])
        optimizer.step()
        engine.optimizer.step(training["lr"])
        for name, tensor in made.state().items():
            torch.testing.assert_close(tensor, single.state()[name], rtol=1e-4, atol=1e-6)
        single.load(made.state())
        double.load(made.state())


@pytest.mark.parametrize("kind", [Explicit, Autograd])
@pytest.mark.parametrize("features", [2, 5, 7, 64])
def test_a_measured_step_has_the_bits_of_a_bare_one(kind: type[Explicit | Autograd], features: int) -> None:
    # mini-batches are views of the epoch's samples, and kernels may round by where in memory a view begins
    random = torch.Generator().manual_seed(features)
    x, y = torch.randn((400, features), generator=random), torch.randint(0, 3, (400,), generator=random)
    training = Training(optimizer="sgd", lr=0.01, momentum=0.9)
    networks = [build(NetworkConfig(hidden=(4, 13)), (features,), 3, 1, CPU) for _ in range(2)]
    bare, measured = (kind(training, "classification", network, no_draw, CPU) for network in networks)
    for start in range(0, 390, 13):
        batch = x[start : start + 13], y[start : start + 13]
        with bare.training():
            bare.learn(*batch)
            bare.optimizer.step(0.01)
        measured.passes(*batch)
        measured.optimizer.step(0.01)
        for one, other in zip(bare.optimizer.state().items(), measured.optimizer.state().items(), strict=True):
            assert one[0] == other[0]
            assert torch.equal(one[1], other[1]), (start, one[0])


def layered(kind: type[Explicit | Autograd], training: Training) -> tuple[Explicit | Autograd, Network]:
    network = build(NetworkConfig(hidden=(6, 5), norm="layer"), (1, 8, 8), 5, 1, CPU)
    return kind(training, "classification", network, no_draw, CPU), network


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_parameters_of_different_age_are_updated_as_by_autograd(optimizer: str) -> None:
    """A fork that adds a layer brings parameters that have never been updated."""
    training = Training.model_validate({"optimizer": optimizer, "lr": 0.01})
    x, y = torch.rand((30, 1, 8, 8)), torch.randint(0, 5, (30,))
    parent, _ = layered(Autograd, training)
    for _ in range(3):
        parent.learn(x, y)
        parent.optimizer.step(0.01)
    kept = {key: value for key, value in parent.optimizer.state().items() if "linear 2" not in key.parameter}
    states, weights = [], []
    for kind in (Explicit, Autograd):
        child, network = layered(kind, training)
        child.optimizer.load(kept)
        for _ in range(2):
            child.learn(x, y)
            child.optimizer.step(0.01)
        states.append(child.optimizer.state())
        weights.append(network.state())
    assert states[0].keys() == states[1].keys()
    ours, theirs = ((*state.values(), *weight.values()) for state, weight in zip(states, weights, strict=True))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    counts = {float(value) for key, value in states[0].items() if key.name == "step"}
    assert counts == (set() if optimizer == "sgd" else {2.0, 5.0})


def test_an_activation_without_a_formula_is_differentiated_by_autograd() -> None:
    made, same = (build(NetworkConfig(hidden=(6,), activation="tanh"), (4,), 3, 1, CPU) for _ in range(2))
    stages = tuple(
        Stage(s.layer, s.kind, nn.ELU()) if s.kind == "activation" and not s.layer else s for s in made.stages
    )
    network = Network(made.layers, stages)
    x, y = torch.rand((5, 4)), torch.randint(0, 3, (5,))
    passes = Explicit(Training(), "classification", network, no_draw, CPU).passes(x, y)
    modules = nn.Sequential(same.stages[0].module, nn.ELU(), same.stages[2].module)
    nn.functional.cross_entropy(modules(x), y).backward()  # type: ignore[no-untyped-call]
    for gradient, parameter in zip(passes.parameter_gradients.values(), modules.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad)


def engine_of(reader: Reader, run: int = 0) -> str:
    found: str = reader.runs[run].config["training"]["engine"]
    return found


def test_the_recording_says_which_engine_trained_it(tmp_path: Path) -> None:
    with patch.object(Explicit, "learn", side_effect=AssertionError):
        assert engine_of(train(tmp_path, BASE, ("training.engine", "autograd"), ("training.epochs", 1))) == "autograd"
        assert engine_of(train(tmp_path, SEQUENCE.replace("CELL", "gru").replace("NORM", "none"),
                               ("training.epochs", 1))) == "autograd"  # fmt: skip
    with patch.object(Autograd, "learn", side_effect=AssertionError):
        assert engine_of(train(tmp_path, CONV, ("training.epochs", 1))) == "explicit"


def test_a_recording_without_the_key_goes_on_with_autograd(tmp_path: Path) -> None:
    """Recordings older than the explicit engine were made by autograd."""
    whole = train(tmp_path, BASE, ("training.engine", "autograd"))
    path = tmp_path / "old.bntui"
    session = Session.begin(parse(BASE, file="old.toml", overrides=[("training.engine", "autograd")]), path)
    session.epoch(never)
    session.epoch(after(2))
    stop(session)
    forger.config(path, 0, lambda config: config["training"].pop("engine"))
    with patch.object(Explicit, "learn", side_effect=AssertionError):
        finish(Session.resume(path))
        fork(path, 0, 5)
    with closing(Reader(path)) as reader:
        assert compare(whole, 0, reader, 0) == 5
        assert compare(whole, 0, reader, 1, after=5) == 3
        assert engine_of(reader, 1) == "autograd"
    report = audit(path)
    assert report.true, report.ledger.failures[:5]


def test_a_fork_may_change_the_engine_or_need_another(tmp_path: Path) -> None:
    path = tmp_path / "x.bntui"
    finish(Session.begin(parse(CONV, file="x.toml"), path))
    fork(path, 0, 12, ("training.engine", "autograd"), ("training.epochs", 5))
    fork(path, 0, 12, ("network.layer", [{"type": "recurrent", "units": 4}]), ("training.epochs", 5))
    with closing(Reader(path)) as reader:
        assert [engine_of(reader, run) for run in range(3)] == ["explicit", "autograd", "autograd"]
        change = ("training.engine", "explicit", "autograd")
        assert all(change in reader.runs[run].fork.changes for run in (1, 2))  # type: ignore[union-attr]
    report = audit(path)
    assert report.true, report.ledger.failures[:5]


SETTINGS: dict[str, list[Override]] = {
    "adam, batch norm, dropout": [("network.norm", "batch"), ("network.dropout", 0.3), ("training.optimizer", "adam")],
    "momentum, clipped": [("training.momentum", 0.9), ("training.nesterov", True), ("training.clip_norm", 0.5)],
    "rmsprop, noise": [("training.optimizer", "rmsprop"), ("training.lr", 0.01), ("data.input_noise", 0.1)],
}


@pytest.mark.parametrize("text", [BASE, CONV], ids=["dense", "images"])
@pytest.mark.parametrize("how", SETTINGS)
def test_a_killed_and_resumed_run_and_a_fork_without_changes_have_the_same_bits(
    text: str, how: str, tmp_path: Path
) -> None:
    overrides = [*SETTINGS[how], ("record.every", 4)]
    whole = train(tmp_path, text, *overrides)
    path = tmp_path / "killed.bntui"
    session = Session.begin(parse(text, file="x.toml", overrides=overrides), path)
    session.epoch(never)
    session.epoch(after(3))
    kill(session)
    finish(Session.resume(path))
    fork(path, 0, 8)
    with closing(Reader(path)) as reader:
        assert compare(whole, 0, reader, 0) > 3
        assert compare(whole, 0, reader, 1, after=8) > 1
    report = audit(path)
    assert report.true, report.ledger.failures[:5]

"""Tests networks and steps against PyTorch's modules, losses, and optimizers in an explicit loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bntui.scenario.network import NetworkConfig
from bntui.scenario.training import Training
from bntui.trainer.draw import Draws, derived_seed, generator, permutation
from bntui.trainer.network import Network, build, forward
from bntui.trainer.step import Stepper

CPU = torch.device("cpu")
DRAW = torch.Generator().manual_seed(5)
X = torch.rand((60, 1, 8, 8), generator=DRAW)
Y = torch.randint(0, 10, (60,), generator=DRAW)
OPTIMIZERS: list[dict[str, Any]] = [
    {"optimizer": "sgd"},
    {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3},
    {"optimizer": "adam", "weight_decay": 1e-3},
    {"optimizer": "adamw", "weight_decay": 1e-2},
    {"optimizer": "rmsprop", "momentum": 0.5},
]


def network(seed: int = 7, **config: Any) -> Network:
    return build(NetworkConfig.model_validate({"hidden": (20, 20), **config}), (1, 8, 8), 10, seed, CPU)


def sequential(built: Network) -> nn.Sequential:
    return nn.Sequential(*(stage.module for stage in built.stages))


@pytest.mark.parametrize("norm", ["none", "batch", "layer", "group"])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "leaky_relu", "gelu", "softsign"])
def test_the_forward_pass_is_that_of_the_modules(norm: str, activation: str) -> None:
    built = network(norm=norm, activation=activation, groups=4)
    assert torch.equal(forward(built.stages, X)[-1], sequential(built)(X))


@pytest.mark.parametrize("settings", OPTIMIZERS, ids=lambda settings: "-".join(map(str, settings.values())))
def test_steps_are_those_of_pytorch_and_measuring_changes_no_bit(settings: dict[str, Any]) -> None:
    config = Training.model_validate({"lr": 0.05, "clip_norm": 1.0, **settings})
    # not batch normalization: a bias before it has no gradient but rounding, which Adam would blow up
    bare, measured, plain = (network(norm="layer", init="normal:0.1") for _ in range(3))
    ours = [Stepper(config, "classification", built, Draws(7, CPU), CPU) for built in (bare, measured)]
    model = sequential(plain)
    kind = {
        "sgd": torch.optim.SGD,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rmsprop": torch.optim.RMSprop,
    }[config.optimizer]
    # our names of the settings are PyTorch's
    arguments = {name: value for name, value in settings.items() if name != "optimizer"}
    optimizer = kind(model.parameters(), lr=0.05, **arguments)
    for step in range(8):
        with ours[0].training():
            ours[0].bare(X, Y, step, 0.05)
        taken = ours[1].measured(X, Y, step, 0.05)
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(X), Y)
        loss.backward()  # type: ignore[no-untyped-call]
        norms = [float(p.grad.norm()) for n, p in model.named_parameters() if p.ndim == 2 and p.grad is not None]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        assert [layer.weight_gradient_norm for layer in taken.layers] == pytest.approx(norms, rel=1e-4)
        assert float(taken.loss) == pytest.approx(float(loss.detach()), rel=1e-5)
    for name, tensor in bare.state().items():
        assert torch.equal(tensor, measured.state()[name]), name  # bit for bit
        torch.testing.assert_close(tensor, plain.state()[name], rtol=2e-4, atol=2e-5)


def test_figures_of_a_step_agree_with_numpy() -> None:
    built = network(norm="batch", activation="sigmoid", dropout=0.3, init="normal:0.5")
    before = {name: tensor.numpy().astype(np.float64) for name, tensor in built.state().items()}
    before = {name: values.copy() for name, values in before.items()}
    masks = Draws(7, CPU).streamed()
    stepper = Stepper(Training(lr=0.1), "classification", built, masks, CPU)
    first, second, _ = stepper.measured(X, Y, 0, 0.1).layers

    x = X.numpy().astype(np.float64).reshape(60, 64)
    pre = x @ before["linear 1.linear.weight"].T + before["linear 1.linear.bias"]
    mean, var = pre.mean(0), pre.var(0)
    normalized = (pre - mean) / np.sqrt(var + 1e-5)
    out = 1 / (1 + np.exp(-normalized))
    mask = masks.mask("linear 1", 0, torch.empty(60, 20), 0.3).numpy()

    assert first.batch_norm is not None
    np.testing.assert_allclose(first.batch_norm.batch_mean, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(first.batch_norm.batch_var, var, rtol=1e-4)  # biased
    np.testing.assert_allclose(first.batch_norm.running_mean, 0.1 * mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(first.batch_norm.running_var, 0.9 + 0.1 * pre.var(0, ddof=1), rtol=1e-4)
    for found, values in ((first.pre_norm, pre), (first.normalized, normalized), (first.output, out)):
        assert found is not None
        assert (found.mean, found.std) == pytest.approx((values.mean(), values.std()), rel=1e-4, abs=1e-6)
        assert found.p85 == pytest.approx(np.percentile(values, 85), rel=1e-4)
    assert second.input.mean == pytest.approx((out * mask).mean(), rel=1e-4)  # dropout scales by 1/(1-p)
    assert first.dropout is not None
    np.testing.assert_array_equal(first.dropout.kept, mask > 0)
    assert set(np.unique(mask)) == {np.float32(0), np.float32(1 / 0.7)}
    weight = before["linear 1.linear.weight"]
    after = built.state()["linear 1.linear.weight"].numpy().astype(np.float64)
    assert first.weight_norm == pytest.approx(np.linalg.norm(weight), rel=1e-6)
    assert first.update_ratio == pytest.approx(np.linalg.norm(after - weight) / np.linalg.norm(weight), rel=1e-3)


def test_activation_gradients_are_the_loss_gradients_of_the_output() -> None:
    built = network(activation="tanh")
    taken = Stepper(Training(lr=0.1), "classification", network(activation="tanh"), Draws(7, CPU), CPU).measured(
        X, Y, 0, None
    )
    kept: list[Tensor] = []
    x = X
    for stage in built.stages:
        x = stage.module(x)
        if stage.kind == "activation":
            x.retain_grad()
            kept.append(x)
    functional.cross_entropy(x, Y).backward()  # type: ignore[no-untyped-call]
    norms = [float(value.grad.norm()) for value in kept if value.grad is not None]
    assert [layer.activation_gradient_norm for layer in taken.layers] == pytest.approx(norms, rel=1e-5)


def test_layers_of_the_same_name_start_alike_whatever_else_differs() -> None:
    plain, normed = network(), network(norm="batch", dropout=0.5)
    for name, tensor in plain.state().items():
        assert torch.equal(tensor, normed.state()[name])
    assert not torch.equal(plain.state()["linear 1.linear.weight"], network(seed=8).state()["linear 1.linear.weight"])


@pytest.mark.parametrize(
    ("init", "std"),
    [
        ("normal:0.1", 0.1),
        ("uniform:0.3", 0.3 / np.sqrt(3)),
        ("xavier", np.sqrt(2 / (64 + 400))),  # Glorot & Bengio 2010
        ("xavier_normal", np.sqrt(2 / (64 + 400))),
        ("he", np.sqrt(2 / 64)),  # He et al. 2015
        ("he_normal", np.sqrt(2 / 64)),
        ("lecun", np.sqrt(1 / 64)),
        ("default", np.sqrt(1 / (3 * 64))),
        ("zeros", 0.0),
    ],
)
def test_initializations_have_the_variance_of_their_papers(init: str, std: float) -> None:
    weight = network(hidden=(400,), init=init).state()["linear 1.linear.weight"]
    assert float(weight.std()) == pytest.approx(std, rel=0.05)


def test_orthogonal_rows_are_orthonormal() -> None:
    weight = network(init="orthogonal").state()["linear 1.linear.weight"]
    torch.testing.assert_close(weight @ weight.T, torch.eye(20), rtol=0, atol=1e-5)


def test_convolutions_pool_and_flatten_as_pytorch_does() -> None:
    layers = (
        {"type": "conv", "channels": 8, "kernel": 3, "pool": 2, "norm": "batch"},
        {"type": "conv", "channels": 6, "kernel": 3, "padding": 0, "norm": "group"},
        {"type": "linear", "units": 12},
    )
    built = network(hidden=None, layer=layers, groups=3)
    assert [layer.shape for layer in built.layers] == [(8, 4, 4), (6, 2, 2), (12,), (10,)]
    assert torch.equal(forward(built.stages, X)[-1], sequential(built)(X))
    taken = Stepper(Training(lr=0.1), "classification", built, Draws(7, CPU), CPU).measured(X, Y, 0, 0.1)
    statistics = taken.layers[0].batch_norm
    assert statistics is not None
    assert statistics.batch_mean.shape == (8,)  # per channel


def test_norm_may_stand_after_the_activation() -> None:
    built = network(norm="batch", norm_position="after_activation")
    assert [stage.kind for stage in built.stages][1:4] == ["linear", "activation", "norm"]


def test_masks_and_orders_are_functions_of_seed_and_place() -> None:
    masks, like = Draws(3, CPU), torch.empty(60, 100)
    first = masks.mask("linear 1", 4, like, 0.25)
    assert torch.equal(first, Draws(3, CPU).mask("linear 1", 4, like, 0.25))
    assert not torch.equal(first, masks.mask("linear 1", 5, like, 0.25))
    assert not torch.equal(first, masks.mask("linear 2", 4, like, 0.25))
    assert float((first > 0).float().mean()) == pytest.approx(0.75, abs=0.02)
    assert torch.equal(permutation(1, 2, 50).sort().values, torch.arange(50))
    assert not torch.equal(permutation(1, 2, 50), permutation(1, 3, 50))
    assert generator(CPU, 1, "a").initial_seed() < 2**32


def test_streamed_masks_are_functions_of_seed_and_place_too() -> None:
    masks, like = Draws(3, CPU).streamed(), torch.empty(61, 101)
    first = masks.mask("linear 1", 4, like, 0.25)
    others = [masks.mask("linear 1", 5, like, 0.25), masks.mask("linear 2", 4, like, 0.25)]
    others.append(Draws(4, CPU).streamed().mask("linear 1", 4, like, 0.25))
    assert all(0.55 < float((first == other).float().mean()) < 0.7 for other in others)  # 0.625 if independent
    for again in (masks, Draws(3, CPU).streamed()):  # back in the stream, and from its beginning
        assert torch.equal(first, again.mask("linear 1", 4, like, 0.25))
    assert set(np.unique(first).tolist()) == {0.0, float(np.float32(1 / 0.75))}
    for p in (0.25, 0.9):
        assert float((masks.mask("linear 1", 9, like, p) > 0).float().mean()) == pytest.approx(1 - p, abs=0.02)


def test_streamed_masks_are_the_same_in_any_order_of_steps() -> None:
    masks = Draws(3, CPU).streamed()
    seed = derived_seed(3, "dropout", "linear 1")
    chance = np.random.default_rng(0)
    step = 0
    for turn in range(400):  # mostly one step after another, as in training, whose last mini-batch is smaller
        step = int(chance.choice([step, 0, 10**6 + turn])) if turn % 40 == 39 else step + 1
        shape = (37, 100) if turn % 12 == 11 else (60, 100)
        p = 0.2 if turn < 200 else 0.5
        mask = masks.mask("linear 1", step, torch.empty(shape), p)
        source = np.random.PCG64DXSM(seed).advance(step * 2**40)
        bits = source.random_raw(shape[0] * 50).view(np.uint32)
        drawn = np.where(bits < round((1 - p) * 2**32), np.float32(1 / (1 - p)), 0).reshape(shape)
        np.testing.assert_array_equal(mask.numpy(), drawn)


@pytest.mark.parametrize(("norm", "axes"), [("batch", (0,)), ("layer", (1,)), ("group", (2,))])
def test_epsilon_momentum_and_gamma_are_those_of_the_scenario(norm: str, axes: tuple[int, ...]) -> None:
    built = network(hidden=(20,), norm=norm, groups=4, norm_eps=0.5, norm_momentum=0.25, norm_gamma=0.1)
    stages = {stage.kind: at for at, stage in enumerate(built.stages) if stage.layer == 0}
    values = forward(built.stages, X)
    entered = values[stages["linear"]].detach().double().numpy()
    grouped = entered.reshape(60, 4, 5) if norm == "group" else entered
    mean, var = grouped.mean(axes, keepdims=True), grouped.var(axes, keepdims=True)
    normalized = (0.1 * (grouped - mean) / np.sqrt(var + 0.5)).reshape(60, 20)  # beta starts at 0
    np.testing.assert_allclose(values[stages["norm"]].detach().numpy(), normalized, atol=1e-6)
    if norm == "batch":
        state = built.state()
        np.testing.assert_allclose(state["linear 1.norm.running_mean"], 0.25 * mean[0], atol=1e-6)
        unbiased = entered.var(0, ddof=1)
        np.testing.assert_allclose(state["linear 1.norm.running_var"], 0.75 + 0.25 * unbiased, rtol=1e-5)


def test_images_take_the_same_settings() -> None:
    layers = ({"type": "conv", "channels": 6, "norm": "batch"}, {"type": "conv", "channels": 6, "norm": "group"})
    built = network(hidden=None, layer=layers, groups=3, norm_eps=0.5, norm_momentum=0.25, norm_gamma=0.1)
    batch, group = (stage.module for stage in built.stages if stage.kind == "norm")
    assert isinstance(batch, nn.BatchNorm2d)
    assert isinstance(group, nn.GroupNorm)
    assert (batch.eps, batch.momentum, group.eps, group.num_groups) == (0.5, 0.25, 0.5, 3)
    for module in (batch, group):
        assert torch.equal(module.weight, torch.full((6,), 0.1))
        assert not module.bias.any()

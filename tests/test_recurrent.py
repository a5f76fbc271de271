"""Tests recurrent layers against PyTorch's RNN, GRU, and LSTM, and their normalization against the papers' formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bntui.scenario.network import NetworkConfig
from bntui.scenario.training import Training
from bntui.trainer.draw import Draws
from bntui.trainer.network import Network, build, forward
from bntui.trainer.normalization import SequenceBatchNorm, StepBatchNorm, StepLayerNorm
from bntui.trainer.step import Stepper

CPU = torch.device("cpu")
DRAW = torch.Generator().manual_seed(5)
T, F, H = 7, 5, 6
X = torch.randn((9, T, F), generator=DRAW)
Y = torch.randint(0, 3, (9,), generator=DRAW)
CELLS = {"elman": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def network(
    cell: str = "elman", layers: int = 1, seed: int = 7, shape: tuple[int, ...] = (T, F), **config: Any
) -> Network:
    block = {"type": "recurrent", "units": H, "cell": cell}
    settings = {"activation": "tanh", "layer": (block,) * layers, **config}
    return build(NetworkConfig.model_validate(settings), shape, 3, seed, CPU)


def hidden(built: Network, x: Tensor) -> Tensor:
    """Hidden states of the last recurrent layer."""
    values = forward(built.stages, x)
    return values[next(at for at, stage in enumerate(built.stages) if stage.kind == "last") - 1]


def values(built: Network, x: Tensor) -> dict[str, np.ndarray]:
    """What the stages of a network of one hidden layer give, in float64."""
    made = forward(built.stages, x)
    return {stage.kind: made[at].detach().double().numpy() for at, stage in enumerate(built.stages) if not stage.layer}


def arrays(built: Network) -> dict[str, np.ndarray]:
    """The first layer's parameters and buffers without its name, in float64."""
    prefix = "recurrent 1."
    return {
        name.removeprefix(prefix): tensor.double().numpy().copy()
        for name, tensor in built.state().items()
        if name.startswith(prefix)
    }


def twin(built: Network, cell: str, layers: int, activation: str) -> nn.Module:
    """PyTorch's module with the same weights: its two biases are one here, but for GRU's new gate."""
    extra = {"nonlinearity": activation} if cell == "elman" else {}
    module: nn.Module = CELLS[cell](F, H, layers, batch_first=True, **extra)
    state = built.state()
    with torch.no_grad():
        for number in range(layers):
            name = f"recurrent {number + 1}"
            getattr(module, f"weight_ih_l{number}").copy_(state[f"{name}.recurrent.weight"])
            getattr(module, f"weight_hh_l{number}").copy_(state[f"{name}.activation.weight_hh"])
            getattr(module, f"bias_ih_l{number}").copy_(state[f"{name}.recurrent.bias"])
            getattr(module, f"bias_hh_l{number}").zero_()
            if cell == "gru":
                getattr(module, f"bias_hh_l{number}")[2 * H :] = state[f"{name}.activation.bias"]
    return module


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(
    ("cell", "activation"), [("elman", "tanh"), ("elman", "relu"), ("gru", "tanh"), ("lstm", "tanh")]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_normalization_it_is_pytorchs_layer_and_so_are_its_gradients(
    cell: str, activation: str, layers: int, dtype: torch.dtype
) -> None:
    built = network(cell, layers, activation=activation)
    for stage in built.stages:
        stage.module.to(dtype)
    module = twin(built, cell, layers, activation).to(dtype)
    ours, theirs = (X.clone().to(dtype).requires_grad_() for _ in range(2))
    mine, (other, _) = hidden(built, ours), module(theirs)
    torch.testing.assert_close(mine, other)
    pull = torch.randn(mine.shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
    (mine * pull).sum().backward()  # type: ignore[no-untyped-call]
    (other * pull).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    named = built.named_parameters()
    for number in range(layers):
        name = f"recurrent {number + 1}"
        pairs = {"recurrent.weight": "weight_ih", "activation.weight_hh": "weight_hh", "recurrent.bias": "bias_ih"}
        for here, there in pairs.items():
            torch.testing.assert_close(named[f"{name}.{here}"].grad, getattr(module, f"{there}_l{number}").grad)
        if cell == "gru":
            there_gradient = getattr(module, f"bias_hh_l{number}").grad[2 * H :]
            torch.testing.assert_close(named[f"{name}.activation.bias"].grad, there_gradient)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


def test_per_time_step_batch_normalization_of_lstm_is_that_of_cooijmans_et_al() -> None:
    """The LSTM of arXiv:1603.09025, with β of the input's projection in place of b."""
    built = network("lstm", norm="batch", norm_recurrent="step", norm_gamma=0.1, norm_eps=1e-3, norm_momentum=0.3)
    assert built.layers[0].per_step
    state = arrays(built)
    running: dict[str, list[np.ndarray]] = {}
    for batch in (X, X.flip(0) * 2 + 1):  # running statistics after two steps
        found = values(built, batch)

        def normalize(x: np.ndarray, step: int, place: str, beta: np.ndarray | float) -> np.ndarray:
            mean, var, count = x.mean(0), x.var(0), len(x)
            for name, start, new in (("mean", 0.0, mean), ("var", 1.0, var * count / (count - 1))):
                courses = running.setdefault(f"{place}.running_{name}", [np.full_like(mean, start) for _ in range(T)])
                courses[step] = 0.7 * courses[step] + 0.3 * new
            return np.asarray(0.1 * (x - mean) / np.sqrt(var + 1e-3) + beta)

        x = batch.double().numpy()
        h = cell = np.zeros((len(x), H))
        for step in range(T):
            projected = x[:, step] @ state["recurrent.weight"].T + state["recurrent.bias"]
            np.testing.assert_allclose(found["recurrent"][:, step], projected, atol=1e-5)
            entered = normalize(projected, step, "norm", state["norm.bias"])
            np.testing.assert_allclose(found["norm"][:, step], entered, atol=1e-5)
            gates = entered + normalize(h @ state["activation.weight_hh"].T, step, "activation.norm", 0.0)
            i, f, g, o = np.split(gates, 4, 1)
            cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
            shown = normalize(cell, step, "activation.norm_cell", state["activation.norm_cell.bias"])
            h = sigmoid(o) * np.tanh(shown)
            np.testing.assert_allclose(found["activation"][:, step], h, atol=1e-5)
    after = arrays(built)
    assert set(running) == {name for name in after if "running" in name}
    for name, course in running.items():
        np.testing.assert_allclose(after[name], np.stack(course), rtol=1e-4, atol=1e-6, err_msg=name)

    built.train(False)  # evaluation mode: the running statistics, beyond the last step those of the last one
    longer = torch.randn((4, T + 3, F), generator=torch.Generator().manual_seed(2))
    found = values(built, longer)

    def evaluate(x: np.ndarray, step: int, place: str) -> np.ndarray:
        at = min(step, T - 1)
        mean, var = after[f"{place}.running_mean"][at], after[f"{place}.running_var"][at]
        return np.asarray(0.1 * (x - mean) / np.sqrt(var + 1e-3))  # every β is 0

    h = cell = np.zeros((4, H))
    for step in range(T + 3):
        gates = evaluate(found["recurrent"][:, step], step, "norm")
        gates = gates + evaluate(h @ state["activation.weight_hh"].T, step, "activation.norm")
        i, f, g, o = np.split(gates, 4, 1)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(evaluate(cell, step, "activation.norm_cell"))
        np.testing.assert_allclose(found["activation"][:, step], h, atol=1e-5)
    for name, tensor in arrays(built).items():
        np.testing.assert_array_equal(tensor, after[name])  # evaluation changed nothing


@pytest.mark.parametrize("cell", ["elman", "gru"])
def test_per_time_step_normalization_of_the_other_cells_by_hand(cell: str) -> None:
    built = network(cell, norm="batch", norm_recurrent="step", norm_gamma=0.5)
    state, found = arrays(built), values(built, X)

    def normalize(x: np.ndarray) -> np.ndarray:
        return np.asarray(0.5 * (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5))

    h = np.zeros((len(X), H))
    for step in range(T):
        entered, back = normalize(found["recurrent"][:, step]), normalize(h @ state["activation.weight_hh"].T)
        if cell == "elman":
            h = np.tanh(entered + back)
        else:
            reset, update = np.split(sigmoid(entered + back)[:, : 2 * H], 2, 1)
            new = np.tanh(entered[:, 2 * H :] + reset * (back[:, 2 * H :] + state["activation.bias"]))
            h = (1 - update) * new + update * h
        np.testing.assert_allclose(found["activation"][:, step], h, atol=1e-4)


def test_input_normalization_takes_batch_and_time_together_as_laurent_et_al_do() -> None:
    built = network(norm="batch", norm_gamma=0.5)
    assert isinstance(built.stages[1].module, SequenceBatchNorm)
    assert not built.layers[0].per_step
    before, found = arrays(built), values(built, X)
    projected = found["recurrent"].reshape(-1, H)
    normalized = 0.5 * (projected - projected.mean(0)) / np.sqrt(projected.var(0) + 1e-5)
    np.testing.assert_allclose(found["norm"].reshape(-1, H), normalized, atol=1e-5)
    h = np.zeros((len(X), H))
    for step in range(T):  # nothing is normalized on the way from one hidden state to the next
        h = np.tanh(found["norm"][:, step] + h @ before["activation.weight_hh"].T)
        np.testing.assert_allclose(found["activation"][:, step], h, atol=1e-5)
    after = arrays(built)
    np.testing.assert_allclose(after["norm.running_mean"], 0.1 * projected.mean(0), atol=1e-6)
    np.testing.assert_allclose(after["norm.running_var"], 0.9 + 0.1 * projected.var(0, ddof=1), rtol=1e-5)


@pytest.mark.parametrize("cell", ["elman", "lstm"])
def test_layer_normalization_is_of_each_sample_and_step_as_ba_et_al_have_it(cell: str) -> None:
    built = network(cell, norm="layer", norm_gamma=0.8)
    assert built.layers[0].per_step
    state, found = arrays(built), values(built, X)

    def normalize(x: np.ndarray) -> np.ndarray:
        return np.asarray(0.8 * (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5))

    h = memory = np.zeros((len(X), H))
    for step in range(T):
        gates = normalize(found["recurrent"][:, step]) + normalize(h @ state["activation.weight_hh"].T)
        if cell == "elman":
            h = np.tanh(gates)
        else:
            i, f, g, o = np.split(gates, 4, 1)
            memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(normalize(memory))
        np.testing.assert_allclose(found["activation"][:, step], h, atol=1e-4)


def test_modes_and_states_reach_into_the_recurrence() -> None:
    built = network("lstm", norm="batch", norm_recurrent="step")
    inner = [m for stage in built.stages for m in stage.module.modules() if isinstance(m, StepBatchNorm)]
    assert len(inner) == 3  # input, hidden, cell
    built.train(False)
    assert not any(module.training for module in inner)
    before = {name: tensor.clone() for name, tensor in built.state().items()}
    first = forward(built.stages, X)[-1]
    built.train(True)
    forward(built.stages, X)
    assert not torch.equal(
        built.state()["recurrent 1.activation.norm.running_mean"], before["recurrent 1.activation.norm.running_mean"]
    )
    built.load(before)
    built.train(False)
    assert torch.equal(forward(built.stages, X)[-1], first)


def test_one_step_of_a_sequence_is_normalized_as_the_whole_sequence_is() -> None:
    whole, single = StepBatchNorm((T, F), 1e-5, 0.1), StepBatchNorm((T, F), 1e-5, 0.1)
    together = whole(X)
    for step in range(T):
        torch.testing.assert_close(single.at(step, X[:, step]), together[:, step])
    torch.testing.assert_close(single.running_mean, whole.running_mean)
    torch.testing.assert_close(single.running_var, whole.running_var)


def test_layers_of_the_same_name_start_alike_with_and_without_normalization() -> None:
    for cell in CELLS:
        plain = network(cell, 2).state()
        for norm, rule in (("batch", "input"), ("batch", "step"), ("layer", "input")):
            normed = network(cell, 2, norm=norm, norm_recurrent=rule).state()
            for name, tensor in plain.items():
                assert torch.equal(tensor, normed[name]), name
    other = network(seed=8).state()
    assert not torch.equal(
        network().state()["recurrent 1.activation.weight_hh"], other["recurrent 1.activation.weight_hh"]
    )


def test_every_gate_is_drawn_as_a_layer_by_itself() -> None:
    state = build(
        NetworkConfig.model_validate(
            {"layer": ({"type": "recurrent", "units": 200, "cell": "lstm"},), "init": "xavier"}
        ),
        (T, 100), 3, 7, CPU,
    ).state()  # fmt: skip
    for gate in state["recurrent 1.recurrent.weight"].chunk(4):
        assert float(gate.std()) == pytest.approx(np.sqrt(2 / (100 + 200)), rel=0.05)  # Glorot & Bengio 2010
    for gate in state["recurrent 1.activation.weight_hh"].chunk(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(200), rtol=0, atol=1e-4)
    assert not state["recurrent 1.recurrent.bias"].any()


def test_the_default_is_pytorchs_uniform_one_over_the_root_of_the_units() -> None:
    state = network("gru").state()
    for name in ("recurrent.weight", "recurrent.bias", "activation.weight_hh", "activation.bias"):
        drawn = state[f"recurrent 1.{name}"]
        assert 0.8 / np.sqrt(H) < float(drawn.abs().max()) <= 1 / np.sqrt(H), name


def test_stages_are_named_and_shaped_as_the_layers_say() -> None:
    built = network("gru", 2, dropout=0.3, norm="batch", shape=(2, 4, 3))
    assert [layer.shape for layer in built.layers] == [(4, H), (4, H), (3,)]  # rows are steps
    assert [layer.stages for layer in built.layers] == [
        ("rows", "recurrent", "norm", "activation", "dropout"),
        ("recurrent", "norm", "activation", "dropout"),
        ("last", "linear", "activation"),
    ]
    assert [(layer.kind, layer.cell, layer.activation) for layer in built.layers] == [
        ("recurrent", "gru", "tanh"), ("recurrent", "gru", "tanh"), ("linear", "", "none"),
    ]  # fmt: skip
    x = torch.rand((9, 2, 4, 3), generator=torch.Generator().manual_seed(3))
    rows = forward(built.stages, x)[0]
    np.testing.assert_array_equal(rows[:, 1], torch.cat([x[:, 0, 1], x[:, 1, 1]], 1))
    assert "recurrent 1.recurrent.weight" in built.state()


def measured(built: Network, x: Tensor = X) -> Any:
    stepper = Stepper(Training(lr=0.1), "classification", built, Draws(7, CPU), CPU)
    return stepper.measured(x, Y, 0, 0.1)


@pytest.mark.parametrize(("rule", "axes"), [("input", (0, 1)), ("step", (0,))])
def test_measures_of_the_input_normalization_agree_with_numpy(rule: str, axes: tuple[int, ...]) -> None:
    built = network("gru", norm="batch", norm_recurrent=rule, dropout=0.4)
    projected = values(network("gru", norm="batch", norm_recurrent=rule), X)["recurrent"]
    first = measured(built).layers[0]
    found = first.batch_norm
    np.testing.assert_allclose(found.batch_mean, projected.mean(axes), atol=1e-6)
    np.testing.assert_allclose(found.batch_var, projected.var(axes), rtol=1e-4)  # biased
    np.testing.assert_allclose(found.running_var, 0.9 + 0.1 * projected.var(axes, ddof=1), rtol=1e-4)
    assert found.gamma.shape == found.beta_gradient.shape == (3 * H,)
    assert first.dropout.kept.shape == (9, T * H)


def test_a_unit_is_dead_that_gives_0_at_every_step_of_every_sample() -> None:
    built = network(activation="relu")
    with torch.no_grad():
        built.state()["recurrent 1.recurrent.bias"][0] = -1e3
    states = values(built, X)["activation"]
    dead = (states == 0).all((0, 1)).mean()
    assert measured(built).layers[0].dead_fraction == pytest.approx(dead)
    assert dead > 0


def test_measuring_changes_no_bit_of_a_recurrent_network() -> None:
    bare, seen = (network("lstm", 2, norm="batch", norm_recurrent="step", dropout=0.2) for _ in range(2))
    steppers = [Stepper(Training(lr=0.1), "classification", built, Draws(7, CPU), CPU) for built in (bare, seen)]
    steppers[1].measured(X, Y, 0, None)  # keyframe 0 leaves no trace
    for step in range(3):
        steppers[0].bare(X, Y, step, 0.1)
        steppers[1].measured(X, Y, step, 0.1)
    for name, tensor in bare.state().items():
        assert torch.equal(tensor, seen.state()[name]), name


@pytest.mark.parametrize("constant", [1, 2, 3])
def test_constant_early_steps_leave_the_forward_pass_and_make_the_gradient_explode(constant: int) -> None:
    """Cooijmans et al. 2016: where the variance is 0, each step multiplies gradients by 1/sqrt(ε)."""

    def gradient(eps: float) -> float:
        built = network(norm="batch", norm_recurrent="step", norm_eps=eps)
        for stage in built.stages:
            stage.module.double()
        x = X.clone().double()
        x[:, :constant] = 0  # what enters is the bias, the same for every sample
        x.requires_grad_()
        made = forward(built.stages, x)
        assert all(torch.isfinite(value).all() for value in made)
        assert not made[0][:, :constant].var(0, correction=0).any()
        nn.functional.cross_entropy(made[-1], Y).backward()  # type: ignore[no-untyped-call]
        assert x.grad is not None
        return float(x.grad[:, 0].norm())

    # on its way to the first step it passes the first projection and so many hidden ones that have no variance;
    # that of the others is far above either ε
    assert gradient(1e-10) / gradient(1e-6) == pytest.approx(100 ** (constant + 1), rel=1e-3)


def test_in_single_precision_the_weights_gradient_explodes_with_it() -> None:
    """By the formula these steps move no weight, for each gradient is centered; rounding times 1/sqrt(ε) does."""

    def gradient(eps: float) -> float:
        x = torch.randn((9, 20, F), generator=torch.Generator().manual_seed(4))
        x[:, :12] = 0.25
        built = network(norm="batch", norm_recurrent="step", norm_eps=eps, shape=(20, F))
        taken = measured(built, x)
        assert torch.isfinite(taken.output).all()
        return float(taken.layers[0].weight_gradient_norm)

    assert gradient(1e-5) > 1e4 * gradient(1.0)


def test_gradient_through_a_zero_variance_grows_as_one_over_the_root_of_eps() -> None:
    x = torch.full((8, 1), 0.25, dtype=torch.float64)
    pull = torch.linspace(-1, 1, 8, dtype=torch.float64)[:, None]

    def gradient(eps: float) -> Tensor:
        norm = StepBatchNorm((1, 1), eps, 0.1).double()
        entered = x.clone().requires_grad_()
        (norm.at(0, entered) * pull).sum().backward()  # type: ignore[no-untyped-call]
        assert entered.grad is not None
        return entered.grad

    # dL/dx = (γ/sqrt(0 + ε)) (δ − mean δ): the normalized values are all 0
    for eps in (1.0, 1e-4, 1e-10):
        torch.testing.assert_close(gradient(eps), pull / np.sqrt(eps))


def test_layer_normalization_of_a_step_is_pytorchs() -> None:
    torch.testing.assert_close(StepLayerNorm(F, 1e-3).at(3, X[:, 3]), nn.LayerNorm(F, 1e-3)(X[:, 3]))

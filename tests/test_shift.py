"""Tests gradient shift against explicit backpropagation and PyTorch's modules."""

from __future__ import annotations

import copy
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from bntui.keyframe import LayerMeasures
from bntui.recording.codec import unpack_arrays
from bntui.recording.reader import Reader
from bntui.scenario.network import NetworkConfig
from bntui.scenario.schema import Record
from bntui.scenario.training import Training
from bntui.trainer.draw import Draws
from bntui.trainer.network import Network, build
from bntui.trainer.step import Stepper
from tests.test_session import DIGITS, train

CPU = torch.device("cpu")
DRAW = torch.Generator().manual_seed(5)
X = torch.rand((60, 1, 8, 8), generator=DRAW)
Y = torch.randint(0, 10, (60,), generator=DRAW)
Parameters = list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]


def network(**config: Any) -> Network:
    settings = {"hidden": (12, 9), "activation": "sigmoid", "init": "normal:0.5", **config}
    return build(NetworkConfig.model_validate(settings), (1, 8, 8), 10, 7, CPU)


def measured(built: Network, lr: float | None, steps: int = 1, **training: Any) -> tuple[LayerMeasures, ...]:
    """The last of some steps."""
    config = Training.model_validate({"lr": lr or 0.1, **training})
    stepper = Stepper(config, "classification", built, Draws(7, CPU), CPU, Record(shift=True))
    for step in range(steps - 1):
        with stepper.training():
            stepper.bare(X, Y, step, lr or 0.1)
    return stepper.measured(X, Y, steps - 1, lr).layers


def backpropagated(parameters: Parameters) -> Parameters:
    """Gradients of the mean cross-entropy of a sigmoid network, by hand."""
    values = [X.numpy().reshape(60, 64).astype(np.float64)]
    for weight, bias in parameters[:-1]:
        values.append(1 / (1 + np.exp(-(values[-1] @ weight.T + bias))))
    weight, bias = parameters[-1]
    scores = np.exp(values[-1] @ weight.T + bias)
    error = (scores / scores.sum(1, keepdims=True) - np.eye(10)[Y.numpy()]) / 60
    gradients: Parameters = []
    for (weight, _), value in zip(parameters[::-1], values[::-1], strict=True):
        gradients.insert(0, (error.T @ value, error.sum(0)))
        error = error @ weight * value * (1 - value)  # of the input, unused, in the first layer
    return gradients


def test_the_shift_is_the_papers_definition_by_hand() -> None:
    built, lr = network(), 2.0
    state = {name: tensor.double().numpy() for name, tensor in built.state().items()}
    names = ("linear 1", "linear 2", "output")
    before = [(state[f"{name}.linear.weight"], state[f"{name}.linear.bias"]) for name in names]
    gradients = backpropagated(before)
    after = [(w - lr * dw, b - lr * db) for (w, b), (dw, db) in zip(before, gradients, strict=True)]
    expected = []
    for layer in range(3):
        moved = backpropagated(after[:layer] + before[layer:])[layer]
        pairs = zip(moved, gradients[layer], strict=True)
        expected.append(np.sqrt(sum(((there - here) ** 2).sum() for there, here in pairs)))
    assert expected[0] == 0 < expected[1] < expected[2]
    found = [layer.gradient_shift for layer in measured(built, lr)]
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_the_shift_agrees_with_pytorch_in_training_mode(norm: str) -> None:
    built = network(norm=norm, activation="tanh")
    modules = nn.Sequential(*(stage.module for stage in built.stages))
    old = copy.deepcopy(modules)
    found = [layer.gradient_shift for layer in measured(built, 0.05, optimizer="adam")]
    owners = [stage.layer for stage in built.stages for _ in stage.module.parameters()]

    def gradient(updated: int, layer: int) -> list[torch.Tensor]:
        model = copy.deepcopy(old)
        with torch.no_grad():
            for mine, new, owner in zip(model.parameters(), modules.parameters(), owners, strict=True):
                if owner < updated:
                    mine.copy_(new)
        functional.cross_entropy(model(X), Y).backward()  # type: ignore[no-untyped-call]
        kept = zip(model.parameters(), owners, strict=True)
        return [mine.grad.double() for mine, owner in kept if owner == layer and mine.grad is not None]

    for layer, shift in enumerate(found):
        pairs = list(zip(gradient(layer, layer), gradient(0, layer), strict=True))
        assert len(pairs) == (2 if layer == 2 else 4)  # weight, bias, and γ and β where there is a normalization
        expected = float(sum(((there - here) ** 2).sum() for there, here in pairs) ** 0.5)
        assert shift == pytest.approx(expected, rel=1e-3, abs=1e-12)
        assert (shift > 0) == (layer > 0)


def test_masks_and_noise_are_those_of_the_step() -> None:
    """Without an update nothing moves, unless something else was drawn."""
    built = network(norm="batch", norm_noise=0.5, dropout=0.3)
    assert [layer.gradient_shift for layer in measured(built, 0.0, steps=3)] == [0, 0, 0]


CONVOLUTIONS = [{"type": "conv", "channels": 4, "pool": 2}, {"type": "conv", "channels": 3}]
RECURRENT = [{"type": "recurrent", "units": 6}, {"type": "recurrent", "units": 5, "cell": "lstm"}]


@pytest.mark.parametrize("layers", [CONVOLUTIONS, RECURRENT], ids=["conv", "recurrent"])
def test_other_layers_than_linear_ones_shift_too(layers: list[dict[str, Any]]) -> None:
    built = network(hidden=None, layer=tuple(layers), norm="batch", norm_recurrent="step")
    shifts = [layer.gradient_shift for layer in measured(built, 0.5)]
    assert shifts[0] == 0
    assert min(shifts[1:]) > 0


def test_without_an_update_or_unless_asked_for_there_is_no_shift(tmp_path: Path) -> None:
    assert np.isnan([layer.gradient_shift for layer in measured(network(), None)]).all()
    silent = train(tmp_path, DIGITS, ("training.epochs", 1))
    assert np.isnan(silent.history(0).layer(1, "gradient_shift")).all()
    asked = train(tmp_path, DIGITS, ("training.epochs", 1), ("record.shift", True))
    assert np.isnan(asked.keyframe(0, 0).layers[1].gradient_shift)
    assert asked.keyframe(0, 1).layers[0].gradient_shift == 0
    assert asked.keyframe(0, 1).layers[1].gradient_shift > 0


def blocks(reader: Reader, table: str, columns: str) -> list[Any]:
    with sqlite3.connect(reader.path) as db:
        return db.execute(f"SELECT {columns} FROM {table}").fetchall()


@pytest.mark.parametrize(
    ("optimizer", "own"),
    [
        ("sgd", {"hidden": [20, 20], "norm_noise": 0.3}),
        ("adam", {"hidden": [20, 20], "norm_noise": 0.3}),
        ("adam", {"layer": RECURRENT, "norm_recurrent": "step"}),
    ],
)
def test_measuring_the_shift_changes_nothing_else(tmp_path: Path, optimizer: str, own: dict[str, Any]) -> None:
    settings = [
        *((f"network.{key}", value) for key, value in own.items()),
        ("network.norm", "batch"), ("network.dropout", 0.2), ("training.epochs", 3),
        ("training.optimizer", optimizer), ("training.lr", 0.01), ("record.every", 2),
    ]  # fmt: skip
    text = DIGITS.replace("hidden = [20, 20]\n", "")
    without, asked = (train(tmp_path, text, *settings, ("record.shift", shift)) for shift in (False, True))
    for table, columns in (
        ("keyframe", "step, weights_digest, train_loss, val_loss"),
        ("measures", "*"),
        ("checkpoint", "digest"),
    ):
        assert blocks(without, table, columns) == blocks(asked, table, columns)
    # parameters, running statistics, optimizer state, masks, every stage's values; the clock is in the header
    evidence = [
        [{name: values.tobytes() for name, values in unpack_arrays(block).items()} for (block,) in found]
        for found in (blocks(reader, "evidence", "block") for reader in (without, asked))
    ]
    assert evidence[0] == evidence[1]
    plain, shifted = without.history(0).layers, asked.history(0).layers
    np.testing.assert_array_equal(plain[..., :-1], shifted[..., :-1])
    assert np.isfinite(shifted[1:, :, -1]).all()


def test_a_diverging_run_has_its_shift_as_it_is(tmp_path: Path) -> None:
    text = DIGITS.replace('"sigmoid"', '"relu"')
    reader = train(tmp_path, text, ("training.lr", 1e30), ("record.shift", True), ("record.every", 1))
    assert [event.kind for event in reader.events(0)] == ["first_bad", "diverged"]
    shifts = reader.history(0).layer(2, "gradient_shift")
    assert not np.isfinite(shifts[1:]).any()

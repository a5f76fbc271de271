"""Tests predictions on a grid against the network in NumPy, and what recording them must not affect."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bntui.audit.audit import audit
from bntui.keyframe import Predictions
from bntui.recording.reader import Reader
from bntui.scenario.load import parse
from bntui.trainer import bench
from bntui.trainer import run as trained
from bntui.trainer.data.dataset import Dataset
from bntui.trainer.grid import COLUMNS, POINTS, ROWS, grid_axes, predict
from bntui.trainer.network import Network, forward
from bntui.trainer.session import Session
from tests.test_session import DIGITS, train

MOONS = """
title = "Moons"
seed = 7
[data]
source = "moons"
scaling = "standard"
[network]
hidden = [12]
activation = "tanh"
[training]
lr = 0.3
epochs = 3
"""
SINE = MOONS.replace("moons", "sine")
NORMED = (("network.norm", "batch"), ("network.dropout", 0.2))


def points_by_hand(reader: Reader, run: int = 0) -> np.ndarray[Any, Any]:
    """Every point of the grid, scaled: the second feature rises row by row, the first along a row."""
    data = reader.dataset
    assert data is not None
    if len(data.grid) == 1:
        raw = data.grid[0][:, None]
    else:
        raw = np.array([(first, second) for second in data.grid[1] for first in data.grid[0]])
    scaling = data.scalings[run]
    return (raw.astype(np.float64) - scaling.offset) * scaling.factor


def output_by_hand(reader: Reader, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What the network after the last step but one answers in evaluation mode, where every step is recorded."""
    evidence = reader.evidence(0, len(reader.history(0)) - 1)
    assert evidence is not None
    w = {name: value.astype(np.float64) for name, value in evidence.before.items()}
    hidden = x @ w["linear 1.linear.weight"].T + w["linear 1.linear.bias"]
    if "linear 1.norm.weight" in w:
        spread = np.sqrt(w["linear 1.norm.running_var"] + 1e-5)
        hidden = (hidden - w["linear 1.norm.running_mean"]) / spread * w["linear 1.norm.weight"]
        hidden += w["linear 1.norm.bias"]
    result: np.ndarray[Any, Any] = np.tanh(hidden) @ w["output.linear.weight"].T + w["output.linear.bias"]
    return result


def test_the_grid_goes_a_tenth_beyond_all_samples(tmp_path: Path) -> None:
    data = train(tmp_path, MOONS).dataset
    assert data is not None
    assert [len(axis) for axis in data.grid] == [COLUMNS, ROWS] == [48, 32]
    low, high = data.x.min(0), data.x.max(0)
    for feature, axis in enumerate(data.grid):
        margin = 0.1 * (high[feature] - low[feature])
        assert (axis[0], axis[-1]) == pytest.approx((low[feature] - margin, high[feature] + margin), rel=1e-5)
        np.testing.assert_allclose(np.diff(axis), np.diff(axis).mean(), rtol=1e-4)


@pytest.mark.parametrize("settings", [(), NORMED], ids=["plain", "batch norm and dropout"])
def test_classes_and_their_probabilities_are_those_of_the_network_after_the_step(
    tmp_path: Path, settings: tuple[tuple[str, Any], ...]
) -> None:
    reader = train(tmp_path, MOONS, *settings, ("record.every", 1))
    output = output_by_hand(reader, points_by_hand(reader))
    probabilities = np.exp(output) / np.exp(output).sum(1, keepdims=True)
    found = reader.keyframe(0, len(reader.history(0)) - 2).predictions
    assert found is not None
    assert found.classes is not None
    assert found.values.shape == found.classes.shape == (32, 48)
    assert found.values.dtype == np.float32
    assert found.classes.dtype == np.uint8
    certain = np.abs(probabilities[:, 0] - 0.5) > 1e-4
    assert certain.mean() > 0.9
    np.testing.assert_array_equal(found.classes.ravel()[certain], output.argmax(1)[certain])
    assert set(np.unique(found.classes)) == {0, 1}
    np.testing.assert_allclose(found.values.ravel(), probabilities.max(1), atol=2**-11)  # half of a half's last place
    np.testing.assert_array_equal(found.values, found.values.astype(np.float16))


TIES = MOONS.replace(
    "hidden = [12]", 'hidden = [20, 20, 20, 8, 8]\nnorm = "batch"\nnorm_gamma = 0.1\ninit = "uniform:0.2"'
)


def logits_of(session: Session, points: torch.Tensor) -> torch.Tensor:
    """What PyTorch's own modules answer in evaluation mode with the weights that a run has now."""
    layers: list[torch.nn.Module] = []
    sizes = [2, 20, 20, 20, 8, 8]
    state = session.runs[0].network.state()
    for number, (before, after) in enumerate(pairwise(sizes), start=1):
        layers += [torch.nn.Linear(before, after), torch.nn.BatchNorm1d(after), torch.nn.Tanh()]
        for module, kind in ((layers[-3], "linear"), (layers[-2], "norm")):
            prefix = f"linear {number}.{kind}."
            own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
            module.load_state_dict(own, strict=kind == "linear")
    layers.append(torch.nn.Linear(8, 2))
    prefix = "output.linear."
    layers[-1].load_state_dict({n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)})
    with torch.inference_mode():
        result: torch.Tensor = torch.nn.Sequential(*layers).eval()(points)
    return result


def test_classes_are_the_argmax_of_the_logits_where_their_softmax_ties(tmp_path: Path) -> None:
    session = Session.begin(parse(TIES, file="test.toml"), tmp_path / "x.bntui")
    points = session.runs[0].samples.grid
    assert points is not None
    logits = logits_of(session, points)
    assert logits.shape == (ROWS * COLUMNS, 2)
    apart = (logits[:, 0] - logits[:, 1]).abs()
    tied = torch.softmax(logits, 1)[:, 0] == torch.softmax(logits, 1)[:, 1]
    # the network's answers differ by rounding only: between two ways to compute them no point changes sides
    assert ((apart > 0) & tied & (logits.argmax(1) == 1)).sum() > 20
    session.close()
    with closing(Reader(tmp_path / "x.bntui")) as reader:
        found = reader.keyframe(0, 0).predictions
    assert found is not None
    assert found.classes is not None
    ours = logits.argmax(1).numpy()
    np.testing.assert_array_equal(found.classes.ravel()[apart > 0], ours[apart > 0])


@pytest.mark.parametrize(("sign", "true"), [(1.0, True), (-1.0, False)], ids=["ties", "another class"])
def test_the_audit_takes_older_recordings_whose_classes_are_those_of_a_tied_softmax(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sign: float, true: bool
) -> None:
    def softmaxed(network: Network, points: torch.Tensor, task: str) -> Predictions:
        now = predict(network, points, task)
        network.train(False)
        with torch.inference_mode():
            logits = forward(network.stages, points)[-1]
        network.train(True)
        classes = torch.softmax(sign * logits, 1).max(1).indices.numpy().astype(np.uint8).reshape(ROWS, COLUMNS)
        return replace(now, classes=classes)

    monkeypatch.setattr(trained, "predict", softmaxed)
    # uniform weights this small leave logits that differ by less than 6e-8, as in the recording that was refused
    train(tmp_path, TIES, ("training.epochs", 1), ("training.optimizer", "adam"), ("training.lr", 0.01)).close()
    report = audit(tmp_path / "0.bntui")
    assert report.true == true, report.ledger.failures[:3]


@pytest.mark.parametrize("settings", [(), NORMED], ids=["plain", "batch norm and dropout"])
def test_the_fitted_curve_is_the_networks_output(tmp_path: Path, settings: tuple[tuple[str, Any], ...]) -> None:
    reader = train(tmp_path, SINE, *settings, ("record.every", 1))
    found = reader.keyframe(0, len(reader.history(0)) - 2).predictions
    assert found is not None
    assert found.classes is None
    assert found.values.shape == (POINTS, 1) == (128, 1)
    np.testing.assert_allclose(found.values, output_by_hand(reader, points_by_hand(reader)), rtol=1e-4, atol=1e-5)


def test_each_run_sees_the_grid_through_its_own_scaling(tmp_path: Path) -> None:
    runs = '[[run]]\nname = "z"\n[[run]]\nname = "raw"\nset = { data.scaling = "none" }\n'
    reader = train(tmp_path, MOONS + runs)
    grids = [points_by_hand(reader, run) for run in (0, 1)]
    assert not np.allclose(grids[0], grids[1])
    weights = [reader.evidence(run, 0) for run in (0, 1)]
    for run, (points, evidence) in enumerate(zip(grids, weights, strict=True)):
        assert evidence is not None
        w = {name: value.astype(np.float64) for name, value in evidence.before.items()}
        hidden = np.tanh(points @ w["linear 1.linear.weight"].T + w["linear 1.linear.bias"])
        output = hidden @ w["output.linear.weight"].T + w["output.linear.bias"]
        found = reader.keyframe(run, 0).predictions  # of the initial weights
        assert found is not None
        probability = 1 / (1 + np.exp(-np.abs(output[:, 0] - output[:, 1])))
        np.testing.assert_allclose(found.values.ravel(), probability, atol=2**-11)


@pytest.mark.parametrize("text", [MOONS, SINE], ids=["moons", "sine"])
def test_predicting_changes_nothing(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = (*NORMED, ("network.norm_noise", 0.5))
    asked = train(tmp_path, text, *noisy)
    monkeypatch.setattr(bench, "grid_axes", lambda _: ())
    silent = train(tmp_path, text, *noisy)
    assert silent.dataset is not None
    assert silent.dataset.grid == ()
    for row in range(4):
        one, other = asked.keyframe(0, row), silent.keyframe(0, row)
        assert one.predictions is not None
        assert other.predictions is None
        assert (one.weights_digest, one.val_loss) == (other.weights_digest, other.val_loss)


def test_other_data_have_no_grid(tmp_path: Path) -> None:
    reader = train(tmp_path, DIGITS, ("training.epochs", 1))
    assert reader.dataset is not None
    assert reader.dataset.grid == ()
    assert reader.keyframe(0, 1).predictions is None


@pytest.mark.parametrize(
    ("features", "task", "axes"),
    [(1, "regression", 1), (2, "classification", 2), (2, "regression", 0), (1, "classification", 0), (3, "x", 0)],
)
def test_a_grid_needs_two_features_in_classification_and_one_in_regression(features: int, task: Any, axes: int) -> None:
    x = np.random.default_rng(1).random((9, features), np.float32)
    data = Dataset("x", x, np.zeros(9, np.int64), task, ("a", "b"), tuple("xyz"[:features]))
    assert len(grid_axes(data)) == axes


def test_a_constant_feature_has_an_axis_around_it() -> None:
    x = np.full((9, 2), 4.0, np.float32)
    first, second = grid_axes(Dataset("x", x, np.zeros(9, np.int64), "classification", ("a", "b"), ("u", "v")))
    assert (first[0], first[-1]) == (second[0], second[-1]) == (3.0, 5.0)


@pytest.mark.parametrize("text", [MOONS, SINE], ids=["moons", "sine"])
def test_a_diverging_network_predicts_nothing_in_particular(tmp_path: Path, text: str) -> None:
    reader = train(tmp_path, text.replace("tanh", "relu"), ("training.lr", 1e30), ("record.every", 1))
    found = reader.keyframe(0, len(reader.history(0)) - 1).predictions
    assert found is not None
    assert not np.isfinite(found.values).all()

"""Tests noise after batch normalization against the bounds of Santurkar et al. (2018), and what it must not affect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bntui.errors import ScenarioError
from bntui.scenario.load import parse
from bntui.scenario.network import NetworkConfig
from bntui.trainer.draw import Draws
from bntui.trainer.network import Network, build, forward
from tests.test_session import DIGITS, train

CPU = torch.device("cpu")
AMOUNT = 0.5
NOISY = (("network.norm", "batch"), ("network.norm_noise", AMOUNT))


def network(**config: Any) -> Network:
    settings = {"hidden": (20, 20), "norm": "batch", "norm_noise": AMOUNT, **config}
    return build(NetworkConfig.model_validate(settings), (1, 8, 8), 10, 7, CPU)


def test_noise_is_drawn_within_the_bounds_of_the_paper() -> None:
    samples, features = 2000, 40
    draws, like = Draws(3, CPU), torch.empty(samples, features)
    means, deviations = [], []
    for step in range(25):
        scale, shift = (t.numpy().astype(np.float64) for t in draws.noise("linear 1", step, like, AMOUNT))
        means.append(shift.mean(0))
        deviations.append(scale.mean(0))
        # around each feature's mean: uniform within 0.1, and normal with standard deviation 0.1
        assert np.ptp(shift, axis=0).max() <= 0.2 + 1e-6
        np.testing.assert_allclose(shift.std(0), 0.1 / np.sqrt(3), rtol=0.05)
        np.testing.assert_allclose(scale.std(0), 0.1, rtol=0.1)
        assert abs(np.corrcoef(scale[:, 0], shift[:, 0])[0, 1]) < 0.1
    mean, deviation = np.concatenate(means), np.concatenate(deviations)
    error = 5 * 0.1 / np.sqrt(samples)
    assert -0.5 - error <= mean.min() < -0.45 < 0.45 < mean.max() <= 0.5 + error
    assert 1 - error <= deviation.min() < 1.02 < 1.23 < deviation.max() <= 1.25 + error
    assert mean.mean() == pytest.approx(0, abs=0.05)
    assert mean.std() == pytest.approx(0.5 / np.sqrt(3), rel=0.1)


def test_noise_is_a_function_of_seed_layer_and_step() -> None:
    draws, like = Draws(3, CPU), torch.empty(60, 20)
    first = draws.noise("linear 1", 4, like, AMOUNT)
    again = Draws(3, CPU).noise("linear 1", 4, like, AMOUNT)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    for other in (
        draws.noise("linear 1", 5, like, AMOUNT),
        draws.noise("linear 2", 4, like, AMOUNT),
        Draws(4, CPU).noise("linear 1", 4, like, AMOUNT),
    ):
        assert not torch.equal(first[0], other[0])
        assert not torch.equal(first[1], other[1])


def test_in_a_convolution_a_sample_has_one_scale_and_shift_for_each_channel() -> None:
    scale, shift = Draws(3, CPU).noise("conv 1", 0, torch.empty(6, 4, 8, 8), AMOUNT)
    assert scale.shape == shift.shape == (6, 4, 1, 1)


@pytest.mark.parametrize("position", ["before_activation", "after_activation"])
def test_noise_stands_right_behind_the_normalization(position: str) -> None:
    built = network(norm_position=position)
    for layer in built.layers[:-1]:
        assert layer.stages[layer.stages.index("norm") + 1] == "noise"
    assert "noise" not in built.layers[-1].stages
    assert "noise" not in network(norm_noise=0.0).layers[0].stages


def test_evaluation_mode_has_no_noise() -> None:
    noisy, still = network(), network(norm_noise=0.0)
    x = torch.rand((60, 1, 8, 8), generator=torch.Generator().manual_seed(5))
    for built in (noisy, still):
        built.train(False)
    assert torch.equal(forward(noisy.stages, x)[-1], forward(still.stages, x)[-1])


def test_a_recorded_step_is_scaled_and_shifted_by_what_was_drawn(tmp_path: Path) -> None:
    reader = train(tmp_path, DIGITS, *NOISY, ("training.epochs", 2))
    evidence, frame, info = reader.evidence(0, 1), reader.keyframe(0, 1), reader.runs[0]
    assert evidence is not None
    draws = Draws(7, CPU)
    noises = [at for at, (_, kind) in enumerate(info.stages) if kind == "noise"]
    assert len(noises) == 2
    for at in noises:
        layer = info.stages[at][0]
        normed, noised = evidence.stages[at - 1], evidence.stages[at]
        # keyframe 1 is measured on the epoch's last step, the sixth
        scale, shift = draws.noise(info.layers[layer].name, 5, torch.empty(normed.shape), AMOUNT)
        np.testing.assert_allclose(noised, scale.numpy() * normed + shift.numpy(), rtol=1e-6, atol=1e-6)
        measured = frame.layers[layer]
        assert measured.normalized is not None
        assert measured.normalized.std == pytest.approx(noised.astype(np.float64).std(), rel=1e-9)
        own = noised[:, 0].astype(np.float64)
        found = (measured.unit_p15, measured.unit_p50, measured.unit_p85)
        assert found == pytest.approx(tuple(np.percentile(own, (15, 50, 85))), rel=1e-12)


def test_noise_changes_training_and_no_run_beside_it(tmp_path: Path) -> None:
    runs = (
        '[[run]]\nname = "still"\nset = { network.norm = "batch" }\n'
        f'[[run]]\nname = "noisy"\nset = {{ network.norm = "batch", network.norm_noise = {AMOUNT} }}\n'
    )
    beside = train(tmp_path, DIGITS + runs)
    alone = train(tmp_path, DIGITS, NOISY[0])
    for row in range(1, 7):
        assert beside.keyframe(0, row).weights_digest == alone.keyframe(0, row).weights_digest
        assert beside.keyframe(1, row).weights_digest != alone.keyframe(0, row).weights_digest


def test_measuring_noisy_steps_more_often_changes_no_figure(tmp_path: Path) -> None:
    epochs, steps = (train(tmp_path, DIGITS, *NOISY, ("record.every", every)) for every in ("epoch", 1))
    assert epochs.keyframe(0, 6).weights_digest == steps.keyframe(0, 36).weights_digest


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"norm": "layer"}, "'linear 1' is linear with norm = 'layer'"),
        ({"norm": "none"}, "no layer has it"),
        ({"norm": "batch", "layer": [{"type": "recurrent", "units": 8}]}, "'recurrent 1' is recurrent with norm"),
    ],
)
def test_noise_without_batch_normalization_is_refused(settings: dict[str, Any], message: str) -> None:
    text = DIGITS.replace("hidden = [20, 20]\n", "") if "layer" in settings else DIGITS
    overrides = [(f"network.{key}", value) for key, value in {**settings, "norm_noise": AMOUNT}.items()]
    with pytest.raises(ScenarioError, match=f"norm_noise needs batch normalization.*{message}"):
        parse(text, file="test.toml", overrides=overrides)


def test_a_layer_without_normalization_beside_normalized_ones_has_no_noise() -> None:
    built = network(
        hidden=None, layer=({"type": "linear", "units": 20, "norm": "none"}, {"type": "linear", "units": 9})
    )
    assert ["noise" in layer.stages for layer in built.layers] == [False, True, False]

"""Batch normalization as a loop of any framework tells it: PyTorch's own module, NumPy by hand, and what is shown."""

from __future__ import annotations

import json
import math
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import bntui
from bntui.audit.audit import audit
from bntui.cli import obey
from bntui.export.scene import Scene
from bntui.keyframe import BatchNorm
from bntui.recording.reader import Reader
from bntui.watching.record import record
from bntui.watching.trouble import RecorderWarning


def normalized(shape: tuple[int, ...], eps: float = 1e-3) -> tuple[nn.Module, dict[str, Any]]:
    """A batch normalization of PyTorch's after one pass, and the table of arrays of a loop that uses it."""
    torch.manual_seed(len(shape))
    kind = {2: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)]
    module = kind(shape[1], eps=eps)
    nn.init.uniform_(module.weight, 0.5, 2)
    nn.init.uniform_(module.bias)
    entered = torch.randn(shape) * 3 + 1
    out = module(entered)
    out.square().sum().backward()
    assert module.weight.grad is not None
    assert module.bias.grad is not None
    return module, {
        "pre_activation": entered.numpy(), "normalized": out.detach().numpy(), "eps": eps,
        "running_mean": module.running_mean, "running_var": module.running_var,
        "gamma": module.weight.detach(), "beta": module.bias.detach(),
        "gamma_gradient": module.weight.grad, "beta_gradient": module.bias.grad,
    }  # fmt: skip


def read(path: Path) -> BatchNorm | None:
    with closing(Reader(path)) as reader:
        return reader.keyframe(0, 0).layers[0].batch_norm


@pytest.mark.parametrize("channels", ["first", "last"])
@pytest.mark.parametrize("shape", [(16, 5), (8, 3, 4, 4)])
def test_it_is_recorded_as_told_with_the_minibatch_s_statistics(
    shape: tuple[int, ...], channels: Any, tmp_path: Path
) -> None:
    module, told = normalized(shape)
    flat = told["pre_activation"].astype(np.float64).swapaxes(0, 1).reshape(shape[1], -1)
    kind = "conv" if len(shape) == 4 else "linear"
    if channels == "last":
        told |= {key: np.moveaxis(told[key], 1, -1) for key in ("pre_activation", "normalized")}
    path = tmp_path / "run.bntui"
    with record(path, channels=channels) as recorder:
        recorder.keyframe(1, 1, {"a": {**told, "kind": kind}}, val_loss=1.0)
    found = read(path)
    assert found is not None
    np.testing.assert_allclose(found.batch_mean, flat.mean(1), rtol=1e-6)
    np.testing.assert_allclose(found.batch_var, flat.var(1), rtol=1e-6)
    for name, tensor in (
        ("running_mean", module.running_mean), ("running_var", module.running_var), ("gamma", module.weight),
        ("beta", module.bias), ("gamma_gradient", module.weight.grad), ("beta_gradient", module.bias.grad),
    ):  # fmt: skip
        np.testing.assert_array_equal(getattr(found, name), tensor.detach().numpy())  # type: ignore[union-attr, operator]
    assert found.eps == 1e-3
    with closing(Reader(path)) as reader:
        assert reader.runs[0].layers[0].norm == "batch"
        assert reader.runs[0].layers[0].parameters == 2 * shape[1]
    assert audit(path).true


def test_it_is_what_watch_sees_of_the_same_step(tmp_path: Path) -> None:
    torch.manual_seed(0)
    linear, norm = nn.Linear(4, 6), nn.BatchNorm1d(6)
    model = nn.Sequential(linear, norm, nn.ReLU())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(10, 4)
    with torch.no_grad():
        before = linear(x)
    affine = {"gamma": norm.weight.detach().clone(), "beta": norm.bias.detach().clone()}
    with bntui.watch(model, optimizer, tmp_path / "watched.bntui", quiet=True):
        model(x).square().sum().backward()
        optimizer.step()
    with record(tmp_path / "told.bntui") as recorder:
        gradients = {"gamma_gradient": norm.weight.grad, "beta_gradient": norm.bias.grad}
        running = {"running_mean": norm.running_mean, "running_var": norm.running_var}
        recorder.keyframe(1, 1, {"a": {"pre_activation": before, "eps": norm.eps, **affine, **gradients, **running}})
    one, other = read(tmp_path / "watched.bntui"), read(tmp_path / "told.bntui")
    assert one is not None
    assert other is not None
    for name in BatchNorm.__dataclass_fields__:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-6, atol=1e-7, err_msg=name)


def test_a_part_of_it_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "run.bntui"
    with record(path) as recorder:
        recorder.keyframe(1, 1, {"a": {"running_var": np.array([1.0, 2.0]), "eps": 1e-5}})
    found = read(path)
    assert found is not None
    assert found.running_var.tolist() == [1.0, 2.0]
    assert (found.gamma.tolist(), found.beta.tolist()) == ([1.0, 1.0], [0.0, 0.0])
    assert np.isnan([found.running_mean, found.batch_mean, found.batch_var, found.gamma_gradient]).all()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"eps": None}, "needs its eps"), ({"eps": -1.0}, "needs its eps"), ({"eps": math.nan}, "needs its eps"),
        ({"norm": "layer"}, "running_mean belongs to the norm batch, not to layer"),
        ({"gamma": np.ones(3)}, r"gamma has shape \(3,\), not one number for each of 5 units"),
        ({"running_mean": np.ones((5, 1))}, r"running_mean has shape \(5, 1\)"),
    ],
)  # fmt: skip
def test_a_mistake_is_warned_of(wrong: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    _module, told = normalized((16, 5))
    with record(tmp_path / "run.bntui") as recorder:
        with pytest.warns(RecorderWarning, match=sentence):
            recorder.keyframe(1, 1, {"a": {**told, **wrong}})
        recorder.keyframe(1, 1, {"a": told})
    assert read(tmp_path / "run.bntui") is not None


def test_without_an_epsilon_the_rest_of_the_layer_is_recorded(tmp_path: Path) -> None:
    """PyTorch takes 0 in evaluation mode; a recording has no place for it."""
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5, eps=0).eval(), nn.ReLU())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    path = tmp_path / "run.bntui"
    with bntui.watch(model, optimizer, path, quiet=True):
        model(torch.randn(8, 4)).sum().backward()
        optimizer.step()
    assert read(path) is None
    with closing(Reader(path)) as reader:
        assert reader.keyframe(0, 0).layers[0].normalized is not None


def page(path: Path) -> str:
    with closing(Reader(path)) as reader:
        rows = Scene.of(reader, "microscope", size=(160, 48)).rows()
        return "\n".join("".join(span.text for span in row) for row in rows)


def test_its_statistics_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _module, told = normalized((16, 5))
    running, gamma = told["running_var"].tolist(), float(told["gamma"][0])
    path = tmp_path / "run.bntui"
    with record(path) as recorder:
        recorder.keyframe(1, 1, {"a": {**told, "activation": "relu"}}, loss=1.0)
    with pytest.raises(SystemExit):
        obey(["show", str(path), "--json"])
    shown = json.loads(capsys.readouterr().out)["layers"][0]["batch_norm"]
    assert shown["running_var"] == pytest.approx(running)
    drawn = page(path)
    assert "running ←" not in drawn  # the momentum was not told
    assert f"{gamma:.3f}" in drawn

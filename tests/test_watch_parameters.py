"""Which parameters ``bntui.watch`` measures, in loops that change them: compared with what the loop itself sees."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

import bntui
from bntui.cli import obey
from tests.test_watch import recorded

Figures = dict[str, tuple[float, float, float]]
"""Norm of a layer's weight before a step, of its gradient, and the ratio of its change, by NumPy."""


def norm(values: Any) -> float:
    return float(np.sqrt(np.square(np.asarray(values, np.float64)).sum()))


def trained(
    model: Any, path: Path, change: Callable[[int, Any, Any], None], weights: Callable[[], Any],
    forward: Callable[[Tensor], Tensor] | None = None,
) -> list[Figures]:  # fmt: skip
    """Train a few steps, each of them recorded, and measure the weights by hand."""
    optimizer = torch.optim.SGD([one for one in model.parameters() if one.requires_grad], lr=0.1)
    x = torch.randn((8, model[0].in_features), generator=torch.Generator().manual_seed(1))
    found = []
    with bntui.watch(model, optimizer, path, every=1, quiet=True):
        for step in range(4):
            change(step, model, optimizer)
            optimizer.zero_grad()
            (forward or model)(x).square().sum().backward()
            before = {name: weight.detach().clone() for name, weight in weights().items()}
            gradients = {name: weight.grad for name, weight in weights().items()}
            optimizer.step()
            found.append({
                name: (
                    norm(before[name]),
                    math.nan if gradients[name] is None else norm(gradients[name]),
                    norm(weight.detach() - before[name]) / norm(before[name]),
                )
                for name, weight in weights().items()
            })  # fmt: skip
    return found


def compared(path: Path, by_hand: list[Figures], moved: bool = True) -> None:
    _info, frames = recorded(path)
    assert len(frames) == len(by_hand)
    for frame, figures in zip(frames, by_hand, strict=True):
        for layer in frame.layers:
            weight, gradient, ratio = figures[layer.name]
            assert layer.weight_norm == pytest.approx(weight, rel=1e-6)
            assert layer.weight_gradient_norm == pytest.approx(gradient, rel=1e-6, nan_ok=True)
            if moved:
                assert layer.update_ratio == pytest.approx(ratio, rel=1e-5, nan_ok=True)


def two() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))


def plain(model: Any) -> Callable[[], Any]:
    return lambda: {"0": model[0].weight, "2": model[2].weight}


def _replaced(step: int, model: Any, optimizer: Any) -> None:
    if step == 2:
        model[0].weight = nn.Parameter(torch.full((6, 4), 0.5))
        optimizer.param_groups[0]["params"] = list(model.parameters())


def _assigned(step: int, model: Any, optimizer: Any) -> None:
    if step == 2:
        model.load_state_dict({name: 3 * one for name, one in model.state_dict().items()}, assign=True)
        optimizer.param_groups[0]["params"] = list(model.parameters())


def _thawed(step: int, model: Any, _optimizer: Any) -> None:
    if step == 0:
        model[0].requires_grad_(False)
    if step == 2:
        model[0].requires_grad_(True)


@pytest.mark.parametrize("change", [_replaced, _assigned])
def test_a_parameter_that_is_replaced_is_followed(change: Callable[..., None], tmp_path: Path) -> None:
    model = two()
    compared(tmp_path / "run.bntui", trained(model, tmp_path / "run.bntui", change, plain(model)))


def test_a_layer_that_is_thawed_is_measured_from_its_first_step_on(tmp_path: Path) -> None:
    model = two()
    by_hand = trained(model, tmp_path / "run.bntui", _thawed, plain(model))
    assert [math.isnan(figures["0"][1]) for figures in by_hand] == [True, True, False, False]
    compared(tmp_path / "run.bntui", by_hand, moved=False)


def test_a_model_that_is_converted_is_followed(tmp_path: Path) -> None:
    model = two()

    def change(step: int, model: Any, _optimizer: Any) -> None:
        if step == 2:
            model.double()

    by_hand = trained(model, tmp_path / "run.bntui", change, plain(model), lambda x: model(x.to(model[0].weight.dtype)))
    compared(tmp_path / "run.bntui", by_hand)


PARAMETRIZED: dict[str, Callable[[nn.Module], Any]] = {
    "weight_norm": lambda layer: parametrizations.weight_norm(layer) and "parametrizations.weight.original1",
    "orthogonal": lambda layer: parametrizations.orthogonal(layer) and "parametrizations.weight.original",
    "prune": lambda layer: prune.l1_unstructured(layer, "weight", 0.5) and "weight_orig",  # type: ignore[no-untyped-call]
}  # fmt: skip


# with one input, the bias is as large as the weight
@pytest.mark.parametrize(
    ("kind", "inputs"), [("weight_norm", 4), ("orthogonal", 1), ("orthogonal", 4), ("prune", 1), ("prune", 4)]
)
def test_the_weight_of_a_parametrized_layer_is_what_is_trained(kind: str, inputs: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Linear(inputs, 6), nn.Tanh(), nn.Linear(6, 2))
    name = PARAMETRIZED[kind](model[0])

    def weights() -> Any:
        return {"0": model[0].get_parameter(name), "2": model[2].weight}

    path = tmp_path / "run.bntui"
    compared(path, trained(model, path, lambda *_of: None, weights))


def test_a_layer_that_is_parametrized_while_it_is_watched_is_followed(tmp_path: Path) -> None:
    model = two()

    def change(step: int, model: Any, optimizer: Any) -> None:
        if step == 2:
            parametrizations.weight_norm(model[0])
            optimizer.param_groups[0]["params"] = list(model.parameters())

    def weights() -> Any:
        whole = not parametrize.is_parametrized(model[0])
        first = model[0].weight if whole else model[0].get_parameter("parametrizations.weight.original1")
        return {"0": first, "2": model[2].weight}

    path = tmp_path / "run.bntui"
    compared(path, trained(model, path, change, weights))


def test_a_functional_call_does_not_hide_the_parameters(tmp_path: Path) -> None:
    model = two()

    def forward(x: Tensor) -> Tensor:
        fast = {name: 1.0 * one for name, one in model.named_parameters()}
        out: Tensor = torch.func.functional_call(model, fast, (x,))
        return out

    path = tmp_path / "run.bntui"
    compared(path, trained(model, path, lambda *_of: None, plain(model), forward))


def test_a_lazy_layer_is_measured_once_it_has_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.LazyLinear(6), nn.Tanh(), nn.Linear(6, 2))
    optimizer: Any = None
    path = tmp_path / "run.bntui"
    with bntui.watch(model, None, path, every=1) as recorder:
        for _ in range(3):
            loss = model(torch.ones(3, 4)).square().sum()
            optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.1)
            optimizer.zero_grad()
            loss.backward()
            before = norm(model[0].weight.detach())
            optimizer.step()
            recorder.step(loss=loss)
    assert "not seen" not in capsys.readouterr().err
    _info, frames = recorded(path)
    assert frames[-1].layers[0].weight_norm == pytest.approx(before, rel=1e-6)
    assert frames[-1].layers[0].update_ratio > 0


def test_figures_that_a_layer_cannot_have_are_absent_and_not_nan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.LayerNorm(4, elementwise_affine=False), nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
    model[1].requires_grad_(False)
    path = tmp_path / "run.bntui"
    optimizer = torch.optim.SGD(model[3].parameters(), lr=0.1)
    with bntui.watch(model, optimizer, path, quiet=True) as recorder:
        loss = model(torch.randn(8, 4)).square().sum()
        loss.backward()
        optimizer.step()
        recorder.step(loss=loss)
        recorder.epoch(train_accuracy=0.5, val_loss=1.0, val_accuracy=0.5)
    info, _frames = recorded(path)
    assert [set(layer.absent) for layer in info.layers] == [
        {"activation_gradient_norm", "weight_norm", "weight_gradient_norm", "update_ratio"},
        {"activation_gradient_norm", "weight_gradient_norm", "update_ratio"},
        set(),
    ]
    with pytest.raises(SystemExit):
        obey(["show", str(path)])
    assert "NaN" not in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_model_of_torchscript_is_left_out_and_the_rest_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    inner: Any = torch.jit.trace(nn.Sequential(nn.Linear(4, 6), nn.Tanh()), torch.zeros(1, 4))  # type: ignore[no-untyped-call]
    model: Any = nn.Sequential(inner, nn.Linear(6, 2))
    path = tmp_path / "run.bntui"
    by_hand = []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with bntui.watch(model, optimizer, path, every=1):
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.randn(8, 4)).square().sum().backward()
            by_hand.append((norm(model[1].weight.detach()), norm(model[1].weight.grad)))
            optimizer.step()
    assert "bntui: not seen: 0.0" in capsys.readouterr().err
    _info, frames = recorded(path)
    assert [[layer.name for layer in frame.layers] for frame in frames] == [["1"], ["1"]]
    found = [(frame.layers[0].weight_norm, frame.layers[0].weight_gradient_norm) for frame in frames]
    assert np.array(found) == pytest.approx(np.array(by_hand), rel=1e-6)

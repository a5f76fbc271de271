"""What ``bntui.watch`` leaves of ``torch.compile``: the stance that the loop set, and an optimizer's compiled step."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bntui
from tests.test_watch import recorded


def _loop() -> tuple[nn.Module, torch.optim.Optimizer, Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), torch.randn(8, 4)


def _stance() -> str:
    import torch._dynamo.eval_frame

    return str(torch._dynamo.eval_frame._stance.stance)


@pytest.mark.filterwarnings("ignore:.*:UserWarning:torch")
def test_the_compiled_step_of_an_optimizer_is_followed_and_not_changed(tmp_path: Path) -> None:
    def trained(path: Path | None) -> list[Tensor]:
        torch._dynamo.reset()
        model, optimizer, x = _loop()
        step = torch.compile(lambda: optimizer.step(), backend="eager")
        recorder: Any = bntui.watch(model, optimizer, path, every=2, quiet=True) if path else None
        with recorder or nullcontext():
            for _ in range(5):
                optimizer.zero_grad()
                model(x).square().mean().backward()
                step()
        return [one.detach().clone() for one in model.parameters()]

    path = tmp_path / "compiled.bntui"
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        alone, watched = trained(None), trained(path)
    assert not [str(one.message) for one in told if "bntui" in one.filename or "Dynamo does not know" in str(one)]
    assert all(map(torch.equal, alone, watched))
    assert [frame.step for frame in recorded(path)[1]] == [1, 2, 4]


@pytest.mark.parametrize("rates", [(1, 2), (2, 1), (3, 2), (2, 3)])
def test_recorders_beside_each_other_leave_the_stance_of_the_loop(rates: tuple[int, int], tmp_path: Path) -> None:
    model, optimizer, x = _loop()
    first, second = (tmp_path / f"{at}.bntui" for at in range(2))
    with (
        bntui.watch(model, optimizer, first, every=rates[0], quiet=True),
        bntui.watch(model, optimizer, second, every=rates[1], quiet=True),
    ):
        for step in range(1, 7):
            model(x).square().mean().backward()
            optimizer.step()
            due = any((step + 1) % rate == 0 for rate in rates)
            assert _stance() == ("force_eager" if due else "default")
    assert _stance() == "default"


def test_a_stance_that_the_loop_sets_meanwhile_stays_and_ends(tmp_path: Path) -> None:
    model, optimizer, x = _loop()
    with bntui.watch(model, optimizer, tmp_path / "run.bntui", every=3, quiet=True):
        with torch.compiler.set_stance("eager_on_recompile"):  # while the first step is due
            for step in range(1, 6):
                model(x).square().mean().backward()
                optimizer.step()
                assert _stance() == ("force_eager" if step in (2, 5) else "eager_on_recompile")
        model(x).square().mean().backward()
        optimizer.step()
        assert _stance() == "default"
    assert _stance() == "default"


def test_a_model_of_which_a_part_is_compiled_is_recorded_without_a_warning_of_pytorch_s(tmp_path: Path) -> None:
    """PyTorch warns of global hooks wherever something compiled is called, which would end a loop under -W error."""
    torch.manual_seed(0)
    torch._dynamo.reset()
    inner: Any = torch.compile(nn.Sequential(nn.Linear(4, 6), nn.ReLU()), backend="eager")
    model, x = nn.Sequential(inner, nn.Linear(6, 2)), torch.randn(8, 4)
    optimizer, path = torch.optim.SGD(model.parameters(), lr=0.1), tmp_path / "run.bntui"
    with bntui.watch(model, optimizer, path, every=2, quiet=True), warnings.catch_warnings():
        warnings.filterwarnings("error", "Using `torch.compile")
        for _ in range(4):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
    info, frames = recorded(path)
    assert [(one.name, one.activation) for one in info.layers] == [("0.0", "relu"), ("1", "none")]
    assert [frame.step for frame in frames] == [1, 2, 4]

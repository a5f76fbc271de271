"""Units that died are counted along the axis that has them, whatever stands between a layer and its activation."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import bntui
from tests.test_watch import recorded

CONV, LINEAR = (4, 3, 8, 9), (4, 7, 3)
WAYS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], Callable[[Tensor], Tensor]]] = {
    "nothing": (lambda: nn.Conv2d(3, 6, 3), CONV, lambda x: x),
    "flatten": (lambda: nn.Conv2d(3, 6, 3), CONV, lambda x: x.flatten(1)),
    "patches": (lambda: nn.Conv2d(3, 6, 3), CONV, lambda x: x.flatten(2).transpose(1, 2)),
    "permute": (lambda: nn.Conv2d(3, 6, 3), CONV, lambda x: torch.permute(x, (0, 2, 3, 1))),
    "by name": (lambda: nn.Conv2d(3, 6, 3), CONV, lambda x: torch.movedim(input=x, source=1, destination=3)),
    "back again": (lambda: nn.Conv2d(3, 6, 3), CONV, lambda x: x.permute(0, 2, 3, 1).permute(0, 3, 1, 2).flatten(1)),
    "view": (lambda: nn.Conv2d(3, 6, 3), CONV, lambda x: x.reshape(x.shape[0], 2, 3, -1)),
    "pooling": (lambda: nn.Conv2d(3, 6, 3), CONV, lambda x: functional.max_pool2d(x, x.shape[2:]).squeeze()),
    "sum": (lambda: nn.Linear(3, 6), (4, 3), lambda x: x.unsqueeze(-1) + torch.zeros(2, 4, 6, 5)),
    "one sample": (lambda: nn.Conv2d(3, 6, 3), CONV[1:], lambda x: x),
    "one sequence": (lambda: nn.Conv1d(3, 6, 3), (3, 9), lambda x: x.t()),
    "sequence": (lambda: nn.Linear(3, 6), LINEAR, lambda x: x.transpose(1, 2)),
    "large": (lambda: nn.Linear(3, 60), (40, 70, 3), lambda x: x.swapaxes(1, 2)),
    "large pixels": (lambda: nn.Conv2d(3, 60, 3), (4, 3, 38, 39), lambda x: x.permute(0, 2, 3, 1)),
    "large rows": (lambda: nn.Conv2d(3, 60, 3), (4, 3, 38, 39), lambda x: x.flatten(1)),
}  # fmt: skip


class Between(nn.Module):
    """A layer, something, and a ReLU."""

    def __init__(self, layer: nn.Module, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.between = layer, between

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.between(self.layer(x)))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore::UserWarning:torch")
def test_dead_units_are_those_of_the_layer(way: str, tmp_path: Path) -> None:
    make, shape, between = WAYS[way]
    torch.manual_seed(0)
    model, path = Between(make(), between), tmp_path / "run.bntui"
    with torch.no_grad():
        model.get_parameter("layer.bias")[:2] = -1000  # two units die
        values = model.layer(torch.randn(shape, generator=torch.Generator().manual_seed(3))).numpy()
    axis = values.ndim - 1 if isinstance(model.layer, nn.Linear) else 0 if way.startswith("one ") else 1
    others = tuple(at for at in range(values.ndim) if at != axis)
    expected = (np.maximum(values, 0) == 0).all(axis=others).mean()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with bntui.watch(model, optimizer, path, quiet=True):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(3))
        model(x).square().sum().backward()
        optimizer.step()
    info, (frame,) = recorded(path)
    assert frame.layers[0].dead_fraction == pytest.approx(expected)
    assert info.layers[0].shape[0] == values.shape[axis]
    assert "dead_fraction" not in info.layers[0].absent
    # the sum repeats each value
    unit = np.percentile(np.take(values, 0, axis).repeat(10 if way == "sum" else 1), [15, 50, 85])
    layer = frame.layers[0]
    assert [layer.unit_p15, layer.unit_p50, layer.unit_p85] == pytest.approx(unit.tolist(), rel=1e-6)


def test_units_that_cannot_be_told_apart_are_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "run.bntui"
    model = Between(nn.Linear(3, 6), lambda x: x.view(4, 7, 2, 3).transpose(1, 2))  # as heads of an attention
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with bntui.watch(model, optimizer, path, quiet=True):
        model(torch.randn(LINEAR)).square().sum().backward()
        optimizer.step()
    info, (frame,) = recorded(path)
    assert math.isnan(frame.layers[0].dead_fraction)
    assert "dead_fraction" in info.layers[0].absent

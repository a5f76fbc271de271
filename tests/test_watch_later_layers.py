"""Layers that the first measured step does not call: experts, skipped blocks, and heads of a later phase."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

import bntui
from bntui.audit.audit import audit
from bntui.keyframe import Keyframe
from bntui.recording.history import LayerInfo
from bntui.recording.reader import Reader
from tests.waiting import until


class Phased(nn.Module):
    """A trunk, blocks that are skipped at times, a convolution that a later phase adds, and a head.

    The blocks normalize first; the convolution is followed by a batch normalization and an activation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Linear(4, 6)
        self.blocks = nn.ModuleList(nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 6), nn.ReLU()) for _ in range(3))
        self.late = nn.Sequential(nn.Conv1d(1, 2, 3, padding=1), nn.BatchNorm1d(2), nn.Tanh(), nn.Dropout(0.5))
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor, blocks: tuple[int, ...], *, late: bool) -> Tensor:
        x = functional.relu(self.trunk(x))
        for at in blocks:
            x = x + self.blocks[at](x)
        if late:
            x = x + self.late(x[:, None]).sum(1)
        done: Tensor = self.head(x)
        return done


PHASES = [((1,), False), ((2, 1), False), ((0,), True), ((), False), ((0, 1, 2), True)]
NAMES = ["trunk", "blocks.0.0", "blocks.0.1", "blocks.1.0", "blocks.1.1", "blocks.2.0", "blocks.2.1", "late.0", "head"]


def called_in(blocks: tuple[int, ...], *, late: bool) -> list[str]:
    """The layers that a phase calls, in the order of NAMES."""
    of_blocks = [f"blocks.{at}.{part}" for at in sorted(blocks) for part in range(2)]
    return ["trunk", *of_blocks, *(["late.0"] if late else []), "head"]


def watched(path: Path, model: Phased, *, quiet: bool = True, after: Callable[[], object] = lambda: None) -> list[Any]:
    """Record the phases; returns what hooks of the test see enter and leave the late convolution."""
    optimizer, seen = torch.optim.SGD(model.parameters(), lr=0.05), list[Any]()
    model.late[0].register_forward_hook(lambda _module, args, out: seen.append((args[0].detach(), out.detach())))
    with bntui.watch(model, optimizer, path, every=1, quiet=quiet) as recorder:
        for blocks, late in PHASES:
            optimizer.zero_grad()
            loss = model(torch.randn(8, 4), blocks, late=late).square().mean()
            loss.backward()
            optimizer.step()
            recorder.step(loss=loss)
            after()
    return seen


def recorded(path: Path) -> tuple[tuple[LayerInfo, ...], list[Keyframe]]:
    with closing(Reader(path)) as reader:
        return reader.runs[0].layers, [reader.keyframe(0, row) for row in reader.history(0).frame_rows.tolist()]


def test_layers_are_recorded_from_the_step_that_first_calls_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    path = tmp_path / "run.bntui"
    seen = watched(path, Phased(), quiet=False)
    told = capsys.readouterr().err
    assert "recording 9 layers" in told
    assert "not seen" not in told
    infos, frames = recorded(path)
    assert [info.name for info in infos] == NAMES
    by_name = {info.name: info for info in infos}
    late = by_name["late.0"]
    assert (late.kind, late.norm, late.activation, late.dropout, late.shape) == (
        "conv",
        "batch",
        "tanh",
        0.5,
        (2, 1, 6),
    )
    assert late.stages == ("conv", "norm", "activation", "dropout")
    assert (by_name["blocks.2.0"].kind, by_name["blocks.2.1"].activation) == ("norm", "relu")
    for frame, (blocks, is_late) in zip(frames, PHASES, strict=True):
        assert [layer.name for layer in frame.layers if not layer.uncalled] == called_in(blocks, late=is_late)
    for frame, (entered, left) in zip([frames[2], frames[4]], seen, strict=True):
        layer = frame.layers[NAMES.index("late.0")]
        assert layer.input.mean == pytest.approx(entered.double().mean().item(), rel=1e-6)
        assert layer.pre_norm.std == pytest.approx(left.double().std(correction=0).item(), rel=1e-6)
        assert layer.batch_norm is not None
        np.testing.assert_allclose(
            layer.batch_norm.batch_mean, left.double().mean((0, 2)).numpy(), rtol=1e-5, atol=1e-7
        )
        assert layer.dropout is not None
        assert math.isfinite(layer.activation_gradient_norm)
    assert frames[0].layers[NAMES.index("late.0")].batch_norm is None
    assert audit(path).ledger.failures == []


def test_a_reader_that_is_open_already_learns_what_follows_a_layer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path, steps, readers = tmp_path / "run.bntui", list[int](), list[Reader]()

    def look() -> None:
        steps.append(len(steps))
        if len(steps) == 2:  # a row is handed over with the step after it, and written by another process
            until(lambda: path.exists() or None, "the recording")
            readers.append(Reader(path))

    watched(path, Phased(), after=look)
    with closing(readers[0]) as reader:
        assert [info.norm for info in reader.runs[0].layers if info.name == "late.0"] == ["none"]
        reader.refresh()
        assert [info.norm for info in reader.runs[0].layers if info.name == "late.0"] == ["batch"]
        assert reader.keyframe(0, 4).layers[NAMES.index("late.0")].normalized is not None


def test_copies_that_no_optimizer_trains_are_no_layers_to_come(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    teacher = nn.Linear(4, 2)
    both = nn.ModuleDict({"model": trunk, "average": AveragedModel(trunk), "teacher": teacher})
    optimizer = torch.optim.Adam(trunk.parameters())
    path = tmp_path / "run.bntui"
    with bntui.watch(both, optimizer, path, every=1, quiet=True):
        for _ in range(2):
            x = torch.randn(8, 4)
            functional.mse_loss(trunk(x), teacher(x).detach()).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    infos, _frames = recorded(path)
    assert [info.name for info in infos] == ["model.0", "model.2", "teacher"]


def test_parts_of_attention_and_layers_left_out_are_no_layers_to_come(tmp_path: Path) -> None:
    class Turns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
            self.other = nn.Linear(4, 4)

        def forward(self, x: Tensor, *, attends: bool) -> Tensor:
            x = self.first(x)
            x = self.attention(x, x, x)[0] + self.other(x) if attends else x
            return x.square().mean()

    torch.manual_seed(0)
    model, path = Turns(), tmp_path / "run.bntui"
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with bntui.watch(model, optimizer, path, every=1, quiet=True, layers=["first", "attention"]):
        for attends in (False, True):
            optimizer.zero_grad()
            model(torch.randn(3, 5, 4), attends=attends).backward()
            optimizer.step()
    infos, frames = recorded(path)
    assert [(info.name, str(info.kind)) for info in infos] == [("first", "linear"), ("attention", "attention")]
    assert [frame.layers[1].uncalled for frame in frames] == [True, False]
    assert math.isfinite(frames[1].layers[1].weight_gradient_norm)

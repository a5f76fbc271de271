"""A ResNet-18 of torchvision's shape, but narrow, and a transformer of 6 layers, as ``bntui.watch`` records them."""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import bntui
from bntui.insight.verdicts import measured, verdict_changes, verdict_of
from bntui.recording.history import LayerInfo
from bntui.recording.reader import Reader
from tests.commands import bntui as cli


class BasicBlock(nn.Module):
    """Two convolutions and a residual sum; one ReLU in place serves twice."""

    def __init__(self, entering: int, leaving: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(entering, leaving, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(leaving)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(leaving, leaving, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(leaving)
        self.downsample = None
        if stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(entering, leaving, 1, stride, bias=False), nn.BatchNorm2d(leaving)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        done: Tensor = self.relu(out)
        return done


class ResNet18(nn.Module):
    """torchvision's ResNet-18 with ``width`` channels in its first stage instead of 64."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        sides = [width * 2**stage for stage in range(4)]
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(BasicBlock(sides[max(at - 1, 0)], side, 2 if at else 1), BasicBlock(side, side, 1))
            for at, side in enumerate(sides)
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(sides[-1], 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        done: Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return done


class Transformer(nn.Module):
    """Six pre-norm layers over embedded tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.positions, self.drop = nn.Embedding(50, 16), nn.Embedding(8, 16), nn.Dropout(0.1)
        layer = nn.TransformerEncoderLayer(16, 2, 32, 0.1, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, 6, enable_nested_tensor=False)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(self.tokens(x) + self.positions(torch.arange(x.shape[1])))
        done: Tensor = self.head(self.blocks(x).mean(1))
        return done


def watched(model: nn.Module, x: Tensor, path: Path) -> tuple[LayerInfo, ...]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with bntui.watch(model, optimizer, path) as recorder:
        loss = functional.cross_entropy(model(x), torch.arange(len(x)))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        recorder.step(loss=loss)
    with closing(Reader(path)) as reader:
        assert all(layer.weight_gradient_norm > 0 for layer in reader.keyframe(0, 0).layers)
        return reader.runs[0].layers


def test_a_resnet_18(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layers = {one.name: one for one in watched(ResNet18(4), torch.randn(4, 3, 32, 32), tmp_path / "resnet.bntui")}
    assert len(layers) == 21  # 20 convolutions, of which 3 are on shortcuts, and a head
    assert {one.norm for name, one in layers.items() if name != "fc"} == {"batch"}
    without = [name for name, one in layers.items() if one.activation != "relu"]
    assert without == ["layer2.0.downsample.0", "layer3.0.downsample.0", "layer4.0.downsample.0", "fc"]
    assert "not seen" not in capsys.readouterr().err


def test_a_transformer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layers = watched(Transformer(), torch.randint(0, 50, (4, 8)), tmp_path / "transformer.bntui")
    block = ["norm1", "self_attn", "norm2", "linear1", "linear2"]
    assert [one.name for one in layers] == [
        "tokens", "positions", *(f"blocks.layers.{at}.{name}" for at in range(6) for name in block), "head",
    ]  # fmt: skip
    kinds = {one.name.rpartition(".")[2]: (one.kind, one.norm, one.activation, one.dropout) for one in layers}
    assert kinds["self_attn"] == ("attention", "none", "none", 0.1)
    assert kinds["norm2"] == ("norm", "layer", "none", 0.0)
    assert kinds["linear1"] == ("linear", "none", "relu", 0.1)
    assert kinds["tokens"] == ("embedding", "none", "none", 0.1)
    assert "not seen" not in capsys.readouterr().err


class Checkpointed(nn.Module):
    """Two parts that are computed again backwards, the last one first, and a head."""

    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Dropout(0.5)) for _ in range(2))
        self.head = nn.Linear(4, 3)
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = checkpoint(part, x, use_reentrant=self.reentrant)
        done: Tensor = self.head(x)
        return done


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_are_seen_in_the_order_of_the_forward_pass_and_of_the_last_pass(
    reentrant: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    model, path = Checkpointed(reentrant), tmp_path / "run.bntui"
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    batches = torch.randn(3, 8, 4)
    with bntui.watch(model, optimizer, path):
        for x in batches:  # gradients are accumulated
            model(x.requires_grad_()).square().sum().backward()
        optimizer.step()
    assert "not seen" not in capsys.readouterr().err
    with closing(Reader(path)) as reader:
        layers = reader.keyframe(0, 0).layers
    assert [one.name for one in layers] == ["parts.0.0", "parts.1.0", "head"]
    assert layers[0].input.mean == pytest.approx(float(batches[-1].detach().double().mean()))
    for layer in layers[:2]:
        assert layer.dropout is not None
        assert layer.activation_gradient_norm > 0


class CheckpointedSegment(nn.Module):
    """Layers with all that may follow one; several of them are computed again together, as with little memory."""

    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Dropout(0.5)) for _ in range(3)
        )
        self.head = nn.Linear(4, 3)
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Tensor:
        x = checkpoint(lambda y: self.parts[1](self.parts[0](y)), x, use_reentrant=self.reentrant)
        out: Tensor = self.head(checkpoint(self.parts[2], x, use_reentrant=self.reentrant))
        return out


@pytest.mark.parametrize("told_before", [True, False])
@pytest.mark.parametrize("reentrant", [True, False])
def test_what_is_computed_again_is_no_layer_and_no_pass_of_its_own(
    reentrant: bool, told_before: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    model, path = CheckpointedSegment(reentrant), tmp_path / "run.bntui"
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    losses = []
    with bntui.watch(model, optimizer, path, every=1) as recorder:
        for _ in range(3):
            optimizer.zero_grad()
            loss = model(torch.randn(8, 4, requires_grad=True)).square().mean()
            losses.append(loss.item())
            if told_before:
                recorder.step(loss=loss)
            loss.backward()
            optimizer.step()
            if not told_before:
                recorder.step(loss=loss)
    assert "not seen" not in capsys.readouterr().err
    with closing(Reader(path)) as reader:
        layers = reader.runs[0].layers
        assert reader.history(0).batch_loss == pytest.approx(losses)
    assert [one.name for one in layers] == ["parts.0.0", "parts.1.0", "parts.2.0", "head"]
    assert {(one.norm, one.activation, one.dropout) for one in layers[:3]} == {("batch", "tanh", 0.5)}


class Heads(nn.Module):
    """A trunk, and heads that take turns, as experts or tasks do."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Linear(4, 6)
        self.heads = nn.ModuleList(nn.Linear(6, 2) for _ in range(3))

    def forward(self, x: Tensor, chosen: tuple[int, ...]) -> Tensor:
        x = functional.relu(self.trunk(x))
        return torch.stack([self.heads[at](x) for at in chosen]).sum(0)


def test_verdicts_are_on_the_layers_that_a_step_calls(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Heads()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    path = tmp_path / "turns.bntui"
    turns = [(0, 1, 2), (0,), (1,), (2,), (0, 2), (2,), (1,)]
    ratios = []
    with bntui.watch(model, optimizer, path, every=1, quiet=True) as recorder:
        for number, chosen in enumerate(turns):
            optimizer.zero_grad()
            loss = model(torch.randn(8, 4) * (math.nan if number == 6 else 1.0), chosen).square().mean()
            loss.backward()
            first, last = model.trunk.weight.grad, list(model.heads.parameters())[2 * chosen[-1]].grad
            assert first is not None
            assert last is not None
            ratios.append(float(first.double().norm() / last.double().norm()))
            optimizer.step()
            recorder.step(loss=loss)
    with closing(Reader(path)) as reader:
        (info,), history = reader.runs, reader.history(0)
        frames = [reader.keyframe(0, row) for row in history.frame_rows.tolist()]
        changes = verdict_changes(history, measured(info.layers))
    found = [verdict_of(frame.layers, measured(info.layers)) for frame in frames]
    assert [one.name for one in found] == ["healthy"] * 6 + ["not finite"]
    assert [one.ratio for one in found[:6]] == pytest.approx(ratios[:6], rel=1e-5)
    assert [name for _epoch, name in changes] == ["not finite"]
    for frame, chosen in zip(frames, turns, strict=True):
        assert [layer.uncalled for layer in frame.layers] == [False, *(head not in chosen for head in range(3))]
    shown = cli("show", path, "--epoch", f"{frames[1].epoch}").stdout
    rows = {line.split()[0]: line.split()[-2:] for line in shown.splitlines() if line.startswith(("trunk", "heads"))}
    assert rows["heads.1"] == rows["heads.2"] == ["—", "—"]
    assert "—" not in rows["trunk"] + rows["heads.0"]
    assert "NaN" not in shown

"""Warnings: with ``python -W error``, none of a recorder's becomes an exception of the loop, and nothing is lost."""

from __future__ import annotations

import math
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bntui
from bntui.keyframe import Keyframe
from bntui.recording.reader import Reader
from bntui.watching.record import record

# the whole test suite runs with -W error

MISTAKEN = """
import numpy as np, torch, bntui
from torch import nn

with bntui.record("record.bntui") as recorder:
    layers = {"a": {"output": np.ones((2, 2))}}
    recorder.keyframe(1, 0.5, {"a": {"wieght": 1}})
    recorder.keyframe(2, 0.6, layers, loss="low")
    recorder.keyframe(3, 0.7, layers)
    recorder.keyframe(3, 0.8, layers)
    recorder.step("low")
    recorder.epoch(step=1, val_loss=1.0)
    recorder.early_stopping(wait=-1, best="x", patience=None, monitor="f1")
    recorder.keyframe(4, 0.9, layers)

model = nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
with bntui.watch(model, optimizer, "watch.bntui", every=1, quiet=True) as recorder:
    recorder.epoch(val_loss=1.0)
    for _ in range(3):
        model(torch.ones(3, 2)).sum().backward()
        optimizer.step()
        recorder.step(loss="low")
        recorder.epoch(val_loss=1.0, f1=0.5)
        recorder.early_stopping(wait=-1, best=1.0, patience=2)
        recorder.early_stopping(wait=0, best=1.0, patience=2, monitor="f1")
print("done")
"""


def keyframes(path: Path) -> list[Keyframe]:
    with closing(Reader(path)) as reader:
        assert reader.events(0)[-1].kind == "finished"
        return [reader.keyframe(0, row) for row in reader.history(0).frame_rows.tolist()]


def test_mistakes_are_logged_and_the_loop_goes_on(tmp_path: Path) -> None:
    script = tmp_path / "loop.py"
    script.write_text(MISTAKEN)
    command = [sys.executable, "-W", "error", "-W", "ignore:::torch", str(script)]
    root = str(Path(__file__).parents[1])
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env={"PYTHONPATH": root})
    assert done.stdout == "done\n", done.stderr
    assert "layer a has 'wieght', which is not recorded" in done.stderr
    assert "loss is not a number" in done.stderr
    assert "epoch: f1 is not recorded" in done.stderr
    assert [frame.step for frame in keyframes(tmp_path / "record.bntui")] == [3, 4]
    assert [frame.step for frame in keyframes(tmp_path / "watch.bntui")] == [1, 2, 3]


class InPlace(nn.Module):
    """An activation and a sum in place, around a view."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        out = self.first(x)
        nn.functional.relu_(out)
        out = out.view(-1, 2, 4).reshape(-1, 8)
        out = out + 1
        out += 1
        done: Tensor = self.last(out)
        return done


NAN, HUGE = float("nan"), 3e38
STRANGE: dict[str, tuple[Any, Tensor]] = {
    "in place": (InPlace, torch.ones(3, 4)),
    "NaN": (lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)), torch.full((3, 4), NAN)),
    "overflow": (lambda: nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)), torch.full((3, 4), HUGE)),
    "large NaN": (lambda: nn.Sequential(nn.Linear(100, 1000), nn.BatchNorm1d(1000)), torch.full((100, 100), NAN)),
    "one value": (lambda: nn.Sequential(nn.Linear(1, 1), nn.LayerNorm(1)), torch.ones(1, 1)),
    "sparse": (lambda: nn.Sequential(nn.Embedding(9, 4, sparse=True), nn.Linear(4, 2)), torch.arange(6).view(2, 3)),
    "complex": (lambda: nn.Sequential(nn.Linear(4, 4, dtype=torch.complex64)), torch.ones(3, 4, dtype=torch.cfloat)),
    "half": (lambda: nn.Sequential(nn.Linear(4, 4, dtype=torch.bfloat16), nn.GELU()), torch.ones(3, 4).bfloat16()),
    "GRU": (lambda: nn.GRU(4, 5, 2, dropout=0.2), torch.ones(3, 2, 4)),
    "integers": (lambda: nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Dropout(1.0)), torch.ones(2, 3).long()),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_strange_values_are_recorded_without_a_warning(kind: str, tmp_path: Path) -> None:
    make, x = STRANGE[kind]
    torch.manual_seed(0)
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with bntui.watch(model, optimizer, tmp_path / "run.bntui", every=1, quiet=True) as recorder:
        for _ in range(2):
            out = model(x)
            loss = (out[0] if isinstance(out, tuple) else out).abs().sum()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            recorder.step(loss=loss)
        recorder.epoch(val_loss=loss)
    with closing(Reader(tmp_path / "run.bntui")) as reader:
        assert reader.history(0).has_frame.sum() == 2
        assert reader.events(0)[-1].kind in ("finished", "diverged")


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
def test_nested_tensors_are_recorded_as_their_samples_one_after_another(layout: Any, tmp_path: Path) -> None:
    parts = [torch.randn(size, 4) for size in (2, 3, 1)]

    def trained(path: Path, x: Tensor) -> Keyframe:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with bntui.watch(model, optimizer, path, quiet=True) as recorder:
            out = model(x)
            loss = torch.cat(list(out.unbind())).square().sum()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            recorder.step(loss=loss)
        (frame,) = keyframes(path)
        return frame

    nested = trained(tmp_path / "nested.bntui", torch.nested.nested_tensor(parts, layout=layout))
    plain = trained(tmp_path / "plain.bntui", torch.cat(parts))
    for one, other in zip(nested.layers, plain.layers, strict=True):
        for name in ("input", "pre_norm", "output"):
            assert getattr(one, name).mean == pytest.approx(getattr(other, name).mean, rel=1e-6)
            assert getattr(one, name).std == pytest.approx(getattr(other, name).std, rel=1e-6)
        for name in ("weight_gradient_norm", "activation_gradient_norm", "update_ratio"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-5)


def test_arrays_that_overflow_are_recorded_without_a_warning(tmp_path: Path) -> None:
    values = np.array([[1e300, -1e300], [np.inf, np.nan]])
    table = dict.fromkeys(("input", "pre_activation", "output", "weight", "gradient", "updated_weight"), values)
    with record(tmp_path / "run.bntui") as recorder:
        recorder.keyframe(1, 1, {"a": table}, loss=np.float64(1e308), val_loss=np.inf)
    with closing(Reader(tmp_path / "run.bntui")) as reader:
        assert [event.kind for event in reader.events(0)] == ["first_bad", "finished"]


def test_values_beyond_single_precision_are_infinite_and_norms_are_not(tmp_path: Path) -> None:
    layer = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.fill_(1e39)
    path = tmp_path / "run.bntui"
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    with bntui.watch(layer, optimizer, path, quiet=True):
        layer(torch.ones(2, 1, dtype=torch.float64)).sum().backward()
        optimizer.step()
    with closing(Reader(path)) as reader:
        one = reader.keyframe(0, 0).layers[0]
    assert (one.input.max, one.pre_norm.max, one.weight_norm) == (1.0, math.inf, 1e39)

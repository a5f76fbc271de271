"""The scale of mixed precision: what PyTorch's own GradScaler says, and gradients as a loop without one has them."""

from __future__ import annotations

import json
import math
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import bntui
from bntui.audit.audit import audit
from bntui.cli import obey
from bntui.keyframe import Keyframe
from bntui.recording.history import Event
from bntui.recording.reader import Reader
from bntui.recording.sentences import ENDED
from bntui.recording.writer import Writer
from bntui.viewer import view_state
from bntui.viewer.compared import sections
from bntui.viewer.panels import gradients
from bntui.viewer.screens.lab_recording import LoadedRecording
from bntui.watching.record import record


def network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(16, 4, generator=generator), torch.randint(0, 3, (16,), generator=generator)


def keyframes(path: Path) -> list[Keyframe]:
    with closing(Reader(path)) as reader:
        return [reader.keyframe(0, row) for row in reader.history(0).frame_rows.tolist()]


def norms(frame: Keyframe) -> list[Any]:
    batch_norm = frame.layers[0].batch_norm
    assert batch_norm is not None
    of_layers = [(layer.weight_gradient_norm, layer.activation_gradient_norm) for layer in frame.layers]
    return [*np.ravel(of_layers), *batch_norm.gamma_gradient, *batch_norm.beta_gradient]


def trained(path: Path, scaler: Any, *, told: bool = True, fused: bool = False, wrap: Any = None) -> list[float]:
    """Three steps; returns the scale that each of them used."""
    model: Any = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=fused)
    model = wrap(model) if wrap is not None else model
    used = []
    x, y = data()
    with bntui.watch(model, optimizer if told else None, path, scaler=scaler, every=1, quiet=True) as recorder:
        for _ in range(3):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), y)
            used.append(1.0 if scaler is None else scaler.get_scale())
            if scaler is None:
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            else:
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
            recorder.step(loss=loss)
    return used


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("told", [True, False])
def test_the_scale_of_each_keyframe_is_recorded_and_gradients_are_without_it(
    told: bool, fused: bool, tmp_path: Path
) -> None:
    """It doubles after each step, so that a scale read too late would be another one."""
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=1)
    used = trained(tmp_path / "scaled.bntui", scaler, told=told, fused=fused)
    assert used == [1024.0, 2048.0, 4096.0]
    trained(tmp_path / "plain.bntui", None)
    plain, scaled = keyframes(tmp_path / "plain.bntui"), keyframes(tmp_path / "scaled.bntui")
    assert [frame.gradient_scale for frame in scaled] == used
    assert all(math.isnan(frame.gradient_scale) for frame in plain)
    for one, other in zip(plain, scaled, strict=True):
        np.testing.assert_allclose(norms(one), norms(other), rtol=1e-4)


def test_a_scaler_that_is_switched_off_has_no_scale(tmp_path: Path) -> None:
    trained(tmp_path / "run.bntui", torch.amp.GradScaler("cpu", enabled=False))
    assert all(math.isnan(frame.gradient_scale) for frame in keyframes(tmp_path / "run.bntui"))


def test_a_step_that_the_scaler_skips_lowers_the_scale(tmp_path: Path) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    x, y = data()
    with bntui.watch(model, optimizer, tmp_path / "run.bntui", scaler=scaler, every=1, quiet=True) as recorder:
        for number in range(3):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), y) * (math.inf if number == 1 else 1)
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            scaler.step(optimizer)
            scaler.update()
            recorder.step(loss=loss)
    assert [frame.gradient_scale for frame in keyframes(tmp_path / "run.bntui")] == [1024.0, 512.0]


@pytest.mark.parametrize("fused", [False, True])
def test_averaged_gradients_are_divided_by_the_scale_once(fused: bool, tmp_path: Path) -> None:
    """The recorder sees those of a DistributedDataParallel when the scaler has unscaled them."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        trained(tmp_path / "scaled.bntui", scaler, fused=fused, wrap=nn.parallel.DistributedDataParallel)
    finally:
        torch.distributed.destroy_process_group()
    trained(tmp_path / "plain.bntui", None)
    for one, other in zip(keyframes(tmp_path / "plain.bntui"), keyframes(tmp_path / "scaled.bntui"), strict=True):
        np.testing.assert_allclose(norms(one), norms(other), rtol=1e-4)


@pytest.mark.filterwarnings("ignore")  # of Accelerate
def test_the_scaler_of_accelerate_is_found(tmp_path: Path) -> None:
    """The Trainer of Hugging Face gives callbacks such an optimizer."""
    accelerate = pytest.importorskip("accelerate")
    accelerate.Accelerator(cpu=True)
    model = network()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizer = accelerate.optimizer.AcceleratedOptimizer(
        torch.optim.SGD(model.parameters(), lr=0.1), device_placement=False, scaler=scaler
    )
    x, y = data()
    with bntui.watch(model, optimizer, tmp_path / "scaled.bntui", quiet=True):
        scaler.scale(functional.cross_entropy(model(x), y)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    trained(tmp_path / "plain.bntui", None)
    (frame,) = keyframes(tmp_path / "scaled.bntui")
    assert frame.gradient_scale == 1024.0
    np.testing.assert_allclose(norms(keyframes(tmp_path / "plain.bntui")[0]), norms(frame), rtol=1e-4)


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scale") / "scaled.bntui"
    trained(path, torch.amp.GradScaler("cpu", init_scale=65536.0, growth_interval=2))
    return path


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as ended:
        obey([str(one) for one in arguments])
    assert not ended.value.code
    return capsys.readouterr().out


def test_the_scale_is_shown_and_exported(scaled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = printed(capsys, "show", scaled)
    assert "gradient scale 131,072 of mixed precision; gradients are shown without it" in told
    assert json.loads(printed(capsys, "show", scaled, "--json"))["gradient_scale"] == 131072.0
    printed(capsys, "export", scaled, "--to", tmp_path / "out", "--quantities", "gradient_scale")
    (table,) = [path for path in (tmp_path / "out").rglob("*.csv") if "gradient_scale" in path.read_text()]
    header, *lines = [line.split(",") for line in table.read_text().splitlines()]
    assert [float(line[header.index("gradient_scale")]) for line in lines] == [65536.0, 65536.0, 131072.0]
    assert audit(scaled).true


def test_the_screen_says_which_scale_gradients_are_without(scaled: Path) -> None:
    with closing(Reader(scaled)) as reader:
        loaded = LoadedRecording(reader)
        state = view_state.grown(view_state.opening(reader), loaded.snapshot.stops)
        view = view_state.build_view(loaded.snapshot, state, dataset=True, histograms=True)
        assert gradients.draw(view, 78, 20).title.endswith("· without the scale 131,072")
        assert "131" not in gradients.draw(view, 50, 20).title


def test_two_recordings_are_compared_by_their_scales(scaled: Path, tmp_path: Path) -> None:
    trained(tmp_path / "plain.bntui", None)
    plain, frame = keyframes(tmp_path / "plain.bntui")[0], keyframes(scaled)[0]
    found = {figure.name: (figure.one, figure.other) for figure in sections(plain, frame, "classification")[0].figures}
    assert found["gradient scale"] == (None, 65536.0)
    none = sections(plain, plain, "classification")[0].figures
    assert "gradient scale" not in {figure.name for figure in none}


def test_arrays_are_told_with_their_scale(tmp_path: Path) -> None:
    with record(tmp_path / "run.bntui") as recorder:
        recorder.keyframe(1, 0.5, {"a": {"output": np.ones((2, 2))}}, gradient_scale=np.float32(8))
    (frame,) = keyframes(tmp_path / "run.bntui")
    assert frame.gradient_scale == 8.0


def older(path: Path, to: Path) -> Path:
    """A recording without scales as format 5 wrote it."""
    to.write_bytes(path.read_bytes())
    with closing(sqlite3.connect(to, isolation_level=None)) as db:
        db.execute("ALTER TABLE keyframe DROP COLUMN gradient_scale")
        db.execute("PRAGMA user_version = 5")
        db.execute("VACUUM")
    return to


def test_recordings_of_format_5_are_read_with_the_digests_that_they_have(
    scaled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(tmp_path / "new.bntui", None)
    old = older(tmp_path / "new.bntui", tmp_path / "old.bntui")
    before = old.read_bytes()
    assert all(math.isnan(frame.gradient_scale) for frame in keyframes(old))
    assert [norms(one) for one in keyframes(old)] == [norms(one) for one in keyframes(tmp_path / "new.bntui")]
    assert json.loads(printed(capsys, "show", old, "--json"))["gradient_scale"] == "NaN"
    assert audit(old).true
    with closing(Reader(old)) as reader:
        assert [row.figures["step"] for row in reader.scalars(0)] == [1, 2, 3]
        assert reader.histograms(0, reader.history(0)).counts.any()
    assert old.read_bytes() == before
    without = older(scaled, tmp_path / "without.bntui")  # whoever takes a scale away changes what the digest covers
    assert not audit(without).true


def test_a_recording_that_is_upgraded_while_it_is_open_is_read_on(tmp_path: Path) -> None:
    trained(tmp_path / "new.bntui", None)
    old = older(tmp_path / "new.bntui", tmp_path / "old.bntui")
    with closing(Reader(old)) as reader:
        reader.keyframe(0, 0)
        with closing(Writer.reopen(old)) as writer:
            writer.add_events([Event.of(0, 3, 3.0, "finished", ENDED, epoch=3.0)])
        assert reader.refresh()
        assert norms(reader.keyframe(0, 2)) == norms(keyframes(tmp_path / "new.bntui")[2])
        assert [row.figures["step"] for row in reader.scalars(0)] == [1, 2, 3]
    assert [norms(frame) for frame in keyframes(old)] == [norms(frame) for frame in keyframes(tmp_path / "new.bntui")]
    assert audit(old).true


def test_a_scale_that_is_changed_is_found(scaled: Path, tmp_path: Path) -> None:
    for number, change in enumerate(("gradient_scale * 2", "NULL", "-1")):
        forged = tmp_path / f"{number}.bntui"
        forged.write_bytes(scaled.read_bytes())
        with closing(sqlite3.connect(forged, isolation_level=None)) as db:
            db.execute(f"UPDATE keyframe SET gradient_scale = {change} WHERE step = 2")
        assert not audit(forged).true

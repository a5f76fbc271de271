"""A disk that is full: SQLite itself has no room, and gets some again; training and what was recorded stay."""

from __future__ import annotations

import resource
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import bntui
from bntui.audit.audit import audit
from bntui.link import registry
from bntui.recording.reader import Reader
from bntui.watching.record import Recorder, record
from bntui.watching.trouble import RecorderWarning

LAYERS = {"a": {"output": np.random.default_rng(1).normal(size=(40, 40)), "mask": np.ones((64, 4000)), "dropout": 0.5}}


def connection(recorder: Any) -> sqlite3.Connection:
    found: sqlite3.Connection = recorder._course._writer._writer.connection
    return found


def fill(recorder: Any) -> None:
    """Leave no page for another row: SQLite says that database or disk is full."""
    pages = connection(recorder).execute("PRAGMA page_count").fetchone()[0]
    connection(recorder).execute(f"PRAGMA max_page_count = {pages}")


def free(recorder: Any) -> None:
    connection(recorder).execute("PRAGMA max_page_count = 1000000")


def keyframe(recorder: Recorder, step: int, **more: Any) -> None:
    recorder.keyframe(step, step / 10, {"a": {**LAYERS["a"], **more}}, loss=1.0)


def test_recording_goes_on_once_there_is_space_again(tmp_path: Path) -> None:
    path = tmp_path / "run.bntui"
    recorder = record(path)
    keyframe(recorder, 1)
    fill(recorder)
    with pytest.warns(RecorderWarning, match="full; .* nothing is recorded until there is space again") as told:
        keyframe(recorder, 2)
    with warnings.catch_warnings(record=True) as silent:
        warnings.simplefilter("always")
        for step in (3, 4):
            keyframe(recorder, step, output=np.full((40, 40), np.nan))
        recorder.early_stopping(wait=0, best=1.0, patience=5)
        with closing(Reader(path)) as reader:
            assert reader.history(0).step.tolist() == [1]
        free(recorder)
        keyframe(recorder, 5, weight=np.ones((3, 3)))
    assert (len(told), len(silent)) == (1, 0)
    with pytest.warns(RecorderWarning, match="3 rows were not recorded, because the disk was full"):
        recorder.close()
    with closing(Reader(path)) as reader:
        history = reader.history(0)
        assert history.step.tolist() == [1, 5]
        assert [event.kind for event in reader.events(0)] == ["first_bad", "finished"]
        assert reader.events(0)[0].step == 3
        assert reader.runs[0].early_stopping is not None
        assert "weight_norm" not in reader.runs[0].layers[0].absent
        assert all(reader.keyframe(0, row).layers[0].output.std > 0 for row in history.frame_rows.tolist())
    assert audit(path).true
    assert not path.with_name(path.name + "-wal").exists()


def test_a_limit_of_file_sizes_is_a_full_disk(tmp_path: Path) -> None:
    """As ``ulimit -f`` sets it, which is met by the real write of SQLite's."""
    path = tmp_path / "run.bntui"
    recorder = record(path)
    keyframe(recorder, 1)
    keyframe(recorder, 2)
    size = path.with_name(path.name + "-wal").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with pytest.warns(RecorderWarning, match="ulimit -f is reached; .* until there is space"):  # noqa: PT031
            keyframe(recorder, 3)
            keyframe(recorder, 4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    keyframe(recorder, 5)
    with pytest.warns(RecorderWarning, match="rows? (was|were) not recorded, because the disk was full"):
        recorder.close()
    with closing(Reader(path)) as reader:
        steps = reader.history(0).step.tolist()
        assert steps[0] == 1
        assert steps[-1] == 5
        assert not {3, 4} <= set(steps)
    assert audit(path).true


@pytest.mark.usefixtures("in_process")
def test_the_summary_counts_what_is_in_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.bntui"
    model = nn.Sequential(nn.Linear(300, 300), nn.BatchNorm1d(300), nn.Dropout(0.5), nn.Linear(300, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with pytest.warns(RecorderWarning, match="full"):  # noqa: PT031
        recorder = bntui.watch(model, optimizer, path, every=1)
        for step in range(6):
            loss = model(torch.randn(80, 300)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            recorder.step(loss=loss)
            if step == 3:
                fill(recorder)
        recorder.close()
    with closing(sqlite3.connect(path)) as database:
        ((count,),) = database.execute("SELECT count(*) FROM keyframe")
    assert 0 < count < 6
    assert f"bntui: {count} keyframes in {path}" in capsys.readouterr().err


@pytest.mark.parametrize("when", ["before", "at the end"])
def test_a_disk_that_stays_full_keeps_what_was_recorded(when: str, tmp_path: Path) -> None:
    path = tmp_path / "run.bntui"
    with pytest.warns(RecorderWarning, match="full") as told, record(path) as recorder:  # noqa: PT031
        for step in (1, 2):
            keyframe(recorder, step)
        if when == "at the end":  # the last row is held until then
            recorder.keyframe(3, 1.0, LAYERS, loss=1.0)
        fill(recorder)
        if when == "before":
            keyframe(recorder, 3)
    assert len(told) == 2
    assert "1 row was not recorded" in str(told[1].message)
    with closing(Reader(path)) as reader:
        assert reader.history(0).step.tolist() == [1, 2]
    assert audit(path).true
    assert registry.recorder(path) is None
    path.rename(tmp_path / "moved.bntui")  # nobody holds its name


@pytest.mark.usefixtures("in_process")
def test_a_watched_loop_trains_on_and_is_recorded_again(tmp_path: Path) -> None:
    path = tmp_path / "run.bntui"
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(300, 300), nn.BatchNorm1d(300), nn.Dropout(0.5), nn.Linear(300, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    losses = []
    with pytest.warns(RecorderWarning, match="full") as told:  # noqa: PT031, SIM117
        with bntui.watch(model, optimizer, path, every=1, quiet=True) as recorder:
            for step in range(1, 10):
                loss = model(torch.randn(80, 300)).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                recorder.step(loss=loss)
                losses.append(float(loss.detach()))
                if step == 4:
                    fill(recorder)
                if step == 7:
                    free(recorder)
    assert len(told) == 2
    with closing(Reader(path)) as reader:
        history = reader.history(0)
        steps = history.step.tolist()
        assert steps[:3] == [1, 2, 3]
        assert steps[-2:] == [8, 9]
        assert 4 < len(steps) < 9
        assert history.batch_loss == pytest.approx([losses[step - 1] for step in steps])


def test_a_disk_that_is_full_at_the_first_row_leaves_nothing(tmp_path: Path) -> None:
    with record(tmp_path / "run.bntui") as recorder:
        fill(recorder)
        with pytest.warns(RecorderWarning, match="nothing more is recorded, training goes on"):
            keyframe(recorder, 1)
        keyframe(recorder, 2)
    assert list(tmp_path.iterdir()) == []

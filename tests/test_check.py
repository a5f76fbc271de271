"""Tests that ``bntui check`` reads the same data as ``run``, and that recordings keep what was inferred."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bntui.audit.audit import audit
from bntui.commands.check import checked
from bntui.commands.show import as_text, find_keyframe
from bntui.errors import DataError, ScenarioError, UsageError
from bntui.recording.reader import Reader
from bntui.recording.reading import from_meta
from bntui.scenario.checks import CLASSES
from bntui.scenario.data import Data
from bntui.scenario.load import load
from bntui.scenario.sources import BUILTIN_DATA
from bntui.text.language import use
from bntui.trainer.data.dataset import load_data
from bntui.trainer.session import Session
from tests.commands import bntui
from tests.korean import korean

SCENARIO = """
title = "t"
[data]
source = "t.csv"
scaling = "standard"
batch_size = 20
[network]
hidden = [4]
[training]
epochs = 2
lr = 0.01
"""


def scenario(folder: Path, rows: str, text: str = SCENARIO) -> Path:
    (folder / "t.csv").write_text(rows)
    (folder / "s.toml").write_text(text)
    return folder / "s.toml"


TIMES = "t,y\n" + "".join(f"{1_700_000_000_000 + 4 * n},{np.sin(n / 9):.4f}\n" for n in range(100))


def test_check_reads_the_data_and_tells_what_was_inferred(tmp_path: Path) -> None:
    path = scenario(tmp_path, TIMES)
    lines = list(checked(str(path), read=True))
    assert lines[0] == f"{path}: valid, 1 run"
    assert lines[1] == "  data: t.csv · 100 samples of 1 · regression, target 'y'"
    assert "delimiter ','" in lines[2]
    assert list(checked(str(path), read=False)) == lines[:1]
    use("ko")
    assert all(map(korean, checked(str(path), read=True)))


def test_check_refuses_what_run_would_refuse(tmp_path: Path) -> None:
    path = scenario(tmp_path, "a,y\n1,2\nx,3\n")
    with pytest.raises(DataError, match="row 3, column 'a'"):
        list(checked(str(path), read=True))
    with pytest.raises(DataError) as wrong:
        list(checked(str(path), read=True))
    assert str(wrong.value).startswith(f'{path}:4: data.source = "t.csv": {tmp_path / "t.csv"}: ')
    (tmp_path / "t.csv").unlink()
    with pytest.raises(DataError, match=rf'^{re.escape(str(path))}:4: data.source = "t.csv": .*t.csv: '):
        list(checked(str(path), read=True))
    path = scenario(tmp_path, "a,y\n1,2\nx,3\n")
    assert len(list(checked(str(path), read=False))) == 1
    convolution = SCENARIO.replace("hidden = [4]", 'layer = [{ type = "conv", channels = 2 }]')
    with pytest.raises(ScenarioError, match="convolution needs images"):
        list(checked(str(scenario(tmp_path, TIMES, convolution)), read=True))
    monitor = SCENARIO + '[training.early_stopping]\nmonitor = "val_accuracy"\n'
    with pytest.raises(ScenarioError, match="needs classification"):
        list(checked(str(scenario(tmp_path, TIMES, monitor)), read=True))


@pytest.mark.parametrize("name", BUILTIN_DATA)
def test_the_classes_of_built_in_data_are_known_without_loading(name: str, tmp_path: Path) -> None:
    assert len(load_data(Data(source=name), tmp_path, 0).classes) == CLASSES.get(name, 0)


def test_a_recording_keeps_double_precision_and_what_was_inferred_and_passes_the_audit(tmp_path: Path) -> None:
    session = Session.begin(load(scenario(tmp_path, TIMES)), tmp_path / "r.bntui")
    while not session.over:
        session.epoch(lambda: False)
    session.close()
    reader = Reader(tmp_path / "r.bntui")
    assert reader.dataset is not None
    assert reader.dataset.x.dtype == np.float64
    assert len(np.unique(reader.dataset.x)) == 100
    reading = from_meta(reader.meta)
    assert reading is not None
    assert (reading.task, reading.target, reading.high) == ("regression", "y", 1_700_000_000_396)
    told = as_text(reader, find_keyframe(reader, 0, None))
    assert "data: t.csv · 100 samples of 1 · regression, target 'y'" in told
    reader.close()
    assert audit(tmp_path / "r.bntui").true
    resumed = Session.resume(tmp_path / "r.bntui")
    resumed.close()


def test_a_recording_is_sent_to_the_audit(tmp_path: Path) -> None:
    path = tmp_path / "run.bntui"
    path.write_bytes(b"\x9e")
    with pytest.raises(UsageError, match=r"is a recording.*bntui audit"):
        list(checked(str(path), read=True))


@pytest.mark.parametrize("command", [("run", "--headless"), ("verify",), ("sweep", "--over", "training.lr=1,2")])
def test_no_command_takes_a_recording_for_a_scenario(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "x.bntui").write_bytes(b"SQLite format 3\0")
    done = bntui(command[0], "x.bntui", *command[1:], cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "bntui: x.bntui: is a recording, not a scenario; open it with bntui replay, check it with bntui audit\n"
    )

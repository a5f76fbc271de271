"""Two processes that train one model: the first records, and both compute the bits of the loop alone."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from bntui.keyframe import Keyframe
from bntui.recording.reader import Reader

pytestmark = pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="torch without gloo")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which two processes have trained, alone and watched, in each of some ways."""
    folder = tmp_path_factory.mktemp("pair")
    command = [sys.executable, "-m", "tests.watched_pair"]
    processes = [
        subprocess.Popen([*command, str(rank), str(folder)], stderr=subprocess.PIPE, text=True) for rank in range(2)
    ]
    for process in processes:
        _out, complaint = process.communicate(timeout=180)
        assert process.returncode == 0, complaint
        assert "RecorderWarning" not in complaint
    return folder


def told(folder: Path, kind: str) -> list[Any]:
    """What each process says: the digests of its state alone and watched, and the norms of a gradient."""
    both = [json.loads((folder / f"{rank}.json").read_text(encoding="utf-8")) for rank in range(2)]
    if kind not in both[0]:
        pytest.skip("transformers or accelerate is missing")
    return [one[kind] for one in both]


def keyframes(path: Path) -> list[Keyframe]:
    with closing(Reader(path)) as reader:
        return [reader.keyframe(0, row) for row in reader.history(0).frame_rows.tolist()]


@pytest.mark.parametrize("kind", ["wrapped", "by hand", "sharded", "hugging"])
def test_of_two_processes_the_first_records_and_neither_changes(kind: str, pair: Path) -> None:
    both = told(pair, kind)
    for alone, watched, _norms in both:
        assert watched == alone
    if kind != "hugging":
        assert both[0][0] != both[1][0]  # each has its own random numbers and running statistics
    assert not (pair / f"{kind}-1.bntui").exists()
    assert [frame.step for frame in keyframes(pair / f"{kind}-0.bntui")] == [1, 2, 4]


@pytest.mark.parametrize("kind", ["wrapped", "by hand", "hugging"])
def test_gradients_are_the_averaged_ones(kind: str, pair: Path) -> None:
    """Also where the loop averages them by itself, and where a callback is not shown the model's wrapper."""
    norms = told(pair, kind)[0][2]
    frames = keyframes(pair / f"{kind}-0.bntui")
    averaged = [norms[frame.step - 1] for frame in frames]
    assert [frame.layers[0].weight_gradient_norm for frame in frames] == pytest.approx(averaged, rel=1e-6)


def test_weights_of_which_other_processes_have_a_part_are_not_measured(pair: Path) -> None:
    """What asks for them would wait for the other processes; values and their gradients are those of the first."""
    with closing(Reader(pair / "sharded-0.bntui")) as reader:
        info = reader.runs[0].layers
    assert [one.name for one in info] == ["0", "4"]
    for layer in info:
        assert {"weight_norm", "weight_gradient_norm", "update_ratio"} <= set(layer.absent)
    for frame in keyframes(pair / "sharded-0.bntui"):
        for one in frame.layers:
            assert math.isfinite(one.pre_norm.mean)
            assert one.activation_gradient_norm > 0

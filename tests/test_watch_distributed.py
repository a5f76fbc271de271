"""Two processes that train one model: the first records, and both compute the bits of the loop alone."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import torch

from bntui.recording.reader import Reader

pytestmark = pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="torch without gloo")


def test_of_two_processes_the_first_records_and_neither_changes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.watched_pair"]
    processes = [
        subprocess.Popen([*command, str(rank), str(tmp_path)], stderr=subprocess.PIPE, text=True) for rank in range(2)
    ]
    for process in processes:
        _out, complaint = process.communicate(timeout=120)
        assert process.returncode == 0, complaint
    told = [json.loads((tmp_path / f"{rank}.json").read_text(encoding="utf-8")) for rank in range(2)]
    for alone, watched, _norms in told:
        assert watched == alone
    (first, _, norms), (second, _, _) = told
    assert first != second  # each has its own random numbers and running statistics
    assert not (tmp_path / "1.bntui").exists()
    with closing(Reader(tmp_path / "0.bntui")) as reader:
        history = reader.history(0)
        frames = [reader.keyframe(0, row) for row in history.frame_rows.tolist()]
    assert [frame.step for frame in frames] == [1, 2, 4]
    averaged = [norms[frame.step - 1] for frame in frames]
    assert [frame.layers[0].weight_gradient_norm for frame in frames] == pytest.approx(averaged, rel=1e-9)

"""Tests that a recording is read to its end by who has it open, whatever happens to its name."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import bntui
from bntui.recording.guard import SMALLEST_LIMIT
from bntui.recording.reader import Reader


def _replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"")
    os.replace(other, path)


@pytest.mark.parametrize(
    "change", [Path.unlink, lambda path: path.rename(path.with_name("y.bntui")), _replace],
    ids=["deleted", "renamed", "replaced"],
)  # fmt: skip
def test_what_is_open_can_be_read_when_its_name_is_gone(change: Callable[[Path], object], tmp_path: Path) -> None:
    """A keyframe that is larger than what any file, however small, may have in a cell."""
    path = tmp_path / "x.bntui"
    mask = np.random.default_rng(0).random((64, 400_000)) < 0.5
    with bntui.record(path) as recorder:
        recorder.keyframe(1, 1.0, {"wide": {"mask": mask, "dropout": 0.5, "output": np.ones((64, 2))}})
    assert path.stat().st_size > 2 * SMALLEST_LIMIT
    with closing(Reader(path)) as reader:
        change(path)
        dropout = reader.keyframe(0, 0).layers[0].dropout
    assert dropout is not None
    assert (dropout.kept == mask[: len(dropout.kept)]).all()

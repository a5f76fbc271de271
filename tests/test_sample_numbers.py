"""Tests that a sample has one number everywhere: the line of its file, or its place among all samples from 1."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from bntui.errors import DataError
from bntui.recording.reader import Reader
from bntui.scenario.load import parse
from bntui.trainer.session import Session
from bntui.viewer import view_state
from bntui.viewer.draw.rows import text
from bntui.viewer.microscope.words import sample_row
from bntui.viewer.panels import data
from bntui.viewer.screens.microscope import MicroscopeScreen
from bntui.viewer.snapshot import take_snapshot
from tests.test_session import DIGITS, never, train

TABLE = """
title = "A table"
[data]
source = "{source}"
batch_size = 8
scaling = "standard"
[network]
hidden = [5]
norm = "batch"
[training]
epochs = 2
"""


def table(folder: Path, broken: int = 0) -> Path:
    """A table with comments, an empty line and a header: lines and samples are counted apart."""
    draw = np.random.default_rng(1)
    lines = ["# measured in June", "height,weight,kind"]
    for number in range(40):
        if number in (7, 20):
            lines += ["# a comment between", ""]
        height, weight = draw.normal(0, 1, 2)
        cell = "tall" if len(lines) + 1 == broken else f"{height:.4f}"
        lines.append(f"{cell},{weight:.4f},{'ab'[int(height > 0)]}")
    path = folder / "people.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def recorded(folder: Path) -> Path:
    source = table(folder)
    path = folder / "x.bntui"
    session = Session.begin(parse(TABLE.format(source=source), file="x.toml"), path)
    while not session.over:
        session.epoch(never)
    session.close()
    return path


def test_data_panel_microscope_and_errors_name_the_line_of_the_file(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    lines = (tmp_path / "people.csv").read_text(encoding="utf-8").splitlines()
    with closing(Reader(path)) as reader:
        found = reader.dataset
        assert found is not None
        for x, line in zip(found.x, found.numbers.tolist(), strict=True):
            assert lines[line - 1].startswith(f"{x[0]:.4f},{x[1]:.4f},")
        snapshot = take_snapshot(reader)
        view = view_state.build_view(snapshot, view_state.first(1), dataset=True)
        panel = "\n".join(text(row) for row in data.draw(view, 120, 30).rows)
        told = int(re.findall(r"first sample of this mini-batch: row\s+(\d+)", panel)[0])
        frame = view.runs[0].frame
        assert frame is not None
        value = found.x[found.train[frame.batch_indices[0]]]
        assert lines[told - 1].startswith(f"{value[0]:.4f},")
        screen = MicroscopeScreen(reader, snapshot, view_state.first(1))
        lens = screen._specimens.lens(screen.microscope, screen._history)
        assert lens is not None
        for sample in range(8):
            named = int(re.findall(r"\(row (\d+)\)", sample_row(lens.slide, 0, sample, lens.numbers))[0])
            assert lines[named - 1].startswith(f"{found.x[found.train[lens.slide.batch[sample]], 0]:.4f},")
        assert f"(row {told})" == sample_row(lens.slide, 0, 0, lens.numbers)
    source = table(tmp_path, broken=told)
    with pytest.raises(DataError, match=f"row {told}, column 'height'"):
        Session.begin(parse(TABLE.format(source=source), file="x.toml"), tmp_path / "y.bntui")


def test_samples_without_lines_are_counted_from_1(tmp_path: Path) -> None:
    with closing(train(tmp_path, DIGITS, ("network.norm", "batch"), ("training.epochs", 1))) as reader:
        found = reader.dataset
        assert found is not None
        assert found.lines is None
        assert found.numbers.tolist() == list(range(1, 401))
        screen = MicroscopeScreen(reader, take_snapshot(reader), view_state.first(1))
        lens = screen._specimens.lens(screen.microscope, screen._history)
        assert lens is not None
        row = int(found.train[lens.slide.batch[0]])
        assert sample_row(lens.slide, 0, 0, lens.numbers) == f"(row {row + 1})"
        place = int(lens.slide.batch[0]) + 1
        assert sample_row(lens.slide, 0, 0, None) == f"(number {place} of the training part)"

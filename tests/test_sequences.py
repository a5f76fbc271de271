"""Tests samples as sequences and scaled raw values, from the scenario into the network and the recording."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from bntui.errors import DataError
from bntui.recording.codec import unpack_arrays
from bntui.recording.reader import Reader
from bntui.scenario.data import Data
from bntui.scenario.load import parse
from bntui.trainer.data.dataset import as_sequence, load_data
from bntui.trainer.session import Session

IMAGES = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
SCENARIO = """
title = "Digits"
[data]
source = "digits"
samples = 100
scaling = "standard"
batch_size = 20
factor = 15.9375
sequence = "rows"
[network]
[[network.layer]]
type = "recurrent"
units = 5
cell = "gru"
[training]
epochs = 1
"""


def test_rows_are_steps_with_the_values_of_all_channels() -> None:
    rows = as_sequence(IMAGES, "rows")
    assert rows.shape == (2, 4, 15)
    np.testing.assert_array_equal(rows[1, 2], np.concatenate([IMAGES[1, channel, 2] for channel in range(3)]))


def test_pixels_are_steps_from_left_to_right_and_top_to_bottom() -> None:
    pixels = as_sequence(IMAGES, "pixels")
    assert pixels.shape == (2, 20, 3)
    np.testing.assert_array_equal(pixels[1, 2 * 5 + 3], IMAGES[1, :, 2, 3])


def test_features_are_steps_of_one_value() -> None:
    flat = IMAGES.reshape(2, 60)
    np.testing.assert_array_equal(as_sequence(flat, "pixels")[:, :, 0], flat)
    assert as_sequence(flat, "none") is flat


def test_a_factor_multiplies_the_raw_values() -> None:
    plain, bright = (load_data(Data(source="digits", factor=factor), Path(), 0) for factor in (1.0, 15.9375))
    np.testing.assert_array_equal(bright.x, plain.x * np.float32(15.9375))
    assert (float(bright.x.min()), float(bright.x.max())) == (0, 255)
    assert bright.x.dtype == np.float32
    np.testing.assert_array_equal(bright.y, plain.y)


def test_a_factor_that_the_values_do_not_survive_is_refused() -> None:
    with pytest.raises(DataError, match=r"data\.factor = 1e\+39: the values become too large"):
        load_data(Data(source="iris", factor=1e39), Path(), 0)


def test_the_recording_holds_images_times_the_factor_and_the_network_saw_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.bntui"
    session = Session.begin(parse(SCENARIO, file="test.toml"), path)
    session.epoch(lambda: False)
    session.close()
    reader = Reader(path)
    data = reader.dataset
    assert data is not None
    assert data.x.shape == (100, 1, 8, 8)
    assert data.x.max() == 255
    (layer, _) = reader.runs[0].layers
    assert (layer.kind, layer.cell, layer.shape) == ("recurrent", "gru", (8, 5))
    assert layer.stages == ("recurrent", "activation")
    frame = reader.keyframe(0, 0)
    scaling = data.scalings[0]
    rows = data.train[frame.batch_indices]
    entered = ((data.x[rows] - scaling.offset) * scaling.factor).astype(np.float32).reshape(20, 8, 8)
    evidence = reader.evidence(0, 0)
    assert evidence is not None
    projected = (
        entered @ evidence.before["recurrent 1.recurrent.weight"].T + evidence.before["recurrent 1.recurrent.bias"]
    )
    np.testing.assert_allclose(evidence.stages[0], projected, atol=1e-5)
    assert frame.layers[0].input.mean == pytest.approx(entered.mean(dtype=np.float64), abs=1e-6)
    assert "recurrent 1.activation.weight_hh" in unpack_arrays(_final(path))


def _final(path: Path) -> bytes:
    with sqlite3.connect(path) as db:
        (block,) = db.execute("SELECT block FROM checkpoint").fetchone()
    return bytes(block)


def test_a_grid_of_predictions_goes_through_a_recurrent_network(tmp_path: Path) -> None:
    text = SCENARIO.replace("digits", "moons").replace('"rows"', '"pixels"').replace("factor = 15.9375", "")
    path = tmp_path / "moons.bntui"
    session = Session.begin(parse(text, file="test.toml"), path)
    session.close()
    predictions = Reader(path).keyframe(0, 0).predictions
    assert predictions is not None
    assert predictions.classes is not None


def test_a_home_folder_that_nobody_has_is_said() -> None:
    with pytest.raises(DataError, match="use the full path"):
        load_data(Data(source="~nobody-of-this-name/points.csv"), Path(), 0)

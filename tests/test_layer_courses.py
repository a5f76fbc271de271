"""Tests that per-layer scalars are the same figures, held in memory or read from the file again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bntui.insight.verdicts import verdict_changes
from bntui.keyframe import COLUMN, LAYER_COLUMNS, FloatArray, IntArray
from bntui.recording.layer_courses import KEPT, LayerCourses, LayerTable
from bntui.recording.layer_tables import LayerTables
from bntui.recording.reader import Reader
from tests.test_session import DIGITS, train

ROWS, LAYERS = 50, 3


@pytest.fixture
def whole() -> FloatArray:
    table = np.random.default_rng(0).normal(size=(ROWS, LAYERS, len(LAYER_COLUMNS)))
    table[:, 1, COLUMN["gradient_shift"]] = np.nan  # never measured
    table[:20, 2, COLUMN["unit_p50"]] = np.nan  # measured later
    table[7] = np.nan  # a row without measures
    return table


def grown(whole: FloatArray, ends: tuple[int, ...]) -> list[tuple[LayerTable, FloatArray]]:
    """The tables of a run as it grows, and the arrays that they stand for."""
    courses, tables, before = LayerCourses(LAYERS), [], 0

    def load(ids: IntArray) -> FloatArray:
        return whole[ids - 1]

    for end in ends:
        courses.extend(whole[before:end], max(end, 2 * before))
        tables.append((LayerTable(courses, np.arange(1, end + 1), load), whole[:end]))
        before = end
    return tables


@pytest.mark.parametrize("ends", [(ROWS,), (1, 2, 9, 30, ROWS)])
@pytest.mark.parametrize(
    "key",
    [
        3, slice(None), slice(10, 20), np.array([0, 5, 8]), (slice(None), 1), (slice(None, None, 4), slice(1, 3)),
        *((rows, layers, COLUMN[name])
          for rows in (0, -1, slice(None), slice(2, 30, 3), np.array([0, 3]))
          for layers in (0, -1, slice(None), slice(1, None))
          for name in ("weight_gradient_norm", "gradient_shift", "unit_p50", "input.min", "input.mean", "output.max")),
    ],
    ids=repr,
)  # fmt: skip
def test_every_part_is_that_of_the_whole(whole: FloatArray, ends: tuple[int, ...], key: Any) -> None:
    for table, expected in grown(whole, ends):
        if len(expected) > 8:
            np.testing.assert_array_equal(table[key], expected[key])
        assert table.shape == expected.shape
        np.testing.assert_array_equal(np.asarray(table), expected)


def test_charts_read_their_columns_from_memory(whole: FloatArray) -> None:
    def never(ids: IntArray) -> FloatArray:
        raise AssertionError(ids)

    courses = LayerCourses(LAYERS)
    courses.extend(whole, ROWS)
    table = LayerTable(courses, np.arange(ROWS), never)
    for column in KEPT:
        np.testing.assert_array_equal(table[:, :, column], whole[:, :, column])
    np.testing.assert_array_equal(table[:, 0, COLUMN["input.min"]], whole[:, 0, COLUMN["input.min"]])


def test_what_the_timeline_marks_is_read_from_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def of(_tables: LayerTables, _database: object, ids: IntArray, layers: int) -> FloatArray:
        read.extend(ids.tolist())
        return np.zeros((len(ids), layers, len(LAYER_COLUMNS)))

    reader = train(tmp_path, DIGITS)
    history = reader.history(0)
    in_an_array = replace(history, layers=np.asarray(history.layers))
    monkeypatch.setattr(LayerTables, "of", of)
    assert verdict_changes(history) == verdict_changes(in_an_array)
    assert not read


def test_a_reader_gives_the_figures_of_its_keyframes(tmp_path: Path) -> None:
    reader = train(tmp_path, DIGITS)
    history = reader.history(0)
    for row in np.flatnonzero(history.has_frame).tolist():
        for number, layer in enumerate(reader.keyframe(0, row).layers):
            for name in ("weight_norm", "update_ratio", "saturated_fraction"):
                np.testing.assert_equal(history.layers[row, number, COLUMN[name]], getattr(layer, name))
                np.testing.assert_equal(history.layer(number, name)[row], getattr(layer, name))
            np.testing.assert_equal(history.layer(number, "output.mean")[row], layer.output.mean)


def test_figures_of_a_recording_that_is_gone_are_unknown(tmp_path: Path) -> None:
    reader: Reader = train(tmp_path, DIGITS)
    history = reader.history(0)
    reader.close()
    reader.path.unlink()
    assert np.isnan(history.layer(0, "output.mean")).all()
    assert np.isfinite(history.layer(0, "weight_gradient_norm")).any()

"""Holds the scalars of one run's keyframes as columns that grow by doubling; a snapshot is a view, not a copy."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import compress
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from bntui.keyframe import LAYER_COLUMNS, FloatArray, IntArray
from bntui.recording.arrays import layer_tables
from bntui.recording.history import RunHistory
from bntui.recording.kept import succeeds
from bntui.recording.layer_courses import LayerCourses, LayerTable, Load
from bntui.recording.schema import FIGURES
from bntui.recording.tables import CHUNK, COLUMNS, check
from bntui.text.language import _

COUNTED: Final = tuple(name for name, kind in FIGURES.items() if kind is int)
FLOATS: Final = ("epoch", *(name for name, kind in FIGURES.items() if kind is float))
INTEGERS: Final = ("id", "step", "epoch_end", "has_frame", *COUNTED)
NAMED: Final = {column.name for column in fields(RunHistory)}
"""Columns that are an attribute of a history; the others are read only with their keyframe."""
MOST_BYTES: Final = 500_000_000
"""Maximum memory for the per-layer scalars of rows that have none in the file."""
AT_A_TIME: Final = 2_000_000
"""Bytes of per-layer scalars that are read at a time, as many as stay in a core's cache."""

Columns = Mapping[str, Sequence[Any]]


class RunColumns:
    """The scalars of all keyframes of one run read so far."""

    def __init__(self, layers: int, load: Load) -> None:
        self.length = 0
        self._load = load
        self.floats: FloatArray = np.empty((len(FLOATS), 0))
        self.integers: IntArray = np.empty((len(INTEGERS), 0), np.int64)
        self.layers = LayerCourses(layers)
        self._scalars_only = 0
        self._reserved = 0
        self._last: RunHistory | None = None

    def reserve(self, rows: int) -> None:
        """Allocate memory for this many more rows at once."""
        self._reserved = self.length + rows

    def extend(self, rows: Columns) -> None:
        """Append rows, which must be newer than all earlier ones.

        Raises:
            ValueError: a table of per-layer scalars has the wrong size, or too many rows have none.
        """
        blocks = rows["layers"]
        added, end = len(blocks), self.length + len(blocks)
        floats: NDArray[Any] = np.array([rows[name] for name in FLOATS], np.float64)  # None is NaN
        framed = [block is not None for block in blocks]
        whole = {**rows, "has_frame": framed}
        integers: NDArray[Any] = np.array([whole[name] for name in INTEGERS], np.int64)
        self._scalars_only += added - sum(framed)
        if self._scalars_only * self.layers.layers * len(LAYER_COLUMNS) * 8 > MOST_BYTES:
            raise ValueError(_("{count} rows without measures are too many").format(count=self._scalars_only))
        if end > self.floats.shape[1]:
            # allocate new arrays instead of resizing: earlier snapshots must not change
            room = max(end, self._reserved, self.length + self.length // 2, 64)
            self.floats, self.integers = (_wider(old, self.length, room) for old in (self.floats, self.integers))
        self.floats[:, self.length : end] = floats
        self.integers[:, self.length : end] = integers
        self.layers.extend(layer_tables(blocks, self.layers.layers), self.floats.shape[1])
        self.length = end

    def snapshot(self) -> RunHistory:
        """The columns as they are now; the same history as before if there are no new rows."""
        if self._last is None or len(self._last) < self.length:
            history = self._history()
            self._last = history if self._last is None else succeeds(history, self._last)
        return self._last

    def _history(self) -> RunHistory:
        floats = dict(zip(FLOATS, self.floats[:, : self.length], strict=True))
        integers = dict(zip(INTEGERS, self.integers[:, : self.length], strict=True))
        figures: dict[str, Any] = {**floats, **{name: integers[name] for name in COUNTED}}
        return RunHistory(
            ids=integers["id"],
            step=integers["step"],
            epoch_end=integers["epoch_end"].astype(bool),
            has_frame=integers["has_frame"].astype(bool),
            layers=cast(FloatArray, LayerTable(self.layers, integers["id"], self._load)),
            **{name: column for name, column in figures.items() if name in NAMED},
        )


def _wider(old: NDArray[Any], length: int, room: int) -> NDArray[Any]:
    new = np.empty((len(old), room), old.dtype)
    new[:, :length] = old[:, :length]
    return new


def read_keyframes(database: sqlite3.Connection, after: int, runs: Sequence[RunColumns]) -> int:
    """Append the keyframes whose id is larger than ``after`` to the columns of their runs, and return the last id.

    Whole columns are checked at once, not cell by cell, so that ten thousand rows take a few milliseconds.

    Raises:
        ValueError: a cell is not of its column's kind, or rows are out of order.
    """
    if not after:  # of many rows, doubling would copy each and leave a part of the memory empty
        for run, rows in database.execute("SELECT run, count(*) FROM keyframe GROUP BY run"):
            if run in range(len(runs)):
                runs[run].reserve(rows)
    names = tuple(COLUMNS["keyframe"])
    cursor = database.execute(f"SELECT {', '.join(names)} FROM keyframe WHERE id > ? ORDER BY id", (after,))
    cursor.row_factory = None
    widest = len(LAYER_COLUMNS) * 8 * max((run.layers.layers for run in runs), default=0)
    while chunk := cursor.fetchmany(min(CHUNK, 1 + AT_A_TIME // max(widest, 1))):
        check(chunk, "keyframe", COLUMNS["keyframe"])
        columns = dict(zip(names, zip(*chunk, strict=True), strict=True))
        numbers: IntArray = np.array(columns["run"], np.int64)
        ids = columns["id"]
        if ids[0] <= after or (np.diff(np.array(ids, np.int64)) <= 0).any():
            raise ValueError(_("the ids of the table {table} do not ascend").format(table="keyframe"))
        if numbers.max() >= len(runs):
            sentence = _("a keyframe belongs to run {run}, and there are {count}")
            raise ValueError(sentence.format(run=int(numbers.max()), count=len(runs)))
        for run in np.unique(numbers).tolist():
            of_run = (numbers == run).tolist()
            alone = all(of_run)  # a recording of one run
            runs[run].extend(
                columns if alone else {name: tuple(compress(values, of_run)) for name, values in columns.items()}
            )
        after = ids[-1]
    return after

"""Reads tables of per-layer scalars from a recording, and keeps those that were read last."""

from __future__ import annotations

import sqlite3
from typing import Final

import numpy as np

from bntui.keyframe import LAYER_COLUMNS, FloatArray, IntArray
from bntui.recording.arrays import layer_tables
from bntui.recording.tables import CHUNK, rows

MOST_BYTES: Final = 8_000_000
"""Memory for tables that are kept."""


class LayerTables:
    """Tables of keyframes by their ids."""

    def __init__(self) -> None:
        self._kept: dict[int, FloatArray] = {}

    def of(self, database: sqlite3.Connection, ids: IntArray, layers: int) -> FloatArray:
        """The tables of the keyframes with these ids, shape ``(len(ids), layers, len(LAYER_COLUMNS))``.

        Raises:
            ValueError: a table has the wrong size, or a keyframe is missing.
        """
        found = np.empty((len(ids), layers, len(LAYER_COLUMNS)))
        most = MOST_BYTES // max(found[:1].nbytes, 1)
        for start in range(0, len(ids), CHUNK):
            wanted = ids[start : start + CHUNK].tolist()
            missing = [one for one in wanted if one not in self._kept]
            if len(self._kept) + len(missing) > most:
                self._kept, missing = {}, wanted
            marks = ", ".join("?" * len(missing))
            query = f"SELECT id, layers FROM keyframe WHERE id IN ({marks})"
            read = {row["id"]: row["layers"] for row in rows(database, query, missing, of="keyframe")}
            self._kept.update(zip(read, layer_tables(list(read.values()), layers), strict=True))
            found[start : start + CHUNK] = [self._kept[one] for one in wanted]
        return found

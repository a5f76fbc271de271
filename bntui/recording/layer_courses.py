"""Holds the per-layer scalars of one run's keyframes: in memory those that charts draw of every keyframe.

They are a third of all.  The others are read from the file again, for the keyframes for which they are needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from bntui.keyframe import COLUMN, LAYER_COLUMNS, UNIT_STATISTICS, FloatArray, IntArray

BANDS: Final = tuple(f"{quantity}.{name}" for quantity in ("pre_norm", "normalized") for name in ("p15", "p50", "p85"))
KEPT: Final = frozenset(
    COLUMN[name]
    for name in (
        *("weight_gradient_norm", "activation_gradient_norm", "update_ratio", "gradient_shift"),
        *BANDS,
        *UNIT_STATISTICS,
    )
)
"""Columns that are held of every layer."""
OF_THE_FIRST: Final = frozenset(COLUMN[f"input.{name}"] for name in ("min", "max"))
"""Columns that are held of the first layer."""
NAN: Final = np.full(1, np.nan)

Load = Callable[[IntArray], FloatArray]
"""Reads the tables of the keyframes with these ids, shape ``(len(ids), layers, len(LAYER_COLUMNS))``."""


class LayerCourses:
    """The growing columns of a run; one that has had no value yet takes no memory."""

    def __init__(self, layers: int) -> None:
        self.layers = layers
        self._length = self._room = 0
        self._courses: dict[tuple[int, int], FloatArray] = {}

    def extend(self, table: FloatArray, room: int) -> None:
        """Append rows.

        Args:
            table: shape ``(rows, layers, len(LAYER_COLUMNS))``.
            room: number of rows for which memory is allocated, at least as many as there are.
        """
        end = self._length + len(table)
        known = ~np.isnan(table).all(axis=0)
        for layer, column in np.argwhere(known).tolist():
            if (layer, column) not in self._courses and _is_kept(layer, column):
                self._courses[layer, column] = np.full(room, np.nan)
        for place, course in self._courses.items():
            if len(course) < end:  # a new array: what was taken of the old one must not change
                course = self._courses[place] = np.concatenate([course, np.full(room - len(course), np.nan)])
            course[self._length : end] = table[:, *place]
        self._length = end

    def course(self, layer: int, column: int) -> FloatArray | None:
        """The rows so far of a column; None if it is not held."""
        if not _is_kept(layer, column):
            return None
        held = self._courses.get((layer, column))
        return np.broadcast_to(NAN, self._length) if held is None else held


def _is_kept(layer: int, column: int) -> bool:
    return column in KEPT or (layer == 0 and column in OF_THE_FIRST)


class LayerTable:
    """Per-layer scalars as an array of shape ``(K, layers, len(LAYER_COLUMNS))``, read when it is indexed.

    One column at a time of some rows, or whole tables of few rows, are cheap; everything else reads the whole file.
    """

    def __init__(self, courses: LayerCourses, ids: IntArray, load: Load) -> None:
        self._courses = courses
        self._ids = ids
        self._load = load

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self._ids), self._courses.layers, len(LAYER_COLUMNS)

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, tuple):
            key = (key, slice(None), slice(None))
        if len(key) != 3:
            return np.asarray(self)[key]
        rows, layers, column = key
        if isinstance(column, int) and isinstance(layers, int | slice):
            found = self._held(rows, range(self._courses.layers)[layers], column)
            if found is not None:
                return found
        one = isinstance(rows, int | np.integer)
        return self._load(np.atleast_1d(self._ids[rows]))[0 if one else slice(None), layers, column]

    def _held(self, rows: Any, layers: int | range, column: int) -> Any:
        """A column of some rows from memory; None if it is not held."""
        if isinstance(layers, int):
            course = self._courses.course(layers, column)
            return None if course is None else course[: len(self)][rows]
        courses = [self._courses.course(layer, column) for layer in layers]
        held = [course[: len(self)][rows] for course in courses if course is not None]
        return np.stack(held, axis=-1) if held and len(held) == len(courses) else None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> FloatArray:
        whole: FloatArray = self._load(self._ids)
        return whole if dtype is None else whole.astype(dtype)

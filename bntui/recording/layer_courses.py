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
        self._length = 0
        self._courses: dict[int, FloatArray] = {}
        """By column, shape ``(layers, rows)``, of the first layer alone where only that is held."""

    def extend(self, table: FloatArray, room: int) -> None:
        """Append rows.

        Args:
            table: shape ``(rows, layers, len(LAYER_COLUMNS))``.
            room: number of rows for which memory is allocated, at least as many as there are.
        """
        end = self._length + len(table)
        for column, courses in self._courses.items():
            if courses.shape[1] < end:  # a new array: what was taken of the old one must not change
                self._courses[column] = np.full((len(courses), room), np.nan)
                self._courses[column][:, : self._length] = courses[:, : self._length]
        for held, columns in ((slice(None), sorted(KEPT)), (slice(1), sorted(OF_THE_FIRST))):
            part = np.ascontiguousarray(table[:, held, columns].transpose(2, 1, 0))
            for column, values in zip(columns, part, strict=True):
                if column not in self._courses:
                    if np.isnan(values).all():
                        continue
                    self._courses[column] = np.full((len(values), room), np.nan)
                self._courses[column][:, self._length : end] = values
        self._length = end

    def held(self, layers: int | slice, column: int) -> FloatArray | None:
        """The rows so far of a column, of one layer or, as the first axis, of several; None if they are not held."""
        numbers = range(self.layers)[layers]
        of_first = column in OF_THE_FIRST and numbers in (0, range(1))
        if not (column in KEPT or of_first):
            return None
        courses = self._courses.get(column)
        if courses is None:
            return np.broadcast_to(NAN, (self._length,) if isinstance(numbers, int) else (len(numbers), self._length))
        found: FloatArray = courses[0 if of_first and isinstance(numbers, int) else layers]
        return found


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
            held = self._courses.held(layers, column)
            if held is not None:
                return held[..., : len(self)][..., rows].T
        one = isinstance(rows, int | np.integer)
        return self._load(np.atleast_1d(self._ids[rows]))[0 if one else slice(None), layers, column]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> FloatArray:
        whole: FloatArray = self._load(self._ids)
        return whole if dtype is None else whole.astype(dtype)

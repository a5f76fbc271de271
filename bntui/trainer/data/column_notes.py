"""Notes features that the user should check: constants, identifiers, dates, duplicate names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from bntui.keyframe import FloatArray, IntArray, SingleArray
from bntui.recording.reading import ReadingNote
from bntui.trainer.data.columns import ColumnPlan
from bntui.trainer.data.contents import listed
from bntui.trainer.data.faults import shown

_IDENTIFIER: Final = re.compile(
    r"(?i:(?:.*[\W_])?(?:id|no\.?|nr\.?|index|idx|key|#))|.*[a-z](?:ID|Id|No|Nr|Key)|.*(?:번호|순번|연번|아이디)",
    re.DOTALL,
).fullmatch
"""Names of identifiers: ``id``, ``user_id``, ``Order No``, ``CustomerID``, ``고객번호``."""


_SENTINELS: Final = frozenset({99.0, 999.0, 9999.0, 99999.0, 32768.0})
"""Amounts of numbers that stand for missing values, such as -999."""


def all_whole(column: FloatArray) -> bool:
    """True if all values are whole numbers."""
    return bool((column == np.floor(column)).all())


def column_notes(
    x: FloatArray, names: Sequence[str], plan: ColumnPlan, kept: Sequence[int], *, explicit: bool
) -> Iterator[ReadingNote]:
    """Notes on features that the user should check.

    Args:
        x: the features, shape ``(N, features)``.
        names: their names.
        plan: the columns that are read.
        kept: number of each feature among those of the plan.
        explicit: the scenario names the features, so none is suspected to be an identifier.
    """
    constant = [name for name, spread in zip(names, np.ptp(x, axis=0).tolist(), strict=True) if spread == 0]
    if constant:
        yield ReadingNote("constant", {"names": listed(constant)})
    read = [*names, plan.target_name]
    doubled = [name for name in dict.fromkeys(read) if read.count(name) > 1] if len(set(read)) < len(read) else []
    if doubled:
        yield ReadingNote("doubled", {"names": listed(doubled)})
    booleans = [plan.names[place] for place in kept if place in plan.booleans]
    if booleans:
        yield ReadingNote("booleans", {"names": listed(booleans)})
    for place, name in enumerate(names):
        column = x[:, place]
        low, high = column.min(), column.max()
        quoted = f'"{name[:60]}"'
        if not explicit and high - low == len(x) - 1 and all_whole(column) and len(np.unique(column)) == len(x):
            figures = {"name": shown(name), "first": f"{low:.15g}", "last": f"{high:.15g}", "quoted": quoted}
            yield ReadingNote("counts", figures)
        elif not explicit and _identifies(name, column):
            yield ReadingNote("identifier", {"name": shown(name), "quoted": quoted})
        elif _are_dates(column):
            yield ReadingNote("dates", {"name": shown(name), "example": f"{column[0]:.0f}"})
        if (value := _sentinel(column)) is not None:
            figures = {"name": shown(name), "value": f"{value:.15g}", "count": f"{(column == value).sum():,}"}
            yield ReadingNote("sentinel", figures)


def _identifies(name: str, column: FloatArray) -> bool:
    """True if a column is named like an identifier and has a different whole number in each sample."""
    return bool(_IDENTIFIER(name) and all_whole(column) and len(np.unique(column)) == len(column))


def _are_dates(column: FloatArray) -> bool:
    """True if all values are dates written as whole numbers, such as 20240131."""
    if not (1900_00_00 < column[0] < 2100_00_00) or column.min() < 1900_00_00 or column.max() > 2100_00_00:
        return False
    month, day = column // 100 % 100, column % 100
    return bool(all_whole(column) and ((month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)).all())


def _sentinel(column: FloatArray) -> float | None:
    """A number that programs write for a missing value, farther from all others than these are from each other."""
    for value in (float(column.min()), float(column.max())):
        if abs(value) in _SENTINELS:
            others = column[column != value]
            if len(others) and float(np.abs(others - value).min()) > max(float(np.ptp(others)), 1.0):
                return value
    return None


def holds_sums(x: FloatArray, y: IntArray | SingleArray) -> bool:
    """True if the last sample holds the sums of the others, in the target too where it is a value."""
    values = x if y.dtype.kind == "i" else np.hstack([x, y.astype(np.float64)])
    above, last = values[:-1], values[-1]
    if values.shape[1] < 2 or len(above) < 3 or not last.any():
        return False
    largest = np.abs(above).sum(axis=0)
    return bool((np.abs(above.sum(axis=0) - last) <= 1e-6 * largest).all())

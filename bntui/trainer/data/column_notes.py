"""Notes features that the user should check: constants, identifiers, dates, duplicate names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from bntui.keyframe import FloatArray
from bntui.recording.reading import ReadingNote
from bntui.trainer.data.columns import ColumnPlan
from bntui.trainer.data.contents import listed
from bntui.trainer.data.faults import shown

_IDENTIFIER: Final = re.compile(
    r"(?i:(?:.*[\W_])?(?:id|no|nr|index|key))|.*[a-z](?:ID|Id|No|Nr|Key)|.*(?:번호|아이디)", re.DOTALL
).fullmatch
"""Names of identifiers: ``id``, ``user_id``, ``Order No``, ``CustomerID``, ``고객번호``."""


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
    doubled = [name for name in dict.fromkeys(names) if names.count(name) > 1] if len(set(names)) < len(names) else []
    if doubled:
        yield ReadingNote("doubled", {"names": listed(doubled)})
    booleans = [plan.names[place] for place in kept if place in plan.booleans]
    if booleans:
        yield ReadingNote("booleans", {"names": listed(booleans)})
    for place, name in enumerate(names):
        first, last = x[0, place], x[-1, place]
        quoted = f'"{name[:60]}"'
        counts = first in (0, 1) and last == first + len(x) - 1 and bool((np.diff(x[:, place]) == 1).all())
        if counts and not explicit:
            figures = {"name": shown(name), "first": f"{first:g}", "last": f"{last:.15g}", "quoted": quoted}
            yield ReadingNote("counts", figures)
        elif not explicit and _identifies(name, x[:, place]):
            yield ReadingNote("identifier", {"name": shown(name), "quoted": quoted})
        elif _are_dates(x[:, place]):
            yield ReadingNote("dates", {"name": shown(name), "example": f"{first:.0f}"})


def _identifies(name: str, column: FloatArray) -> bool:
    """True if a column is named like an identifier and has a different whole number in each sample."""
    return bool(_IDENTIFIER(name) and all_whole(column) and len(np.unique(column)) == len(column))


def _are_dates(column: FloatArray) -> bool:
    """True if all values are dates written as whole numbers, such as 20240131."""
    if not (1900_00_00 < column[0] < 2100_00_00) or column.min() < 1900_00_00 or column.max() > 2100_00_00:
        return False
    month, day = column // 100 % 100, column % 100
    return bool(all_whole(column) and ((month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)).all())

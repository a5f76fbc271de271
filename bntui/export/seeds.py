"""Makes the table ``seeds``: a row per run, seed, and epoch of what was trained with other seeds than the recorded one.

How a seed ended stands in each of its rows, and is empty while it is trained.  A seed that ended before its first epoch
has one row without an epoch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bntui.export.export_table import Columns, ExportTable, Row
from bntui.export.request import EpochRange
from bntui.export.selected import Selected, rows_within
from bntui.recording.seeds import FIGURES, SeedCourse
from bntui.scenario.figures import GRADIENT_RATIO


def seeds_table(runs: Sequence[Selected], span: EpochRange, wanted: Sequence[str]) -> ExportTable | None:
    """The table of these runs; None if no other seeds are recorded, or none of their figures is wanted.

    Args:
        wanted: names of figures.
    """
    figures = [name for name in FIGURES if name in wanted]
    courses = [(one, course) for one in runs for course in one.reader.seeds(one.info.index)]
    if not courses or not figures:
        return None
    found = [(one, course, _epochs(course, span)) for one, course in courses]

    def rows() -> Iterator[Row]:
        for one, course, places in found:
            place = (one.info.name, one.info.index, course.seed)
            end = course.end
            told: tuple[Any, ...] = (None,) * 4
            if end is not None:
                told = (end.kind, end.epoch, end.reason or None, None if math.isnan(end.ratio) else end.ratio)
            columns = [course.figure(name) for name in figures]
            for at in places:
                yield (*place, course.first + at, *(float(column[at]) for column in columns), *told)
            if not course.figures.shape[1]:
                yield (*place, None, *(None for _ in figures), *told)

    columns: Columns = {"run": str, "run_number": int, "seed": int, "epoch": int}
    columns |= {
        **dict.fromkeys(figures, float),
        "ending": str,
        "end_epoch": float,
        "reason": str,
        GRADIENT_RATIO: float,
    }
    total = sum(len(places) + (not course.figures.shape[1]) for _, course, places in found)
    return ExportTable("seeds", columns, rows(), total)


def _epochs(course: SeedCourse, span: EpochRange) -> list[int]:
    """The places of the epochs of a course that lie in a range."""
    epochs = course.first + np.arange(course.figures.shape[1])
    places: list[int] = rows_within(epochs, span).tolist()
    return places

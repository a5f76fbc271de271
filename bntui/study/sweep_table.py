"""Summarizes a sweep: combinations ranked by the mean of the goal over seeds, and one row a trial as CSV or Parquet."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bntui import drafts
from bntui.errors import StorageError
from bntui.insight.claims import scaled
from bntui.insight.statistics import Interval, interval
from bntui.scenario.claim_expression import quantity
from bntui.scenario.written import spelled
from bntui.study.axes import Settings
from bntui.study.journal import JournalEntry, key_of
from bntui.study.sweep_plan import SweepPlan
from bntui.text.language import _
from bntui.text.library_messages import reason
from bntui.text.output import storable

Value = str | int | float | None


@dataclass(frozen=True, slots=True)
class RankedCombination:
    """A combination, with its goal over seeds."""

    settings: Settings
    goal: Interval
    """Of the seeds that have a finite value, in decades where seeds differ by factors."""
    entries: tuple[JournalEntry, ...]
    """Its trials by seed."""


def standings(plan: SweepPlan, entries: Iterable[JournalEntry]) -> list[RankedCombination]:
    """All combinations, the best first; those with a seed that diverged or has no finite goal come last."""
    used = quantity(plan.goal)
    together: dict[str, list[JournalEntry]] = {}
    for entry in entries:
        together.setdefault(key_of(entry.settings, 0)[0], []).append(entry)
    found = []
    for ones in together.values():
        ones.sort(key=lambda entry: entry.seed)
        values = [scaled(used, one.figures.get(plan.goal, math.nan)) for one in ones if one.state == "done"]
        found.append(RankedCombination(ones[0].settings, interval(values), tuple(ones)))
    asked = used.figure == "diverged"  # then it is what ranks
    return sorted(found, key=lambda one: _rank(one, larger=plan.larger, asked=asked))


def _rank(one: RankedCombination, *, larger: bool, asked: bool) -> tuple[int, float]:
    """First those with all seeds, then those with any finite one, then the rest."""
    order = -one.goal.mean if larger else one.goal.mean
    if not one.goal.count:
        return 2, 0.0
    wild = not asked and any(entry.diverged for entry in one.entries)  # an accuracy is finite nevertheless
    return int(one.goal.count < len(one.entries) or wild), order


def rows(plan: SweepPlan, entries: Sequence[JournalEntry]) -> tuple[list[str], list[list[Value]]]:
    """The names of the columns, and a row for each trial."""
    paths = [axis.path for axis in plan.axes]
    names = [*paths, "seed", "state", *plan.quantities, "cpu_seconds", "file", "reason", "command"]
    table = [
        [
            *(_cell(dict(entry.settings).get(path)) for path in paths),
            entry.seed,
            entry.state,
            *(entry.figures.get(name) for name in plan.quantities),
            entry.seconds,
            entry.file,
            entry.reason,
            plan.command(entry.settings, entry.seed, entry.epochs),
        ]
        for entry in entries
    ]
    return names, table


def _cell(value: object) -> Value:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else spelled(value)


def write(plan: SweepPlan, entries: Sequence[JournalEntry], folder: Path) -> list[Path]:
    """Write ``summary.csv``, and ``summary.parquet`` if pyarrow is installed; returns what was written.

    Raises:
        StorageError: they cannot be written.
    """
    names, table = rows(plan, entries)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(table)
    written = [_replaced(folder / "summary.csv", storable(text.getvalue()).encode())]
    with suppress(ImportError):
        written.append(_replaced(folder / "summary.parquet", _parquet(names, table)))
    return written


def _parquet(names: Sequence[str], table: Sequence[Sequence[Value]]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    columns = {name: _uniform([row[number] for row in table]) for number, name in enumerate(names)}
    out = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), out)
    return out.getvalue()


def _uniform(values: list[Value]) -> list[Value]:
    """A column of one type: numbers, or else text."""
    if any(isinstance(value, str) for value in values):
        return [None if value is None else storable(str(value)) for value in values]
    if not any(isinstance(value, float) for value in values):
        return values
    return [None if value is None else float(value) for value in values]


def _replaced(path: Path, contents: bytes) -> Path:
    try:
        drafts.put(path, contents)
    except OSError as error:
        raise StorageError(_("{path}: cannot be written: {reason}").format(path=path, reason=reason(error))) from error
    return path

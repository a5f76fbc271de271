"""Reads CSV and similar tables: finds the target and checks every cell.

What is inferred (encoding, delimiter, header, decimal mark, index columns, the task) is told in the
:class:`~bntui.recording.reading.Reading`.  All columns but the target are features and must be numbers, or true and
false.  Where two readings make sense and give other numbers the file is refused, and a key of ``[data]`` decides.
"""

from __future__ import annotations

import io
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from bntui.errors import DataError
from bntui.keyframe import FloatArray
from bntui.recording.reading import Reading, ReadingNote
from bntui.text.language import _
from bntui.text.output import clean
from bntui.trainer.data.cells import (
    COMMA,
    POINT,
    TRUTH,
    complaint,
    decides,
    grouped,
    is_ambiguous,
    is_word,
    number,
)
from bntui.trainer.data.column_notes import all_whole, column_notes, holds_sums
from bntui.trainer.data.columns import ColumnPlan, plan_of
from bntui.trainer.data.contents import (
    MINIMUM_SAMPLES,
    Choices,
    Contents,
    check_count,
    check_memory,
    check_width,
    fits_single,
    narrowest,
    not_finite,
)
from bntui.trainer.data.explained import explanation
from bntui.trainer.data.faults import ENOUGH, Faults, shown
from bntui.trainer.data.gzipped import opened
from bntui.trainer.data.header import Head, Row, head_of
from bntui.trainer.data.row_faults import ragged, refuse_filled, refuse_repeated, refuse_totals
from bntui.trainer.data.target import target_of
from bntui.trainer.data.text_file import CsvLines, Dialect, dialect_of, encoding_of

_HEAD: Final = 1001
"""Rows that are looked at before the columns are decided on."""
_ODD: Final = re.compile(r"[_nN]|[^\x00-\x7f]")
"""Characters of what float() takes, and a data file does not mean: 1_000, nan, inf, digits of other scripts."""
_BYTES_A_ROW: Final = 100
"""Of memory beside the features: target, line, row."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the cells of a file are found, and what is read of them."""

    path: Path
    dialect: Dialect
    head: Head
    plan: ColumnPlan


@dataclass(slots=True)
class _Table:
    """The cells of a file, read under one decimal mark."""

    mark: str
    faults: Faults
    values: array[float] = field(default_factory=lambda: array("d"))
    targets: list[str] = field(default_factory=list)
    lines: array[int] = field(default_factory=lambda: array("q"))
    proof: bool = False
    """A cell was seen that is a number under this mark only."""
    disproof: bool = False
    """A cell was seen that is a number under the other mark only."""
    ambiguous: tuple[int, str, str] | None = None
    """Line, column and cell of a number that the other mark reads otherwise."""
    points: str = ""
    """A cell whose point may group thousands."""
    group: str = ""
    """A cell in which groups of thousands were joined."""
    skipped: int = 0
    """Comment lines."""
    last: list[str] = field(default_factory=list)
    """Cells of the last row."""


def read_csv(path: Path, choices: Choices) -> Contents:
    """Read features and target.

    Raises:
        DataError: names file, row (line of the file, from 1), column and cell; all faulty cells at once.
        OSError: the file cannot be opened, is none, or too large.
    """
    with opened(path) as (raw, size):
        encoding = encoding_of(path, raw)
        with io.TextIOWrapper(raw, encoding=encoding, newline="") as file:
            dialect = dialect_of(path, file, encoding, choices.delimiter)
            try:
                layout, table = _laid_out(path, dialect, file, choices, size)
                return _contents(layout, table, choices)
            except DataError as error:
                if told := explanation(path, dialect, file):
                    raise DataError(told) from error
                raise


def _laid_out(path: Path, dialect: Dialect, file: io.TextIOBase, choices: Choices, size: int) -> tuple[_Layout, _Table]:
    """The columns, and the cells; ``size`` is that of the unpacked file in bytes."""
    lines = CsvLines(path, file)
    first = list(islice(dialect.rows(path, lines), _HEAD))
    if not first:
        sentence = _("{path}: empty; needs at least {minimum} rows of numbers")
        raise DataError(sentence.format(path=path, minimum=MINIMUM_SAMPLES))
    head = head_of(path, first, choices.header, lines.comments, dialect.delimiter)
    plan = plan_of(path, head, first, choices)
    check_width(path, len(plan.features))
    _check_room(path, size, first, len(plan.features), choices.samples)
    layout = _Layout(path, dialect, head, plan)
    return layout, _read(layout, file, first, choices)


def _check_room(path: Path, size: int, first: Sequence[Row], features: int, samples: int | None) -> None:
    """Refuse what will not fit, by the length of the first rows."""
    length = max(sum(len(cell) + 1 for _line, cells in first for cell in cells) // len(first), 1)
    rows = size // length + 1 if samples is None else min(samples, size // length + 1)
    check_memory(path, rows * (16 * features + _BYTES_A_ROW))


def _read(layout: _Layout, file: io.TextIOBase, first: Sequence[Row], choices: Choices) -> _Table:
    """The table under the decimal mark that fits."""
    head, plan = layout.head, layout.plan

    def attempt(mark: str) -> _Table:
        file.seek(0)
        lines = CsvLines(layout.path, file)
        rows = layout.dialect.rows(layout.path, lines)
        if head.header and not head.from_comment:
            next(rows, None)
        table = _under(mark, layout, islice(rows, choices.samples))
        table.skipped = lines.skipped
        return table

    if choices.decimal is not None:
        return attempt(choices.decimal)
    body = first[1:] if head.header else first
    used = [*plan.features, *((plan.target,) if _numeric(plan.target, body) else ())]
    marks = {decides(cells[at]) for _line, cells in body if len(cells) == head.width for at in used}
    mark = COMMA if COMMA in marks and POINT not in marks else POINT
    table = attempt(mark)
    if table.disproof and not table.proof:
        other = attempt(POINT if mark == COMMA else COMMA)
        if other.faults.count < table.faults.count or not other.disproof:
            table = other
    _refuse_ambiguous(layout, table)
    return table


def _numeric(target: int, body: Sequence[Row]) -> bool:
    return not any(is_word(cells[target]) for _line, cells in body if target < len(cells))


def _refuse_ambiguous(layout: _Layout, table: _Table) -> None:
    """A point alone is a decimal point, and said to be where no comma splits the cells; a comma alone may be either."""
    if table.proof or table.ambiguous is None or table.faults.count:
        return
    line, column, cell = table.ambiguous
    if COMMA not in cell:
        table.points = cell if layout.dialect.delimiter != "," else ""
        return
    sentence = _(
        '{path}: row {row}, column {column}: {cell} may be {point:.15g} or {comma:.15g}; set data.decimal = "." or ","'
    )
    raise DataError(
        sentence.format(
            path=layout.path, row=line, column=shown(column), cell=shown(cell),
            point=number(cell, POINT), comma=number(cell, COMMA),
        )
    )  # fmt: skip


def _under(mark: str, layout: _Layout, rows: Iterator[Row]) -> _Table:
    """Read all rows; cells that are no numbers become faults."""
    path, head, plan = layout.path, layout.head, layout.plan
    table = _Table(mark, Faults(path, plan.target))
    known: dict[str, str] = {}
    numeric_target = True
    for line, cells in rows:
        if len(cells) != head.width:
            ragged(table.faults, line, cells, head)
        elif head.header and line > head.line and tuple(cells) == head.names:
            refuse_repeated(table.faults, line, head)
        else:
            target = known.setdefault(cells[plan.target], cells[plan.target])
            if numeric_target and target is cells[plan.target]:  # seen for the first time
                numeric_target = not is_word(target)
                if numeric_target:
                    _weigh(table, line, head.names[plan.target], target)
            if head.blank and any(cells[at] for at in head.blank):
                refuse_filled(table.faults, line, cells, head)
            table.last = cells
            table.targets.append(target)
            table.lines.append(line)
            picked = [cells[at] for at in plan.features]
            row = _plainly(picked, table, line, plan)
            table.values.extend(_cell_by_cell(picked, table, line, plan) if row is None else row)
        if len(table.lines) % 4096 == 0:
            check_memory(path, len(table.lines) * (16 * len(plan.features) + _BYTES_A_ROW))
        if table.faults.count >= ENOUGH:
            break
    return table


def _plainly(cells: list[str], table: _Table, line: int, plan: ColumnPlan) -> list[float] | None:
    """All cells at once, the common case; None where one needs a closer look."""
    joined = "".join(cells)
    if _ODD.search(joined):
        return None
    try:
        if table.mark == POINT:
            row = list(map(float, cells))
        elif POINT in joined:
            return None
        else:
            row = [float(cell.replace(COMMA, POINT)) for cell in cells]
    except ValueError:
        return None
    if not table.proof and table.mark in joined:
        for cell, name in zip(cells, plan.names, strict=True):
            _weigh(table, line, name, cell)
    return row


def _cell_by_cell(cells: list[str], table: _Table, line: int, plan: ColumnPlan) -> Iterator[float]:
    for place, cell in enumerate(cells):
        value = number(cell, table.mark)
        if place in plan.booleans:
            value = TRUTH.get(cell.lower())
        if value is None:
            sentence = _(complaint(cell)).format(cell=shown(cell), mark=shown(table.mark))
            table.faults.add(line, plan.features[place], plan.names[place], sentence)
        else:
            if not table.group and grouped(cell, table.mark):
                table.group = cell
        _weigh(table, line, plan.names[place], cell)
        yield np.nan if value is None else value


def _weigh(table: _Table, line: int, column: str, cell: str) -> None:
    """What a cell says about the decimal mark."""
    if POINT not in cell and COMMA not in cell:
        return
    mark = decides(cell)
    table.proof = table.proof or mark == table.mark
    table.disproof = table.disproof or (mark is not None and mark != table.mark)
    if (table.ambiguous is None or (COMMA in cell and COMMA not in table.ambiguous[2])) and is_ambiguous(cell):
        table.ambiguous = (line, column, cell)


def _contents(layout: _Layout, table: _Table, choices: Choices) -> Contents:
    path, dialect, head, plan = layout.path, layout.dialect, layout.head, layout.plan
    if not table.faults.count:
        check_count(path, len(table.lines))
    if table.last:
        refuse_totals(table.faults, table.lines[-1], table.last, table.targets, head, plan)
    x = np.frombuffer(table.values, dtype=np.float64).reshape(len(table.lines), len(plan.features))
    with np.errstate(invalid="ignore"):
        wrong = np.argwhere(~fits_single(x) & ~np.isnan(x)) if len(x) else np.empty((0, 2), int)
    for row, place in wrong[: 2 * ENOUGH]:
        value = x[row, place]
        name = plan.names[place]
        table.faults.add(table.lines[row], plan.features[place], name, not_finite(value))
    y, classes, target_notes = target_of(table.faults, table.targets, table.lines, plan, table.mark, choices.task)
    table.faults.check(len(table.lines))
    kept, notes = _without_index(x, head, plan, choices)
    x = x[:, kept]
    names = tuple(plan.names[place] for place in kept)
    if not names:
        sentence = _("{path}: no features are left besides the target {target}; needs at least one column of numbers")
        raise DataError(sentence.format(path=path, target=shown(plan.target_name)))
    notes += [*column_notes(x, names, plan, kept, explicit=choices.features is not None), *target_notes]
    if dialect.drawn:
        notes.append(ReadingNote("drawn", {}))
    if holds_sums(x, y):
        notes.append(ReadingNote("sums", {}))
    if table.skipped:
        notes.append(
            ReadingNote("names", {}) if head.from_comment else ReadingNote("comments", {"count": f"{table.skipped:,}"})
        )
    if table.group:
        notes.append(ReadingNote("grouped", {"example": shown(table.group)}))
    if table.points:
        notes.append(ReadingNote("points", {"example": shown(table.points)}))
    reading = Reading(
        clean(path.name), "table", len(x), (len(names),), "classification" if classes else "regression", len(classes),
        float(x.min()), float(x.max()), target=plan.target_name, encoding=dialect.encoding,
        delimiter=dialect.delimiter, header=head.header, decimal=table.mark, notes=(*plan.notes, *notes),
    )  # fmt: skip
    return Contents(narrowest(x), y, classes, names, reading, np.array(table.lines, np.int64))


def _without_index(
    x: FloatArray, head: Head, plan: ColumnPlan, choices: Choices
) -> tuple[list[int], list[ReadingNote]]:
    """Places of the features that are no index, and notes about those without a name."""
    kept, notes = [], []
    for place, column in enumerate(plan.features):
        unnamed = column in head.unnamed and choices.features is None
        if unnamed and all_whole(x[:, place]) and len(np.unique(x[:, place])) == len(x):
            notes.append(ReadingNote("index", {"name": shown(plan.names[place])}))
            continue
        if unnamed:
            notes.append(ReadingNote("unnamed", {"name": shown(plan.names[place]), "quoted": f'"column {column + 1}"'}))
        kept.append(place)
    return kept, notes

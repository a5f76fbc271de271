"""How is a CSV file read: its delimiter, header and target found, every cell checked.

UTF-8; comma, semicolon or tab, found by looking; the first row is a header where none of its cells is a
number; empty lines are skipped.  All columns but the target are features and must be numbers.
"""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Final, TextIO

import numpy as np

from bntui.errors import DataError
from bntui.foreign import told
from bntui.keyframe import IntArray, SingleArray
from bntui.language import N_, _
from bntui.trainer.contents import (
    MINIMUM_SAMPLES,
    SET_TASK,
    Contents,
    TaskChoice,
    are_whole,
    check_count,
    class_numbers,
    fits_single,
    listed,
    nearest,
    not_finite,
)

EMPTY: Final = N_("empty; fill it or remove the row")


def read_csv(path: Path, target: str | None, task: TaskChoice, samples: int | None) -> Contents:
    """Read features and target; :class:`DataError` names file, row (line of the file, from 1) and column."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _parse_csv(path, _csv_rows(path, file), target, task, samples)
    except UnicodeDecodeError as error:
        sentence = _("{path}: not UTF-8 text (byte {byte}); save it as UTF-8")
        raise DataError(sentence.format(path=path, byte=error.start)) from error


def _csv_rows(path: Path, file: TextIO) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, each with its line in the file (the last one where a cell has several)."""
    delimiter = _delimiter([line for line in islice(file, 50) if line.strip()])
    file.seek(0)
    reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if len(cells) > 1 or any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        sentence = _("{path}: row {row}: {reason}; check quotes and line ends")
        raise DataError(sentence.format(path=path, row=reader.line_num, reason=told(str(error)))) from error


def _delimiter(lines: list[str]) -> str:
    """The one that cuts all lines into equally many cells, else the one that cuts the first into most."""

    def score(delimiter: str) -> tuple[bool, int]:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True)] or [0]
        except csv.Error:  # reading the rows says which one
            return False, 0
        return widths[0] > 1 and len(set(widths)) == 1, widths[0]

    # the comma last: it may be a decimal comma, the others are nothing but delimiters
    return max(";\t,", key=score)


def _parse_csv(
    path: Path, rows: Iterator[tuple[int, list[str]]], target: str | None, task: TaskChoice, samples: int | None
) -> Contents:
    first_line, first = next(rows, (0, []))
    if not first:
        sentence = _("{path}: empty; it needs {minimum} rows of numbers or more")
        raise DataError(sentence.format(path=path, minimum=MINIMUM_SAMPLES))
    if len(first) < 2:
        sentence = _("{path}: row {row}: one column; it needs features and a target, split by , ; or tab")
        raise DataError(sentence.format(path=path, row=first_line))
    header = all(_number(cell) is None for cell in first)
    names = [
        cell if header and cell else _("column {number}").format(number=index) for index, cell in enumerate(first, 1)
    ]
    at = _target_column(path, first_line, names, target)
    features = names[:at] + names[at + 1 :]

    values, targets, lines = array("d"), list[str](), list[int]()
    pending = rows if header else chain([(first_line, first)], rows)
    for line, cells in islice(pending, samples):
        if len(cells) != len(names):
            raise DataError(_ragged(path, line, len(cells), names, first_line))
        targets.append(cells.pop(at))
        lines.append(line)
        try:
            values.extend(map(float, cells))
        except ValueError:
            raise DataError(_bad_cell(path, line, features, cells)) from None
    check_count(path, len(lines))

    x = np.array(values, dtype=np.float64).reshape(len(lines), len(features))
    for row, column in np.argwhere(~fits_single(x))[:1]:
        raise DataError(_cell(path, lines[row], features[column], not_finite(x[row, column])))
    y, classes = _csv_target(path, names[at], targets, lines, task)
    return Contents(x.astype(np.float32), y, classes, tuple(features))


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _cell(path: Path, line: int, column: str, what: str) -> str:
    """What is wrong with a cell, and where it stands."""
    sentence = _("{path}: row {row}, column {column!r}: {what}")
    return sentence.format(path=path, row=line, column=column, what=what)


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= 40 else cell[:39] + "…")


def _ragged(path: Path, line: int, width: int, names: list[str], first_line: int) -> str:
    where = names[width] if width < len(names) else names[-1]
    sentence = _("is not the last cell; the row has {found} cells, row {first} has {wanted}")
    if width < len(names):
        sentence = _("is missing; the row has {found} cells, row {first} has {wanted}")
    return _cell(path, line, where, sentence.format(found=width, first=first_line, wanted=len(names)))


def _bad_cell(path: Path, line: int, columns: list[str], cells: list[str]) -> str:
    column, cell = next((name, cell) for name, cell in zip(columns, cells, strict=True) if _number(cell) is None)
    if not cell:
        return _cell(path, line, column, _(EMPTY))
    sentence = _("{cell} is not a number (features are numbers with a decimal point)")
    return _cell(path, line, column, sentence.format(cell=_shown(cell)))


def _target_column(path: Path, line: int, names: list[str], target: str | None) -> int:
    if target is None:
        return len(names) - 1
    if target not in names:
        sentence = _("{path}: row {row}: no column {name!r} (data.target){hint}; there are {names}")
        hint = nearest(target, names)
        raise DataError(sentence.format(path=path, row=line, name=target, hint=hint, names=listed(names)))
    if names.count(target) > 1:
        sentence = _("{path}: row {row}: several columns {name!r} (data.target); give each its own name")
        raise DataError(sentence.format(path=path, row=line, name=target))
    return names.index(target)


def _csv_target(
    path: Path, name: str, cells: list[str], lines: list[int], task: TaskChoice
) -> tuple[IntArray | SingleArray, tuple[str, ...]]:
    numbers = [_number(cell) for cell in cells]
    numeric = task == "regression" or (task == "auto" and any(number is not None for number in numbers))
    for line, cell, number in zip(lines, cells, numbers, strict=True):
        if not cell:
            raise DataError(_cell(path, line, name, _(EMPTY)))
        if number is not None and not math.isfinite(number):
            raise DataError(_cell(path, line, name, not_finite(number)))
        if number is None and numeric:
            sentence = _("{cell} is not a number")
            if task == "auto":
                sentence = _("{cell} is not a number like the others; {advice}")
            raise DataError(_cell(path, line, name, sentence.format(cell=_shown(cell), advice=_(SET_TASK))))
    place = _("{path}: column {column!r}").format(path=path, column=name)
    if None in numbers:
        return class_numbers(place, np.array(cells))
    values = np.array(numbers, dtype=np.float64)
    if task == "regression" or (task == "auto" and not are_whole(values)):
        for row in np.flatnonzero(~fits_single(values))[:1]:
            raise DataError(_cell(path, lines[row], name, not_finite(values[row])))
        return values.astype(np.float32)[:, None], ()
    return class_numbers(place, values)

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
from typing import TextIO

import numpy as np

from bntui.errors import DataError
from bntui.keyframe import IntArray, SingleArray
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


def read_csv(path: Path, target: str | None, task: TaskChoice, samples: int | None) -> Contents:
    """Read features and target; :class:`DataError` names file, row (line of the file, from 1) and column."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _parse_csv(path, _csv_rows(path, file), target, task, samples)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error


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
        raise DataError(f"{path}: row {reader.line_num}: {error}; check quotes and line ends") from error


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
        raise DataError(f"{path}: empty; it needs {MINIMUM_SAMPLES} rows of numbers or more")
    if len(first) < 2:
        raise DataError(f"{path}: row {first_line}: one column; it needs features and a target, split by , ; or tab")
    header = all(_number(cell) is None for cell in first)
    names = [cell if header and cell else f"column {index}" for index, cell in enumerate(first, 1)]
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
    check_count(path, len(lines), "rows of data")

    x = np.array(values, dtype=np.float64).reshape(len(lines), len(features))
    for row, column in np.argwhere(~fits_single(x))[:1]:
        raise DataError(f"{_cell(path, lines[row], features[column])}: {not_finite(x[row, column])}")
    y, classes = _csv_target(path, names[at], targets, lines, task)
    return Contents(x.astype(np.float32), y, classes, tuple(features))


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _cell(path: Path, line: int, column: str) -> str:
    return f"{path}: row {line}, column {column!r}"


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= 40 else cell[:39] + "…")


def _ragged(path: Path, line: int, width: int, names: list[str], first_line: int) -> str:
    where, what = (names[width], "is missing") if width < len(names) else (names[-1], "is not the last cell")
    return f"{_cell(path, line, where)}: {what}; the row has {width} cells, row {first_line} has {len(names)}"


def _bad_cell(path: Path, line: int, columns: list[str], cells: list[str]) -> str:
    column, cell = next((name, cell) for name, cell in zip(columns, cells, strict=True) if _number(cell) is None)
    if not cell:
        return f"{_cell(path, line, column)}: empty; fill it or remove the row"
    return f"{_cell(path, line, column)}: {_shown(cell)} is not a number (features are numbers with a decimal point)"


def _target_column(path: Path, line: int, names: list[str], target: str | None) -> int:
    if target is None:
        return len(names) - 1
    if target not in names:
        hint = nearest(target, names)
        raise DataError(f"{path}: row {line}: no column {target!r} (data.target){hint}; there are {listed(names)}")
    if names.count(target) > 1:
        raise DataError(f"{path}: row {line}: several columns {target!r} (data.target); give each its own name")
    return names.index(target)


def _csv_target(
    path: Path, name: str, cells: list[str], lines: list[int], task: TaskChoice
) -> tuple[IntArray | SingleArray, tuple[str, ...]]:
    numbers = [_number(cell) for cell in cells]
    numeric = task == "regression" or (task == "auto" and any(number is not None for number in numbers))
    for line, cell, number in zip(lines, cells, numbers, strict=True):
        if not cell:
            raise DataError(f"{_cell(path, line, name)}: empty; fill it or remove the row")
        if number is not None and not math.isfinite(number):
            raise DataError(f"{_cell(path, line, name)}: {not_finite(number)}")
        if number is None and numeric:
            hint = f" like the others; {SET_TASK}" if task == "auto" else ""
            raise DataError(f"{_cell(path, line, name)}: {_shown(cell)} is not a number{hint}")
    place = f"{path}: column {name!r}"
    if None in numbers:
        return class_numbers(place, np.array(cells))
    values = np.array(numbers, dtype=np.float64)
    if task == "regression" or (task == "auto" and not are_whole(values)):
        for row in np.flatnonzero(~fits_single(values))[:1]:
            raise DataError(f"{_cell(path, lines[row], name)}: {not_finite(values[row])}")
        return values.astype(np.float32)[:, None], ()
    return class_numbers(place, values)

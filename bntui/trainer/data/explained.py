"""Explains why a table was refused, where one cause explains all that is wrong with its cells.

Such causes are a title above the table, a second row of names, another delimiter, or another format.  Only tables that
were refused are looked at, so that nothing here decides how a table is read.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from bntui.errors import DataError
from bntui.text.language import _
from bntui.trainer.data.cells import MISSING, is_digits, is_number, is_word
from bntui.trainer.data.faults import shown
from bntui.trainer.data.foreign import other_format
from bntui.trainer.data.header import Row
from bntui.trainer.data.text_file import CsvLines, Dialect

_LOOKED_AT: Final = 200
_MOST_TITLES: Final = 20
_MOST_TEXT: Final = 1_000_000
"""Characters that are looked at."""


def explanation(path: Path, dialect: Dialect, file: io.TextIOBase) -> str | None:
    """The sentence that says why a table was refused; None if the faults of its cells say it best."""
    file.seek(0)
    text = file.read(_MOST_TEXT).splitlines()[:_LOOKED_AT]
    if told := other_format(path, text):
        return told
    file.seek(0)
    try:
        rows = list(islice(dialect.rows(path, CsvLines(path, file)), _LOOKED_AT))
    except DataError:
        return None
    if len(rows) < 3:
        return None
    usual = Counter(len(cells) for _line, cells in rows).most_common(1)[0][0]
    if usual < 2:
        return _one_column(path, rows, quoted=all(line.lstrip().startswith('"') for line in text if line.strip()))
    return _title(path, rows, usual) or _second_names(path, rows, usual) or _widths(path, rows, usual, dialect)


def _one_column(path: Path, rows: Sequence[Row], *, quoted: bool) -> str | None:
    cells = [cells[0] for _line, cells in rows]
    if quoted and (all("," in cell for cell in cells) or all(";" in cell for cell in cells)):
        return _("{path}: each row is one quoted cell; remove the quotes around the rows").format(path=path)
    for mark in dict.fromkeys(cells[0]):
        if not mark.isalnum() and mark not in "\"'.-+# \t" and len({cell.count(mark) for cell in cells}) == 1:
            sentence = _(
                "{path}: row {row}: only one column; if {mark} separates the cells, set data.delimiter = {key}"
            )
            return sentence.format(path=path, row=rows[0][0], mark=mark, key=f'"{mark}"')
    return None


def _title(path: Path, rows: Sequence[Row], usual: int) -> str | None:
    """Lines above the names, or above the first row of values."""
    for at in range(1, min(_MOST_TITLES, len(rows) - 1)):
        _line, above = rows[at - 1]
        if len(above) == usual and all(above):
            return None
        line, cells = rows[at]
        complete = len(cells) == usual and all(cells)
        names = complete and not any(map(is_number, cells)) and any(map(is_number, rows[at + 1][1]))
        values = complete and len(above) == 1 < usual - 1 and any(map(is_number, cells))
        if names or values:
            sentence = _(
                "{path}: row {row}: {text} is above the table, which begins in row {first}; remove what is above it, or"
                " begin those lines with #"
            )
            text = next(filter(None, rows[0][1]))
            return sentence.format(path=path, row=rows[0][0], text=shown(text), first=line)
    return None


def _second_names(path: Path, rows: Sequence[Row], usual: int) -> str | None:
    """A second row of names, or one of units."""
    (_line, first), (line, second), *below = rows
    if {len(first), len(second)} != {usual} or not any(map(is_word, first)) or any(map(is_number, (*first, *second))):
        return None
    body = [cells for _line, cells in below if len(cells) == usual]
    over = [at for at, cell in enumerate(second) if is_word(cell) and all(_is_value(cells[at]) for cells in body)]
    if not body or not over:
        return None
    sentence = _("{path}: row {row}: {text} is in a second row of names or units; remove the row, or begin it with #")
    return sentence.format(path=path, row=line, text=shown(second[over[0]]))


def _is_value(cell: str) -> bool:
    return is_number(cell) or cell in MISSING


def _widths(path: Path, rows: Sequence[Row], usual: int, dialect: Dialect) -> str | None:
    """Rows that are all longer or shorter than the row of names."""
    (line, first), *below = rows
    if any(len(cells) != usual for _line, cells in below) or any(map(is_number, first)):
        return None
    figures = {"path": path, "row": line, "names": len(first), "cells": usual}
    if dialect.delimiter == "," and usual == 2 * len(first) and all(map(is_digits, below[0][1])):
        sentence = _(
            "{path}: row {row}: {names} names above {cells} cells: decimal commas? separate the cells with ; or put"
            " them in quotes"
        )
        return sentence.format(**figures)
    if dialect.delimiter == " " and len(first) > usual:
        sentence = _(
            "{path}: row {row}: {names} names above {cells} cells; a name that contains spaces needs quotes, or another"
            " delimiter"
        )
        return sentence.format(**figures)
    return None

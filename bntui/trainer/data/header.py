"""Decides whether the first row of a table is a header, and names the columns.

If both are plausible, the file is refused, because a guess could lose a sample; ``data.header`` then decides.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from bntui.errors import DataError
from bntui.text.language import _
from bntui.text.output import clean
from bntui.trainer.data.cells import COMMA, MISSING, POINT, is_date, is_number, is_word, number
from bntui.trainer.data.contents import listed
from bntui.trainer.data.text_file import cells_of

LONGEST_NAME: Final = 200

_UNNAMED: Final = re.compile(r"Unnamed: \d+(\.\d+)*", re.ASCII).fullmatch
"""pandas' name of a column without one, however often the file was read and saved since."""

Row = tuple[int, list[str]]


@dataclass(frozen=True, slots=True)
class Head:
    """The columns of a table."""

    names: tuple[str, ...]
    """Names from the file; ``column N`` for columns without a name."""
    unnamed: frozenset[int]
    """Columns without a name in a file with a header."""
    header: bool
    row_names: bool = False
    """The first column has no cell in the header, as in files from R."""
    blank: frozenset[int] = frozenset()
    """Columns without a name and without values, because of delimiters that separate nothing."""
    from_comment: bool = False
    """The names come from a comment line above the rows."""
    line: int = 1
    """Line number of the first row."""

    @property
    def width(self) -> int:
        """Number of cells in a row."""
        return len(self.names)


def head_of(path: Path, rows: Sequence[Row], choice: bool | None, comments: Sequence[str], delimiter: str) -> Head:
    """Find the header.

    Args:
        path: the file, for messages.
        rows: the first rows of the file, at least one.
        choice: ``data.header``.
        comments: comment lines above and between the rows.
        delimiter: splits the comment line that may contain the names.

    Raises:
        DataError: the first row may be names as well as values.
    """
    return replace(_found(path, rows, choice, comments, delimiter), line=rows[0][0])


def _found(path: Path, rows: Sequence[Row], choice: bool | None, comments: Sequence[str], delimiter: str) -> Head:
    line, first = rows[0]
    body = [cells for _line, cells in rows[1:]]
    widths = [len(cells) for cells in body]
    usual = max(set(widths), key=widths.count) if widths else len(first)
    columns = list(zip(*(cells for cells in body if len(cells) == usual), strict=True))
    filled = max((number for number, column in enumerate(columns, 1) if any(column)), default=usual)
    if len(first) > usual and not any(first[usual:]):  # a header with more delimiters than its rows
        first = first[:usual]
    named = choice is not False and not all(map(is_number, first))
    if 2 <= filled <= len(first) < usual and named:  # only the rows end with delimiters
        first = first + [""] * (usual - len(first))
    elif len(first) == usual - 1 and named:
        return _named(["", *first], row_names=True)
    blank = frozenset(at for at, column in enumerate(columns) if not any(column) and at < len(first) and not first[at])
    if usual - len(blank) < 2 or len(first) != usual:
        blank = frozenset()
    kept = [at for at in range(len(first)) if at not in blank]
    below = [columns[at] for at in kept] if blank else columns
    header = choice if choice is not None else _is_header(path, line, [first[at] for at in kept], below)
    if header:
        return _named(first, blank=blank)
    if choice is None and comments:
        names = cells_of(comments[-1].lstrip("#").strip(), delimiter)
        names[:1] = [name or "#" for name in names[:1]]
        if len(names) == len(first) == len(set(names)) and all(map(is_word, names)):
            return _named(names, header=False, from_comment=True)
    return _numbered(len(first), blank)


def column_name(number: int) -> str:
    """The name given to a column without one; ``number`` counts from 1."""
    return _("column {number}").format(number=number)


def _named(
    cells: Sequence[str],
    *,
    header: bool = True,
    row_names: bool = False,
    blank: frozenset[int] = frozenset(),
    from_comment: bool = False,
) -> Head:
    bare = [clean(cell)[:LONGEST_NAME].strip() for cell in cells]
    names = tuple(cell or column_name(number) for number, cell in enumerate(bare, 1))
    unnamed = frozenset(index for index, cell in enumerate(bare) if not cell or _UNNAMED(cell))
    return Head(names, unnamed, header, row_names, blank, from_comment)


def _numbered(width: int, blank: frozenset[int]) -> Head:
    return Head(tuple(map(column_name, range(1, width + 1))), frozenset(), False, blank=blank)


def _is_header(path: Path, line: int, first: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """True if the first row is a header; ``columns`` are the cells below it."""
    if len(columns) != len(first):  # no rows below, or rows of different lengths, which are reported when they are read
        return not any(map(is_number, first)) and any(map(is_word, first))
    found = _judged(first, columns)
    if found is None:
        sentence = _(
            "{path}: row {row}: {cells} may be column names or the first sample; set data.header = true or false"
        )
        raise DataError(sentence.format(path=path, row=line, cells=listed([cell[:40] for cell in first])))
    return found


def _judged(first: Sequence[str], columns: Sequence[Sequence[str]]) -> bool | None:
    """True for names, False for values, None if both are plausible."""

    def over_number(index: int) -> bool:
        return all(is_number(cell) or cell in MISSING for cell in columns[index])

    words = [index for index, cell in enumerate(first) if is_word(cell) or (is_date(cell) and over_number(index))]
    numbers = [index for index, cell in enumerate(first) if is_number(cell)]
    if len(words) == len(first) > 1 and any(map(list(first).__eq__, map(list, zip(*columns, strict=True)))):
        return True  # the names are repeated below
    recurring = [index for index in words if first[index] in columns[index]]
    over_numbers = [index for index in words if over_number(index)]
    if not numbers:
        return _judged_words(words, recurring, over_numbers)
    if _numbers_rows(first, columns):
        return True
    labels, below = [first[index] for index in numbers], [columns[index] for index in numbers]
    from_zero = labels == [str(number) for number in range(len(labels))] and numbers[-1] == numbers[0] + len(labels) - 1
    never_whole = [not any(map(_is_whole, column)) for column in below]
    if not words:
        unlike = len(labels) > 2 and _unlike(labels, below)
        return _judged_numbers(first, from_zero, unlike, never_whole)
    if recurring:
        return None if over_numbers else False
    alien = all(map(_is_whole, labels)) and all(never_whole)
    whole = all(map(_is_whole, labels)) and len(set(labels)) == len(labels)
    if whole and (all(never_whole) or (from_zero and len(labels) > 1)):
        return True
    return None if whole or alien or (len(labels) > 1 and _unlike(labels, below)) else False


def _numbers_rows(first: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """True if only the first column has no name, and counts the rows below: pandas' index beside names of numbers."""
    if first[0] or len(first) < 2 or not all(first[1:]):
        return False
    below = columns[0]
    start = int(below[0]) if below and below[0] in ("0", "1") else None
    return start is not None and list(below) == [str(number) for number in range(start, start + len(below))]


def _judged_words(words: Sequence[int], recurring: Sequence[int], over_numbers: Sequence[int]) -> bool | None:
    if not words or len(recurring) == len(words):
        return False
    return True if not recurring or over_numbers else None


def _judged_numbers(first: Sequence[str], from_zero: bool, unlike: bool, never_whole: Sequence[bool]) -> bool | None:
    """A first row of numbers only is a header if pandas numbered the columns: ``0,1,2,…``."""
    if from_zero and not first[0] and len(first) > 1:  # the first column is an index without a name
        return True
    if any(cell in MISSING for cell in first):
        return False
    if from_zero and len(first) > 1:
        return True if any(never_whole) and len(first) > 2 else None
    return None if unlike else False


def _unlike(labels: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """True if increasing numbers differ from all those below them, as years, days and wavelengths in a header do.

    They are written otherwise (with a decimal mark, or without one), or are above the range of their columns, or rise
    in equal steps: outside that range, or at least four of them where no row below does so.
    """
    values = [_value(label) for label in labels]
    steps = [after - before for before, after in pairwise(values)]
    if not all(step > 0 for step in steps):
        return False
    unsigned = ({_is_whole(cell.lstrip("+-")) for cell in column} for column in columns)
    if all(_is_whole(label.lstrip("+-")) not in found for label, found in zip(labels, unsigned, strict=True)):
        return True
    ranges = [(min(found), max(found)) for found in map(_values, columns) if found]
    if len(ranges) < len(values):
        return False
    above = all(value > high for value, (_low, high) in zip(values, ranges, strict=True))
    outside = all(not low <= value <= high for value, (low, high) in zip(values, ranges, strict=True))
    return above or (_are_equal(steps) and (outside or not _any_row_in_steps(columns)))


def _are_equal(steps: Sequence[float]) -> bool:
    return max(steps) - min(steps) <= 1e-6 * max(steps)


def _any_row_in_steps(columns: Sequence[Sequence[str]]) -> bool:
    """True if a row of values rises in equal steps, too, or if there are too few columns or rows to tell."""
    if len(columns) < 4 or len(columns[0]) < 4:
        return True
    for row in zip(*columns, strict=True):
        steps = [_value(after) - _value(before) for before, after in pairwise(row)]
        if all(step > 0 for step in steps) and _are_equal(steps):
            return True
    return False


def _values(column: Sequence[str]) -> list[float]:
    found = map(_value, column)
    return [value for value in found if not math.isnan(value)]


def _value(cell: str) -> float:
    """The number in a cell; NaN if there is none."""
    found = number(cell, POINT)
    found = number(cell, COMMA) if found is None else found
    return math.nan if found is None else found


def _is_whole(cell: str) -> bool:
    return cell.isascii() and cell.isdecimal()

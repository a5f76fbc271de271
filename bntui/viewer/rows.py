"""Rows of styled text: what every panel draws, without a word about terminals or Textual.

A row is a tuple of spans; a span is text and the *name* of a style (see ``theme.py``).  Panels are
pure functions from a view to rows, so that a test reads them as text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rich.cells import cell_len, chop_cells, set_cell_size


class Span(NamedTuple):
    """Text in one style."""

    text: str
    style: str = ""


Row = tuple[Span, ...]


class Drawing(NamedTuple):
    """A panel as drawn: the title says what is shown and in which unit."""

    title: str
    rows: tuple[Row, ...]


def text(row: Row) -> str:
    """The row without its styles."""
    return "".join(span.text for span in row)


def width(row: Row) -> int:
    """Cells that the row takes; a Korean syllable takes two."""
    return sum(cell_len(span.text) for span in row)


def fit(row: Row, cells: int) -> Row:
    """The row cut or filled with spaces to exactly ``cells`` cells; double-width text is never halved."""
    out: list[Span] = []
    left = cells
    for span in row:
        size = cell_len(span.text)
        if size > left:
            if left:
                out.append(Span(set_cell_size(span.text, left), span.style))
            return tuple(out)
        out.append(span)
        left -= size
    if left:
        out.append(Span(" " * left))
    return tuple(out)


def wrap(sentence: str, cells: int) -> list[str]:
    """The sentence in lines of at most ``cells`` cells, broken between words, or in a word that is longer."""
    lines: list[str] = []
    for word in sentence.split():
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= cells:
            lines[-1] += f" {word}"
        else:
            lines += chop_cells(word, max(cells, 2))
    return lines or [""]


def join(*rows: Iterable[Span]) -> Row:
    """Spans of several rows, one after the other."""
    return tuple(span for row in rows for span in row)

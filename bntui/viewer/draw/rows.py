"""Defines rows of styled text, which every panel draws; independent of terminals and Textual.

A row is a tuple of spans; a span is text and the *name* of a style (see ``theme.py``).  Panels are
pure functions from a view to rows, so that a test reads them as text.
"""

from __future__ import annotations

from collections.abc import Iterable
from string import Formatter
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from bntui.text.table import Line


class FigureReference(NamedTuple):
    """A recorded figure of one run, by the names that references in a tour use."""

    run: int
    figure: str
    layer: str = ""


class Span(NamedTuple):
    """Text in one style."""

    text: str
    style: str = ""
    click: str = ""
    """The action that a click on it runs, as bindings name actions."""
    tells: FigureReference | None = None
    """The figure that the text shows, at the keyframe of the cursor."""


Row = tuple[Span, ...]


class Drawing(NamedTuple):
    """A panel as drawn: the title says what is shown and in which unit."""

    title: str
    rows: tuple[Row, ...]


def styled(line: Line) -> Row:
    """A line of a table as a row."""
    return tuple(Span(*part) for part in line)


def text(row: Row) -> str:
    """The row without its styles."""
    return "".join(span.text for span in row)


def width(row: Row) -> int:
    """Cells that the row takes; a Korean syllable takes two."""
    return sum(cell_len(span.text) for span in row)


def click_at(row: Row, x: int) -> str:
    """The action of a click on cell ``x``; empty if nothing there can be clicked."""
    for span in row if x >= 0 else ():
        x -= cell_len(span.text)
        if x < 0:
            return span.click
    return ""


def fit(row: Row, cells: int) -> Row:
    """The row cut or filled with spaces to exactly ``cells`` cells; double-width text is never halved."""
    out: list[Span] = []
    left = cells
    for span in row:
        size = cell_len(span.text)
        if size > left:
            if left:
                out.append(span._replace(text=set_cell_size(span.text, left)))
            return tuple(out)
        out.append(span)
        left -= size
    if left:
        out.append(Span(" " * left))
    return tuple(out)


def filled(sentence: str, style: str, **parts: Span) -> Row:
    """A sentence in one style, its placeholders (``"best {best} at {epoch}"``) spans in styles of their own.

    A translation may put them in another order.
    """
    row: list[Span] = []
    for words, name, _, _ in Formatter().parse(sentence):
        row += [Span(words, style)] if words else []
        row += [parts[name]] if name is not None else []
    return tuple(row)


def join(*rows: Iterable[Span]) -> Row:
    """Spans of several rows, one after the other."""
    return tuple(span for row in rows for span in row)


def framed(drawing: Drawing, width: int, *, focused: bool, key: str = "", click: str = "") -> tuple[Row, ...]:
    """A drawing of ``width - 2`` cells in a border, with its title and its key in the upper edge.

    Args:
        click: the action of a click on the key.
    """
    edge = "focus" if focused else "frame"
    room = width - 4 - (len(key) + 2 if key else 0)
    title = f" {drawing.title} "
    title = set_cell_size(title, room - 1) + "…" if cell_len(title) > room > 1 else title
    dashes = "─" * max(0, room - cell_len(title))
    tail = (Span(" "), Span(key, "key" if focused or click else "muted", click), Span(" ")) if key else ()
    top = (Span("╭─", edge), Span(title, "title" if focused else "text"), Span(dashes, edge), *tail, Span("─╮", edge))
    side = Span("│", edge)
    bottom = (Span("╰" + "─" * (width - 2) + "╯", edge),)
    return (top, *((side, *row, side) for row in drawing.rows), bottom)

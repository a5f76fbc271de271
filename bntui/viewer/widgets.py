"""How do rows of styled text reach the terminal with as few bytes as possible?

Textual sends a widget's whole region whenever it is refreshed; over SSH that is what a key press costs.
Here the rows are compared with those on the screen, and only the cells that differ are sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from bntui.text.output import clean
from bntui.viewer.draw.rows import Drawing, Row, Span, differing, fit
from bntui.viewer.draw.theme import style

GAP: Final = 16
"""Equal cells between two changed ones that are sent again: moving there and naming colours costs as many bytes."""

_SINGLE: Final = re.compile("[ -~\u00a0-\u02ff\u2190-\u22ff\u2500-\u25fc\u2605\u2800-\u28ff]*").fullmatch
"""Text of characters that all take one cell: what nearly all rows are made of."""

Lookup = Callable[[str], Style]


def strip(row: Row, cells: int, look: Lookup) -> Strip:
    """A row as Textual draws it, exactly ``cells`` wide."""
    cleaned = tuple(Span(clean(span.text), span.style) for span in row)
    return Strip([Segment(span.text, look(span.style)) for span in fit(cleaned, cells) if span.text], cells)


def cells_of(line: Strip) -> list[tuple[str, Style | None]]:
    """One entry a cell; the second cell of a wide character is an empty one."""
    out: list[tuple[str, Style | None]] = []
    for segment in line:
        if _SINGLE(segment.text):
            out += [(char, segment.style) for char in segment.text]
            continue
        for char in segment.text:
            size = cell_len(char)
            if size:
                out.append((char, segment.style))
            if size == 2:
                out.append(("", segment.style))
    return out


def changed_spans(old: Strip, new: Strip) -> list[tuple[int, int]]:
    """Half-open spans of cells in which two strips of the same width differ, near ones joined."""
    before, after = cells_of(old), cells_of(new)
    if len(before) != new.cell_length or len(after) != new.cell_length:
        return [(0, new.cell_length)]  # combining characters: cells cannot be counted one by one
    spans = differing(before, after, GAP)
    # a wide character is sent whole, though its second cell is as empty as before
    return [(start, stop + 1 if stop < len(after) and not after[stop][0] else stop) for start, stop in spans]


def framed(drawing: Drawing, width: int, *, focused: bool, key: str = "") -> tuple[Row, ...]:
    """A drawing of ``width - 2`` cells in a quiet border, its title in the upper edge and its key at the end of it."""
    edge = "focus" if focused else "frame"
    room = width - 4 - (len(key) + 2 if key else 0)
    title = f" {drawing.title} "
    title = set_cell_size(title, room - 1) + "…" if cell_len(title) > room > 1 else title
    dashes = "─" * max(0, room - cell_len(title))
    tail = (Span(" "), Span(key, "key" if focused else "muted"), Span(" ")) if key else ()
    top = (Span("╭─", edge), Span(title, "title" if focused else "text"), Span(dashes, edge), *tail, Span("─╮", edge))
    side = Span("│", edge)
    bottom = (Span("╰" + "─" * (width - 2) + "╯", edge),)
    return (top, *((side, *row, side) for row in drawing.rows), bottom)


class RowsWidget(Widget):
    """Rows as they were drawn; drawing again sends only the cells that changed."""

    DEFAULT_CSS = """
    RowsWidget { position: absolute; width: 1; height: 1; pointer: default; }
    """
    ALLOW_SELECT = False
    can_focus = False

    class Clicked(Message):
        """A cell was clicked; ``x`` and ``y`` count from the widget's corner."""

        def __init__(self, widget: RowsWidget, x: int, y: int) -> None:
            super().__init__()
            self.widget = widget
            self.x = x
            self.y = y

    def __init__(self, name: str) -> None:
        super().__init__(name=name, id=name)
        self._rows: tuple[Row, ...] = ()
        self._strips: list[Strip] = []
        self._width = 0
        self._place: Region | None = None
        self._placed = False

    @property
    def rows(self) -> tuple[Row, ...]:
        """What is shown, for tests and exports."""
        return self._rows

    def place(self, region: Region | None) -> None:
        """Stand there, or nowhere; the layout runs only if something moved."""
        if region == self._place and self._placed:
            return
        self._place, self._placed = region, True
        self.display = region is not None
        if region is not None:
            self.styles.offset = (region.x, region.y)
            self.styles.width = region.width
            self.styles.height = region.height

    def show(self, rows: tuple[Row, ...], width: int) -> list[Region]:
        """Show these rows; the regions that are sent, empty if nothing changed."""
        if width != self._width or len(rows) != len(self._rows):
            self._strips = [strip(row, width, self._look) for row in rows]
            self._rows, self._width = rows, width
            self.refresh()
            return [Region(0, 0, width, len(rows))]
        dirty: list[Region] = []
        for y, (was, now) in enumerate(zip(self._rows, rows, strict=True)):
            if was == now:
                continue
            line = strip(now, width, self._look)
            spans = changed_spans(self._strips[y], line)
            self._strips[y] = line
            dirty += [Region(start, y, end - start, 1) for start, end in spans]
        self._rows = rows
        if dirty:
            self.refresh(*dirty)
        return dirty

    def render_line(self, y: int) -> Strip:
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.post_message(self.Clicked(self, event.x, event.y))

    def _look(self, name: str) -> Style:
        return style(name, self.app.no_color)

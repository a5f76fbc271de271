"""Shows rows of styled text in a widget, and refreshes only the rows that changed.

``terminal/image.py`` decides which of their cells are sent to the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from bntui.text.output import clean
from bntui.viewer.draw.rows import Row, Span, click_at, fit
from bntui.viewer.draw.theme import DARK, style

Lookup = Callable[[str], Style]


def strip(row: Row, cells: int, look: Lookup) -> Strip:
    """A row as a Textual strip, exactly ``cells`` wide."""
    if not all(span.text.isprintable() for span in row):
        row = tuple(Span(clean(span.text), span.style) for span in row)
    return Strip([Segment(span.text, look(span.style)) for span in fit(row, cells) if span.text], cells)


def together(lines: Sequence[int], width: int) -> list[Region]:
    """Regions of these lines, given in ascending order, with neighbors in one."""
    regions: list[Region] = []
    for y in lines:
        if regions and regions[-1].bottom == y:
            regions[-1] = Region(0, regions[-1].y, width, regions[-1].height + 1)
        else:
            regions.append(Region(0, y, width, 1))
    return regions


class RowsWidget(Widget):
    """A widget that shows rows; showing others refreshes only the rows that changed."""

    DEFAULT_CSS = """
    RowsWidget { position: absolute; width: 1; height: 1; pointer: default; }
    """
    ALLOW_SELECT = False
    can_focus = False

    class Pointed(Message):
        """The mouse did something at a cell; ``x`` and ``y`` count from the widget's upper left corner."""

        def __init__(self, widget: RowsWidget, x: int, y: int) -> None:
            super().__init__()
            self.widget = widget
            self.x = x
            self.y = y
            self.row = widget.pressed_row
            """The row in which the button was pressed."""

    class Clicked(Pointed):
        """A cell without an action of its own was clicked."""

    class Dragged(Pointed):
        """The mouse was moved to this cell with its button down, since it was pressed on the widget."""

    class Wheeled(Pointed):
        """The wheel was turned over this cell: ``by`` 1 down, or -1 up."""

        def __init__(self, widget: RowsWidget, x: int, y: int, by: int) -> None:
            super().__init__(widget, x, y)
            self.by = by

    def __init__(self, name: str) -> None:
        super().__init__(name=name, id=name)
        self._rows: tuple[Row, ...] = ()
        self._strips: list[Strip] = []
        self._width = 0
        self._place: Region | None = None
        self._placed = False
        self._pressed = ""
        """The action under the mouse when its button went down."""
        self.pressed_row = 0
        """The row under the mouse when its button went down."""
        self._held = False
        """The button is down, over nothing to click."""

    @property
    def rows(self) -> tuple[Row, ...]:
        """The current rows, for tests and exports."""
        return self._rows

    def place(self, region: Region | None) -> None:
        """Move the widget to a region, or hide it if None; the layout runs only if that is a change."""
        if region == self._place and self._placed:
            return
        self._place, self._placed = region, True
        self.display = region is not None
        if region is not None:
            self.styles.offset = (region.x, region.y)
            self.styles.width = region.width
            self.styles.height = region.height

    def show(self, rows: tuple[Row, ...], width: int) -> None:
        """Show these rows."""
        look = cache(self._look)  # rows have many spans of few styles
        if width != self._width or len(rows) != len(self._rows):
            self._strips = [strip(row, width, look) for row in rows]
            self._rows, self._width = rows, width
            self.refresh()
            return
        changed = [y for y, (was, now) in enumerate(zip(self._rows, rows, strict=True)) if was != now]
        for y in changed:
            self._strips[y] = strip(rows[y], width, look)
        self._rows = rows
        if changed:  # refresh() without a region would refresh everything
            self.refresh(*together(changed, width))

    def render_line(self, y: int) -> Strip:
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width, self._look(""))

    def click_at(self, x: int, y: int) -> str:
        """The action of a click on a cell; empty if there is none."""
        return click_at(self._rows[y], x) if 0 <= y < len(self._rows) else ""

    async def on_click(self, event: events.Click) -> None:
        event.stop()
        action = self.click_at(event.x, event.y)
        if not action:
            self.post_message(self.Clicked(self, event.x, event.y))
        elif action == self._pressed:
            await self.screen.run_action(action)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        event.stop()
        self._pressed = self.click_at(event.x, event.y)
        self.pressed_row = event.y
        self._held = not self._pressed
        if self._held:
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        event.stop()
        if self._held:
            self.post_message(self.Dragged(self, event.x, event.y))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        event.stop()
        self._held = False
        self.release_mouse()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.post_message(self.Wheeled(self, event.x, event.y, 1))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.post_message(self.Wheeled(self, event.x, event.y, -1))

    def repaint(self) -> None:
        """Show the same rows in the colors that the app has now."""
        self._strips = [strip(row, self._width, self._look) for row in self._rows]
        self.refresh()

    def _look(self, name: str) -> Style:
        return style(name, getattr(self.app, "palette", DARK), self.app.no_color)

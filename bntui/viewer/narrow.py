"""Why is no cell sent that stands on the terminal already?

Textual sends the whole screen whenever a screen is laid over another one or taken away, several times each, and of a
change in the middle of a panel all that stands left of it (``ChopsUpdate.render_segments``, Textual 8.2): at 160x48 a
dialog cost 60 to 100 kB to open, and as much to close.  Here it is remembered what was sent, cell by cell, and an
update is cut down to the cells that differ.  These classes lean on Textual's compositor, which is not public: the tests
that measure what is sent say so when it changes, and without them the screen is the same, only slower.
"""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakKeyDictionary

from rich.cells import cell_len
from rich.console import Console
from rich.control import Control
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, Compositor, LayoutUpdate
from textual._context import visible_screen_stack
from textual.app import App
from textual.geometry import Region, Size
from textual.screen import ModalScreen, Screen, ScreenResultType
from textual.strip import Strip

from bntui.viewer.rows import differing

GAP: Final = 8
"""Equal cells between two changed ones that are sent again: moving there and naming colours costs as many bytes."""

Cell = tuple[str, str]
"""A character and how it looks; the second cell of a wide character is an empty one."""


class Terminal:
    """What stands on the terminal of an app, as far as it is known."""

    def __init__(self) -> None:
        self._size = Size(0, 0)
        self._rows: list[list[Cell | None]] = []
        self._looks: dict[Style | None, str] = {}

    def forget(self) -> None:
        """Somebody else may have written there: all is to be sent again."""
        self._size = Size(0, 0)

    def current(self, screen: Screen[Any]) -> None:
        """Another screen is the one that is seen; what one without these classes sends is not known here."""
        if not isinstance(screen._compositor, NarrowCompositor):
            self.forget()

    def resize(self, size: Size) -> None:
        """A terminal of another size shows something else."""
        if size != self._size:
            self._size = size
            self._rows = [[None] * size.width for _ in range(size.height)]

    def send(self, x: int, y: int, strip: Strip, console: Console) -> str:
        """What makes a strip stand at a place: nothing where it does, and of the rest what differs."""
        if not (0 <= y < len(self._rows)):
            return ""
        row = self._rows[y]
        strip = strip.crop(0, len(row) - x)
        cells = self._cells(strip, console)
        stop = x + strip.cell_length
        if cells is None:  # combining characters: cells cannot be counted one by one
            row[x:stop] = [None] * strip.cell_length
            return Control.move_to(x, y).segment.text + strip.render(console)
        out: list[str] = []
        for start, end in _differing(row[x:stop], cells):
            out += (Control.move_to(x + start, y).segment.text, strip.crop(start, end).simplify().render(console))
        row[x:stop] = cells
        return "".join(out)

    def _cells(self, strip: Strip, console: Console) -> list[Cell] | None:
        cells: list[Cell] = []
        for text, style, _control in strip:
            look = self._look(style, console)
            if text.isascii() and text.isprintable():
                cells += [(character, look) for character in text]
                continue
            for character in text:
                size = cell_len(character)
                if not size:
                    return None
                cells += [(character, look), ("", look)][:size]
        return cells if len(cells) == strip.cell_length else None

    def _look(self, style: Style | None, console: Console) -> str:
        """What a style sends before a character: styles that differ in what is not seen are the same."""
        if style not in self._looks:
            if len(self._looks) > 4096:
                self._looks.clear()
            self._looks[style] = Strip([Segment("x", style)], 1).render(console)
        return self._looks[style]


def _differing(before: list[Cell | None], after: list[Cell]) -> list[tuple[int, int]]:
    """Half-open spans of cells that differ, near ones joined; a wide character is never cut in two."""
    return [
        (
            start - 1 if start and not after[start][0] else start,
            stop + 1 if stop < len(after) and not after[stop][0] else stop,
        )
        for start, stop in differing(before, after, GAP)
    ]


_TERMINALS: WeakKeyDictionary[App[Any], Terminal] = WeakKeyDictionary()


def terminal_of(app: App[Any]) -> Terminal:
    """The one terminal of an app."""
    known = _TERMINALS.get(app)
    if known is None:
        known = _TERMINALS[app] = Terminal()
        app.screen_change_signal.subscribe(app, known.current, immediate=True)
        app.app_resume_signal.subscribe(app, lambda _app: known.forget(), immediate=True)
    return known


class NarrowUpdate(ChopsUpdate):
    """Spans of cells, of which those are sent that differ."""

    terminal: Terminal
    size: Size

    def render_segments(self, console: Console) -> str:
        self.terminal.resize(self.size)
        out: list[str] = []
        for y, first, last in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                start, stop = max(x, first), min(end, last)
                if strip is not None and start < stop:
                    out.append(self.terminal.send(start, y, strip.crop(start - x, stop - x), console))
        return "".join(out)


class NarrowFrame(LayoutUpdate):
    """The whole screen, of which those cells are sent that differ."""

    terminal: Terminal

    def render_segments(self, console: Console) -> str:
        self.terminal.resize(self.region.size)
        rows = enumerate(self.strips, self.region.y)
        return "".join(self.terminal.send(self.region.x, y, Strip.join(line), console) for y, line in rows)


class NarrowCompositor(Compositor):
    """A compositor whose updates are narrow."""

    def render_partial_update(self) -> ChopsUpdate | None:
        update = super().render_partial_update()
        if update is None or self.root is None:
            return update
        narrow = NarrowUpdate(update.chops, update.spans, update.chop_ends)
        narrow.terminal, narrow.size = terminal_of(self.root.app), self.size
        return narrow

    def render_full_update(self, simplify: bool = False) -> LayoutUpdate:
        update = super().render_full_update(simplify)
        if self.root is None:
            return update
        narrow = NarrowFrame(update.strips, Region(*update.region))
        narrow.terminal = terminal_of(self.root.app)
        return narrow


class Overlay(ModalScreen[ScreenResultType]):
    """A page over another screen, of which all around it stays as it is.

    Textual tints what lies below, and gives every cell of it a background, for which all of them would be sent anew.
    """

    CSS = "Overlay { background: transparent; }"

    def __init__(self) -> None:
        super().__init__()
        self._compositor = NarrowCompositor()

    def render_lines(self, crop: Region) -> list[Strip]:
        screens = visible_screen_stack.get([])
        below = screens.pop() if screens else None
        if below is None or below is self:
            return super().render_lines(crop)
        strips = below._compositor.render_strips()[crop.y : crop.bottom]
        return [strip.crop(crop.x, crop.right).discard_meta() for strip in strips]

"""Keeps an image of the screen and one of the terminal, and sends the cells in which they differ.

Textual's updates are written into the image of the screen.  A frame contains cells in which the terminal differs from
it, so cells that are already displayed are not sent again.  The size of a frame is limited; on a slow line, less
important cells are left out.  They still differ when the next frame is built, and are then sent in their newest state.

A part of the screen, such as a panel, that does not fit into one frame is sent in several frames in the state that it
had in the first one, so that it never shows half of one keyframe and half of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Final, NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip

from bntui.viewer.terminal.pen import RAW, Cell, Pen, look_of

GAP: Final = 4
"""Distance below which unchanged cells between two changed ones are sent again, as moving the cursor needs as many
bytes."""
AT_ONCE: Final = 0.05
"""Seconds added to the age of each part, so that its weight has an effect from the start."""
BEHIND: Final = 1.0
"""Seconds after which a part that is not up to date counts as late."""

Rows = list[list[Cell | None]]
"""Cells by row and column; None if the content is not known."""


class Part(NamedTuple):
    """A part of the screen that is updated as a whole."""

    region: Region
    weight: float = 1.0
    """Priority over other parts of the same age; with ``inf``, it is first in every frame."""


class Half(NamedTuple):
    """The state of a part that is being sent in several frames, and the time of that state."""

    rows: Rows
    since: float


class Image:
    """The desired content of the screen, and the content of the terminal as far as it is known."""

    def __init__(self) -> None:
        self.size = Size(0, 0)
        self._wanted: Rows = []
        self._shown: Rows = []
        self._dirty: set[int] = set()
        self._parts: list[Part] = []
        self._halves: dict[Region, Half] = {}
        self._idle = True
        """The terminal was up to date after the last frame."""
        self._current: dict[Region, float] = {}
        """When each part was last up to date."""
        self._looks: dict[Style | None, str] = {}

    # --- desired content ---

    def resize(self, size: Size) -> None:
        """Change the size, which makes the content of the terminal unknown."""
        if size != self.size:
            self.size = size
            self._wanted = _blank(size)
            self._dirty.clear()
            self.forget()

    def clear(self) -> None:
        """Nothing is to stand anywhere until it is put there."""
        self._wanted = _blank(self.size)
        self._dirty.clear()
        self._halves.clear()

    def forget(self) -> None:
        """Mark the content of the terminal as unknown, so that everything is sent again."""
        self._shown = _blank(self.size)
        self._dirty.update(range(self.size.height))
        self._halves.clear()

    def put(self, x: int, y: int, strip: Strip, console: Console) -> None:
        """Write a strip into the image, starting at a cell."""
        if not 0 <= y < self.size.height:
            return
        strip = strip.crop(0, self.size.width - x)
        cells = self._cells(strip, console)
        row = self._wanted[y]
        if row[x : x + len(cells)] != cells:
            row[x : x + len(cells)] = cells
            self._dirty.add(y)

    def _cells(self, strip: Strip, console: Console) -> list[Cell]:
        cells: list[Cell] = []
        for text, style, _control in strip:
            look = self._look(style, console)
            if text.isascii() and text.isprintable():
                cells += [(character, look) for character in text]
                continue
            for character in text:
                size = cell_len(character)
                if size:
                    cells += [(character, look), ("", look)][:size]
                elif cells:  # it combines with the character before it
                    at = -1 if cells[-1][0] else -2
                    cells[at] = (cells[at][0] + character, cells[at][1])
        if len(cells) != strip.cell_length:  # the characters do not correspond to single cells
            return [(strip.render(console), RAW), *[("", RAW)] * (strip.cell_length - 1)] if strip.cell_length else []
        return cells

    def _look(self, style: Style | None, console: Console) -> str:
        """The SGR parameters of a style, which are equal for styles that look the same."""
        if style not in self._looks:
            if len(self._looks) > 4096:
                self._looks.clear()
            self._looks[style] = look_of(Strip([Segment("x", style)], 1).render(console))
        return self._looks[style]

    # --- frames ---

    @property
    def pending(self) -> bool:
        """True if the terminal may differ from the image."""
        return bool(self._dirty or self._halves)

    def late(self, now: float) -> bool:
        """True if a part has not been up to date for ``BEHIND`` seconds."""
        return self.pending and any(now - since > BEHIND for since in self._current.values())

    def frame(self, room: int, parts: Sequence[Part], now: float, *, hurried: bool = False) -> str:
        """The output that updates the terminal, of about ``room`` bytes at most.

        Args:
            room: maximum size in bytes; it may be slightly exceeded.
            parts: parts that are updated as a whole; cells outside of them come last.
            now: current time in seconds.
            hurried: a key was pressed, so parts are sent in their newest state, even if they are half sent.
        """
        whole = Region(0, 0, *self.size)
        parts = [*(Part(part.region.intersection(whole), part.weight) for part in parts), Part(whole, 0.0)]
        if hurried or parts != self._parts:
            self._halves.clear()
        before = {} if self._idle else self._current
        self._parts, self._current = parts, {part.region: before.get(part.region, now) for part in parts}
        pen, full, stale = Pen(self.size.width), False, False
        for part in sorted(parts, key=lambda part: self._rank(part, now)):
            if not full:
                half = self._halves.pop(part.region, None)
                full = not self._send(part, half, pen, room, now, hurried)
                if not full and half is not None:
                    self._current[part.region] = half.since
                    stale = True
                    continue
            if full and self._differs(part.region):
                continue
            self._current[part.region] = now
        self._idle = not full and not stale
        if self._idle:
            self._dirty.clear()
        return pen.finish()

    def _rank(self, part: Part, now: float) -> tuple[int, float]:
        """Sort key of a part: those that are always first, then those half sent, then those waiting, then the rest."""
        if part.weight == inf:
            return 0, 0.0
        if part.region in self._halves:
            return 1, 0.0
        return (2, -part.weight * (now - self._current[part.region] + AT_ONCE)) if part.weight else (3, 0.0)

    def _send(self, part: Part, half: Half | None, pen: Pen, room: int, now: float, hurried: bool) -> bool:
        """Send a part as far as there is room; True if all of it was sent."""
        region = part.region
        for y in range(region.y, region.bottom):
            if half is None and y not in self._dirty:
                continue
            after = self._wanted[y][region.x : region.right] if half is None else half.rows[y - region.y]
            if not self._send_row(region.x, y, after, pen, room):
                if part.weight not in (0.0, inf) and not hurried:
                    self._halves[region] = half or Half(self._wanted_in(region), now)
                return False
        return True

    def _send_row(self, x: int, y: int, after: list[Cell | None], pen: Pen, room: int) -> bool:
        row = self._shown[y]
        before = row[x : x + len(after)]
        if before == after:
            return True
        for start, stop in differing(before, after):
            start, stop = _uncut(after, start, stop)
            # a wide character on the border of two parts is sent with the cells outside of all parts
            start += _continues(after[start])
            stop -= stop == len(after) and _begins(after[-1])
            cells = after[start:stop]
            known = [cell for cell in cells if cell is not None]
            if len(known) < len(cells):  # not drawn yet
                continue
            done = pen.write(x + start, y, known, room)
            row[x + start : x + start + done] = known[:done]
            if done < len(known):
                return False
        return True

    def _differs(self, region: Region) -> bool:
        part = slice(region.x, region.right)
        rows = (y for y in range(region.y, region.bottom) if y in self._dirty)
        return any(self._wanted[y][part] != self._shown[y][part] for y in rows)

    def _wanted_in(self, region: Region) -> Rows:
        return [self._wanted[y][region.x : region.right] for y in range(region.y, region.bottom)]


def differing(before: Sequence[object], after: Sequence[object]) -> list[tuple[int, int]]:
    """Half-open spans in which two rows of cells differ, joined if fewer than ``GAP`` equal cells are between them."""
    spans: list[tuple[int, int]] = []
    for x, (was, now) in enumerate(zip(before, after, strict=True)):
        if was == now:
            continue
        if spans and x - spans[-1][1] < GAP:
            spans[-1] = (spans[-1][0], x + 1)
        else:
            spans.append((x, x + 1))
    return spans


def _blank(size: Size) -> Rows:
    return [[None] * size.width for _ in range(size.height)]


def _uncut(cells: Sequence[Cell | None], start: int, stop: int) -> tuple[int, int]:
    """Extend a span so that it begins and ends with whole characters."""
    while start and _continues(cells[start]):
        start -= 1
    while stop < len(cells) and _continues(cells[stop]):
        stop += 1
    return start, stop


def _begins(cell: Cell | None) -> bool:
    return cell is not None and cell[1] != RAW and cell_len(cell[0]) > 1


def _continues(cell: Cell | None) -> bool:
    return cell is not None and not cell[0]

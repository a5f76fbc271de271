"""Encodes styled cells in as few bytes as possible.

The cursor is moved only where it does not stand yet, and of a style only what differs from the one before is sent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

RAW: Final = "raw"
"""The look of cells that are sent as they are: the first one holds all text and styles, the others nothing."""
STEP: Final = 24
"""Cells after which it is looked at whether there is still room."""

Cell = tuple[str, str]
"""Characters and how they look: the parameters of an SGR sequence.  The second cell of a wide character is empty."""

_SGR: Final = re.compile(r"\x1b\[([0-9;]*)m")


class Look(NamedTuple):
    """The parameters of an SGR sequence by what they set."""

    attributes: frozenset[str]
    colour: str
    ground: str


def look_of(rendered: str) -> str:
    """The SGR parameters of text as Rich renders it."""
    found = _SGR.search(rendered)
    return found[1] if found else ""


@lru_cache(4096)
def parsed(look: str) -> Look:
    """What the parameters set."""
    attributes, colour, ground = set(), "", ""
    left = look.split(";") if look else []
    while left:
        code = left.pop(0)
        if code in ("38", "48"):
            size = 4 if left[:1] == ["2"] else 2
            value, left = ";".join((code, *left[:size])), left[size:]
            colour, ground = (value, ground) if code == "38" else (colour, value)
        elif code[:-1] in ("3", "9"):
            colour = code
        elif code[:-1] in ("4", "10") and len(code) > 1:
            ground = code
        else:
            attributes.add(code)
    return Look(frozenset(attributes), colour, ground)


@lru_cache(16384)
def change(before: str, after: str) -> str:
    """The sequence that makes one look of another."""
    if before == after:
        return ""
    if not after:
        return "\x1b[m"
    was, now = parsed(before), parsed(after)
    grows = was.attributes <= now.attributes and (now.colour or not was.colour) and (now.ground or not was.ground)
    if not grows:
        return f"\x1b[0;{after}m"
    parts = sorted(now.attributes - was.attributes)
    parts += [value for old, value in ((was.colour, now.colour), (was.ground, now.ground)) if value != old]
    return f"\x1b[{';'.join(parts)}m"


class Pen:
    """Writes cells for a terminal of ``width`` columns; it begins with no style and leaves none."""

    def __init__(self, width: int) -> None:
        self.size = 0
        """Bytes so far."""
        self._width = width
        self._out: list[str] = []
        self._look = ""
        self._at: tuple[int, int] | None = None

    def write(self, x: int, y: int, cells: Sequence[Cell], room: int) -> int:
        """Write cells at a place while there is room; how many were written.  No wide character is cut."""
        if not cells or self.size >= room:
            return 0
        self._move(x, y)
        done = 0
        while done < len(cells) and self.size < room:
            look = cells[done][1]
            stop = done + 1
            while stop < len(cells) and (
                not cells[stop][0] or (look != RAW and cells[stop][1] == look and stop - done < STEP)
            ):
                stop += 1
            text = "".join(text for text, _look in cells[done:stop])
            if look == RAW:
                self._put(change(self._look, "") + text + "\x1b[m")
                self._look = ""
            else:
                self._put(change(self._look, look) + text)
                self._look = look
            done = stop
        # at the edge the cursor stays in the last column; after what is not counted nobody knows
        uncertain = x + done >= self._width or RAW in {look for _text, look in cells[:done]}
        self._at = None if uncertain else (x + done, y)
        return done

    def finish(self) -> str:
        """All that was written."""
        if self._look:
            self._put("\x1b[m")
            self._look = ""
        return "".join(self._out)

    def _move(self, x: int, y: int) -> None:
        if self._at == (x, y):
            return
        if self._at is not None and self._at[1] == y and x > self._at[0]:
            by = x - self._at[0]
            self._put(f"\x1b[{by}C" if by > 1 else "\x1b[C")
        else:
            self._put(f"\x1b[{y + 1};{x + 1}H" if x else f"\x1b[{y + 1}H")
        self._at = (x, y)

    def _put(self, text: str) -> None:
        self._out.append(text)
        self.size += len(text.encode())

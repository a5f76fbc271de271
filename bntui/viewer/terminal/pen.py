"""Encodes styled cells in as few bytes as possible.

The cursor is moved only if it is not in place, and only the differences from the previous style are sent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

RAW: Final = "raw"
"""The look of cells that are sent unchanged: the first one contains the whole text with styles, and the others are
empty."""
STEP: Final = 24
"""Maximum number of cells between two checks of the room."""

Cell = tuple[str, str]
"""Characters, and the parameters of an SGR sequence for their look.  The second cell of a wide character is empty."""

_ENDS: Final = {"1": "22", "2": "22", "3": "23", "4": "24", "7": "27", "9": "29"}
"""What ends each attribute alone."""
_SGR: Final = re.compile(r"\x1b\[([0-9;]*)m")


class SgrStyle(NamedTuple):
    """The parameters of an SGR sequence: attributes, foreground color and background color."""

    attributes: frozenset[str]
    color: str
    ground: str


def look_of(rendered: str) -> str:
    """The SGR parameters of text as Rich renders it."""
    found = _SGR.search(rendered)
    return found[1] if found else ""


@lru_cache(4096)
def parsed(look: str) -> SgrStyle:
    """Parse the parameters of an SGR sequence."""
    attributes, color, ground = set(), "", ""
    left = look.split(";") if look else []
    while left:
        code = left.pop(0)
        if code in ("38", "48"):
            size = 4 if left[:1] == ["2"] else 2
            value, left = ";".join((code, *left[:size])), left[size:]
            color, ground = (value, ground) if code == "38" else (color, value)
        elif code[:-1] in ("3", "9"):
            color = code
        elif code[:-1] in ("4", "10") and len(code) > 1:
            ground = code
        else:
            attributes.add(code)
    return SgrStyle(frozenset(attributes), color, ground)


@lru_cache(16384)
def change(before: str, after: str) -> str:
    """The sequence that changes one look into another."""
    if before == after:
        return ""
    if not after:
        return "\x1b[m"
    was, now = parsed(before), parsed(after)
    gone = was.attributes - now.attributes
    anew = f"0;{after}"
    if gone - _ENDS.keys():
        return f"\x1b[{anew}m"
    ends = {_ENDS[code] for code in gone}
    # what ends bold ends dim, too
    kept = {code for code in was.attributes if _ENDS.get(code) not in ends}
    parts = [*sorted(ends), *sorted(now.attributes - kept)]
    parts += [new or none for old, new, none in zip(was[1:], now[1:], ("39", "49"), strict=True) if new != old]
    return f"\x1b[{min(';'.join(parts), anew, key=len)}m"


class Pen:
    """Writes cells for a terminal of ``width`` columns, starting and ending without a style."""

    def __init__(self, width: int) -> None:
        self.size = 0
        """Number of bytes written so far."""
        self._width = width
        self._out: list[str] = []
        self._look = ""
        self._at: tuple[int, int] | None = None

    def write(self, x: int, y: int, cells: Sequence[Cell], room: int) -> int:
        """Write cells from a position while there is room; returns their number.  Wide characters are never split."""
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
        # the cursor's position is uncertain at the right edge, and after raw cells
        uncertain = x + done >= self._width or RAW in {look for _text, look in cells[:done]}
        self._at = None if uncertain else (x + done, y)
        return done

    def finish(self) -> str:
        """Everything that was written."""
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

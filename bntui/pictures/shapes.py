"""Describes the shapes of block, box-drawing and braille characters, which no font has to draw then.

A cell is ``WIDTH`` by ``HEIGHT`` units.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, Literal, NamedTuple

WIDTH, HEIGHT = 8, 17
LIGHT, HEAVY = 1.1, 2.4
"""Widths of strokes."""
DOT: Final = 2.6
"""Diameter of the dots of braille."""
DRAWN: Final = "─-╿▀-▟\u2800-\u28ff"
"""The characters that are drawn, for a regular expression."""

Ink = Literal["fill", "light", "heavy", "dot"]
_ARM: Final = {"LEFT": (1,), "RIGHT": (2,), "UP": (3,), "DOWN": (4,), "HORIZONTAL": (1, 2), "VERTICAL": (3, 4)}
_WEIGHT: Final[dict[str, Ink]] = {"LIGHT": "light", "SINGLE": "light", "HEAVY": "heavy", "DOUBLE": "light"}
_DASHES: Final = {"DOUBLE": 2, "TRIPLE": 3, "QUADRUPLE": 4}
_QUADRANTS: Final = {"UPPER LEFT": (0, 0), "UPPER RIGHT": (1, 0), "LOWER LEFT": (0, 1), "LOWER RIGHT": (1, 1)}
_BITS: Final = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of each bit of a braille character."""
_SHADES: Final = {"░": 0.25, "▒": 0.5, "▓": 0.75}
X, Y = WIDTH / 2, HEIGHT / 2


class Shape(NamedTuple):
    """A part of a character: data of an SVG path, relative to the upper left corner of the cell."""

    ink: Ink
    path: str
    """Begins with a relative ``m`` from the corner."""
    opacity: float = 1.0


@lru_cache(512)
def shapes(char: str) -> tuple[Shape, ...]:
    """The shapes of a character; none if it is text.  A run of ``─`` or ``━`` is one character that is as long."""
    number = ord(char[0])
    if 0x2800 <= number <= 0x28FF:
        return tuple(_dots(number - 0x2800))
    if 0x2580 <= number <= 0x259F:
        return tuple(_block(char))
    if 0x2500 <= number <= 0x257F:
        return tuple(_lines(unicodedata.name(char[0]).removeprefix("BOX DRAWINGS "), len(char)))
    return ()


def _dots(bits: int) -> Iterator[Shape]:
    """All dots of a cell as one path: lines of no length, each at its distance from the one before."""
    path, at = "", (0.0, 0.0)
    for bit, (column, row) in enumerate(_BITS):
        if bits >> bit & 1:
            x, y = WIDTH / 4 + column * WIDTH / 2, HEIGHT * (1 + 2 * row) / 8
            path += f"m{x - at[0]:g} {y - at[1]:g}h0"
            at = x, y
    if path:
        yield Shape("dot", path)


def _block(char: str) -> Iterator[Shape]:
    number = ord(char)
    if char == "▀":
        yield _box(0, 0, 1, 1 / 2)
    elif number <= 0x2588:
        eighths = (number - 0x2580) / 8
        yield _box(0, 1 - eighths, 1, eighths)
    elif number <= 0x258F:
        yield _box(0, 0, (0x2590 - number) / 8, 1)
    elif char == "▐":
        yield _box(1 / 2, 0, 1 / 2, 1)
    elif char in _SHADES:
        yield _box(0, 0, 1, 1)._replace(opacity=_SHADES[char])
    elif char in "▔▕":
        yield _box(0, 0, 1, 1 / 8) if char == "▔" else _box(7 / 8, 0, 1 / 8, 1)
    else:
        name = unicodedata.name(char)
        yield from (_box(x / 2, y / 2, 1 / 2, 1 / 2) for words, (x, y) in _QUADRANTS.items() if words in name)


def _box(x: float, y: float, wide: float, tall: float) -> Shape:
    """A filled box, in shares of the cell."""
    return Shape("fill", f"m{x * WIDTH:g} {y * HEIGHT:g}h{wide * WIDTH:g}v{tall * HEIGHT:g}h-{wide * WIDTH:g}z")


def _lines(name: str, count: int) -> Iterator[Shape]:
    """A box-drawing character by its Unicode name, which lists its arms and their weights."""
    dash = re.fullmatch(r"(\w+) (\w+) DASH (\w+)", name)
    if dash is not None:
        weight, parts, way = dash.groups()
        yield from (_dash(_WEIGHT[weight], way, at, _DASHES[parts]) for at in range(_DASHES[parts]))
        return
    if "DIAGONAL" in name:
        if "TO LOWER LEFT" in name or "CROSS" in name:
            yield Shape("light", f"m{WIDTH} 0l-{WIDTH} {HEIGHT}")
        if "TO LOWER RIGHT" in name or "CROSS" in name:
            yield Shape("light", f"m0 0l{WIDTH} {HEIGHT}")
        return
    arms = dict(_arms(name))
    if "ARC" in name:
        across, down = (1 if 2 in arms else -1), (1 if 4 in arms else -1)
        start = HEIGHT if down > 0 else 0
        to_arc = f"v{-down * (Y - X):g}"
        yield Shape("light", f"m{X:g} {start}{to_arc}q0 {-down * X:g} {across * X:g} {-down * X:g}")
    elif "DOUBLE" in name:
        yield from _double(arms, count)
    elif {1, 2} <= arms.keys() and arms[1] == arms[2]:
        yield Shape(arms[1], f"m0 {Y:g}h{count * WIDTH}")
        yield from (_arm(arm, ink) for arm, ink in arms.items() if arm > 2)
    else:
        yield from (_arm(arm, ink) for arm, ink in arms.items())


def _arms(name: str) -> Iterator[tuple[int, Ink]]:
    """The arms of a character with their weights.

    A weight stands before its arms (``LIGHT DOWN AND RIGHT``) or after them (``DOWN LIGHT AND RIGHT HEAVY``).
    """
    words = [word for word in name.split() if word in _ARM or word in _WEIGHT]
    ways: list[str] = []
    weight: Ink | None = None
    before = words[0] in _WEIGHT
    for word in words:
        if word in _ARM:
            ways.append(word)
        else:
            weight = _WEIGHT[word]
        if weight is not None and (before or word in _WEIGHT):
            yield from ((arm, weight) for way in ways for arm in _ARM[way])
            ways = []


def _arm(arm: int, ink: Ink) -> Shape:
    """From the center to an edge, and past the center by half a stroke, so that corners close."""
    past = (HEAVY if ink == "heavy" else LIGHT) / 2
    if arm <= 2:
        return Shape(ink, f"m{X - past:g} {Y:g}h{X + past:g}" if arm == 2 else f"m0 {Y:g}h{X + past:g}")
    return Shape(ink, f"m{X:g} {Y - past:g}v{Y + past:g}" if arm == 4 else f"m{X:g} 0v{Y + past:g}")


def _double(arms: dict[int, Ink], count: int) -> Iterator[Shape]:
    """Two parallel strokes; corners and crossings of double lines are drawn as crossings."""
    if 1 in arms or 2 in arms:
        yield from (Shape("light", f"m0 {Y + by:g}h{count * WIDTH}") for by in (-1.5, 1.5))
    if 3 in arms or 4 in arms:
        yield from (Shape("light", f"m{X + by:g} 0v{HEIGHT}") for by in (-1.5, 1.5))


def _dash(ink: Ink, way: str, at: int, count: int) -> Shape:
    length = (WIDTH if way == "HORIZONTAL" else HEIGHT) / count
    start = length * (at + 0.2)
    if way == "HORIZONTAL":
        return Shape(ink, f"m{start:g} {Y:g}h{length * 0.6:g}")
    return Shape(ink, f"m{X:g} {start:g}v{length * 0.6:g}")

"""Holds a picture: rows of styled text on a grid of cells, from which each kind of file is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from rich.color import Color, blend_rgb
from rich.segment import Segment
from rich.style import Style

Line = Sequence[Segment]
DIM = 0.5
"""Share of the background in dim text."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A screen, or a part of it."""

    title: str
    """Says what is shown, for those who cannot see it."""
    lines: Sequence[Line]
    """Each has ``columns`` cells.  Their text has no control characters."""
    columns: int
    color: str
    """Of text without a color of its own."""
    ground: str
    """The background."""
    language: str = "en"

    def look(self, style: Style | None) -> Look:
        return _look(style or Style.null(), self.color, self.ground)


class Look(NamedTuple):
    """What a style looks like, in colors like ``#5fd7ff``."""

    color: str
    ground: str
    bold: bool = False
    underline: bool = False


@lru_cache(1024)
def _look(style: Style, color: str, ground: str) -> Look:
    front = style.color.get_truecolor().hex if style.color and not style.color.is_default else color
    back = style.bgcolor.get_truecolor().hex if style.bgcolor and not style.bgcolor.is_default else ground
    if style.reverse:
        front, back = back, front
    if style.dim:
        mixed = blend_rgb(Color.parse(front).get_truecolor(), Color.parse(back).get_truecolor(), DIM)
        front = mixed.hex
    return Look(front, back, bool(style.bold), bool(style.underline))

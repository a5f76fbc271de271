"""Makes pictures of rows: what a screen or a panel shows, in the colors of a palette."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.segment import Segment

from bntui.pictures.picture import Line, Picture
from bntui.text.language import spoken
from bntui.text.output import clean
from bntui.viewer.draw.rows import Row, Span, fit, join
from bntui.viewer.draw.theme import Palette, style

if TYPE_CHECKING:
    from textual.geometry import Region


def line(row: Row, cells: int, palette: Palette, *, plain: bool = False) -> Line:
    """A row in the colors of a palette, exactly ``cells`` wide; strangers' text loses its control characters."""
    cleaned = tuple(Span(clean(span.text), span.style) for span in row)
    return tuple(Segment(span.text, style(span.style, palette, plain)) for span in fit(cleaned, cells) if span.text)


def picture(title: str, rows: Sequence[Row], cells: int, palette: Palette) -> Picture:
    """Rows as a picture; the palette paints its own background."""
    lines = tuple(line(row, cells, palette) for row in rows)
    return Picture(clean(title), lines, cells, palette.text, palette.ground, spoken())


def sheet(placed: Iterable[tuple[Region, Sequence[Row]]], width: int, height: int) -> tuple[Row, ...]:
    """Rows of several parts on one sheet; the parts do not overlap."""
    parts = sorted(placed, key=lambda part: part[0].x)
    return tuple(_across(parts, width, y) for y in range(height))


def _across(parts: Sequence[tuple[Region, Sequence[Row]]], width: int, y: int) -> Row:
    row: Row = ()
    at = 0
    for region, rows in parts:
        if region.y <= y < region.bottom and region.x >= at:
            gap = (Span(" " * (region.x - at)),) if region.x > at else ()
            inside = rows[y - region.y] if y - region.y < len(rows) else ()
            row = join(row, gap, fit(inside, region.width))
            at = region.right
    return fit(row, width)

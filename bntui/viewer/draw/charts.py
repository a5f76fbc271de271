"""Draws courses as a chart with axes: the one adapter to plotext, whose state is process-wide.

plotext draws the axes, and ``strokes.py`` the lines: in a cell that two of them share plotext would draw the dots of
both in one color.  It is imported at the first chart, because the first paint of the program must not wait for it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size

from bntui.keyframe import BoolArray, FloatArray
from bntui.text.widths import parted
from bntui.viewer.draw.axes import LARGEST, SMALLEST, Axes, Limits, tick_label, ticks
from bntui.viewer.draw.fills import Fill, fill_dots
from bntui.viewer.draw.rows import Row, Span, fit, join
from bntui.viewer.draw.spans import Spans, telling
from bntui.viewer.draw.strokes import ACROSS, DOWN, Stroke, along, drawn, thick

DOT_SPACING: Final = 4
"""Dotted lines: distance between dots, in braille dots."""
NAME_CELLS: Final = 8
"""Most cells that the name of the y axis takes; it stands left of the corner."""
_ESCAPE: Final = re.compile(r"\x1b\[([0-9;]*)m|([^\x1b]+)")
_BLANK: Final = (" ", "⠀")


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart; ``x`` and ``y`` have the same length, what is not finite is a gap."""

    name: str
    x: FloatArray
    y: FloatArray
    style: str
    dotted: bool = False
    """Drawn as dots, so that it is told from a solid line without color."""
    spans: Spans | None = None
    """Of a long series, so that few of its points need to be looked at."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart as rows, and where its canvas lies in them."""

    rows: tuple[Row, ...]
    left: int
    """Cells left of the canvas."""
    columns: int
    lines: int
    """Rows of the canvas, which begins in row 0."""
    axes: Axes

    def column(self, x: float) -> int:
        """Cell of a row in which ``x`` lies; the ends of the axis for what lies beyond."""
        return self.left + _cell(x, self.axes.x, self.columns)

    def line(self, y: float) -> int:
        """Row in which ``y`` lies, counted from the top; the ends of the axis for what lies beyond."""
        limits = self.axes.height()
        if self.axes.log:
            y = math.log10(y) if y > 0 else limits.low
        return _cell(y, Limits(limits.high, limits.low), self.lines)  # from the top, as plotext rounds


def _cell(value: float, limits: Limits, cells: int) -> int:
    share = (value - limits.low) / (limits.high - limits.low)
    return math.floor(min(max(share, 0.0), 1.0) * (cells - 1) + 0.5)


def _thin(x: FloatArray, y: FloatArray, limits: Limits, columns: int) -> NDArray[np.int64]:
    """Which points to draw: all, or the lowest and the highest of every column, so that spikes stay."""
    if len(x) <= 2 * columns:
        return np.arange(len(x))
    column = ((x - limits.low) / (limits.high - limits.low) * columns).astype(np.int64)
    order = np.lexsort((y, column))
    starts = np.flatnonzero(np.diff(column[order], prepend=column[order[0]] - 1))
    ends = np.append(starts[1:], len(order)) - 1
    return np.unique(np.concatenate((order[starts], order[ends], [0, len(x) - 1])))


def _points(series: Series, axes: Axes, columns: int) -> tuple[FloatArray, FloatArray, BoolArray]:
    """What is drawn of a series: x, y (log10 on a log axis), and whether a line leads to each point."""
    drawable = np.isfinite(series.x) & np.isfinite(series.y)
    if axes.log:
        drawable &= series.y > 0
    rows = np.flatnonzero(drawable)
    x, y = series.x[rows], series.y[rows].clip(-LARGEST, LARGEST)
    if axes.log:
        y = np.log10(y.clip(min=SMALLEST))
    joined = np.diff(np.cumsum(~drawable)[rows], prepend=-1) == 0
    y, x, joined = _clipped(y, x, joined, axes.x)
    kept = _thin(x, y, axes.x, columns)
    return x[kept], y[kept], np.diff(np.cumsum(~joined)[kept], prepend=-1) == 0


def _clipped(
    x: FloatArray, y: FloatArray, joined: BoolArray, limits: Limits
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Lines cut at both ends of the y axis, and points beyond them left out; with x for y, at the ends of the x axis.

    A line to a value of 1e16 on an axis to 1 would have more dots than there is memory.
    """
    within = (y >= limits.low) & (y <= limits.high)
    if within.all():
        return x, y, joined
    start, end, rise, run = y[:-1], y[1:], np.diff(y), np.diff(x)
    slope = np.where(rise == 0, 1.0, rise)
    with np.errstate(over="ignore"):
        ends = np.sort(np.stack([(limits.low - start) / slope, (limits.high - start) / slope]), axis=0)
    level = rise == 0
    first = np.where(level, 0.0, ends[0].clip(min=0.0))
    last = np.where(level, np.where(within[:-1], 1.0, -1.0), ends[1].clip(max=1.0))
    lines = np.flatnonzero(joined[1:] & (first <= last))
    alone = within.copy()
    alone[lines] = alone[lines + 1] = False
    points = np.flatnonzero(alone)
    shares = np.stack([first[lines], last[lines]], axis=1).ravel()
    cut_x = np.concatenate([x[np.repeat(lines, 2)] + shares * np.repeat(run[lines], 2), x[points]])
    # not from the shares: −1e16 and a part of 1e16 is anywhere
    edges = np.stack([start[lines], end[lines]], axis=1).ravel().clip(limits.low, limits.high)
    cut_y = np.concatenate([edges, y[points]])
    leads = np.zeros(len(cut_x), bool)
    leads[1 : 2 * len(lines) : 2] = True
    return cut_x, cut_y, leads


def _dots(x: FloatArray, y: FloatArray, joined: BoolArray, scale: tuple[float, float]) -> tuple[FloatArray, FloatArray]:
    """Points at even distances along a line; ``scale`` is braille dots per unit of x and y."""
    length = np.maximum(np.abs(np.diff(x, prepend=x[0])) * scale[0], np.abs(np.diff(y, prepend=y[0])) * scale[1])
    way = np.cumsum(np.where(joined, np.minimum(length, 1e4), 0))
    at = np.arange(0, way[-1] + 1e-9, DOT_SPACING)
    return np.interp(at, way, x), np.interp(at, way, y)


def line_chart(
    series: Sequence[Series], axes: Axes, width: int, height: int, *, heavy: bool = False, behind: Sequence[Fill] = ()
) -> Chart:
    """A chart of exactly ``width`` x ``height`` cells; the last series lies on top, alone in the cells of its dots.

    Below 14 x 5 cells there is no room for axes.  Points beyond the limits of an axis are left out, and lines are cut
    there.

    Args:
        behind: what lies below all lines, the first at the bottom.
    """
    from bntui.viewer.draw.plotting import plotext  # here: it costs the first paint otherwise

    framed = width >= 14 and height >= 5
    ends = axes.height()
    lines = height - 2 if framed else height
    marks = ticks(axes.y, axes.log, max(2, (lines + 1) // 3)) if framed else []
    labels = [tick_label(mark) for mark in marks]
    left = max(axes.label_cells, min(cell_len(axes.y_label), NAME_CELLS), *map(len, labels)) + 1 if labels else 0
    columns = width - left

    plotext.terminal.limit(False, False)  # sizes are the panel's, not the terminal's
    figure = plotext.figure
    figure.clear.all()
    figure.plot_size(width, height)
    figure.canvas("default")
    figure.axes(False)
    if framed:
        figure.axes(True, axis=0, side=0)
        figure.axes(True, axis=1, side=0)
    x_marks = ticks(axes.x, False, max(2, columns // 8)) if framed else []
    figure.ruler(0, 0).lim(*axes.x).ticks(x_marks, [tick_label(mark) for mark in x_marks])
    places = [math.log10(mark) for mark in marks] if axes.log else marks
    figure.ruler(1, 0).lim(*ends).ticks(places, [label.rjust(left - 1) for label in labels])
    frame = _read(figure.build())
    strokes = [Stroke(fill_dots(one, axes, lines, columns), one.style) for one in behind]
    strokes += [Stroke(_stroke(one, axes, lines, columns, heavy=heavy), one.style) for one in series]
    canvas = drawn(strokes, lines, columns)
    rows = [join(fit(axis, left), curves) for axis, curves in zip(frame, canvas, strict=False)]
    chart = Chart((*rows, *(fit(row, width) for row in frame[lines:])), left, columns, lines, axes)
    return _name_axes(chart) if framed else chart


def _stroke(one: Series, axes: Axes, lines: int, columns: int, *, heavy: bool) -> BoolArray:
    """The dots of a series on a canvas of so many cells, each in the cell in which an axis has its value."""
    ends = axes.height()
    told = telling(one.x, one.spans, axes.x, columns)
    x, y, joined = _clipped(*_points(replace(one, x=one.x[told], y=one.y[told]), axes, columns), ends)
    across = ACROSS * (columns - 1) / (axes.x.high - axes.x.low)
    down = DOWN * (lines - 1) / (ends.high - ends.low)
    if one.dotted and len(x):
        x, y = _dots(x, y, joined, (across, down))
        joined = np.zeros(len(x), np.bool_)
    # an end of an axis is the middle of its cell
    left, top = (ACROSS - 1) / 2, (DOWN - 1) / 2
    dots = along((x - axes.x.low) * across + left, (ends.high - y) * down + top, joined, lines, columns)
    return thick(dots) if heavy else dots


def _read(matrix: Any) -> list[Row]:
    """plotext's matrix as rows."""
    lines = matrix.string().splitlines()
    return [(Span("".join(text for _codes, text in _ESCAPE.findall(line)), "muted"),) for line in lines]


def _name_axes(chart: Chart) -> Chart:
    """Names of the axes, where they cost no room: left of the corner, and beside the ticks of x."""
    rows, x_label, y_label = list(chart.rows), chart.axes.x_label, chart.axes.y_label
    rows[-2] = put(rows[-2], 0, set_cell_size(y_label, min(cell_len(y_label), chart.left - 1)), "muted")
    at = _beside_ticks("".join(span.text for span in rows[-1]), cell_len(x_label))
    if x_label and at is not None:
        rows[-1] = put(rows[-1], at, x_label, "muted")
    return replace(chart, rows=tuple(rows))


def _beside_ticks(words: str, cells: int) -> int | None:
    """Where the name of an axis fits into the row of its ticks; None if nowhere.

    Before the last tick, behind it, or before the first one; only else between others, where it parts their row.
    """
    marks = [match.span() for match in re.finditer(r"\S+", words)]
    if not marks:
        return None
    between = [(end + 1, start - 1 - cells) for (_, end), (start, _) in pairwise(marks)][::-1]
    behind = (marks[-1][1] + 1,) * 2 if marks[-1][1] + 1 + cells <= len(words) else (1, 0)
    rooms = [*between[:1], behind, (0, marks[0][0] - 1 - cells), *between[1:]]
    return next((at for earliest, at in rooms if earliest <= at), None)


def is_blank(row: Row, column: int, cells: int = 1) -> bool:
    """True where nothing is drawn, from that cell on."""
    words = "".join(span.text for span in row)
    if cell_len(words) != len(words):
        words = "".join(char + "\0" * (cell_len(char) - 1) for char in words)  # a character for each cell
    words = words[column : column + cells]
    return len(words) == cells and all(char in _BLANK for char in words)


def put(row: Row, column: int, text: str, style: str) -> Row:
    """The row with ``text`` laid over it from that cell on; it keeps its width."""
    out: list[Span] = []
    start = 0
    end = column + cell_len(text)
    laid = False
    for span in row:
        stop = start + cell_len(span.text)
        if stop <= column or start >= end:
            out.append(span)
        else:
            if start < column:
                out.append(span._replace(text=parted(span.text, column - start)[0]))
            if not laid:
                out.append(Span(text, style))
                laid = True
            if stop > end:
                out.append(span._replace(text=parted(span.text, end - start)[1]))
        start = stop
    return tuple(out)

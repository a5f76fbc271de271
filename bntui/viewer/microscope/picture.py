"""Draws values on an axis: histogram, dots, mean and standard deviation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from bntui.keyframe import FloatArray, IntArray
from bntui.viewer.draw.axes import Limits, tick_label, ticks
from bntui.viewer.draw.cells import BLOCKS, levels
from bntui.viewer.draw.rows import Row, Span
from bntui.viewer.microscope.formulas import FormulaStep
from bntui.viewer.microscope.words import figure, size

MOST_DOTS: Final = 480
"""Maximum number of values drawn as dots; of more values, every second, third, … one is drawn."""
LARGE_DOTS: Final = 128
"""Up to this number of values, each is drawn as a square of four braille dots, to be visible from a distance."""
GOLDEN: Final = (math.sqrt(5) - 1) / 2
"""The fractional parts of its multiples are evenly spread, so that neighbors in a batch are drawn at different
heights."""
_DOT_BITS: Final = np.array([[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]])
_SQUARE_BITS: Final = np.array([0x01 | 0x02 | 0x08 | 0x10, 0x04 | 0x20 | 0x40 | 0x80])
LEAST_BINS: Final = 24
MARK: Final = "◆"
MEAN: Final = "│"
DEVIATION: Final = "┊"
TICK_CELLS: Final = 12
"""Minimum distance between two labels of an axis in cells."""

Cells = list[tuple[str, str]]


def place(value: float, limits: Limits, cells: int) -> int:
    """The cell of a value: an outer one for values beyond the axis, and the first for values that are not finite."""
    share = (value - limits.low) / (limits.high - limits.low)
    return min(max(math.floor(share * cells), 0), cells - 1) if math.isfinite(share) else 0


def picture(step: FormulaStep, marked: int, width: int, lines: int, style: str) -> list[Row]:
    """Histogram, dots and bracket of a step in exactly ``lines`` rows; with little room, only the dots remain."""
    marker = 1 if lines >= 2 else 0
    dots = max((lines - marker) * 3 // 7, 1)
    bars = lines - marker - dots
    drawn = [*_bars(step, width, bars), *_dots(step, marked, width, dots, style)]
    _rule(drawn, step, width)
    return [compact(row) for row in drawn] + ([_bracket(step, width)] if marker else [])


def compact(row: Cells) -> Row:
    """Cells as a row, in which neighbors of the same style form one span."""
    spans: list[Span] = []
    for glyph, style in row:
        if spans and spans[-1].style == style:
            spans[-1] = Span(spans[-1].text + glyph, style)
        else:
            spans.append(Span(glyph, style))
    return tuple(spans)


def _finite(step: FormulaStep) -> FloatArray:
    values = np.empty(0) if step.values is None else step.values
    return values[np.isfinite(values)]


def _columns(values: FloatArray, limits: Limits, columns: int) -> IntArray:
    share = (values - limits.low) / (limits.high - limits.low)
    found: IntArray = np.clip(np.floor(share * columns), 0, columns - 1).astype(np.int64)
    return found


def _bars(step: FormulaStep, width: int, lines: int) -> list[Cells]:
    """A histogram that is brighter within one standard deviation of the mean."""
    values = _finite(step)
    if not lines or not values.size:
        return [[(" ", "")] * width for _ in range(lines)]
    bins = min(max(round(6 * values.size ** (1 / 3)), LEAST_BINS), width)
    counts = np.bincount(_columns(values, step.limits, bins), minlength=bins)
    heights = 8 * lines * counts[np.arange(width) * bins // width] / counts.max()
    # keep a single value among thousands visible
    heights = np.where((heights > 0) & (heights < 1), 1, heights)
    near = _within(step, width)
    styles = ["text" if inside else "muted" for inside in near]
    return [list(zip(levels(heights - 8 * line), styles, strict=True)) for line in range(lines - 1, -1, -1)]


def _within(step: FormulaStep, width: int) -> list[bool]:
    if math.isnan(step.reach):
        return [True] * width
    left, right = (place(step.centre + side * step.reach, step.limits, width) for side in (-1, 1))
    return [left <= cell <= right for cell in range(width)]


def _dots(step: FormulaStep, marked: int, width: int, lines: int, style: str) -> list[Cells]:
    """One dot per value, at the same height in all four steps so that it can be followed; one value is marked."""
    bits = np.zeros((lines, width), np.int64)
    values = np.empty(0) if step.values is None else step.values
    chosen = np.arange(0, len(values), max(math.ceil(len(values) / MOST_DOTS), 1))
    chosen = chosen[np.isfinite(values[chosen])]
    shares = chosen * GOLDEN % 1
    if len(values) <= LARGE_DOTS:
        columns, heights = _columns(values[chosen], step.limits, width), (shares * 2 * lines).astype(np.int64)
        np.bitwise_or.at(bits, (heights // 2, columns), _SQUARE_BITS[heights % 2])
    else:
        columns, heights = _columns(values[chosen], step.limits, 2 * width), (shares * 4 * lines).astype(np.int64)
        np.bitwise_or.at(bits, (heights // 4, columns // 2), _DOT_BITS[columns % 2, heights % 4])
    rows: list[Cells] = [[(chr(0x2800 + dot) if dot else " ", style) for dot in line] for line in bits.tolist()]
    if marked < len(values) and math.isfinite(values[marked]):
        line = int(marked * GOLDEN % 1 * lines)
        rows[line][place(float(values[marked]), step.limits, width)] = (MARK, "bold text")
    return rows


def _rule(rows: Sequence[Cells], step: FormulaStep, width: int) -> None:
    """Draw a line at the mean through all rows including bars, and lines at one standard deviation in empty cells."""
    if not math.isfinite(step.centre):
        return
    lines = [(step.centre, MEAN, "accent")]
    if math.isfinite(step.reach):
        lines = [(step.centre + side * step.reach, DEVIATION, "muted") for side in (-1, 1)] + lines
    for value, glyph, style in lines:
        if step.limits.low <= value <= step.limits.high:
            at = place(value, step.limits, width)
            for row in rows:
                if row[at][0] == " ":
                    row[at] = (glyph, style)
                elif glyph == MEAN and row[at][0] in BLOCKS:
                    row[at] = (row[at][0], style)


def _bracket(step: FormulaStep, width: int) -> Row:
    """A mark at the mean, the standard deviation on both sides if known, and both as figures."""
    row: Cells = [(" ", "")] * width
    if not math.isfinite(step.centre):
        return compact(row)
    centre = left = right = place(step.centre, step.limits, width)
    label = figure(step.centre)
    if math.isfinite(step.reach):
        left, right = (place(step.centre + side * step.reach, step.limits, width) for side in (-1, 1))
        row[left : right + 1] = [("─", "accent")] * (right + 1 - left)
        row[left], row[right] = ("├", "accent"), ("┤", "accent")
        label += f" ± {size(step.reach)}"
    row[centre] = ("▲", "bold accent")
    at = right + 2 if right + 2 + len(label) <= width else left - 1 - len(label)
    if at >= 0:
        row[at : at + len(label)] = [(glyph, "text") for glyph in label]
    return compact(row)


def axis(limits: Limits, width: int, line: str = " ") -> Row:
    """An axis with labels at round numbers."""
    row: Cells = [(line, "frame")] * width
    free = 0
    for value in ticks(limits, False, max(2, width // TICK_CELLS)):
        label = tick_label(value)
        at = min(max(place(value, limits, width) - len(label) // 2, 0), width - len(label))
        if at >= free:
            row[at : at + len(label)] = [(glyph, "muted") for glyph in label]
            free = at + len(label) + 1
    return compact(row)


def beyond(step: FormulaStep) -> tuple[int, int]:
    """Number of values to the left and to the right of the axis, which are drawn in its outer cells."""
    values = _finite(step)
    return int((values < step.limits.low).sum()), int((values > step.limits.high).sum())

"""Draws a band of percentiles over time in braille: the median as a line, the edges dotted."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from bntui.keyframe import BoolArray, FloatArray
from bntui.viewer.draw.canvas import Glyphs, braille, characters

ROUNDING: Final = 1e-6
"""Shares beyond the axis by less are on its end."""


class DrawnBand(NamedTuple):
    """Cells of a drawn band, shape ``(rows, columns)``; shared by drawings, never changed."""

    glyphs: Glyphs
    median: BoolArray
    """Cells through which the median goes."""
    broken: tuple[int, int] | None = None
    """The first cell, row and column, in which there was a keyframe, but no finite value."""


ABOVE, BELOW = "↑", "↓"
"""Instead of a line, in the first and the last row: values that are off the axis."""


def band(low: FloatArray, median: FloatArray, high: FloatArray, known: BoolArray, rows: int) -> DrawnBand:
    """Shares of the height (0 is the lowest dot, 1 the highest), two a cell; NaN is a gap, beyond the axis an arrow.

    Three lines, as in figure 1 of Ioffe and Szegedy, 2015: a shade between them would hide how they move in few rows.

    Args:
        known: where there is a keyframe.
    """
    tops, middles, bottoms = (_dots(shares, rows) for shares in (high, median, low))
    y = np.arange(4 * rows)[:, np.newaxis]
    dotted = np.arange(len(median)) % 2 == 0
    line = _joined(middles, y)
    drawn = line | ((_joined(tops, y) | _joined(bottoms, y)) & dotted)
    return _drawn(drawn, line, median, known, (low, median, high))


def course(shares: FloatArray, known: BoolArray, rows: int) -> DrawnBand:
    """One line, without a band."""
    middles = _dots(shares, rows)
    line = _joined(middles, np.arange(4 * rows)[:, np.newaxis])
    return _drawn(line, line, shares, known, (shares,))


def _drawn(
    dots: BoolArray, line: BoolArray, shares: FloatArray, known: BoolArray, lines: tuple[FloatArray, ...]
) -> DrawnBand:
    """The band's cells.

    Args:
        shares: the median's shares of the height.
        lines: those of all its lines, for the arrows.
    """
    rows = len(dots) // 4
    median: BoolArray = np.asarray(line.reshape(rows, 4, -1, 2).any(axis=(1, 3)))
    gone = np.flatnonzero(known & np.isnan(shares))
    broken = None
    if gone.size and (before := np.flatnonzero(~np.isnan(shares[: gone[0]]))).size:
        last = (1 - float(shares[before[-1]].clip(0, 1))) * (4 * rows - 1)
        broken = (round(last) // 4, int(gone[0]) // 2)
    glyphs = characters(braille(dots))
    for row, arrow, off in (
        (-1, BELOW, [one < -ROUNDING for one in lines]),
        (0, ABOVE, [one > 1 + ROUNDING for one in lines]),
    ):
        there = np.any(off, axis=0).reshape(-1, 2).any(axis=1)
        glyphs[row, there & (glyphs[row] == " ")] = arrow
    return DrawnBand(glyphs, median, broken)


def _dots(shares: FloatArray, rows: int) -> FloatArray:
    """The dots on which shares of the height lie, from the top; NaN for what is off the axis."""
    within = (shares >= -ROUNDING) & (shares <= 1 + ROUNDING)
    dots: FloatArray = np.rint((1 - np.where(within, np.clip(shares, 0.0, 1.0), np.nan)) * (4 * rows - 1))
    return dots


def _joined(at: FloatArray, y: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> BoolArray:
    """A line through one dot a column; a step is joined within the later column, so that it has no holes."""
    before = np.concatenate([at[:1], at[:-1]])
    start = np.where(np.isnan(before), at, at + np.sign(before - at) * np.maximum(np.abs(before - at) - 1, 0))
    line: BoolArray = (y >= np.minimum(at, start)) & (y <= np.maximum(at, start))
    return line

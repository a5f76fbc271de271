"""Draws pictures as rows: braille dots, points, and shades of gray, each cell with its own style."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bntui.keyframe import BoolArray, FloatArray, IntArray
from bntui.viewer.draw.rows import Row, Span

Glyphs = NDArray[np.str_]
"""One character a cell, each one cell wide, shape ``(rows, columns)``."""

SHADES: Final = np.array([" ", "░", "▒", "▓", "█"])
"""From nothing to all, in equal steps: a picture reads without color."""
_APART: Final = 0.4
"""Two pixels in one cell that differ by more are drawn as halves, others as the shade of both."""
_BITS: Final = {
    (0, 0): 0x01, (1, 0): 0x02, (2, 0): 0x04, (3, 0): 0x40, (0, 1): 0x08, (1, 1): 0x10, (2, 1): 0x20, (3, 1): 0x80
}  # fmt: skip
"""Of a braille character's dots, by row and column."""


def braille(dots: BoolArray) -> IntArray:
    """Bits of braille characters, shape ``(rows, columns)``, of dots ``(4 * rows, 2 * columns)``, from the top."""
    bits = np.zeros((dots.shape[0] // 4, dots.shape[1] // 2), np.int64)
    for at, bit in _BITS.items():
        bits[dots[at[0] :: 4, at[1] :: 2]] |= bit
    return bits


def characters(bits: IntArray) -> Glyphs:
    """Braille characters of bits, a space where there are none."""
    codes = np.where(bits > 0, 0x2800 + bits, ord(" ")).astype(np.uint32)
    glyphs: Glyphs = codes.view("<U1")
    return glyphs


def rows_of(glyphs: Glyphs, styles: IntArray, names: Sequence[str]) -> tuple[Row, ...]:
    """Cells as rows of spans, neighbours of one style in one span.

    Args:
        styles: shape of ``glyphs``, an index into ``names``.
    """
    edges: list[list[int]] = [[0] for _line in styles]
    for row, column in np.argwhere(styles[:, 1:] != styles[:, :-1]).tolist():
        edges[row].append(column + 1)
    out = []
    for line, look, starts in zip(glyphs.tolist(), styles.tolist(), edges, strict=True):
        pairs = zip(starts, [*starts[1:], len(line)], strict=True)
        out.append(tuple(Span("".join(line[start:end]), names[look[start]]) for start, end in pairs))
    return tuple(out)


class Between(NamedTuple):
    """Places among values that stand evenly: between one and the next, a part of the way; shapes ``(places,)``."""

    first: IntArray
    second: IntArray
    part: FloatArray


def between(shares: FloatArray, count: int) -> Between:
    """Where shares from 0 to 1 of the way along ``count`` values lie; at an end what is beyond, at the first NaN."""
    at = np.nan_to_num(np.clip(shares, 0.0, 1.0)) * (count - 1)
    first = np.minimum(at.astype(np.int64), max(count - 2, 0))
    return Between(first, np.minimum(first + 1, count - 1), at - first)


def interpolated(values: FloatArray, down: Between, across: Between) -> FloatArray:
    """Values of grids ``(..., rows, columns)`` at every pair of places, bilinear; shape ``(..., down, across)``.

    Not by a product of matrices: NumPy's would wait for threads of its own while the trainer has the cores.
    """
    share = down.part[:, np.newaxis]
    rows = values[..., down.first, :] * (1 - share) + values[..., down.second, :] * share
    fine: FloatArray = rows[..., across.first] * (1 - across.part) + rows[..., across.second] * across.part
    return fine


def picture_size(pixels: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """Columns and rows of a picture of ``(rows, columns)`` pixels in this room; a cell is twice as high as wide.

    Where there is room a pixel takes two cells side by side, or several times that; else two pixels that lie
    above each other share a cell, or even more do.
    """
    down, across = pixels
    if min(down, across, width, height) < 1:
        return 0, 0
    whole = min(width // (2 * across), height // down)
    if whole:
        return 2 * across * whole, down * whole
    scale = min(width / across, 2 * height / down, 1.0)
    return max(int(across * scale), 1), max(int(down * scale + 1) // 2, 1)


def picture(shades: FloatArray, width: int, height: int) -> tuple[str, ...]:
    """An image of shades from 0 to 1, shape ``(rows, columns)``, as lines of text; see :func:`picture_size`.

    NaN is blank.
    """
    columns, lines = picture_size(shades.shape, width, height)
    if not columns or not lines:
        return ()
    halves = _resized(np.nan_to_num(shades).clip(0, 1), 2 * lines, columns)
    top, bottom = halves[0::2], halves[1::2]
    glyphs: NDArray[Any] = SHADES[np.rint((top + bottom) / 2 * (len(SHADES) - 1)).astype(np.int64)]
    glyphs = np.where(top - bottom > _APART, "▀", np.where(bottom - top > _APART, "▄", glyphs))
    return tuple("".join(line) for line in glyphs.tolist())


def _resized(values: FloatArray, rows: int, columns: int) -> FloatArray:
    """Each new pixel is the mean of the old ones that it covers, by area."""
    resized: FloatArray = _shares(rows, values.shape[0]) @ values @ _shares(columns, values.shape[1]).T
    return resized


def _shares(new: int, old: int) -> FloatArray:
    edges = np.arange(new + 1) * (old / new)
    low, high = edges[:-1, np.newaxis], edges[1:, np.newaxis]
    at = np.arange(old)
    overlap = np.minimum(high, at + 1) - np.maximum(low, at)
    shares: FloatArray = overlap.clip(min=0) * (new / old)
    return shares

"""Draws lines as braille dots, so that each cell shows the dots of one line alone.

A cell has one color: dots of another line in it would go on in the wrong one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from bntui.keyframe import BoolArray, FloatArray
from bntui.viewer.draw.canvas import braille, characters, rows_of
from bntui.viewer.draw.rows import Row

ACROSS: Final = 2
DOWN: Final = 4
"""Dots of a cell."""


class Stroke(NamedTuple):
    """The dots of one line, shape ``(4 * rows, 2 * columns)``, and its style; its color is what is not bold of that."""

    dots: BoolArray
    style: str

    @property
    def color(self) -> str:
        return self.style.removeprefix("bold ")


def along(x: FloatArray, y: FloatArray, joined: BoolArray, rows: int, columns: int) -> BoolArray:
    """The dots nearest to points, and to the lines between them.

    Args:
        x: in dots from the left.
        y: in dots from the top.
        joined: whether a line leads to each point from the one before.
    """
    dots = np.zeros((DOWN * rows, ACROSS * columns), np.bool_)
    if not len(x):
        return dots
    ends = np.floor(np.stack([y, x]) + 0.5)
    starts = np.where(joined, np.roll(ends, 1, axis=1), ends)
    steps = np.maximum(np.abs(ends - starts).max(axis=0), 1).astype(np.int64)
    line = np.repeat(np.arange(len(x)), steps)
    step = np.arange(len(line)) - np.repeat(np.cumsum(steps) - steps, steps)
    at = ends[:, line] - (ends - starts)[:, line] * (step / steps[line])
    down, across = np.floor(at + 0.5).astype(np.int64)
    within = (down >= 0) & (down < dots.shape[0]) & (across >= 0) & (across < dots.shape[1])
    dots[down[within], across[within]] = True
    return dots


def thick(dots: BoolArray) -> BoolArray:
    """Lines of twice the width: each dot lights the one below and the one beside it, too."""
    wide = dots.copy()
    wide[1:] |= dots[:-1]
    wide[:, 1:] |= wide[:, :-1].copy()
    return wide


def drawn(strokes: Sequence[Stroke], rows: int, columns: int) -> tuple[Row, ...]:
    """Lines above one another, the last one on top: a cell has the dots of the topmost color in it alone."""
    bits = np.zeros((rows, columns), np.int64)
    owner = np.full((rows, columns), -1)
    look = np.full((rows, columns), -1)
    colors = list(dict.fromkeys(stroke.color for stroke in strokes))
    for number, stroke in reversed(list(enumerate(strokes))):
        own = braille(stroke.dots)
        color = colors.index(stroke.color)
        free = (own > 0) & (owner < 0)
        owner[free], look[free] = color, number
        shared = (own > 0) & (owner == color)
        bits[shared] |= own[shared]
    return rows_of(characters(bits), look, [*(stroke.style for stroke in strokes), ""])

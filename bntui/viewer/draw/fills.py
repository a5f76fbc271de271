"""Draws the room between two courses as a pattern of braille dots, which reads without color."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bntui.keyframe import BoolArray, FloatArray
from bntui.viewer.draw.axes import LARGEST, SMALLEST, Axes
from bntui.viewer.draw.strokes import ACROSS, DOWN


@dataclass(frozen=True, slots=True)
class Fill:
    """The room between two courses at the same places; where one is not finite, the place is left out."""

    x: FloatArray
    """Ascending."""
    low: FloatArray
    high: FloatArray
    style: str
    dense: bool
    """Every second dot; else every eighth."""


def fill_dots(fill: Fill, axes: Axes, lines: int, columns: int) -> BoolArray:
    """The dots of the pattern between the courses, on a canvas of so many cells."""
    dots = np.zeros((DOWN * lines, ACROSS * columns), np.bool_)
    places = axes.x.low + (np.arange(dots.shape[1]) - (ACROSS - 1) / 2) / (ACROSS * (columns - 1)) * (
        axes.x.high - axes.x.low
    )
    if not len(fill.x) or columns < 2 or lines < 2:
        return dots
    low, high = _at(fill, places)
    ends = axes.height()
    if axes.log:
        with np.errstate(invalid="ignore", divide="ignore"):
            high = np.where(high > 0, np.log10(np.clip(high, SMALLEST, LARGEST)), np.nan)
            low = np.where(low > 0, np.log10(np.clip(low, SMALLEST, LARGEST)), ends.low)
    down = DOWN * (lines - 1) / (ends.high - ends.low)
    top, bottom = ((ends.high - edge.clip(ends.low, ends.high)) * down + (DOWN - 1) / 2 for edge in (high, low))
    off = (low > ends.high) | (high < ends.low)
    rows = np.arange(dots.shape[0])[:, np.newaxis]
    with np.errstate(invalid="ignore"):
        inside = (rows >= np.floor(top + 0.5)) & (rows <= np.floor(bottom + 0.5)) & ~off
    across = np.arange(dots.shape[1])
    pattern = (rows + across) % 2 == 0 if fill.dense else (rows % 4 == 1) & (across % 2 == (rows // 4) % 2)
    return np.asarray(inside & pattern)


def _at(fill: Fill, places: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both courses at places, ascending: the ends of the points between two, or interpolated where there are none."""
    known = np.isfinite(fill.low) & np.isfinite(fill.high)
    x, low, high = fill.x[known], fill.low[known], fill.high[known]
    if not len(x):
        return np.full(len(places), np.nan), np.full(len(places), np.nan)
    found = [np.interp(places, x, edge, np.nan, np.nan) for edge in (low, high)]
    first = np.searchsorted(x, places)
    several = np.flatnonzero(np.diff(first) > 1)
    if len(several):  # the points between a place and the next one
        starts = np.stack([first[several], first[several + 1]], axis=1).ravel()
        starts = np.minimum(starts, len(x) - 1)
        found[0][several] = np.fmin(found[0][several], np.minimum.reduceat(low, starts)[::2])
        found[1][several] = np.fmax(found[1][several], np.maximum.reduceat(high, starts)[::2])
    return found[0], found[1]

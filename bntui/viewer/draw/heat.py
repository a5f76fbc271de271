"""Draws histograms over time as a heat map on a common axis."""

from __future__ import annotations

from typing import Final

import numpy as np

from bntui.keyframe import BoolArray, CountArray, FloatArray, IntArray
from bntui.viewer.draw.axes import Limits
from bntui.viewer.draw.bands import ABOVE, BELOW
from bntui.viewer.draw.canvas import Glyphs, braille, characters

_THRESHOLDS: Final = (np.array([[0, 4], [6, 2], [1, 5], [7, 3]]) + 0.5) / 8
"""Of a braille character's dots, spread so that every density is an even pattern."""


def rebinned(counts: CountArray, low: FloatArray, high: FloatArray, edges: FloatArray) -> FloatArray:
    """Histograms of equal bins from ``low`` to ``high`` each, on one axis: how many values lie between its edges.

    A bin is shared among the cells that it overlaps, as if its values lay evenly in it; what lies beyond the axis is in
    its outer cells, and values that are all the same lie in one.  No value is lost.

    Args:
        counts: shape ``(K, bins)``.
        low, high: shape ``(K,)``; where they are not finite there are no values.
        edges: ascending, shape ``(cells + 1,)``.

    Returns:
        Shape ``(K, cells)``.
    """
    bins, cells = counts.shape[1], len(edges) - 1
    known = np.isfinite(low) & np.isfinite(high)
    span = np.where(known, high - low, 0.0)
    wide = span > 1e-12 * (edges[-1] - edges[0])
    # where the axis' edges lie, counted in bins; the outer ones take what is beyond
    at = (edges - np.where(known, low, 0.0)[:, np.newaxis]) * (bins / np.where(wide, span, 1.0))[:, np.newaxis]
    at = at.clip(0, bins)
    at[:, 0], at[:, -1] = 0, bins
    whole = np.minimum(at.astype(np.int64), bins - 1)
    below = np.concatenate([np.zeros((len(counts), 1)), counts.cumsum(axis=1)], axis=1)
    up_to = np.take_along_axis(below, whole, 1) + (at - whole) * np.take_along_axis(counts, whole, 1)
    mass: FloatArray = np.diff(up_to, axis=1)
    narrow = known & ~wide
    if narrow.any():
        place = np.clip(np.searchsorted(edges, low[narrow], side="right") - 1, 0, cells - 1)
        mass[narrow] = counts[narrow].sum(axis=1, keepdims=True) * (place[:, np.newaxis] == np.arange(cells))
    mass[~known] = 0
    return mass


def on_axis(
    counts: CountArray, low: FloatArray, high: FloatArray, axis: Limits, cells: int
) -> tuple[FloatArray, IntArray]:
    """Histograms on an axis of equal cells, the outer ones with what lies beyond; and where most of it does.

    Returns:
        As :func:`rebinned`; and -1 where more than half of a histogram's values are below the axis, 1 where they are
        above it, else 0.
    """
    margin = axis.high - axis.low
    edges = np.array([axis.low - margin, *np.linspace(*axis, cells + 1), axis.high + margin])
    whole = rebinned(counts, low, high, edges)
    below, above, half = whole[:, 0], whole[:, -1], counts.sum(axis=1) / 2
    mass = whole[:, 1:-1]
    mass[:, 0] += below
    mass[:, -1] += above
    return mass, np.asarray((above > half).astype(np.int64) - (below > half))


def marked(glyphs: Glyphs, beyond: IntArray) -> Glyphs:
    """A heat map with arrows where most values are off the axis.

    Args:
        beyond: as from :func:`on_axis`, two a column.
    """
    for row, arrow, sign in ((0, ABOVE, 1), (-1, BELOW, -1)):
        there = (beyond == sign).reshape(-1, 2).any(axis=1)
        glyphs[row, there & (glyphs[row] == " ")] = arrow
    return glyphs


def stippled(mass: FloatArray) -> Glyphs:
    """Histograms as columns of dots, the highest values on top, in braille: the denser, the fuller.

    Every cell of a histogram is a dot of the picture, lit where its share of the histogram's fullest one is above the
    dot's own threshold (ordered dithering): four times the height and twice the width that shaded cells would show.

    Args:
        mass: shape ``(2 * columns, 4 * rows)``, the lowest values first; all 0 is blank.

    Returns:
        Shape ``(rows, columns)``.
    """
    fullest = mass.max(axis=1, keepdims=True, initial=0.0)
    share = (mass / np.where(fullest > 0, fullest, 1.0)).T[::-1]
    thresholds = np.tile(_THRESHOLDS, (share.shape[0] // 4, share.shape[1] // 2))
    dots: BoolArray = np.asarray(share > thresholds)
    return characters(braille(dots))

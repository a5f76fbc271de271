"""Leaves out points of a long series that its chart does not show, so that a chart takes as long for any length."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from bntui.keyframe import BoolArray, FloatArray, IntArray
from bntui.viewer.draw.axes import LARGEST, Limits

SPAN: Final = 64
"""Points of a span."""
FEW: Final = 64
"""Spans below which a series is not long."""


class Spans(NamedTuple):
    """What is known of every ``SPAN`` points of a series; the last, incomplete span is none."""

    lows: IntArray
    """The first of the lowest points of each."""
    highs: IntArray
    """The last of the highest points."""
    plain: BoolArray
    """All points can be drawn, whatever the axis is."""

    def then(self, later: Spans) -> Spans:
        return Spans(
            np.concatenate([self.lows, later.lows]),
            np.concatenate([self.highs, later.highs]),
            np.concatenate([self.plain, later.plain]),
        )


def spans_of(values: FloatArray, start: int, *, positive: bool) -> Spans:
    """The spans of some points of a series.

    Args:
        start: number of the first of the points.
        positive: points up to 0 cannot be drawn on a log axis.
    """
    grid = values[: len(values) // SPAN * SPAN].reshape(-1, SPAN)
    first = start + SPAN * np.arange(len(grid))
    plain = (np.abs(grid) <= LARGEST) & ((grid > 0) | (not positive))
    return Spans(
        first + grid.argmin(axis=1), first + SPAN - 1 - grid[:, ::-1].argmax(axis=1), np.asarray(plain.all(axis=1))
    )


def telling(x: FloatArray, spans: Spans | None, limits: Limits, columns: int) -> IntArray | slice:
    """The points that a chart shows: of a span that lies in one column, the lowest and the highest.

    They are all points of a series that its axis cuts, whose lines are cut, too.

    Args:
        x: places of all points, ascending.
        spans: of the points; None to keep all.
        limits: of the axis of x, on ``columns`` columns.
    """
    every = slice(None)
    if spans is None or len(spans.lows) < FEW or x[0] < limits.low or x[-1] > limits.high:
        return every
    count = SPAN * len(spans.lows)
    ends = (x[:count:SPAN], x[SPAN - 1 : count : SPAN])
    first, last = (((end - limits.low) / (limits.high - limits.low) * columns).astype(np.int64) for end in ends)
    within = spans.plain & (first == last)
    chosen = np.zeros(len(x), np.bool_)
    chosen[:count].reshape(-1, SPAN)[~within] = True
    chosen[spans.lows[within]] = chosen[spans.highs[within]] = True
    chosen[count:] = chosen[0] = chosen[-1] = True
    kept: IntArray = np.flatnonzero(chosen)
    # a chart draws all points where there are at most two a column
    return kept if len(kept) > 2 * columns else every

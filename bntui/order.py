"""Finds order statistics: which value stands at a place once all are sorted, and how many lie below another one."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
Counts = NDArray[np.int64]

MANY: Final = 2000
"""Values from which it is faster not to sort them all."""
_BINS: Final = 1024


def ends(values: Values) -> tuple[float, float]:
    """The smallest and the largest value; NaN if there is a NaN, and zeros if there are no values."""
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def ordered(values: Values, span: tuple[float, float], places: Counts, edges: Values) -> tuple[list[float], Counts]:
    """The values that stand at some places, and how many lie below some edges, as sorting all values would show.

    Args:
        values: without NaN, in any shape.
        span: their :func:`ends`.
        places: from 0.
        edges: in any order.

    Of many values, only those are sorted that share a fine bin with a place or an edge.  The number of a value's bin
    never falls as the value rises, whatever is rounded, so that nothing is approximated.
    """
    flat = values.ravel()
    if flat.size < MANY:
        return _sorted(flat, places, edges)
    low, high = map(np.float32, span)
    with np.errstate(all="ignore"):
        width = high - low
        scale = np.float32(_BINS) / width
    # equal values, differences that single precision cannot hold, and infinite values
    if not (math.isfinite(width) and math.isfinite(scale)):
        return _sorted(flat, places, edges)

    def bin_of(some: Values) -> Counts:
        above = some - low
        above *= scale
        numbers: Counts = above.astype(np.int64)
        return numbers

    bins = bin_of(flat)
    filled = np.bincount(bins, minlength=_BINS + 2)
    # an edge far outside, which has no bin, lies as near as the outermost value
    of_edges, of_places = bin_of(edges.clip(low, high)), filled.cumsum().searchsorted(places, side="right")
    among = np.zeros(len(filled), np.bool_)
    among[of_edges] = among[of_places] = True
    near = flat[among[bins]]
    filled[among] = 0
    elsewhere = filled.cumsum()
    places = places - elsewhere[of_places]
    found, below = ordered(near, ends(near), places, edges) if near.size < flat.size else _sorted(near, places, edges)
    return found, elsewhere[of_edges] + below


def _sorted(values: Values, places: Counts, edges: Values) -> tuple[list[float], Counts]:
    """See :func:`ordered`."""
    whole = np.sort(values)
    return whole[places].tolist(), whole.searchsorted(edges)

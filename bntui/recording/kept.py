"""Keeps what is computed from the rows of a run, so that the work of a drawing does not grow with the recording.

A history never changes, and a new keyframe gives a new one.  ``@remembered`` keeps a result for as long as its history
lives.  ``@folded`` keeps a summary of a run's rows over all its histories: of a longer one, only the rows that are new
are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import wraps
from typing import Any, Concatenate, Final, NamedTuple, ParamSpec, Protocol, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from bntui.keyframe import FloatArray


class GrowingRows(Protocol):
    """What is needed of a history: its rows are those of its predecessor and perhaps more."""

    @property
    def unit(self) -> str: ...
    def __len__(self) -> int: ...


P = ParamSpec("P")
S = TypeVar("S")
H = TypeVar("H", bound=GrowingRows)

BLOCK: Final = 2048
"""Rows of which a summary is kept; those of the last, incomplete block are summarized again for each history."""
MOST: Final = 256
"""Results that are remembered of one history; sizes of the screen and axes change them."""


class _Fold(NamedTuple):
    """A summary of a run's rows."""

    blocks: int
    """Number of complete blocks in ``summary``."""
    summary: Any
    length: int
    """Number of rows in ``result``."""
    result: Any


_results: WeakKeyDictionary[GrowingRows, dict[Hashable, Any]] = WeakKeyDictionary()
_folds: WeakKeyDictionary[GrowingRows, dict[Hashable, _Fold]] = WeakKeyDictionary()


def succeeds(history: H, before: H) -> H:
    """The history, which has the rows of ``before`` and perhaps more: it keeps the summaries of its rows."""
    _folds[history] = _folds.setdefault(before, {})
    return history


def remembered(
    compute: Callable[Concatenate[H, P], S],
) -> Callable[Concatenate[H, P], S]:
    """Decorates a function of a history; its results live as long as the history, to which they must not refer."""

    @wraps(compute)
    def found(history: H, /, *args: P.args, **kwargs: P.kwargs) -> S:
        results = _results.setdefault(history, {})
        key = (compute, args, *kwargs.items())
        if key not in results:
            if len(results) >= MOST:
                results.clear()
            results[key] = compute(history, *args, **kwargs)
        result: S = results[key]
        return result

    return found


def folded(
    both: Callable[[S, S], S],
) -> Callable[[Callable[Concatenate[H, slice, P], S]], Callable[Concatenate[H, P], S]]:
    """Decorates a function that summarizes some rows of a history; decorated, it summarizes all of them.

    The blocks of rows are always the same ones, so that a growing run has the same summary as one that is opened later.

    Args:
        both: the summary of the rows of two summaries, the earlier ones first.
    """

    def decorate(of: Callable[Concatenate[H, slice, P], S]) -> Callable[Concatenate[H, P], S]:
        @wraps(of)
        def whole(history: H, /, *args: P.args, **kwargs: P.kwargs) -> S:
            folds = _folds.setdefault(history, {})
            key, length = (of, history.unit, args, *kwargs.items()), len(history)
            kept = folds.get(key)
            if kept is not None and kept.length == length:
                known: S = kept.result
                return known
            blocks = length // BLOCK
            if kept is None or kept.blocks > blocks:  # an earlier history of the run
                kept = _Fold(0, of(history, slice(0, 0), *args, **kwargs), 0, None)
            summary: S = kept.summary
            for start in range(kept.blocks * BLOCK, blocks * BLOCK, BLOCK):
                summary = both(summary, of(history, slice(start, start + BLOCK), *args, **kwargs))
            result = both(summary, of(history, slice(blocks * BLOCK, length), *args, **kwargs))
            folds[key] = _Fold(blocks, summary, length, result)
            return result

        return whole

    return decorate


Ends = tuple[float, float]
"""The lowest and the highest value; ∞ and −∞ if there is none."""


def ends_of(values: FloatArray) -> Ends:
    """The ends of the finite values."""
    finite = values[np.isfinite(values)]
    return float(finite.min(initial=np.inf)), float(finite.max(initial=-np.inf))


def wider(one: Ends, other: Ends) -> Ends:
    """The ends of what two have the ends of."""
    return min(one[0], other[0]), max(one[1], other[1])

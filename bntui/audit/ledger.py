"""Collects the results of all checks: what was compared, the largest errors, and what failed."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bntui.audit.bounded import UNIT

Values = NDArray[Any]

ILL: Final = 0.01
"""A figure is ill-conditioned if rounding may change it by more than this fraction of its size."""
SHOWN: Final = 3
"""Failures per check and place that are kept with their values; the rest are only counted."""


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a figure in a recording."""

    run: str = ""
    step: int | None = None
    epoch: float | None = None
    layer: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A figure outside its tolerance, or a mismatch."""

    check: str
    place: Place
    figure: str
    recorded: str
    recomputed: str
    more: int = 0
    """Number of further values of the same figure outside the tolerance."""


class Margin(NamedTuple):
    """A tolerance of figures whose errors are reported relative to a given size."""

    tolerance: ArrayLike
    """Absolute."""
    size: float
    """If 0, errors are relative to the largest recomputed magnitude, as without a margin."""


@dataclass(slots=True)
class CheckTally:
    """The comparisons of one check so far."""

    figures: int = 0
    undetermined: int = 0
    """Figures that rounding leaves undetermined, for example where float32 overflows."""
    rounding: int = 0
    """Figures smaller than their own tolerance: they consist of rounding error, so a relative error is meaningless."""
    error: float = 0.0
    """Largest relative error of the remaining figures."""
    tolerance: float = 0.0
    """Relative tolerance of the figure with that error."""
    place: Place = field(default_factory=Place)
    share: float = 0.0
    """Largest ratio of an error to its tolerance."""
    ill: int = 0
    """Ill-conditioned figures."""
    condition: float = 0.0
    """Of the worst one: the factor by which its computation may have amplified the unit roundoff."""
    ill_place: Place = field(default_factory=Place)
    failed: int = 0


class Ledger:
    """Collects comparisons by the name of their check, in the order of their first appearance."""

    def __init__(self) -> None:
        self.lines: defaultdict[str, CheckTally] = defaultdict(CheckTally)
        self.failures: list[Failure] = []
        self.notes: Counter[str] = Counter()
        """Reasons why something could not be checked, with counts."""

    def note(self, reason: str) -> None:
        """Record that something could not be checked, and why."""
        self.notes[reason] += 1

    def fail(self, check: str, place: Place, figure: str, recorded: object, recomputed: object, more: int = 0) -> None:
        """Record a failure."""
        self.lines[check].failed += 1 + more
        self.failures.append(Failure(check, place, figure, spelled(recorded), spelled(recomputed), more))

    def hold(self, check: str, place: Place, figure: str, fits: bool, recorded: object, recomputed: object) -> bool:
        """Record whether a figure matches."""
        self.lines[check].figures += 1
        if not fits:
            self.fail(check, place, figure, recorded, recomputed)
        return fits

    def compare(
        self,
        check: str,
        place: Place,
        figure: str | Sequence[str],
        recorded: Any,
        recomputed: Any,
        tolerance: ArrayLike | Margin,
    ) -> bool:
        """Compare recorded with recomputed values within an absolute tolerance; True if all match.

        Errors are relative to the largest recomputed magnitude, or to the size that a margin gives.  Values that are
        not finite must agree in kind; a figure whose tolerance is not finite is undetermined.

        Args:
            figure: the name of the figure, or of each if they are figures of their own.
        """
        tolerance, scale = tolerance if isinstance(tolerance, Margin) else (tolerance, 0.0)
        theirs, ours = np.asarray(recorded, np.float64), np.asarray(recomputed, np.float64)
        line = self.lines[check]
        if theirs.shape != ours.shape:
            self.fail(check, place, _named(figure), str(theirs.shape), str(ours.shape))
            return False
        if not ours.size:
            return True
        line.figures += ours.size
        allowed = np.asarray(tolerance, np.float64)
        if allowed.shape != ours.shape:
            allowed = np.broadcast_to(allowed, ours.shape)
        with np.errstate(all="ignore"):
            apart = np.abs(theirs - ours)
            bound = np.isfinite(allowed)
            finite = np.isfinite(ours) & np.isfinite(theirs)
            kind = (theirs == ours) | (np.isnan(theirs) & np.isnan(ours))
            wrong = bound & np.where(finite, ~(apart <= allowed), ~kind)
            line.undetermined += int((~bound).sum())
            judged = finite & bound
            if judged.all():
                self._largest(line, place, apart, allowed, ours, scale)
            elif judged.any():
                self._largest(line, place, apart[judged], allowed[judged], ours[judged], scale)
        if not wrong.any():
            return True
        where = np.argwhere(np.atleast_1d(wrong))[:SHOWN]
        rest = int(wrong.sum()) - len(where)
        for number, index in enumerate(map(tuple, where)):
            at = _named(figure, index if ours.ndim else ())
            there, here = float(np.atleast_1d(theirs)[index]), float(np.atleast_1d(ours)[index])
            self.fail(check, place, at, there, here, rest if number == len(where) - 1 else 0)
        return False

    @staticmethod
    def _largest(line: CheckTally, place: Place, apart: Values, allowed: Values, ours: Values, scale: float) -> None:
        size = scale or float(np.abs(ours).max())
        relative_bounds = allowed / size if size else np.zeros(())
        ill = int(np.count_nonzero(relative_bounds > ILL))
        if ill:
            line.ill += ill
            condition = float(relative_bounds.max()) / UNIT
            if condition > line.condition:
                line.condition, line.ill_place = condition, place
        if not apart.any():
            return
        share = float(np.nanmax(np.where(apart > 0, apart / allowed, 0)))
        line.share = max(line.share, share)
        mere = (apart > 0) & (apart <= allowed) & (allowed >= size)
        line.rounding += int(np.count_nonzero(mere))
        if mere.all():
            return
        at = int(np.argmax(np.where(mere, -1, apart)))
        worst = float(apart.reshape(-1)[at])
        relative = worst / size if size else math.inf
        if worst and relative > line.error:
            line.error, line.place = relative, place
            line.tolerance = float(allowed.reshape(-1)[at]) / size if size else math.inf


def _named(figure: str | Sequence[str], index: tuple[int, ...] = ()) -> str:
    """A figure's name with its place in the array, or its own name among several."""
    if not isinstance(figure, str):
        return figure[index[0]] if index else ", ".join(figure)
    return f"{figure}[{', '.join(map(str, index))}]" if index else figure


def spelled(value: object) -> str:
    """A value formatted for the report."""
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else {True: "NaN"}.get(math.isnan(value), f"{value:+}")
    return str(value)

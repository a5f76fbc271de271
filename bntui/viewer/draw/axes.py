"""Chooses the ends and the ticks of an axis: round numbers that stay put until values leave them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from bntui.keyframe import FloatArray
from bntui.text.figures import MINUS

LABEL_CELLS: Final = 5
"""Least width of the labels of the y axis, so that the canvas does not shift when limits move."""
LARGEST: Final = 1e300
SMALLEST: Final = 1e-300
"""Values beyond are drawn here: powers of ten and differences of floats stay normal numbers."""
_NICE: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_COARSE: Final = (1.0, 2.0, 5.0)
_FINE: Final = (*np.arange(10, 20) / 10, *np.arange(10, 25) / 5, *np.arange(10, 20) / 2)
_FINEST: Final = (*np.arange(50, 100) / 50, *np.arange(40, 100) / 20, *np.arange(50, 100) / 10)
"""Digits of the ends of a log axis, ascending; coarser ones are among finer ones, so that limits only widen."""


class Limits(NamedTuple):
    """Both ends of an axis, the lower one first."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Axes:
    """Both axes of a chart."""

    x: Limits
    y: Limits
    """Above 0 on a log axis."""
    log: bool = False
    """The y axis is logarithmic."""
    x_label: str = ""
    y_label: str = ""
    label_cells: int = LABEL_CELLS
    """Least width of the y axis' labels and name: charts above one another share it."""

    def height(self) -> Limits:
        """Both ends of the y axis as it is drawn: their log10 on a log axis."""
        return Limits(math.log10(self.y.low), math.log10(self.y.high)) if self.log else self.y


def proper(low: float, high: float) -> Limits:
    """Both ends of an axis; apart where they are one."""
    if high > low:
        return Limits(low, high)
    apart = max(1e-3 * abs(low), 1e-12)
    return Limits(low - apart, low + apart)


def limits(courses: Sequence[FloatArray], log: bool, step: float = 0.0, *, tight: bool = False) -> Limits:
    """Round limits around all values that can be drawn: they move only when the values leave them.

    On a log axis 1, 2 or 5 times a power of ten; on a linear one multiples of ``step``, or of a round fraction of
    the range.  A course that only grows longer can only widen them.

    Args:
        tight: on a log axis more digits where the values lie close together: the curve gets the height.
    """
    values = np.concatenate([np.asarray(course, np.float64).ravel() for course in (*courses, [])])
    drawable = np.isfinite(values) & (np.abs(values) <= LARGEST)
    if log:
        drawable &= values > 0
    if not drawable.any():
        return Limits(0.1, 1.0) if log else Limits(0.0, 1.0)
    low, high = float(values[drawable].min()), float(values[drawable].max())
    if log:
        low, high = max(low, SMALLEST), max(high, SMALLEST)
    if not log:
        return _linear_limits(low, high, step)
    fine = _FINEST if high < 1.2 * low else _FINE if high < 4 * low else _COARSE
    return _log_limits(low, high, fine if tight else _COARSE)


def _log_limits(low: float, high: float, digits: Sequence[float]) -> Limits:
    bottom = math.floor(math.log10(low)) - 1
    ladder = [
        float(f"{digit:g}e{power}") for power in range(bottom, math.ceil(math.log10(high)) + 2) for digit in digits
    ]
    below = max(rung for rung in ladder if rung <= low)
    above = min(rung for rung in ladder if rung >= high)
    return Limits(below, above if above > below else ladder[ladder.index(below) + 1])


def _linear_limits(low: float, high: float, step: float) -> Limits:
    if 0 <= low < 0.5 * high:
        low = 0.0  # a loss is read against zero where that costs little
    size = max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-12)
    step = step or _round_up(size / 4)
    below, above = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return Limits(below, above if above > below else below + step)


def _round_up(size: float) -> float:
    power = 10.0 ** math.floor(math.log10(size))
    return power * next(digit for digit in _NICE if digit * power >= size * (1 - 1e-9))


def ticks(limits: Limits, log: bool, most: int) -> list[float]:
    """At most ``most`` round numbers within the limits, lowest first."""
    low, high = limits
    if not high > low:
        return [low]
    most = max(most, 2)
    if not log:
        step = _round_up((high - low) / (most - 1))
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        return [n * step for n in range(first, last + 1)]
    powers = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
    every = math.ceil(len(powers) / most)
    decades = [10.0**power for power in powers if power % every == 0]
    if len(decades) < 2 <= len(powers):
        decades = [10.0 ** powers[0], 10.0 ** powers[-1]]  # one label does not say what a row is worth
    if len(decades) >= 3 or len(decades) >= most:
        return decades
    for digits in ((1, 2, 5), *(() if len(decades) > 1 else ((1, 5), (1, 2)))):
        fine = _rungs(limits, powers, digits)
        if len(fine) < 2 and digits == (1, 2, 5) and low > 0 and high < 10 * low:
            even = ticks(limits, False, most)  # within a decade an even step is as good
            return even if len(even) > 1 else [low, high]  # both are round
        if max(2, len(decades)) <= len(fine) <= most:
            return fine
    return decades if len(decades) > 1 else [fine[0], fine[-1]]


def _rungs(limits: Limits, powers: range, digits: Sequence[int]) -> list[float]:
    """These digits times powers of ten, within the limits."""
    low, high = limits
    rungs = [digit * 10.0**power for power in range(powers.start - 1, powers.stop) for digit in digits]
    return [rung for rung in rungs if low * (1 - 1e-9) <= rung <= high * (1 + 1e-9)]


def tick_label(value: float) -> str:
    """A round number as an axis shows it: ``0.25``, ``1e−3``, ``1000``."""
    if value != 0 and not 1e-2 <= abs(value) < 1e4:
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}".replace("-", MINUS)
    return f"{value:.4g}".replace("-", MINUS)

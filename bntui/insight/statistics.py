"""Says what a sample over seeds tells: intervals by Student's t, and the sign test.  Pure functions, without SciPy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

LEVEL: Final = 0.95
"""Share of repeated measurements whose interval contains the true mean."""

Verdict = Literal["holds", "does not hold", "undecided"]
Method = Literal["t", "sign"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean, with its confidence interval by Student's t."""

    mean: float
    half: float
    """Half of the interval's width; NaN with fewer than two values."""
    count: int
    """Number of values that are finite; the others are left out."""

    @property
    def low(self) -> float:
        """The lower end."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """The upper end."""
        return self.mean + self.half


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the seeds say about a comparison."""

    verdict: Verdict
    method: Method
    """``t``: the interval of the mean effect; ``sign``: the number of seeds on each side, where an effect is not
    finite."""
    effect: Interval
    """Of the effects that are finite."""
    favorable: int
    """Seeds in which the comparison is true."""
    adverse: int
    """Seeds in which it is false."""
    seeds: int


def interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Mean and confidence interval of the values that are finite."""
    sample = [value for value in values if math.isfinite(value)]
    count = len(sample)
    if not count:
        return Interval(math.nan, math.nan, 0)
    if len(set(sample)) == 1:  # summing would leave a rounding error
        return Interval(sample[0], 0.0 if count > 1 else math.nan, count)
    unit = 2.0 ** (math.frexp(max(map(abs, sample)))[1] - 1)  # a power of two changes no digit, and nothing overflows
    scaled = [value / unit for value in sample]
    mean = math.fsum(scaled) / count
    variance = math.fsum((value - mean) ** 2 for value in scaled) / (count - 1)
    half = t_quantile((1 + level) / 2, count - 1) * math.sqrt(variance / count)
    return Interval(mean * unit, half * unit, count)


def judge(effects: Sequence[float], operator: str, level: float = LEVEL) -> Judgement:
    """Judge a comparison by its paired effects: the left side minus the right side in each seed.

    It holds if the whole interval of the mean effect is on its side, does not hold if the whole interval is on the
    other side, and is undecided else.  Where an effect is infinite or missing, there is no mean, and the sign test
    decides: how many of all seeds are on each side.

    Args:
        effects: NaN where a seed lacks a figure.
        operator: ``<``, ``<=``, ``>`` or ``>=``.
    """
    sign = 1.0 if operator[0] == ">" else -1.0
    strict = "=" not in operator
    toward = [sign * effect for effect in effects]
    favorable = sum(effect > 0 or (effect == 0 and not strict) for effect in toward)
    adverse = sum(effect < 0 or (effect == 0 and strict) for effect in toward)
    found = interval(effects, level)
    verdict: Verdict = "undecided"
    if found.count == len(effects):
        low, high = sorted((sign * found.low, sign * found.high))
        if low > 0 or (low == 0 and not strict):
            verdict = "holds"
        elif high < 0 or (high == 0 and strict):
            verdict = "does not hold"
        return Judgement(verdict, "t", found, favorable, adverse, len(effects))
    if sign_test(favorable, len(effects)) <= 1 - level:
        verdict = "holds"
    elif sign_test(adverse, len(effects)) <= 1 - level:
        verdict = "does not hold"
    return Judgement(verdict, "sign", found, favorable, adverse, len(effects))


def sign_test(successes: int, trials: int) -> float:
    """Probability that a fair coin falls at least this often on one given side, times two (at most 1)."""
    tail = sum(math.comb(trials, count) for count in range(successes, trials + 1))
    return float(min(2 * tail / 2**trials, 1.0))


@lru_cache(256)
def t_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t distribution, for a probability of at least a half."""
    low, high = 0.0, 1.0
    while t_probability(high, freedom) < probability:
        high *= 2
    while high - low > 1e-13 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if t_probability(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def t_probability(value: float, freedom: int) -> float:
    """Probability that Student's t is at most ``value``, which is not negative."""
    square = value * value
    if square < freedom:  # each is exact where the other is a difference of nearly equal numbers
        return 0.5 + _incomplete_beta(0.5, freedom / 2, square / (freedom + square)) / 2
    return 1 - _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + square)) / 2


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function, by its continued fraction (Abramowitz and Stegun 26.5.8)."""
    if x in (0.0, 1.0):
        return x
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )  # fmt: skip
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, 1 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction, evaluated with Lentz's method."""
    tiny = 1e-300
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d or tiny)
    value = d
    for m in range(1, 1000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / ((1 + term * d) or tiny)
            c = (1 + term / c) or tiny
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value

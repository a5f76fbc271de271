"""Values with a bound on how far a float32 computation may be from them.

Running error analysis: every operation propagates the errors of its operands and adds the rounding of its own result
(Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd edition, sections 3.1 and 3.3).  A sum of n products has
an error of at most γ_n times the sum of their magnitudes, γ_n = n·u / (1 - n·u), in any order of summation.

Two bounds are propagated side by side, and each tightens the other: one for each value, and one for the Euclidean norm
of all errors together.  The first is sharp for a single operation; the second grows more slowly through many layers,
because a matrix stretches no vector by more than its spectral norm.

Both are worst-case bounds and become useless through a recurrence or thirty layers.  There the probabilistic bound is
used instead (Higham and Mary, 2019, *A new approach to probabilistic rounding error analysis*): the sum of independent
rounding errors stays below λ times the root of their sum of squares with probability 1 - 2 exp(-λ²/2).  That root is
measured by *trials*: each trial draws a sign for every rounding error, takes the error as large as its bound, and is
propagated to first order.  See :meth:`Bounded.tried` and :func:`smaller`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]

UNIT: Final = 2.0**-24
"""Unit roundoff of float32: the largest relative error of one rounded operation."""
LARGEST: Final = 3.4028234e38 / 4
"""Above this magnitude, an intermediate float32 result may have overflowed: the value is unknown."""
TINY: Final = 1e-37
"""A device may flush values below the smallest normal float32 (1.2e-38) to 0; each product may lose this much."""


FREE: Final = 8
"""Number of trials in which every rounding error has its own sign."""
SHARED: Final = 4
"""Number of trials in which all rounding errors of an operation share a sign: similar units or samples round alike."""
SCATTER: Final = 40.0
"""Factor applied to the trials' root mean square.  It amounts to λ = 6 even if that is a seventh of the true value,
which has a probability below 1e-8 with 8 trials."""
NEGLIGIBLE: Final = 1e-22
"""Added to the probabilistic bound: after repeated cancellation, errors this small are no longer first order."""
OUTLIER: Final = 0.1
"""Lower limit of a value's spread, as a fraction of the array's root mean square: its trials may be small by chance."""
FIRST_ORDER: Final = 0.1
"""Errors up to this fraction of the value are propagated to first order."""


class _Signs:
    """Random signs, each used once; drawn many at a time, because most arrays are small."""

    STOCK: Final = 1 << 16

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin again, so that equal computations draw equal signs."""
        self._random = np.random.default_rng(0)
        self._left = np.empty(0, np.int8)

    def __call__(self, count: int) -> Values:
        """``count`` values that are -1 or 1."""
        if count > len(self._left):
            drawn = max(count, self.STOCK)
            bits = np.unpackbits(np.frombuffer(self._random.bytes((drawn + 7) // 8), np.uint8), count=drawn)
            self._left = 2 * bits.view(np.int8) - 1
        taken, self._left = self._left[:count], self._left[count:]
        return taken


SIGNS: Final = _Signs()


def gamma(count: int, unit: float) -> float:
    """γ_n: error bound of a sum of ``count`` rounded products, relative to the sum of their magnitudes."""
    return count * unit / (1 - count * unit) if count * unit < 0.5 else math.inf


def of_sum(count: int, *parts: Bounded) -> float:
    """Error bound of a sum of ``count`` terms, relative to their magnitudes: γ_n as a certain bound; with trials,
    √n·u, the root of the sum of squares of n rounding errors."""
    unit = parts[0].unit
    return math.sqrt(count) * unit if tried(*parts) else gamma(count, unit)


@dataclass(frozen=True, slots=True, eq=False)
class Bounded:
    """Values in float64, with bounds on the error of float32."""

    value: Values
    error: Values
    """Absolute error bound of each value; same shape as ``value``."""
    norm: Values
    """Bound on the Euclidean norm of the errors: of all values, shape ``()``, or per sample, shape ``(B,)``."""
    unit: float = UNIT
    trials: Values | None = None
    """Deviation of the values in each trial, shape ``(FREE + SHARED, *shape)``.  With trials there are no certain
    bounds: ``error`` and ``norm`` are 0."""

    __array_ufunc__ = None  # makes NumPy arrays defer to the operators of this class

    @classmethod
    def exact(cls, value: Values, unit: float = UNIT, *, by_sample: bool = False) -> Bounded:
        """Recorded values, which are float32's own and have no error."""
        wide = np.asarray(value, np.float64)
        return cls(wide, np.zeros_like(wide), np.zeros(len(wide) if by_sample else ()), unit)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def is_exact(self) -> bool:
        """True if there is no error yet, so none has to be propagated."""
        return not (self.norm.any() if self.norm.ndim else self.norm)

    @property
    def reach(self) -> Values:
        """The largest magnitude that the float32 values may have; with trials, that they are likely to have."""
        result: Values = np.abs(self.value) + self.wobble
        return result

    @property
    def wobble(self) -> Values:
        """The certain error bound; with trials, their root mean square."""
        return self.error if self.trials is None else _root_mean_square(self.trials)

    def length(self) -> tuple[float, float]:
        """Euclidean norm of all values, and the error bound of its float32 counterpart."""
        return euclidean(self.value), min(float(np.sqrt((self.norm**2).sum())), euclidean(self.error))

    # --- trials ---

    def tried(self) -> Bounded:
        """Replace the certain errors with trials of them, which later operations propagate."""
        return tightened(self.value, self.error, self.norm, self.unit, drawn(self.error))

    @property
    def spread(self) -> Values:
        """Error bound per value: certain, or probabilistic with trials."""
        return self.wobble if self.trials is None else SCATTER / 4 * self.wobble

    # --- arithmetic ---

    def __add__(self, other: Bounded | Values | float) -> Bounded:
        other = self._paired(other)
        value = self.value + other.value
        rounding = self._rounding(value, self.wobble + other.wobble)
        return self._result(value, [(1.0, self), (1.0, other)], rounding, (1.0, 1.0))

    def __sub__(self, other: Bounded | Values | float) -> Bounded:
        return self + -self._paired(other)

    def __neg__(self) -> Bounded:
        return Bounded(-self.value, self.error, self.norm, self.unit, None if self.trials is None else -self.trials)

    def __rsub__(self, other: float) -> Bounded:
        return -self + other

    def __mul__(self, other: Bounded | Values | float) -> Bounded:
        other = self._paired(other)
        value = self.value * other.value
        parts: list[tuple[Values | float, Bounded]]
        if self.is_exact and other.is_exact and not tried(self, other):
            parts = [(0.0, self), (0.0, other)]
            return self._result(value, parts, self._rounding(value, 0.0), (other.value, self.value))
        grown = np.abs(self.value) * other.wobble + self.wobble * other.reach
        parts = [(other.reach, self), (np.abs(self.value), other)]
        made = self._result(value, parts, self._rounding(value, grown), (other.value, self.value))
        if made.trials is None:
            return made
        trials = made.trials + self._both(other, value.ndim)
        return Bounded(made.value, made.error, made.norm, made.unit, trials)

    __radd__ = __add__
    __rmul__ = __mul__

    def _paired(self, other: Bounded | Values | float) -> Bounded:
        if isinstance(other, Bounded):
            return other
        wide = np.asarray(other, np.float64)
        if isinstance(other, float) and self.unit >= UNIT and float(np.float32(other)) != other:
            error = np.asarray(self.unit * abs(other))  # a constant such as 2/3 is rounded before it is used
            return Bounded(wide, error, error, self.unit)
        return Bounded(wide, np.zeros_like(wide), np.zeros(()), self.unit)

    def _rounding(self, value: Values, grown: Values | float) -> Values:
        reach = np.abs(value) + grown
        result: Values = self.unit * reach + TINY * (value != 0)
        return result if (reach <= LARGEST).all() else np.where(reach <= LARGEST, result, np.inf)

    def _result(
        self,
        value: Values,
        parts: Sequence[tuple[Values | float, Bounded]],
        rounding: Values,
        slopes: Sequence[Values | float],
    ) -> Bounded:
        """Build a result from its own ``rounding``, operand errors times their factors, and trials times slopes."""
        if tried(*(part for _factor, part in parts)):
            trials = drawn(_broadcast(rounding, value.shape))
            for slope, (_factor, part) in zip(slopes, parts, strict=True):
                if part.trials is not None or not part.is_exact:
                    trials += slope * lifted(part, value.ndim)
            return tightened(value, rounding, self.norm, self.unit, trials)
        error, norm = rounding, norm_of(rounding, self.norm)
        for factor, part in parts:
            if part.is_exact:
                continue
            grown = factor * part.error
            error = error + grown
            by_value = norm_of(_broadcast(grown, value.shape), self.norm)
            if part.shape == value.shape and part.norm.shape == self.norm.shape:
                norm = norm + np.minimum(by_value, _largest(factor, value.shape, self.norm) * part.norm)
            else:
                norm = norm + by_value
        return tightened(value, error, norm, self.unit)

    def _both(self, other: Bounded, ndim: int) -> Values:
        """The second-order term of a product whose two factors both have trials."""
        if self.trials is None or other.trials is None:
            return np.zeros(())
        return lifted(self, ndim) * lifted(other, ndim)

    def function(
        self,
        value: Values,
        slope: Values | float,
        rounding: Values,
        again: Callable[[Values], Values] | None = None,
    ) -> Bounded:
        """Apply an elementary function.

        Args:
            slope: bound on the magnitude of its derivative over all arguments that float32 may have had.
            again: the function, evaluated at arguments shifted by trials; the identity by default.
        """
        rounding = rounding + TINY * (value != 0)
        if self.trials is None or again is None:
            return self._result(value, [(slope, self)], rounding, (1.0,))
        moved = again(self.value + self.trials)
        moved = unknown(np.subtract(moved, again(self.value), out=moved), self.trials)
        moved += drawn(_broadcast(rounding, value.shape))
        return tightened(value, self.error, self.norm, self.unit, moved)

    # --- arrangement: no value changes ---

    def arranged(self, how: Callable[[Values], Values]) -> Bounded:
        """Reshape, slice, or move the values; ``how`` is applied to their errors too."""
        error = how(self.error)
        trials = None if self.trials is None else np.stack([how(trial) for trial in self.trials])
        return Bounded(how(self.value), error, _smaller(self.norm, norm_of(error, self.norm)), self.unit, trials)

    def reshape(self, *shape: int) -> Bounded:
        return self.arranged(lambda values: values.reshape(*shape))

    def __getitem__(self, index: Any) -> Bounded:
        return self.arranged(lambda values: values[index])


def euclidean(values: Values) -> float:
    """Euclidean norm, without overflow for large values."""
    flat = np.asarray(values, np.float64).ravel()
    return math.sqrt(np.dot(flat, flat))


def _broadcast(values: Values, shape: tuple[int, ...]) -> Values:
    return values if values.shape == shape else np.broadcast_to(values, shape)


def norm_of(errors: Values, like: Values) -> Values:
    """Norms of errors, overall or per sample as in ``like``; infinite if an error is not finite."""
    if not like.ndim:  # the usual case
        whole = euclidean(errors)
        return np.asarray(whole if whole < math.inf else math.inf)
    if errors.ndim and len(errors) == len(like):
        flat = errors.reshape(len(errors), -1)
        found = np.sqrt(np.einsum("ij,ij->i", flat, flat))
    else:
        found = np.full(like.shape, euclidean(errors))
    return np.where(np.isfinite(found), found, np.inf)


def _smaller(one: Values, other: Values) -> Values:
    result: Values = np.fmin(one, other)
    return result


def _largest(factor: Values | float, shape: tuple[int, ...], like: Values) -> Values | float:
    """The largest factor, overall or per sample."""
    if isinstance(factor, float):
        return factor
    if like.ndim and factor.ndim == len(shape) and len(factor) == len(like):
        result: Values = factor.reshape(len(factor), -1).max(1)
        return result
    return float(factor.max(initial=0))


def spread_over(norm: Values, ndim: int) -> Values:
    """Norms reshaped to broadcast over values with ``ndim`` axes."""
    return norm.reshape(-1, *(1 for _ in range(ndim - 1))) if norm.ndim else norm


def drawn(error: Values) -> Values:
    """Trials of errors at their maximum, with random signs: one per value, or one for all."""
    free = FREE * error.size
    signs = SIGNS(free + SHARED)
    made = np.empty((FREE + SHARED, *error.shape))
    np.multiply(signs[:free].reshape(FREE, *error.shape), error, out=made[:FREE])
    np.multiply(signs[free:].reshape(SHARED, *(1 for _ in error.shape)), error, out=made[FREE:])
    return made


def unknown(found: Values, error: Values) -> Values:
    """``found``, but infinite where ``error`` is: the argument may have overflowed to NaN, which no function bounds."""
    finite = np.isfinite(error)
    return found if finite.all() else np.where(finite, found, np.inf)


def tried(*parts: Bounded) -> bool:
    """True if any part has trials; results computed from it then have them too."""
    return any(part.trials is not None for part in parts)


def lifted(part: Bounded, ndim: int) -> Values:
    """Trials reshaped to broadcast over values with ``ndim`` axes; drawn here if the part has certain bounds."""
    if part.trials is None and part.is_exact:
        return np.zeros(())
    trials = drawn(part.error) if part.trials is None else part.trials
    return trials.reshape(len(trials), *(1 for _ in range(ndim - part.value.ndim)), *part.shape)


def tightened(value: Values, error: Values, norm: Values, unit: float, trials: Values | None = None) -> Bounded:
    """Tighten both bounds: no error exceeds the norm of all, which does not exceed the norm of the single bounds."""
    if trials is not None:
        return Bounded(value, np.zeros_like(value), np.zeros_like(norm), unit, trials)
    if norm.ndim:
        limit = spread_over(np.where(np.isfinite(norm), norm, np.inf), error.ndim)
    else:  # the usual case
        limit = np.asarray(norm if norm < math.inf else math.inf)
    error = np.fmin(error, limit)
    return Bounded(value, error, _smaller(norm, norm_of(error, norm)), unit, trials)


def smaller(certain: Bounded, tried: Bounded) -> Bounded:
    """The smaller of the certain and the probabilistic bound, value by value and for the norm of all."""
    assert tried.trials is not None
    mean_square = _root_mean_square(tried.trials) ** 2
    likely = (
        SCATTER * np.sqrt(np.maximum(mean_square, OUTLIER**2 * mean_square.sum() / max(mean_square.size, 1)))
        + NEGLIGIBLE
    )
    error = np.where(certain.error > 0, np.fmin(certain.error, likely), 0.0)
    norm = certain.norm if certain.norm.ndim else _smaller(certain.norm, _likely_norm(tried))
    return tightened(certain.value, error, norm, certain.unit)


def _root_mean_square(trials: Values) -> Values:
    """Root mean square of each kind of trials; the larger of the two."""
    # the sums of squares without an array of the squares
    free, shared = (np.einsum("i...,i...->...", part, part) for part in (trials[:FREE], trials[FREE:]))
    result: Values = np.sqrt(np.maximum(free / FREE, shared / SHARED))
    return result


def _likely_norm(tried: Bounded) -> Values:
    """Likely error of the norm: the trials' component along the values, and their own norm."""
    assert tried.trials is not None
    flat, length = tried.trials.reshape(len(tried.trials), -1), euclidean(tried.value)
    along = flat @ (tried.value.ravel() / length) if length else np.zeros(len(flat))
    whole = np.sqrt((flat * flat).sum(1))
    result = SCATTER * _root_mean_square(along) + SCATTER / 4 * _root_mean_square(whole)
    return np.asarray(result if np.isfinite(result) else np.inf)


def carried(rounding: Values, *moved: Values | None) -> Values | None:
    """Trials of a result: its operands' propagated trials plus its own rounding; None if no operand has trials."""
    present = [each for each in moved if each is not None]
    if not present:
        return None
    result = drawn(rounding)
    for each in present:
        whole = result.shape == np.broadcast_shapes(result.shape, each.shape)
        result = np.add(result, each, out=result if whole else None)
    return result

"""Values with a bound on how far a float32 computation may be from them.

Running error analysis: every operation adds the rounding of its own result to what the errors of its operands grow to
(Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd edition, sections 3.1 and 3.3).  A sum of n products is
off by at most γ_n times the sum of their magnitudes, γ_n = n·u / (1 - n·u), whatever the order in which it is taken.

Two bounds are carried side by side, and each tightens the other: one for each value, and one for the Euclidean norm of
all errors together.  The first is sharp for a single operation; the second does not grow as fast through many layers,
because a matrix lengthens no vector by more than its spectral norm.
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
"""Beyond this a float32 result may have overflowed on the way: nothing is known of it."""
TINY: Final = 1e-37
"""Below the smallest normal float32 (1.2e-38) a device may round to 0; each product may lose so much."""


def gamma(count: int, unit: float) -> float:
    """γ_n: what a sum of ``count`` rounded products may lose, relative to the sum of their magnitudes."""
    return count * unit / (1 - count * unit) if count * unit < 0.5 else math.inf


def spectral(matrix: Values) -> float:
    """An upper bound of a matrix's largest singular value, at most a third above it for 100 rows or columns.

    ``‖A‖₂⁸ = ‖(AᵀA)⁴‖₂ ≤ ‖(AᵀA)⁴‖_F``.
    """
    largest = float(np.abs(matrix).max(initial=0))
    if not largest or not math.isfinite(largest):
        return largest
    scaled = matrix / largest
    gram = scaled.T @ scaled if scaled.shape[0] > scaled.shape[1] else scaled @ scaled.T
    square = gram @ gram
    fourth = square @ square
    return float(largest * math.sqrt(math.sqrt(math.sqrt(math.sqrt(float((fourth * fourth).sum()))))))


@dataclass(frozen=True, slots=True, eq=False)
class Bounded:
    """Values in float64, and how far float32 may be from them."""

    value: Values
    error: Values
    """Absolute, of each value by itself; in the shape of ``value``."""
    norm: Values
    """Euclidean norm of the errors: of all together, shape ``()``, or of each sample's, shape ``(B,)``."""
    unit: float = UNIT

    __array_ufunc__ = None  # NumPy's arrays leave the operation to us

    @classmethod
    def exact(cls, value: Values, unit: float = UNIT, *, by_sample: bool = False) -> Bounded:
        """Values that were recorded: there is nothing between them and float32's."""
        wide = np.asarray(value, np.float64)
        return cls(wide, np.zeros_like(wide), np.zeros(len(wide) if by_sample else ()), unit)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def is_exact(self) -> bool:
        """No error has entered yet: what it would grow to need not be computed."""
        return not self.norm.any()

    @property
    def reach(self) -> Values:
        """The largest magnitude that float32's values may have."""
        result: Values = np.abs(self.value) + self.error
        return result

    def length(self) -> tuple[float, float]:
        """Euclidean norm of all values, and how far that of float32's may be from it."""
        return euclidean(self.value), min(float(np.sqrt((self.norm**2).sum())), euclidean(self.error))

    # --- arithmetic ---

    def __add__(self, other: Bounded | Values | float) -> Bounded:
        other = self._paired(other)
        value = self.value + other.value
        return self._result(value, [(1.0, self), (1.0, other)], self._rounding(value, self.error + other.error))

    def __sub__(self, other: Bounded | Values | float) -> Bounded:
        return self + -self._paired(other)

    def __neg__(self) -> Bounded:
        return Bounded(-self.value, self.error, self.norm, self.unit)

    def __rsub__(self, other: float) -> Bounded:
        return -self + other

    def __mul__(self, other: Bounded | Values | float) -> Bounded:
        other = self._paired(other)
        value = self.value * other.value
        if self.is_exact and other.is_exact:
            return self._result(value, [], self._rounding(value, 0.0))
        grown = np.abs(self.value) * other.error + self.error * other.reach
        parts = [(other.reach, self), (np.abs(self.value), other)]
        return self._result(value, parts, self._rounding(value, grown))

    __radd__ = __add__
    __rmul__ = __mul__

    def _paired(self, other: Bounded | Values | float) -> Bounded:
        if isinstance(other, Bounded):
            return other
        wide = np.asarray(other, np.float64)
        return Bounded(wide, np.zeros_like(wide), np.zeros(()), self.unit)

    def _rounding(self, value: Values, grown: Values | float) -> Values:
        result: Values = self.unit * (np.abs(value) + grown) + TINY * (value != 0)
        return result

    def _result(self, value: Values, parts: Sequence[tuple[Values | float, Bounded]], rounding: Values) -> Bounded:
        """``rounding`` is this operation's own; each part's errors come in times its factor."""
        error, norm = rounding, _norm_of(rounding, self.norm)
        for factor, part in parts:
            if part.is_exact:
                continue
            grown = factor * part.error
            error = error + grown
            by_value = _norm_of(np.broadcast_to(grown, value.shape), self.norm)
            if part.shape == value.shape and part.norm.shape == self.norm.shape:
                norm = norm + np.minimum(by_value, _largest(np.asarray(factor), value.shape, self.norm) * part.norm)
            else:
                norm = norm + by_value
        return tightened(value, error, norm, self.unit)

    def function(self, value: Values, slope: Values | float, rounding: Values) -> Bounded:
        """An elementary function of these: ``slope`` bounds its derivative wherever float32's argument may be."""
        return self._result(value, [(slope, self)], rounding + TINY * (value != 0))

    # --- arrangement: no value changes ---

    def arranged(self, how: Callable[[Values], Values]) -> Bounded:
        """Reshaped, cut, moved: what ``how`` does with values it does with their errors."""
        error = how(self.error)
        return Bounded(how(self.value), error, _smaller(self.norm, _norm_of(error, self.norm)), self.unit)

    def reshape(self, *shape: int) -> Bounded:
        return self.arranged(lambda values: values.reshape(*shape))

    def __getitem__(self, index: Any) -> Bounded:
        return self.arranged(lambda values: values[index])


def euclidean(values: Values) -> float:
    """Euclidean norm, without overflow where the values are large."""
    with np.errstate(all="ignore"):
        return float(np.sqrt((values.astype(np.float64) ** 2).sum()))


def _norm_of(errors: Values, like: Values) -> Values:
    """Norms of errors, of all or by sample as ``like`` is; what is not finite says nothing."""
    if like.ndim and errors.ndim and len(errors) == len(like):
        found = np.sqrt((errors.reshape(len(errors), -1) ** 2).sum(1))
    else:
        found = np.full(like.shape, np.sqrt((errors**2).sum()))
    return np.where(np.isfinite(found), found, np.inf)


def _smaller(one: Values, other: Values) -> Values:
    result: Values = np.fmin(one, other)
    return result


def _largest(factor: Values, shape: tuple[int, ...], like: Values) -> Values:
    """The largest factor, of all or by sample."""
    if like.ndim and factor.ndim == len(shape) and len(factor) == len(like):
        result: Values = factor.reshape(len(factor), -1).max(1)
        return result
    return np.full(like.shape, factor.max(initial=0))


def _spread(norm: Values, ndim: int) -> Values:
    """Norms shaped to be broadcast over values of so many axes."""
    return norm.reshape(-1, *(1 for _ in range(ndim - 1))) if norm.ndim else norm


def tightened(value: Values, error: Values, norm: Values, unit: float) -> Bounded:
    """No error is larger than the norm of all, nor that than the norm of the single bounds."""
    error = np.fmin(error, _spread(np.where(np.isfinite(norm), norm, np.inf), error.ndim))
    return Bounded(value, error, _smaller(norm, _norm_of(error, norm)), unit)


def matmul(a: Bounded, b: Bounded, added: Bounded | None = None, *, factors: float = 0.0) -> Bounded:
    """``a @ b + added``, ``(..., K) @ (K, N)``; one sum of K + 1 terms, as fused routines take it.

    ``factors``: relative error with which a device rounds the factors before it multiplies.
    """
    value, size = a.value @ b.value, a.reach @ b.reach
    parts = [part for part in (added,) if part is not None]
    for part in parts:
        value, size = value + part.value, size + part.reach
    rounding = (gamma(b.shape[0] + 2, a.unit) + 3 * factors) * size + TINY * b.shape[0] * (size != 0)
    rounding = np.where(size > LARGEST, np.inf, rounding)
    error, norm = rounding, _norm_of(rounding, a.norm)
    if not a.is_exact:
        columns = np.sqrt((b.reach**2).sum(0))
        error = error + np.fmin(a.error @ b.reach, _spread(a.norm, value.ndim) * columns)
        norm = norm + a.norm * (spectral(b.value) + euclidean(b.error))
    if not b.is_exact:
        grown = np.abs(a.value) @ b.error
        error, norm = error + grown, norm + _norm_of(grown, a.norm)
    for part in parts:
        error, norm = error + part.error, norm + _norm_of(np.broadcast_to(part.error, value.shape), a.norm)
    return tightened(value, error, norm, a.unit)


def summed_products(d: Bounded, x: Bounded, *, factors: float = 0.0) -> Bounded:
    """``dᵀ x``, ``(M, J)`` and ``(M, I)`` to ``(J, I)``: a parameter's gradient as a sum over the mini-batch."""
    value, size = d.value.T @ x.value, d.reach.T @ x.reach
    rounding = (gamma(len(d.value) + 2, d.unit) + 3 * factors) * size + TINY * len(d.value) * (size != 0)
    rounding = np.where(size > LARGEST, np.inf, rounding)
    error, norm = rounding, _norm_of(rounding, d.norm)
    if not d.is_exact:
        each = np.sqrt((x.reach**2).sum(0))
        error = error + np.fmin(d.error.T @ x.reach, d.norm * each)
        norm = norm + d.norm * (spectral(x.value) + euclidean(x.error))
    if not x.is_exact:
        grown = np.abs(d.value).T @ x.error
        error, norm = error + grown, norm + _norm_of(grown, d.norm)
    return tightened(value, error, norm, d.unit)


def total(terms: Bounded, axis: int | tuple[int, ...] = 0) -> Bounded:
    """The sum along axes."""
    value, size = terms.value.sum(axis), terms.reach.sum(axis)
    axes = (axis,) if isinstance(axis, int) else axis
    count = math.prod(terms.shape[at] for at in axes)
    rounding = gamma(count, terms.unit) * size
    grown = terms.error.sum(axis)
    error = rounding + np.fmin(grown, math.sqrt(count) * euclidean(terms.error))
    return tightened(value, error, np.asarray(euclidean(error)), terms.unit)


def concatenated(parts: Sequence[Bounded], axis: int) -> Bounded:
    """Parts side by side."""
    return _joined(parts, lambda arrays: np.concatenate(arrays, axis))


def stacked(parts: Sequence[Bounded], axis: int) -> Bounded:
    """Parts along a new axis."""
    return _joined(parts, lambda arrays: np.stack(arrays, axis))


def _joined(parts: Sequence[Bounded], how: Callable[[list[Values]], Values]) -> Bounded:
    value, error = how([part.value for part in parts]), how([part.error for part in parts])
    norm = np.sqrt(np.sum([part.norm**2 for part in parts], 0))
    return tightened(value, error, np.asarray(norm), parts[0].unit)

"""Writes numbers with fixed widths and digits, so that they keep their columns between keyframes.

Every function returns right-aligned text of fixed width with a real minus sign (one cell wide), so that a changing
value redraws few cells and never moves its neighbors.  A number that does not fit is rounded or written as a power of
ten, never truncated, because a truncated number is wrong.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import SupportsFloat

MINUS = "−"
MANY = 10**10
"""Whole numbers at or above this are written as powers of ten."""


def _special(value: float) -> str | None:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    return None


def _short_exponent(value: float, digits: int) -> str:
    """``2.1e-6``: Python's format without the exponent's plus sign and leading zeros."""
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    return f"{mantissa}e{int(exponent)}".replace("-", MINUS)


def number(x: SupportsFloat, width: int = 6, decimals: int = 3) -> str:
    """A number in ``width`` cells (6 or more): fixed decimals for ordinary magnitudes, otherwise a power of ten.

    ``number(2.31) == ' 2.310'``, ``number(-0.5) == '−0.500'``, ``number(2.1e-6) == '2.1e−6'``; zero of either sign is
    ``' 0.000'``.  Decimals are dropped to fit the width (``'123.40'``); rounding happens before the width is measured
    (9.9996); a negative number too small even for an exponent (-1e-300) is zero.
    """
    value = float(x)
    special = _special(value)
    if special is not None:
        return special.rjust(width)
    if value == 0 or abs(value) >= 10.0**-decimals:
        for places in range(decimals, -1, -1):
            written = _plain(value, places)
            if len(written) <= width and (value == 0 or abs(value) >= 10.0**-places):
                return written.rjust(width)
    for digits in range(max(decimals - 2, 1), -1, -1):
        written = _short_exponent(value, digits)
        if len(written) <= width:
            return written.rjust(width)
    return _plain(0, min(decimals, width - 2)).rjust(width)


def brief(x: SupportsFloat, decimals: int = 4) -> str:
    """A number in a sentence, at most 8 or ``decimals + 4`` characters: ``'0.9750'``, ``'9.27e18'``.

    Uses a hyphen as minus, since commands print it and programs read it.
    """
    return number(x, max(decimals + 4, 8), decimals).strip().replace(MINUS, "-")


def whole(n: int) -> str:
    """A whole number in a sentence: ``'1437'``, ``'9.27e18'`` with more than ten digits."""
    return str(n) if abs(n) < MANY else _short_exponent(n, 2)


def difference(one: str, other: str) -> str:
    """The difference of two figures as they are written, with the decimals of the coarser one; empty if it is 0.

    ``difference('0.9750', '0.9722') == '0.0028'``: it agrees with what stands beside it, which the exact one need not.
    """
    try:
        first, second = (Decimal(text.replace(MINUS, "-").replace(",", "").strip(" %")) for text in (one, other))
        exact = first - second
        places = max(first.as_tuple().exponent, second.as_tuple().exponent, key=lambda exponent: int(exponent))
        rounded = exact.quantize(Decimal(1).scaleb(int(places)))
    except (ArithmeticError, ValueError):  # not finite, or no number
        return ""
    if not rounded:
        return ""
    written = f"{rounded:f}" if -6 <= rounded.adjusted() <= 9 else f"{rounded:.1e}"
    return written.replace("e+", "e").replace("e-0", "e-").replace("-", MINUS)


def read(words: str) -> float:
    """The value of a figure as it is written here."""
    return float(words.strip().replace(MINUS, "-").replace(",", "").replace("∞", "inf"))


def equals(result: str, recomputed: float) -> str:
    """The sign before a result: ``=``, or ``≈`` where the figures beside it give another last digit.

    Args:
        result: as it is written.
        recomputed: what the figures give as they are written.
    """
    value = read(result)
    if not (math.isfinite(value) and math.isfinite(recomputed)):
        return "="  # says where a value is not finite, which is no matter of digits
    exponent = int(Decimal(result.strip().replace(MINUS, "-").replace(",", "")).as_tuple().exponent)
    last = 10.0**exponent
    return "=" if abs(recomputed - value) <= 1.0001 * last else "≈"


def _plain(value: float, places: int) -> str:
    """Fixed decimals; a number that rounds to zero has no sign."""
    written = f"{value:.{places}f}"
    return written.lstrip("-") if float(written) == 0 else written.replace("-", MINUS)


def percent(x: SupportsFloat) -> str:
    """A fraction as a percentage in 7 cells: ``percent(0.796) == ' 79.6 %'``; NaN and ∞ stay aligned."""
    value = float(x) * 100
    special = _special(value)
    if special is not None:
        return f"{special:>5} %"
    written = _plain(value, 1)
    if len(written) > 5:
        written = _plain(value, 0)
    if len(written) > 5:
        written = _short_exponent(value, 0)
    return f"{written:>5} %"


def magnitude(x: SupportsFloat) -> str:
    """A number in 7 cells with as many digits at any magnitude: ``magnitude(0.97) == '  0.970'``.

    Only what is below 0.001 or from 100,000 on is a power of ten, with one digit less where it would not fit:
    ``' 2.1e−6'``, ``'−2e−12'``.  The digits are counted after rounding: 0.009996 is ``' 0.0100'``.
    """
    value = float(x)
    special = _special(value)
    if special is not None:
        return special.rjust(7)
    if value == 0:
        return "0".rjust(7)
    if 1e-3 <= abs(value) < 99_999.5:
        decades = int(f"{value:.2e}".partition("e")[2])
        for places in range(max(2 - decades, 0), -1, -1):
            if len(written := _plain(value, places)) <= 7:
                return written.rjust(7)
    written = _short_exponent(value, 1)
    return (written if len(written) <= 7 else _short_exponent(value, 0)).rjust(7)


def count(n: int) -> str:
    """A whole number with thousands separators: ``count(1437) == '1,437'``; at most 14 cells: ``'9.27e18'``."""
    return f"{n:,}".replace("-", MINUS) if abs(n) < MANY else whole(n)


def epoch(x: SupportsFloat) -> str:
    """Epochs done: ``'12'`` if whole, ``'1.67'`` within an epoch; at most 11 cells, ``'9.27e18'`` from 10⁷ on.

    A fraction never rounds up to a whole epoch (11.999 is ``'11.99'``), since that epoch is not complete.
    """
    value = float(x)
    special = _special(value)
    if special is not None:
        return special
    if abs(value) >= 1e7:
        return _short_exponent(value, 2)
    nearest = round(value)
    if abs(value - nearest) < 1e-6:
        return str(nearest)
    written = f"{value:.2f}"
    return f"{nearest - 0.01:.2f}" if nearest > value and float(written) == nearest else written

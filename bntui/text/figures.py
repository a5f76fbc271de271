"""How is a number written so that it keeps its columns and digits from keyframe to keyframe?

Every function gives text of a fixed width, right-aligned, with the real minus sign (one cell wide), so that
a changing value redraws a few cells and never moves its neighbours.  A figure that does not fit is rounded
or written as a power of ten before it is ever cut, because a cut number is a wrong number.
"""

from __future__ import annotations

import math
from typing import SupportsFloat

MINUS = "−"
MANY = 10**10
"""Whole numbers from here on are written as powers of ten."""


def _special(value: float) -> str | None:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    return None


def _short_exponent(value: float, digits: int) -> str:
    """``2.1e-6``: as Python writes it, without the exponent's plus sign and leading zeros."""
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    return f"{mantissa}e{int(exponent)}".replace("-", MINUS)


def number(x: SupportsFloat, width: int = 6, decimals: int = 3) -> str:
    """A number in ``width`` cells (6 or more): fixed decimals in everyday sizes, a power of ten beyond them.

    ``number(2.31) == ' 2.310'``, ``number(-0.5) == '−0.500'``, ``number(2.1e-6) == '2.1e−6'``; zero of either sign is
    ``' 0.000'``.  Decimals give way to the width (``'123.40'``); what rounds up (9.9996) is rounded first and measured
    then; a negative number too small even for an exponent (-1e-300) is zero.
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
    """A number within a sentence, at most 8 or ``decimals + 4`` characters: ``'0.9750'``, ``'9.27e18'``.

    Commands print it: with a hyphen as minus, as every program reads it.
    """
    return number(x, max(decimals + 4, 8), decimals).strip().replace(MINUS, "-")


def whole(n: int) -> str:
    """A whole number within a sentence: ``'1437'``, ``'9.27e18'`` from ten digits on."""
    return str(n) if abs(n) < MANY else _short_exponent(n, 2)


def _plain(value: float, places: int) -> str:
    """Fixed decimals; what rounds to zero has no sign."""
    written = f"{value:.{places}f}"
    return written.lstrip("-") if float(written) == 0 else written.replace("-", MINUS)


def percent(x: SupportsFloat) -> str:
    """A fraction as a percentage in 7 cells: ``percent(0.796) == ' 79.6 %'``; NaN and ∞ keep the column."""
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


def scientific(x: SupportsFloat) -> str:
    """A number in 7 cells, always as a power of ten: ``scientific(2.1e-6) == '2.1e−06'``; one digit if negative."""
    value = float(x)
    special = _special(value)
    if special is not None:
        return special.rjust(7)
    if value == 0:
        return "0.0e+00"
    written = f"{value:.1e}" if value > 0 else f"{value:.0e}"
    if len(written) > 7:  # an exponent of three digits
        written = f"{value:.0e}".replace("e+", "e")
    return written.replace("-", MINUS).rjust(7)


def count(n: int) -> str:
    """A whole number with thousands commas: ``count(1437) == '1,437'``; at most 14 cells: ``'9.27e18'``."""
    return f"{n:,}".replace("-", MINUS) if abs(n) < MANY else whole(n)


def epoch(x: SupportsFloat) -> str:
    """Epochs done: ``'12'`` where whole, ``'12.04'`` within an epoch; at most 11 cells, ``'9.27e18'`` from 10⁷ on.

    A fraction never rounds up to a whole epoch (11.999 is ``'11.99'``): that epoch is not done.
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
    return f"{math.floor(value * 100 + 1e-6) / 100:.2f}"

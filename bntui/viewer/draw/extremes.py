"""Computes with figures of any size: a recording may hold every float that exists, and panels draw it."""

from __future__ import annotations

from contextlib import AbstractContextManager


def unbounded() -> AbstractContextManager[object]:
    """While it lasts NumPy computes as IEEE 754 says, without warnings: what overflows is infinite, ∞ − ∞ is NaN.

    Whoever draws must place both; a warning would be one more line for each frame in the log, and help nobody.
    """
    import numpy as np

    return np.errstate(all="ignore")


def root(value: float) -> float:
    """The square root; NaN below 0.  It is NumPy's float, so that a division by it does not raise either."""
    import numpy as np

    found: np.float64 = np.sqrt(np.float64(value))
    return found

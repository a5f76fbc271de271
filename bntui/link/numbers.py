"""Validates the numbers in frames.

Apart from ``requests.py``, which imports what keyframes are: the gallery is painted before that is needed.
"""

from __future__ import annotations

import math

from bntui.link.wire import FrameError
from bntui.scenario.pace import FASTEST, SLOWEST
from bntui.text.language import _


def pace(value: object) -> float | None:
    """Validate a pace in epochs per second, or None.

    Raises:
        FrameError: the value is neither.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not SLOWEST <= value <= FASTEST:
        sentence = _("a pace must be a number of epochs per second from {slowest:g} to {fastest:g}, or null")
        raise FrameError(sentence.format(slowest=SLOWEST, fastest=FASTEST))
    return value


def natural(name: str, value: object) -> int:
    """Validate a whole number from 0.

    Raises:
        FrameError: it is not one.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise FrameError(_("{name} must be a whole number, at least 0").format(name=name))
    return value


def finite(name: str, value: object) -> float:
    """Validate a finite number from 0.

    Raises:
        FrameError: it is not one.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise FrameError(_("{name} must be a number, at least 0").format(name=name))
    return value

"""Keeps garbage collections short, because the screen stands still while they last."""

from __future__ import annotations

import gc
from functools import cache
from typing import Final, Literal

OFTEN: Final = 5_000
"""New objects before a garbage collection while keys are awaited: it takes a tenth as long as one of ``RARELY``."""


@cache
def settled(when: Literal["painted", "warmed"]) -> None:  # noqa: ARG001
    """Leave all objects that exist out of later collections, once at each of two moments.

    They are mostly those of imported modules, ninety thousand, and a full collection would visit all of them.  Later
    the objects of closed screens would be among them, which must be collected.
    """
    gc.freeze()
    gc.set_threshold(OFTEN)

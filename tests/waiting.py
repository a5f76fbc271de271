"""Waits for what another process or thread does, and fails if it does not come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def until(happened: Callable[[], Found | None], what: str = "what was waited for", seconds: float = 60) -> Found:
    """Return what a call finds, as soon as it is true.

    Raises:
        AssertionError: if it finds nothing within that many seconds.
    """
    deadline = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.01)
    return found

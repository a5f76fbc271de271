"""Waits for what another process or thread does, and fails if it does not come."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(happened: Callable[[], object], what: str = "what was waited for", seconds: float = 60) -> None:
    """Return as soon as something has happened.

    Raises:
        AssertionError: if it has not within that many seconds.
    """
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.01)

"""Holds Ctrl+C back while worker processes are started, which the terminal sends to them as well.

A process that begins with the signal blocked keeps it blocked; until a worker ignores it by itself, it imports packages
for a second, and would print where it was interrupted.  The one that starts them ends them.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def interrupted_later() -> Iterator[None]:
    """Deliver Ctrl+C to this thread afterwards, and to no process that is started meanwhile."""
    caught: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    # another thread that does not block the signal receives it for the main one
    handler = signal.signal(signal.SIGINT, lambda number, _frame: caught.append(number)) if main else None
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        resource_tracker.ensure_running()  # where it is started, it lets the signal through again
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if main:
            signal.signal(signal.SIGINT, handler)
        if caught:
            signal.raise_signal(signal.SIGINT)

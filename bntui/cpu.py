"""Tells which cores of the processor this program may use, and spreads processes over them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

_SPINS: Final = "3000"


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(processes: Sequence[int]) -> None:
    """Give each process its own share of the cores that this one may use.

    Processes that compute all the time and are woken by a common one are otherwise often left on one core by Linux,
    while another core has nothing to do.  If they are more than the cores, all of them may use all cores, also those
    that had a share while they were fewer.  Nothing is done where it is impossible.

    Args:
        processes: their ids.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    mine = sorted(os.sched_getaffinity(0))
    apart = len(processes) <= len(mine)
    for number, process in enumerate(processes):
        with suppress(OSError):  # it has ended
            os.sched_setaffinity(process, mine[number :: len(processes)] if apart else mine)


def wait_briefly() -> None:
    """Let threads that compute together give up their core soon while they wait for each other.

    GNU's OpenMP lets them try for milliseconds.  While another program has that core, all of them then wait for what
    it takes away, and two threads are six times as slow as one.  Call this before torch is imported.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)

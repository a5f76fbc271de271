"""Tells which cores of the processor this program may use, and spreads processes over them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress


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

"""Divides seeds into jobs for workers."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from typing import Final, TypeVar

One = TypeVar("One")

_JOBS: Final = 4
"""Jobs for each worker, at least: with fewer, workers would wait for the last one."""


def shares(wanted: Iterable[One], run: Callable[[One], Hashable], jobs: int) -> list[list[One]]:
    """The seeds of each job, which may be trained at once: all of a run, or some where there are few runs.

    Args:
        run: what a seed is trained with; a job has seeds of one run only.
        jobs: number of workers.
    """
    of_run: dict[Hashable, list[One]] = {}
    for one in wanted:
        of_run.setdefault(run(one), []).append(one)
    parts = min(jobs, math.ceil(_JOBS * jobs / max(len(of_run), 1)))
    return [part for seeds in of_run.values() for first in range(parts) if (part := seeds[first::parts])]

"""Shares runs out among workers so that these take about the same time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping


def shares(seconds: Mapping[int, float], workers: int) -> list[list[int]]:
    """The runs of each worker, in the order of their numbers.

    The longest run goes first, each to the worker that has the least to do: at most 4/3 of the best possible time
    (Graham, Bounds on multiprocessing timing anomalies, 1969).

    Args:
        seconds: time of each run, by number.
    """
    each: list[list[int]] = [[] for _ in range(workers)]
    loads = [0.0] * workers
    for run in sorted(seconds, key=lambda run: (-seconds[run], run)):
        least = loads.index(min(loads))
        each[least].append(run)
        loads[least] += seconds[run]
    return [sorted(runs) for runs in each]


def slowest(seconds: Mapping[int, float], each: Iterable[Collection[int]]) -> float:
    """The time until the last worker is done."""
    return max((sum(seconds[run] for run in runs) for runs in each), default=0.0)


def saved(seconds: Collection[float], workers: int) -> float:
    """The seconds that workers save, if they take none themselves."""
    return sum(seconds) - max(sum(seconds) / workers, max(seconds, default=0.0))

"""Chooses the steps of a long run that are imported."""

from __future__ import annotations

from collections.abc import Collection, Iterable


def thinned(courses: Iterable[Collection[int]], most: int) -> tuple[tuple[int, ...], int]:
    """Of the steps of some figures, about ``most`` at most, ascending, and of how many one is kept.

    Figures that were logged rarely, such as those of a validation, keep all of their steps: up to half of what there is
    room for.  Each of the others keeps its first step, every second, third, …, and its last one.
    """
    every = sorted(map(sorted, courses), key=len)
    steps: set[int] = set().union(*every)
    if len(steps) <= most:
        return tuple(sorted(steps)), 1
    kept: set[int] = set()
    often: list[list[int]] = []
    for course in every:
        if often or len(kept.union(course)) > most // 2:
            often.append(course)
        else:
            kept.update(course)
    stride, room = 1, most - len(kept)
    chosen = steps
    while len(chosen) > room:  # figures of other steps than one another's share the room
        stride = max(stride + 1, stride * len(chosen) // room)
        chosen = set().union(*(course[::stride] for course in often))
    return tuple(sorted(kept.union(chosen, (course[-1] for course in often if course)))), stride

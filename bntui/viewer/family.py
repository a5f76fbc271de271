"""Orders the runs of a recording as a tree of forks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from rich.cells import cell_len

from bntui.recording.history import RunInfo
from bntui.text.widths import cut
from bntui.viewer.view import RunView

BETWEEN: Final = " · "
"""Stands in a fork's name between its parent's and what is different."""


class Twig(NamedTuple):
    """A run in its place in the tree."""

    run: int
    """Its number."""
    branch: str
    """Lines that lead to it from its parent, empty for a run of the scenario."""


def parent(run: RunInfo) -> int | None:
    """Number of the run that a fork comes from; a file of a stranger may name one that was not there yet."""
    return run.fork.run if run.fork is not None and 0 <= run.fork.run < run.index else None


def tree(runs: Sequence[RunInfo]) -> tuple[Twig, ...]:
    """All runs, each one followed by its forks in the order in which they were made."""
    children: dict[int | None, list[int]] = {}
    for run in runs:
        children.setdefault(parent(run), []).append(run.index)

    def below(above: int | None, lines: str) -> Iterator[Twig]:
        twigs = children.get(above, [])
        for run in twigs:
            last = run == twigs[-1]
            branch = "" if above is None else lines + ("└ " if last else "├ ")
            inner = "" if above is None else lines + ("  " if last else "│ ")
            yield Twig(run, branch)
            yield from below(run, inner)

    return tuple(below(None, ""))


def next_run(runs: Sequence[RunInfo], selected: int, by: int) -> int:
    """The run ``by`` places further in the tree; the last one is followed by the first."""
    order = [twig.run for twig in tree(runs)]
    return order[(order.index(selected) + by) % len(order)]


def own_name(run: RunView) -> str:
    """A fork's name without its parent's, which stands above it in the tree."""
    return run.name.rpartition(BETWEEN)[2] if run.info.fork is not None else run.name


def value_text(value: Any) -> str:
    """A setting's value in a few cells."""
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else "{…}" if isinstance(value, dict) else str(value)


def brief(run: RunView, cells: int) -> str:
    """A run's name in at most so many cells: of a fork's, what is different in it stays."""
    if cell_len(run.name) <= cells:
        return run.name
    if run.info.fork is None:
        return cut(run.name, cells)
    return cut("…" + own_name(run), cells)

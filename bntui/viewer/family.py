"""Orders the runs of a recording as a tree of forks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple

from rich.cells import cell_len

from bntui.recording.forked import parent_of
from bntui.recording.history import RunInfo
from bntui.text.widths import cut
from bntui.viewer.view import RunView

BETWEEN: Final = " · "
"""Separates, in a fork's name, its parent's name from what is different."""


class Twig(NamedTuple):
    """A run in the tree."""

    run: int
    """Number of the run."""
    branch: str
    """Box-drawing characters that connect it to its parent; empty for a run of the scenario."""


def tree(runs: Sequence[RunInfo]) -> tuple[Twig, ...]:
    """All runs, each followed by its forks in the order of their creation."""
    children: dict[int | None, list[int]] = {}
    for run in runs:
        children.setdefault(parent_of(run), []).append(run.index)

    def below(above: int | None, lines: str) -> Iterator[Twig]:
        twigs = children.get(above, [])
        for run in twigs:
            last = run == twigs[-1]
            branch = "" if above is None else lines + ("└ " if last else "├ ")
            inner = "" if above is None else lines + ("  " if last else "│ ")
            yield Twig(run, branch)
            yield from below(run, inner)

    return tuple(below(None, ""))


def next_run(runs: Sequence[RunInfo], selected: int, by: int, hidden: Collection[int] = ()) -> int:
    """The run ``by`` places further in the tree, without the hidden ones; the last one is followed by the first."""
    order = [twig.run for twig in tree(runs) if twig.run not in hidden]
    return order[(order.index(selected) + by) % len(order)]


def own_name(run: RunView) -> str:
    """A run's name in the tree; a fork's is without that of its parent, which is displayed above it."""
    return run.name.rpartition(BETWEEN)[2] if run.info.fork is not None else run.name


def brief(run: RunView, cells: int) -> str:
    """A run's name in at most ``cells`` cells; a fork's name keeps the part that differs from its parent."""
    if cell_len(run.name) <= cells:
        return run.name
    if run.info.fork is None:
        return cut(run.name, cells)
    return cut("…" + own_name(run), cells)

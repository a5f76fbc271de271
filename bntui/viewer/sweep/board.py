"""Defines what the screen of a sweep shows, and where the user looks; pure values."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

Place = tuple[str, ...]
"""A combination: a value for each axis, as written."""


@dataclass(frozen=True, slots=True)
class Try:
    """One trial of a combination."""

    seed: int
    goal: float
    """NaN if it failed or was pruned."""
    recording: Path | None
    """None if it failed."""
    reason: str = ""
    """Why it has no goal."""
    command: str = ""
    """Trains it again."""


@dataclass(frozen=True, slots=True)
class Combination:
    """A combination with its goal over seeds."""

    place: Place
    mean: float
    """Of the trials with a finite goal."""
    half: float
    """Half of its 95 % interval; NaN with fewer than two values."""
    finite: int
    """Number of trials with a finite goal."""
    tries: tuple[Try, ...]
    """By seed."""
    wild: bool = False
    """A trial diverged, which puts it behind those without, whatever its goal."""

    @property
    def sound(self) -> bool:
        """Every trial has a finite goal, and none diverged."""
        return self.finite == len(self.tries) and not self.wild


@dataclass(frozen=True)
class Board:
    """A sweep as far as it is done."""

    title: str
    goal: str
    """What ranks the combinations."""
    larger: bool
    """Larger values of it are better."""
    axes: tuple[tuple[str, tuple[str, ...]], ...]
    """Key path and values of each axis, in order; without values where they are drawn from a range."""
    ranked: tuple[Combination, ...]
    """The best first."""
    done: int
    total: int
    failed: int

    @cached_property
    def by_place(self) -> Mapping[Place, Combination]:
        """The combinations by their values."""
        return {one.place: one for one in self.ranked}

    @property
    def maps(self) -> bool:
        """It can be drawn as a heat map: two axes with values."""
        return len(self.axes) == 2 and all(values for _path, values in self.axes)

    @property
    def pictured(self) -> bool:
        """It can be drawn as something else than a list: as a heat map, or as lines over three and more axes."""
        return self.maps or len(self.axes) > 2

    @cached_property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest goal of a single trial; NaN if there is none."""
        goals = [one.goal for each in self.ranked for one in each.tries if math.isfinite(one.goal)]
        return (min(goals), max(goals)) if goals else (math.nan, math.nan)

    @property
    def decades(self) -> bool:
        """The goals differ by factors, so that their axis is logarithmic."""
        low, high = self.ends
        return low > 0 and high > 30 * low

    def share(self, goal: float) -> float:
        """Where a goal is between the ends, from 0 to 1 and beyond; NaN where there is no place."""
        low, high = self.ends
        if self.decades:
            if not goal > 0:
                return -math.inf if goal <= 0 else math.nan
            low, high, goal = (math.log(one) if math.isfinite(one) else one for one in (low, high, goal))
        return (goal - low) / (high - low) if high > low else 0.5 if math.isfinite(goal) else math.nan

    @cached_property
    def _means(self) -> tuple[float, ...]:
        """The means of the combinations that are sound, in ascending order."""
        return tuple(sorted(each.mean for each in self.ranked if each.sound and each.finite))

    def quality(self, one: Combination) -> float:
        """How good a combination is among all, from 0 (the worst) to 1; NaN if a trial has no finite goal."""
        means = self._means
        if not one.sound or not one.finite:
            return math.nan
        worse = bisect_left(means, one.mean) if self.larger else len(means) - bisect_right(means, one.mean)
        return worse / (len(means) - 1) if len(means) > 1 else 1.0


@dataclass(frozen=True, slots=True)
class BoardSelection:
    """Where the user looks."""

    place: Place = ()
    """The chosen combination; empty for the best."""
    seed: int = 0
    """Number of the chosen trial among those of the combination."""
    listed: bool = False
    """As a list, though there could be a picture."""

    def chosen(self, board: Board) -> Combination | None:
        """The chosen combination; None if it has no trial yet."""
        if not self.place:
            return board.ranked[0] if board.ranked else None
        return board.by_place.get(self.place)

    def trial(self, board: Board) -> Try | None:
        """The chosen trial."""
        one = self.chosen(board)
        return one.tries[min(self.seed, len(one.tries) - 1)] if one is not None and one.tries else None


def moved(look: BoardSelection, board: Board, across: int, down: int) -> BoardSelection:
    """Move to another combination: on the map in two directions, in the list up and down."""
    here = look.chosen(board)
    place = look.place or (here.place if here is not None else ())
    if not place:
        return look
    if board.maps and not look.listed:
        rows, columns = board.axes[0][1], board.axes[1][1]
        row = min(max(rows.index(place[0]) + down, 0), len(rows) - 1)
        column = min(max(columns.index(place[1]) + across, 0), len(columns) - 1)
        return replace(look, place=(rows[row], columns[column]), seed=0)
    if across:
        return another_seed(look, board, across)
    places = [one.place for one in board.ranked]
    at = places.index(place) if place in places else 0
    return replace(look, place=places[min(max(at + down, 0), len(places) - 1)], seed=0)


def another_seed(look: BoardSelection, board: Board, by: int) -> BoardSelection:
    """Choose another trial of the combination."""
    one = look.chosen(board)
    if one is None:
        return look
    return replace(look, seed=(min(look.seed, len(one.tries) - 1) + by) % len(one.tries))


def best(look: BoardSelection, board: Board) -> BoardSelection:
    """Choose the best combination."""
    return replace(look, place=board.ranked[0].place if board.ranked else (), seed=0)

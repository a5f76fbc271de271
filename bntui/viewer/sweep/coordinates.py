"""Draws a sweep of three and more axes as lines over parallel axes: one for each setting, and one for the goal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from bntui.keyframe import BoolArray, IntArray
from bntui.text.widths import cut, ljust
from bntui.viewer.draw.canvas import braille, characters, rows_of
from bntui.viewer.draw.cells import tick
from bntui.viewer.draw.rows import Row, Span, fit
from bntui.viewer.sweep.board import Board, BoardSelection, Combination

MOST: Final = 400
"""Combinations that are drawn, the best ones; more could not be told apart."""
STYLES: Final = ("muted", "warn", "muted", "text", "good", "bold good", "bold accent")
"""By what a cell shows; of two lines in a cell, the later one counts."""
_GROUND, _UNSOUND, _WORST, _MIDDLE, _GOOD, _BEST, _CHOSEN = range(len(STYLES))
_LAST: Final = 9
"""Cells of the axis of the goal with its labels."""
_FACTOR: Final = 30
"""Numbers that differ by more than this are on a logarithmic axis."""


@dataclass(frozen=True, slots=True)
class VerticalAxis:
    """A vertical axis."""

    name: str
    places: Mapping[str, float]
    """Where each value is, from 0 (the top) to 1; on the axis of the goal, each rank from 0."""
    labels: tuple[tuple[float, str], ...]
    """What is written beside it."""


def coordinates(board: Board, look: BoardSelection, width: int, height: int) -> list[Row]:
    """A line for each combination, the best and the chosen one with marks on the axes."""
    axes = [*_settings(board), _goal(board)]
    lines = max(height - 1, 2)
    step = (width - 2 - _LAST) / (len(axes) - 1)
    at = [1 + round(number * step) for number in range(len(axes))]
    here = look.chosen(board)
    chosen = next((rank for rank, one in enumerate(board.ranked) if one is here), None)
    bits, styles = _drawn(board, axes, at, (width, lines), chosen)
    glyphs = characters(bits)
    for axis, x, end in zip(axes, at, (*at[1:], width), strict=True):
        glyphs[:, x] = "│"
        styles[:, x] = _GROUND
        room = end - x - 1
        for row, label in _spaced(axis, lines):
            written = cut(label, max(room, 1))
            glyphs[row, x] = "┼"
            if written.isascii():  # a character of two cells has no place among single ones
                glyphs[row, x + 1 : x + 1 + len(written)] = list(written)
                styles[row, x + 1 : x + 1 + len(written)] = _GROUND
    for rank in dict.fromkeys((0 if chosen is None else chosen, 0)):
        for x, y in zip(at, _heights(board, axes, rank), strict=False):
            row = round(y * (lines - 1))
            glyphs[row, x], styles[row, x] = "●" if rank else "★", _CHOSEN if rank == chosen else _BEST
    return [_names(axes, at, width), *rows_of(glyphs, styles, STYLES)]


def _names(axes: Sequence[VerticalAxis], at: Sequence[int], width: int) -> Row:
    ends = [*at[1:], width]
    names = (ljust(cut(axis.name, end - x - 1), end - x) for axis, x, end in zip(axes, at, ends, strict=True))
    return fit((Span(" " * at[0]), *(Span(name, "muted") for name in names)), width)


def _spaced(axis: VerticalAxis, lines: int) -> Iterator[tuple[int, str]]:
    """The labels that have a row of their own, those at the ends first."""
    taken: set[int] = set()
    for place, label in sorted(axis.labels, key=lambda one: -abs(one[0] - 0.5)):
        row = round(place * (lines - 1))
        if row not in taken:
            taken.add(row)
            yield row, label


# --- axes ---


def _settings(board: Board) -> Iterator[VerticalAxis]:
    ends = [path.rpartition(".")[2] for path, _values in board.axes]
    for at, ((path, values), end) in enumerate(zip(board.axes, ends, strict=True)):
        name = end if ends.count(end) == 1 else path
        if values:  # numbers rise, and what has no order is read downwards
            order = values[::-1] if all(math.isfinite(_number(one)) for one in values) else values
            shares = np.linspace(0, 1, len(order)).tolist() if len(order) > 1 else [0.5]
            places = dict(zip(order, shares, strict=True))
            yield VerticalAxis(name, places, tuple((place, value) for value, place in places.items()))
        else:
            yield _numeric(name, {one.place[at]: _number(one.place[at]) for one in board.ranked}, rising=True)


def _goal(board: Board) -> VerticalAxis:
    means = {str(number): one.mean for number, one in enumerate(board.ranked) if one.sound and one.finite}
    return _numeric(board.goal, means, rising=board.larger)


def _numeric(name: str, values: Mapping[str, float], *, rising: bool) -> VerticalAxis:
    """An axis of numbers; a falling one has the lowest at the top."""
    known = [value for value in values.values() if math.isfinite(value)]
    if not known:
        return VerticalAxis(name, {}, ())
    low, high = min(known), max(known)
    logarithmic = low > 0 and high > _FACTOR * low

    def share(value: float) -> float:
        if high == low:
            return 0.5
        part = math.log(value / low) / math.log(high / low) if logarithmic else (value - low) / (high - low)
        return 1 - part if rising else part

    places = {name: share(value) for name, value in values.items() if math.isfinite(value)}
    name = f"{name} (log)" if logarithmic else name
    return VerticalAxis(name, places, tuple({share(end): tick(float(f"{end:.3g}")) for end in (low, high)}.items()))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


# --- lines ---


def _heights(board: Board, axes: Sequence[VerticalAxis], rank: int) -> list[float]:
    """Where a combination is on each axis; without the goal unless every seed has a finite one."""
    names = (*board.ranked[rank].place, str(rank))
    return [axis.places[name] for axis, name in zip(axes, names, strict=True) if name in axis.places]


def _drawn(
    board: Board, axes: Sequence[VerticalAxis], at: Sequence[int], size: tuple[int, int], chosen: int | None
) -> tuple[IntArray, IntArray]:
    """The bits of the braille characters, and the style of each cell."""
    width, lines = size
    bits, styles = np.zeros((lines, width), np.int64), np.full((lines, width), _GROUND)
    looks: dict[int, list[int]] = {}
    for rank, one in enumerate(board.ranked[:MOST]):
        looks.setdefault(_style(board, one), []).append(rank)
    if chosen is not None:
        looks[_CHOSEN] = [chosen]
    for style, ranks in sorted(looks.items()):
        own = braille(_lines(at, [_heights(board, axes, rank) for rank in ranks], size))
        bits = np.where(own > 0, own, bits) if style >= _BEST else bits | own
        styles[own > 0] = style
    return bits, styles


def _style(board: Board, one: Combination) -> int:
    quality = board.quality(one)
    if math.isnan(quality):
        return _UNSOUND
    if one is board.ranked[0]:
        return _BEST
    return _GOOD if quality >= 0.75 else _MIDDLE if quality >= 0.25 else _WORST


def _lines(at: Sequence[int], heights: Sequence[Sequence[float]], size: tuple[int, int]) -> BoolArray:
    """The dots of lines through their points; a cell has four rows and two columns of them."""
    width, lines = size
    dots = np.zeros((4 * lines, 2 * width), np.bool_)
    for gap, (left, right) in enumerate(pairwise(at)):
        # a line has one dot in each row or column of dots, whichever it crosses more of; many lines are the same here
        ends = {tuple(one[gap : gap + 2]) for one in heights if len(one) > gap + 1}
        rows = np.array(sorted(ends)).reshape(-1, 2, 1)
        rows = np.round(rows * (lines - 1)) * 4 + 1
        along = np.linspace(0, 1, max(2 * (right - left), 4 * lines) + 1)
        down = np.round(rows[:, 0] + (rows[:, 1] - rows[:, 0]) * along).astype(np.intp)
        across = np.round(2 * (left + (right - left) * along)).astype(np.intp)
        dots[down, across] = True
    return dots

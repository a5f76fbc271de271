"""Tests that each cell of a chart shows one line alone, and where its dots lie."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bntui.keyframe import BoolArray
from bntui.viewer.draw.axes import Axes, Limits
from bntui.viewer.draw.charts import Series, line_chart
from bntui.viewer.draw.rows import Row
from bntui.viewer.draw.strokes import Stroke, along, drawn, thick

BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Of a braille character's dots, by row and column (Unicode's chart of U+2800)."""


def dots_of(rows: tuple[Row, ...], color: str) -> set[tuple[int, int]]:
    """The dots, row and column, that rows show in a color."""
    found = set()
    for y, row in enumerate(rows):
        x = 0
        for span in row:
            for char in span.text:
                if span.style.split()[-1:] == [color] and char != " ":
                    bits = ord(char) - 0x2800
                    lit = [(4 * y + r, 2 * x + c) for r in range(4) for c in range(2) if bits & BITS[r][c]]
                    found.update(lit)
                x += 1
    return found


def cells(dots: set[tuple[int, int]]) -> set[tuple[int, int]]:
    return {(y // 4, x // 2) for y, x in dots}


def lit(dots: BoolArray) -> set[tuple[int, int]]:
    return {(int(y), int(x)) for y, x in np.argwhere(dots)}


masks = st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=8, max_size=8).map(np.array)


@given(st.lists(st.tuples(masks, st.sampled_from(["run0", "bold run0", "run1", "bold run2"])), min_size=1, max_size=5))
def test_a_cell_has_the_dots_of_the_topmost_color_alone(lines: list[tuple[BoolArray, str]]) -> None:
    rows = drawn([Stroke(dots, style) for dots, style in lines], 2, 3)
    taken: set[tuple[int, int]] = set()
    for color in dict.fromkeys(style.split()[-1] for _, style in reversed(lines)):
        own = set().union(*(lit(dots) for dots, style in lines if style.split()[-1] == color))
        # a color's place in the order is that of its topmost line in the cell
        above = {
            cell
            for cell in cells(own)
            if next(style.split()[-1] for dots, style in reversed(lines) if cell in cells(lit(dots))) == color
        }
        assert dots_of(rows, color) == {dot for dot in own if (dot[0] // 4, dot[1] // 2) in above}
        taken |= above
    assert taken == set().union(*(cells(lit(dots)) for dots, _ in lines))


def test_where_two_runs_cross_the_selected_ones_dots_are_drawn() -> None:
    x = np.arange(11.0)
    other, selected = Series("other", x, 1 - x / 10, "bold run0"), Series("selected", x, x / 10, "bold run1")
    axes = Axes(Limits(0, 10), Limits(0, 1))

    def canvas(*series: Series) -> tuple[Row, ...]:
        return line_chart(series, axes, 13, 4).rows

    whole = dots_of(canvas(selected), "run1")
    both = canvas(other, selected)
    assert dots_of(both, "run1") == whole
    assert not cells(whole) & cells(dots_of(both, "run0"))
    left = dots_of(canvas(other), "run0")
    assert dots_of(both, "run0") == {(y, x) for y, x in left if (y // 4, x // 2) not in cells(whole)}


@given(st.floats(0, 1), st.floats(0, 1), st.integers(14, 90), st.integers(5, 30))
def test_a_value_lies_in_the_cell_in_which_the_axes_have_it(x: float, y: float, width: int, height: int) -> None:
    chart = line_chart(
        [Series("a", np.array([x]), np.array([y]), "run0")], Axes(Limits(0, 1), Limits(0, 1)), width, height
    )
    ((row, column),) = cells(dots_of(chart.rows, "run0"))
    assert (row, column) == (chart.line(y), chart.column(x))
    assert column - chart.left == math.floor(x * (chart.columns - 1) + 0.5)


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 31)), min_size=1, max_size=6))
def test_a_line_has_no_holes_and_leads_from_point_to_point(points: list[tuple[int, int]]) -> None:
    x, y = np.array(points, float).T
    joined = np.array([False] + [True] * (len(points) - 1))
    found = lit(along(x, y, joined, 8, 10))
    assert {(int(b), int(a)) for a, b in points} <= found
    reached = {(points[0][1], points[0][0])}
    while more := {
        dot for dot in found - reached if any(max(abs(dot[0] - a), abs(dot[1] - b)) == 1 for a, b in reached)
    }:
        reached |= more
    assert reached == found
    assert lit(along(x, y, np.zeros(len(x), bool), 8, 10)) == {(int(b), int(a)) for a, b in points}


@given(masks)
def test_a_thick_line_covers_the_thin_one_and_its_neighbours(dots: BoolArray) -> None:
    expected = {(y + b, x + a) for y, x in lit(dots) for a in (0, 1) for b in (0, 1) if y + b < 8 and x + a < 6}
    assert lit(thick(dots)) == expected

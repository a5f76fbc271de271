"""Evidence thinning: what is kept at each stride, what is never dropped, and resuming where a writer left."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.recording.thinning import Thinning

FIRST_ROW = 100
"""Rows are ids of the database, not numbers of keyframes."""


def filled(thinning: Thinning, sizes: Iterable[int], marked: Iterable[int] = ()) -> list[list[int]]:
    """Adds the evidence that is due; the numbers of the keyframes whose evidence is dropped, each time."""
    gone = []
    for size in sizes:
        number, keep = thinning.count, thinning.count in set(marked)
        if keep or thinning.due(number):
            gone.append([row - FIRST_ROW for row in thinning.add(FIRST_ROW + number, number, size, keep=keep)])
        thinning.count += 1
    return gone


def kept(thinning: Thinning) -> list[int]:
    return [row - FIRST_ROW for row in thinning.sizes]


@pytest.mark.parametrize(
    ("keyframes", "stride", "expected"),
    [
        (1, 1, [0]), (4, 1, [0, 1, 2, 3]), (5, 2, [0, 2, 4]), (6, 2, [0, 2, 4]), (7, 2, [0, 2, 4, 6]),
        (9, 4, [0, 4, 8]), (13, 4, [0, 4, 8, 12]), (17, 8, [0, 8, 16]), (33, 16, [0, 16, 32]),
    ],
)  # fmt: skip
def test_the_stride_doubles_when_the_budget_is_full(keyframes: int, stride: int, expected: list[int]) -> None:
    thinning = Thinning(40.0)
    filled(thinning, [10] * keyframes)
    assert (thinning.stride, kept(thinning)) == (stride, expected)
    assert set(thinning._numbers) == set(thinning.sizes)


def test_what_is_dropped_is_said_once_in_order() -> None:
    assert filled(Thinning(40.0), [10] * 9) == [[], [], [], [], [1, 3], [], [2, 6]]


def test_a_large_keyframe_doubles_the_stride_until_it_fits() -> None:
    thinning = Thinning(50.0)
    assert filled(thinning, [10, 10, 10, 10, 30]) == [[], [], [], [], [1, 3]]
    assert filled(thinning, [10, 10, 10, 41]) == [[2], [6, 4]]
    assert (thinning.stride, kept(thinning)) == (8, [0, 8])


def test_the_last_keyframe_stays_where_nothing_else_can_go() -> None:
    thinning = Thinning(5.0)
    assert filled(thinning, [10, 10]) == [[], []]
    assert (thinning.stride, kept(thinning)) == (1, [0, 1])
    assert filled(thinning, [10]) == [[1]]
    assert (thinning.stride, kept(thinning)) == (2, [0, 2])


def test_the_best_keyframe_stays_while_it_is_the_best() -> None:
    thinning = Thinning(40.0)
    filled(thinning, [10, 10])
    thinning.best = FIRST_ROW + 1
    filled(thinning, [10] * 7)
    assert 1 in kept(thinning)
    thinning.best = FIRST_ROW + 8
    filled(thinning, [10] * 8)
    assert 1 not in kept(thinning)


def test_evidence_of_an_event_stays() -> None:
    thinning = Thinning(40.0)
    filled(thinning, [10] * 40, marked=[3, 21])
    assert {0, 3, 21} <= set(kept(thinning))


@pytest.mark.parametrize("stride", [1, 2, 8])
def test_evidence_is_due_every_stride(stride: int) -> None:
    thinning = Thinning(0.0, stride)
    assert [number for number in range(17) if thinning.due(number)] == list(range(0, 17, stride))


def test_a_resumed_writer_drops_neither_the_first_nor_an_events() -> None:
    rows = [(FIRST_ROW + number, 7 * number) for number in range(4)]
    thinning = Thinning.resumed(40.0, 1, rows, dict.fromkeys(dict(rows), 10), {7})
    filled(thinning, [10] * 20)
    assert kept(thinning) == [0, 1, 8, 16]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(0, 59), st.integers(0, 400), st.data())
def test_a_resumed_writer_thins_as_one_that_went_on(
    sizes: list[int], left_at: int, budget: int, data: st.DataObject
) -> None:
    marked = data.draw(st.sets(st.integers(0, 59), max_size=3))
    whole = Thinning(budget)
    filled(whole, sizes[:left_at], marked)
    rows = [(FIRST_ROW + number, 7 * number) for number in range(len(sizes[:left_at]))]
    again = Thinning.resumed(budget, whole.stride, rows, dict(whole.sizes), {7 * number for number in marked})
    assert (again.count, again.sizes, again._numbers) == (whole.count, whole.sizes, whole._numbers)
    assert again.best is None
    dropped = [filled(thinning, sizes[left_at:], marked) for thinning in (whole, again)]
    assert dropped[0] == dropped[1]
    assert (again.stride, again.sizes) == (whole.stride, whole.sizes)

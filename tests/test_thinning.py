"""Evidence thinning: what is kept within the budget, compared with a plain definition, and resuming where a writer
left.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence

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
        number, keep = thinning.next(), thinning.count - 1 in set(marked)
        if keep or thinning.due(number):
            gone.append([row - FIRST_ROW for row in thinning.add(FIRST_ROW + number, number, size, keep=keep)])
    return gone


def kept(thinning: Thinning) -> list[int]:
    return sorted(row - FIRST_ROW for row in thinning.sizes)


def plain(budget: float, sizes: Sequence[int], marked: Collection[int], best: Collection[int]) -> tuple[int, list[int]]:
    """The stride and the kept numbers, by the definition: the least important evidence goes while there is too much.

    ``best`` are the numbers at which a keyframe was the best so far.
    """
    stride, there = 1, list[int]()
    for number in range(len(sizes)):
        if number not in marked and number % stride:
            continue
        there.append(number)
        least = max((n for n in best if n <= number), default=None)
        while sum(sizes[n] for n in there) > budget:
            ordinary = [n for n in there if n and n not in marked]
            if any(n != least for n in ordinary):
                gone = min((n for n in ordinary if n != least), key=lambda n: (power(n), n))
            elif ordinary:
                (gone,) = ordinary
            elif any(there):
                gone = min(n for n in there if n)
            elif sizes[0] > budget:
                gone = 0
            else:
                break
            there.remove(gone)
            if gone:
                stride = max(stride, 2 * power(gone))
    return stride, there


def power(number: int) -> int:
    """The largest power of two that divides a number."""
    return max(1 << k for k in range(20) if number % (1 << k) == 0)


numbers = st.sets(st.integers(0, 70), max_size=4)


@given(st.lists(st.integers(1, 50), max_size=70), st.integers(0, 700), numbers, numbers)
def test_what_is_kept_is_what_is_defined(sizes: list[int], budget: int, marked: set[int], best: set[int]) -> None:
    thinning = Thinning(budget)
    written: set[int] = set()
    for number, size in enumerate(sizes):
        assert thinning.next() == number
        if number in best:
            thinning.best = FIRST_ROW + number
        if number in marked or thinning.due(number):
            written.add(number)
            dropped = {row - FIRST_ROW for row in thinning.add(FIRST_ROW + number, number, size, keep=number in marked)}
            assert dropped <= written
            written -= dropped
        assert thinning.total == sum(thinning.sizes.values()) <= budget
        assert written == set(kept(thinning))
        assert all(n in written for n in range(1, number + 1) if n % thinning.stride == 0)
    assert (thinning.stride, kept(thinning)) == plain(budget, sizes, marked, best)


@pytest.mark.parametrize(
    ("keyframes", "stride", "expected"),
    [
        (1, 1, [0]), (4, 1, [0, 1, 2, 3]), (5, 2, [0, 2, 3, 4]), (6, 2, [0, 2, 3, 4]), (7, 2, [0, 2, 4, 6]),
        (9, 4, [0, 4, 6, 8]), (13, 4, [0, 4, 8, 12]), (17, 8, [0, 8, 12, 16]), (33, 16, [0, 16, 24, 32]),
    ],
)  # fmt: skip
def test_the_stride_doubles_when_the_budget_is_full(keyframes: int, stride: int, expected: list[int]) -> None:
    thinning = Thinning(40.0)
    filled(thinning, [10] * keyframes)
    assert (thinning.stride, kept(thinning)) == (stride, expected)


def test_what_is_dropped_is_said_once_in_order() -> None:
    assert filled(Thinning(40.0), [10] * 9) == [[], [], [], [], [1], [3], [2]]


def test_a_large_keyframe_makes_room_for_itself() -> None:
    thinning = Thinning(50.0)
    assert filled(thinning, [10, 10, 10, 10, 30]) == [[], [], [], [], [1, 3]]
    assert filled(thinning, [10, 10, 10, 35]) == [[2], [6, 4]]
    assert (thinning.stride, kept(thinning)) == (8, [0, 8])


def test_evidence_larger_than_the_budget_is_not_kept() -> None:
    thinning = Thinning(5.0)
    assert filled(thinning, [10] * 9) == [[0], [1], [2], [4], [8]]
    assert (thinning.stride, kept(thinning), thinning.total) == (16, [], 0)


def test_an_unfinished_run_keeps_the_state_that_it_is_resumed_from_until_it_is_over() -> None:
    thinning = Thinning(5.0)
    filled(thinning, [10] * 3)
    thinning.last = FIRST_ROW + 2
    assert thinning.add(FIRST_ROW + 2, 2, 10) == []
    assert kept(thinning) == [2]
    again = Thinning.resumed(5.0, thinning.stride, [(FIRST_ROW + n, n) for n in range(3)], thinning.sizes, set())
    for one in (thinning, again):
        assert list(one.excess()) == ([] if one is thinning else [FIRST_ROW + 2])
    thinning.over = True
    assert list(thinning.excess()) == [FIRST_ROW + 2]
    assert kept(thinning) == []


def test_the_first_keyframe_that_fits_stays_beside_the_one_that_is_resumed_from() -> None:
    thinning = Thinning(15.0)
    filled(thinning, [10])
    thinning.next()
    thinning.last = FIRST_ROW + 1
    assert thinning.add(FIRST_ROW + 1, 1, 10) == []
    assert kept(thinning) == [0, 1]


def test_evidence_of_an_event_that_does_not_fit_thins_its_level() -> None:
    thinning = Thinning(10.0)
    assert filled(thinning, [5, 0, 0, 0, 10], marked=[4])[-1] == [1, 3, 2, 4]
    assert (thinning.stride, kept(thinning)) == (8, [0])


def test_the_last_keyframe_of_a_run_that_is_over_stays_where_anything_else_can_go() -> None:
    thinning = Thinning(40.0)
    filled(thinning, [10] * 8)
    thinning.over, thinning.last = True, FIRST_ROW + 7
    assert thinning.add(FIRST_ROW + 7, 7, 10) == [FIRST_ROW + 2]
    assert kept(thinning) == [0, 4, 6, 7]


@pytest.mark.parametrize("size", [1, 7])
def test_a_full_budget_drops_a_few_at_a_time_and_takes_the_same_time_whatever_is_kept(size: int) -> None:
    """Thousands are kept; each addition drops one, or two where the number that fits is odd."""
    took = []
    for budget in (100, 20_000):
        thinning = Thinning(budget * size)
        dropped = filled(thinning, [size] * budget)
        assert not any(dropped)
        began = time.thread_time()
        dropped = filled(thinning, [size] * 2 * budget)
        took.append((time.thread_time() - began) / (2 * budget))
        assert max(map(len, dropped)) <= 2
        assert len(thinning.sizes) > budget - 2
    assert took[1] < 5 * took[0] + 2e-5


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
    assert (again.count, again.sizes, again.total) == (whole.count, whole.sizes, whole.total)
    assert again.best is None
    dropped = [filled(thinning, sizes[left_at:], marked) for thinning in (whole, again)]
    assert dropped[0] == dropped[1]
    assert (again.stride, again.sizes) == (whole.stride, whole.sizes)

"""Thins the evidence of a run: when the budget is full, the evidence of every second keyframe is dropped."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Thinning:
    """Decides which keyframes of one run keep their evidence, within a budget.

    Every ``stride``-th keyframe keeps it.  The level of a keyframe is that of the power of two in its number: level 0
    for odd numbers, level 1 for their doubles.  When the budget is full, the oldest evidence of the lowest level is
    dropped, one for each that is added, and the stride is doubled with the first one of a level.  So every addition
    takes the same time.

    The first keyframe, the last and the best one, and those with an event keep their evidence beyond that, as long as
    there is anything else to drop.  Evidence that alone exceeds the budget is not kept, with one exception: the state
    from which an unfinished run is resumed.
    """

    budget: float
    """Bytes."""
    stride: int = 1
    count: int = 0
    """Keyframes seen so far, which is the number of the next one."""
    best: int | None = None
    """Row of the best keyframe so far."""
    last: int | None = None
    """Row of the last keyframe, while training pauses."""
    over: bool = False
    """The run has ended, so it is not resumed from its last keyframe."""
    sizes: dict[int, int] = field(default_factory=dict)
    """Bytes of the evidence that is kept, by row."""
    total: int = 0
    """Bytes of all of it."""
    _first: int | None = None
    _events: deque[tuple[int, int]] = field(default_factory=deque)
    """Rows with an event and their numbers, oldest first."""
    _levels: list[deque[int]] = field(default_factory=list)
    """All other rows by level, oldest first."""

    @classmethod
    def resumed(
        cls,
        budget: float,
        stride: int,
        rows: Sequence[tuple[int, int]],
        kept: Mapping[int, int],
        marked: Collection[int],
    ) -> Thinning:
        """Restore the state for a recording whose training is resumed.

        Args:
            rows: id and step of the run's keyframes with a frame, oldest first.
            kept: bytes of all evidence in the recording, by row.
            marked: steps with an event.
        """
        thinning = cls(budget, stride, len(rows))
        for number, (row, step) in enumerate(rows):
            if row in kept:
                thinning._enter(row, number, kept[row], keep=step in marked)
        return thinning

    def next(self) -> int:
        """The number of a new keyframe, which becomes the last one."""
        number, self.count, self.last = self.count, self.count + 1, None
        return number

    def due(self, number: int) -> bool:
        """True if the evidence of keyframe ``number`` must be written now."""
        return number % self.stride == 0

    def add(self, row: int, number: int, size: int, *, keep: bool = False) -> list[int]:
        """Register evidence that is to be written, and return the rows whose evidence must be dropped.

        Args:
            row: the keyframe's id; if it is dropped itself, its evidence must not be written.
            number: the keyframe's number within its run.
            size: bytes of the evidence.
            keep: it has an event.
        """
        self._enter(row, number, size, keep=keep)
        return list(self.excess())

    def excess(self) -> Iterator[int]:
        """Take rows, the least important first, until the rest fits into the budget."""
        while self.total > self.budget:
            row = self._least()
            if row is None:
                return
            self.total -= self.sizes.pop(row)
            yield row

    def _enter(self, row: int, number: int, size: int, *, keep: bool) -> None:
        self.sizes[row] = size
        self.total += size
        if number == 0:
            self._first = row
        elif keep:
            self._events.append((row, number))
        else:
            level = _level(number)
            self._levels += [deque() for _ in range(len(self._levels), level + 1)]
            self._levels[level].append(row)

    def _least(self) -> int | None:
        """Take the row whose evidence is the least important; None if the rest must be kept."""
        both = (self.best, self.last)
        for spared in (both, (self.best,), ()) if self.over else (both, (self.last,)):
            for level, rows in enumerate(self._levels):
                row = next((row for row in rows if row not in spared), None)  # at most the third one
                if row is not None:
                    rows.remove(row)
                    self._thin(level)
                    return row
        if self._events:
            row, number = self._events.popleft()
            self._thin(_level(number))
            return row
        first = self._first
        if first is None or self.sizes[first] <= self.budget:
            return None
        self._first = None
        return first

    def _thin(self, level: int) -> None:
        """Double the stride until evidence on this level is no longer due."""
        self.stride = max(self.stride, 2 << level)


def _level(number: int) -> int:
    """The exponent of the largest power of two that divides a number."""
    return (number & -number).bit_length() - 1

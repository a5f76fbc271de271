"""Thins the evidence of a run: when its budget is full, every second keyframe loses its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Thinning:
    """The evidence of one run.  Never dropped: the first, the last, the best, and an event's.

    Evidence is kept for every ``stride``-th keyframe; when that no longer fits into ``budget`` bytes,
    the stride doubles and every second one is dropped.
    """

    budget: float
    """Bytes."""
    stride: int = 1
    count: int = 0
    """Keyframes seen so far: the number of the next one."""
    best: int | None = None
    """Row of the best keyframe so far."""
    sizes: dict[int, int] = field(default_factory=dict)
    """Bytes of what is kept, by row."""
    _numbers: dict[int, int] = field(default_factory=dict)
    _kept_for_ever: set[int] = field(default_factory=set)

    @classmethod
    def resumed(
        cls,
        budget: float,
        stride: int,
        rows: Sequence[tuple[int, int]],
        kept: Mapping[int, int],
        marked: Collection[int],
    ) -> Thinning:
        """As it was when a recording was left.

        Args:
            rows: id and step of the run's keyframes with a frame, oldest first.
            kept: bytes of all evidence that is kept, by row.
            marked: steps at which something happened.
        """
        thinning = cls(budget, stride, len(rows))
        for number, (row, step) in enumerate(rows):
            if row in kept:
                thinning.sizes[row] = kept[row]
                thinning._numbers[row] = number
                if number == 0 or step in marked:
                    thinning._kept_for_ever.add(row)
        return thinning

    def due(self, number: int) -> bool:
        """Evidence of this keyframe is to be written at once."""
        return number % self.stride == 0

    def add(self, row: int, number: int, size: int, *, keep: bool) -> list[int]:
        """Note that evidence of a keyframe was written; the rows whose evidence is to go."""
        if keep or not self.sizes:
            self._kept_for_ever.add(row)
        self.sizes[row] = size
        self._numbers[row] = number
        dropped = self._thin(row)
        while sum(self.sizes.values()) > self.budget and any(self._free(kept, row) for kept in self.sizes):
            self.stride *= 2
            dropped += self._thin(row)
        return dropped

    def _free(self, kept: int, last: int) -> bool:
        return kept not in self._kept_for_ever and kept not in (self.best, last)

    def _thin(self, last: int) -> list[int]:
        gone = [kept for kept in self.sizes if self._numbers[kept] % self.stride and self._free(kept, last)]
        for kept in gone:
            del self.sizes[kept], self._numbers[kept]
        return gone

"""Thins the evidence of a run: when the budget is full, the evidence of every second keyframe is dropped."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Thinning:
    """Decides which keyframes of one run keep their evidence.

    Every ``stride``-th keyframe keeps it.  When that no longer fits into ``budget`` bytes, the stride doubles and the
    evidence of every second one is dropped.  The first, the last and the best keyframe, and those with an event, always
    keep their evidence.
    """

    budget: float
    """Bytes."""
    stride: int = 1
    count: int = 0
    """Keyframes seen so far, which is the number of the next one."""
    best: int | None = None
    """Row of the best keyframe so far."""
    sizes: dict[int, int] = field(default_factory=dict)
    """Bytes of the evidence that is kept, by row."""
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
        """Restore the state for a recording whose training is resumed.

        Args:
            rows: id and step of the run's keyframes with a frame, oldest first.
            kept: bytes of all evidence in the recording, by row.
            marked: steps with an event.
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
        """True if the evidence of keyframe ``number`` must be written now."""
        return number % self.stride == 0

    def add(self, row: int, number: int, size: int, *, keep: bool) -> list[int]:
        """Register evidence that was written, and return the rows whose evidence must be dropped.

        Args:
            row: the keyframe's id.
            number: the keyframe's number within its run.
            size: bytes of the evidence.
            keep: never drop it.
        """
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

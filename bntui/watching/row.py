"""A row of a recording as a course tells it to whatever writes it, in this process or in another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from bntui.keyframe import Keyframe
from bntui.recording.history import Event, RunInfo
from bntui.watching.bad import BadSearch
from bntui.watching.layers import StepLayers


@dataclass(frozen=True)
class LoopRow:
    """A row that nothing more will be told of."""

    frame: Keyframe
    """All of it but its layers."""
    layers: StepLayers
    epoch_end: bool
    events: tuple[Event | BadSearch, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the fields of the keyframe in a plain tuple, but for the arrays that a recorded loop does not have."""
        return _unpickled, (_told(self.frame), self.layers, self.epoch_end, self.events)


_TOLD: Final = tuple(field.name for field in fields(Keyframe) if field.name not in ("batch_indices", "layers"))
_told: Final = attrgetter(*_TOLD)
NO_INDICES: Final = np.empty(0, np.int64)
"""The mini-batch of a loop that does not tell it."""


def _unpickled(told: tuple[Any, ...], layers: StepLayers, epoch_end: bool, events: Any) -> LoopRow:
    frame = Keyframe(batch_indices=NO_INDICES, layers=(), **dict(zip(_TOLD, told, strict=True)))
    return LoopRow(frame, layers, epoch_end, events)


class RowWriter(Protocol):
    """What keeps the rows of one loop; none of its methods raises, trouble is warned of once."""

    @property
    def open(self) -> bool:
        """False once nothing more will be recorded; and in a process forked from the recorder's."""

    @property
    def path(self) -> Path:
        """Where the recording is."""

    def begin(self, info: RunInfo, budget: float) -> None:
        """Add the run, before its first row."""

    def amend(self, info: RunInfo) -> None:
        """Replace what is known of the run."""

    def commit(self, row: LoopRow) -> None:
        """Write a row; the first one publishes the file."""

    def add_events(self, events: Sequence[Event]) -> None:
        """Write events that belong to no row."""

    @property
    def behind(self) -> bool:
        """True if something is on its way to another process; :meth:`push` is to be called now and then."""

    def push(self) -> None:
        """Send more of it, without waiting."""

    def close(self) -> None:
        """Write what waits, and close the file as a single one; without a row there is no file."""

"""A row of a recording as a course tells it to whatever writes it, in this process or in another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

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

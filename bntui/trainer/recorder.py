"""Says what a run needs of the writer that records it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from bntui.keyframe import Keyframe
from bntui.recording.history import Event


class RunWriter(Protocol):
    """Takes what a run records: a ``Writer``, one that keeps it in memory, or one that sends it to another process."""

    def together(self) -> AbstractContextManager[None]:
        """Records everything inside at once."""

    def commit(
        self,
        frame: Keyframe,
        *,
        epoch_end: bool,
        best: bool = False,
        evidence: Callable[[], bytes] | None = None,
        events: Sequence[Event] = (),
    ) -> None:
        """See :meth:`bntui.recording.writer.Writer.commit`."""

    def checkpoint(self, run: int, name: str, step: int, block: bytes, events: Sequence[Event] = ()) -> None:
        """See :meth:`bntui.recording.writer.Writer.checkpoint`."""

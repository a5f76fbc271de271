"""Holds what the laboratory has loaded from its recording, and determines what is new in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bntui.keyframe import Foreign
from bntui.recording.history import Event, RunInfo, Unit
from bntui.recording.sentences import EventKind
from bntui.viewer import view_state
from bntui.viewer.view_state import Snapshot

if TYPE_CHECKING:
    from bntui.viewer.view_state import Recording


@dataclass(frozen=True, slots=True)
class Additions:
    """Runs and events that are new since the last snapshot."""

    runs: tuple[RunInfo, ...]
    events: tuple[tuple[RunInfo, Event], ...]


def additions(before: Snapshot, after: Snapshot, runs: Sequence[RunInfo]) -> Additions:
    """The difference between two snapshots of a recording with these runs."""
    known = {event for events in before.events for event in events}
    happened = [(run, event) for run, events in zip(runs, after.events, strict=True) for event in events]
    return Additions(
        tuple(runs[len(before.histories) :]),
        tuple((run, event) for run, event in happened if event not in known),
    )


class LoadedRecording:
    """A reader, and a snapshot of its recording."""

    def __init__(self, reader: Recording) -> None:
        self.reader = reader
        self.snapshot = view_state.snapshot(reader)
        self.free_panels = view_state.free_panels(self.snapshot)
        self.closed = False
        """The reader is closed, so nothing is read or drawn any more."""

    @property
    def compared(self) -> bool:
        """True if several recordings are compared."""
        return bool(self.reader.paths)

    @property
    def ending(self) -> EventKind | Foreign:
        """How the training ended; a comparison is never resumed."""
        return "finished" if self.compared else view_state.ending(self.snapshot)

    @property
    def unfinished(self) -> bool:
        """True if a run can be resumed."""
        return self.ending == "interrupted"

    def refresh(self) -> bool:
        """Load what was committed since the last call; True if there is anything new.

        Raises:
            RecordingError: the file is missing or damaged.
        """
        return not self.closed and self.reader.refresh()

    def look(self, unit: Unit) -> Additions:
        """Take a snapshot, and return what is new in it."""
        before = self.snapshot
        self.snapshot = view_state.snapshot(self.reader, unit)
        if len(self.snapshot.histories) > len(before.histories):
            self.free_panels = view_state.free_panels(self.snapshot)  # a fork may add dropout, for instance
        return additions(before, self.snapshot, self.reader.runs)

    def count_by(self, unit: Unit) -> None:
        """Convert the positions in the snapshot to another unit."""
        self.snapshot = view_state.recounted(self.snapshot, unit)

    def replace(self, reader: Recording) -> None:
        """Close the reader, and use another one."""
        self.reader.close()
        self.reader = reader

    def close(self) -> None:
        self.reader.close()
        self.closed = True

"""Holds what the laboratory has loaded from its recording, and determines what is new in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bntui.keyframe import Foreign
from bntui.link import registry
from bntui.recording.history import Event, RunInfo, Unit
from bntui.recording.seeds import SeedCourse
from bntui.recording.sentences import EventKind
from bntui.recording.tables import FAILED
from bntui.viewer import chrome
from bntui.viewer.snapshot import Snapshot, ending, free_panels, recounted, take_snapshot

if TYPE_CHECKING:
    from bntui.viewer.snapshot import ViewedRecording


@dataclass(frozen=True, slots=True)
class Additions:
    """What is new since the last snapshot."""

    runs: tuple[RunInfo, ...]
    events: tuple[tuple[RunInfo, Event], ...]
    failures: tuple[str, ...]
    """Why seeds have failed, each reason once."""


def additions(before: Snapshot, after: Snapshot, runs: Sequence[RunInfo]) -> Additions:
    """The difference between two snapshots of a recording with these runs."""
    known = {event for events in before.events for event in events}
    happened = [(run, event) for run, events in zip(runs, after.events, strict=True) for event in events]
    return Additions(
        tuple(runs[len(before.histories) :]),
        tuple((run, event) for run, event in happened if event not in known),
        tuple(dict.fromkeys(_failures(before, after))),
    )


def _failures(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """Why seeds have failed since a snapshot of the same file; a seed that was tried again can fail again."""
    if before.source is not after.source:
        return
    known = {id(course) for courses in before.seeds for course in courses}
    for courses in after.seeds:
        for course in courses:
            if course.end is not None and course.end.kind == FAILED and id(course) not in known:
                yield course.end.reason


def seeds_left(recorded: Snapshot, runs: Sequence[RunInfo], asked: int) -> bool:
    """A run does not have all seeds yet that were asked for.

    A failed one can be tried again, except of a fork: its parent may end before it with this seed.
    """

    def done(run: RunInfo, course: SeedCourse) -> bool:
        return course.end is not None and (course.end.kind != FAILED or run.fork is not None)

    every = zip(runs, recorded.seeds, strict=True)
    return any(sum(done(run, course) for course in courses) < asked - 1 for run, courses in every)


class LoadedRecording:
    """A reader, and a snapshot of its recording."""

    def __init__(self, reader: ViewedRecording) -> None:
        self.reader = reader
        self.snapshot = take_snapshot(reader)
        self.free_panels = free_panels(self.snapshot)
        self.closed = False
        """The reader is closed, so nothing is read or drawn any more."""

    @property
    def compared(self) -> bool:
        """True if several recordings are compared."""
        return bool(self.reader.paths)

    @property
    def watched(self) -> bool:
        """True if a loop of the user's own was recorded."""
        return not self.compared and all(run.watched for run in self.reader.runs)

    @property
    def trains(self) -> bool:
        """True if the recording can be trained on: it is one, and has a scenario."""
        return not (self.compared or self.watched)

    @property
    def recorded_now(self) -> bool:
        """True while the loop of a watched recording still runs, as far as is known."""
        return self.watched and self.ending == "interrupted" and registry.recorder(self.reader.path) is not None

    @property
    def trained_now(self) -> bool:
        """True while a trainer trains the recording, as far as is known."""
        return self.unfinished and registry.trainer(self.reader.path) is not None

    @property
    def ending(self) -> EventKind | Foreign:
        """How the training ended; a comparison is never resumed."""
        return "finished" if self.compared else ending(self.snapshot)

    def now(self, *, read_only: bool) -> EventKind | Foreign:
        """How the training ended, or who still writes the recording, which a ``read_only`` screen is not told."""
        if self.recorded_now:
            return chrome.RECORDING
        return chrome.TRAINED if read_only and self.trained_now else self.ending

    @property
    def unfinished(self) -> bool:
        """True if a run can be resumed."""
        return self.trains and self.ending == "interrupted"

    def refresh(self) -> bool:
        """Load what was committed since the last call; True if there is anything new.

        Raises:
            RecordingError: the file is missing or damaged.
        """
        return not self.closed and self.reader.refresh()

    def look(self, unit: Unit) -> Additions:
        """Take a snapshot, and return what is new in it."""
        before = self.snapshot
        self.snapshot = take_snapshot(self.reader, unit)
        if len(self.snapshot.histories) > len(before.histories):
            self.free_panels = free_panels(self.snapshot)  # a fork may add dropout, for instance
        return additions(before, self.snapshot, self.reader.runs)

    def count_by(self, unit: Unit) -> None:
        """Convert the positions in the snapshot to another unit."""
        self.snapshot = recounted(self.snapshot, unit)

    def replace(self, reader: ViewedRecording) -> None:
        """Close the reader, and use another one."""
        self.reader.close()
        self.reader = reader

    def close(self) -> None:
        self.reader.close()
        self.closed = True

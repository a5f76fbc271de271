"""Adds notes to recordings: remarks at a keyframe, which the timeline shows and a copy of the file carries."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Final

from bntui.errors import UsageError
from bntui.link.lock import Hold
from bntui.recording.file import WritableFile
from bntui.recording.history import Event
from bntui.recording.opened import Recording
from bntui.recording.schema import open_read_only
from bntui.recording.sentences import NOTE
from bntui.recording.tables import MOST_EVENTS
from bntui.recording.upgrade import refuse_oldest, upgrade
from bntui.recording.writer import insert_events
from bntui.text.language import _

MOST_NOTED: Final = MOST_EVENTS - 10_000
"""Events to which a note may be added; the rest is for those of training, because a reader refuses more of them."""


def note(reader: Recording, run: int, step: int, text: str) -> Event:
    """The event of a note at a keyframe.

    Raises:
        UsageError: the run has no keyframe at this step, or the recording is full of events.
    """
    if reader.event_count >= MOST_NOTED:
        sentence = _("{path} has {count} events and takes no more notes")
        raise UsageError(sentence.format(path=reader.path, count=f"{reader.event_count:,}"))
    place = reader.place(run, step) if 0 <= run < len(reader.runs) else None
    if place is None:
        raise UsageError(_("run {run} has no keyframe at step {step}").format(run=run, step=step))
    return Event.of(run, step, place.epoch, "noted", NOTE, text=text)


def add_note(path: Path, run: int, step: int, text: str) -> None:
    """Write a note into a recording that nobody trains.

    Raises:
        UsageError: the run has no keyframe at this step, or the recording is full of events.
        RecordingError: a trainer holds the recording, or it is damaged or too old to be written.
        StorageError: it cannot be written.
    """
    hold = Hold(path)
    try:
        with closing(Recording(path)) as reader:
            event = note(reader, run, step, text)
        with closing(open_read_only(path)) as database:
            refuse_oldest(path, database)
        file = WritableFile.open(path)
        try:
            with file.changing(intact=True):
                upgrade(file.db)
                insert_events(file.db, [event])
        finally:
            file.close()
    finally:
        hold.release()

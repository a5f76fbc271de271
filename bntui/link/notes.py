"""Adds notes to recordings: remarks at a keyframe, which the timeline shows and a copy of the file carries."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from bntui.errors import UsageError
from bntui.link.lock import Hold
from bntui.recording.file import WritableFile
from bntui.recording.history import Event
from bntui.recording.reader import Reader
from bntui.recording.schema import open_read_only
from bntui.recording.sentences import NOTE
from bntui.recording.upgrade import refuse_oldest, upgrade
from bntui.recording.writer import insert_events
from bntui.text.language import _


def note(reader: Reader, run: int, step: int, text: str) -> Event:
    """The event of a note at a keyframe.

    Raises:
        UsageError: the run has no keyframe at this step.
    """
    if 0 <= run < len(reader.runs):
        history = reader.history(run)
        for row in (history.step == step).nonzero()[0]:
            return Event.of(run, step, float(history.epoch[row]), "noted", NOTE, text=text)
    raise UsageError(_("run {run} has no keyframe at step {step}").format(run=run, step=step))


def add_note(path: Path, run: int, step: int, text: str) -> None:
    """Write a note into a recording that nobody trains.

    Raises:
        UsageError: the run has no keyframe at this step.
        RecordingError: a trainer holds the recording, or it is damaged or too old to be written.
        StorageError: it cannot be written.
    """
    hold = Hold(path)
    try:
        with closing(Reader(path)) as reader:
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

"""Opens a recording that has keyframes, as every command but ``resume`` requires."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bntui.errors import RecordingError
from bntui.text.language import _

if TYPE_CHECKING:
    from bntui.recording.reader import Reader


class MovingReader(Protocol):
    """The part of a reader that depends on the name of its file."""

    path: Path

    def release(self) -> None: ...


def nothing_recorded(path: Path) -> RecordingError:
    """The error for a recording without keyframes, whose training ended before the first one."""
    sentence = _("{path}: no keyframe was recorded; start again with: bntui resume {path}")
    return RecordingError(sentence.format(path=path))


def has_keyframes(reader: Reader) -> bool:
    """True if any run has a keyframe."""
    return any(len(reader.history(run.index)) for run in reader.runs)


def recorded(path: Path) -> Reader:
    """Open a recording that has keyframes.

    Raises:
        RecordingError: the file is not a recording, is from a newer version, is damaged, or has no keyframe.
    """
    from bntui.recording.reader import Reader  # imports NumPy, which the gallery should not wait for

    reader = Reader(path)
    if not has_keyframes(reader):
        reader.close()
        raise nothing_recorded(path)
    return reader


def moved_to(reader: MovingReader, path: str) -> bool:
    """Make a reader follow its recording to the path that the trainer reports; True if the path has changed."""
    if not path or reader.path.resolve() == Path(path):
        return False
    reader.release()
    reader.path = Path(path)
    return True

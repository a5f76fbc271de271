"""Opens a recording that has keyframes, as every command but ``resume`` requires."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bntui.errors import RecordingError
from bntui.text.language import _

if TYPE_CHECKING:
    from bntui.recording.reader import Reader


class MovingReader(Protocol):
    """What of a reader has to do with its file's name."""

    path: Path

    def release(self) -> None: ...


def nothing_recorded(path: Path) -> RecordingError:
    """That a recording has no keyframe: its training was ended before the first one."""
    sentence = _("{path}: no keyframe was recorded; start again with: bntui resume {path}")
    return RecordingError(sentence.format(path=path))


def has_keyframes(reader: Reader) -> bool:
    """Whether any run has one."""
    return any(len(reader.history(run.index)) for run in reader.runs)


def recorded(path: Path) -> Reader:
    """A recording with something to show.

    Raises:
        RecordingError: the file is not a recording, is from a newer version, is damaged, or has no keyframe.
    """
    from bntui.recording.reader import Reader  # with NumPy, which the gallery does not wait for

    reader = Reader(path)
    if not has_keyframes(reader):
        reader.close()
        raise nothing_recorded(path)
    return reader


def moved_to(reader: MovingReader, path: str) -> bool:
    """Read on under the name that a trainer says its recording has now; True where that is another one."""
    if not path or reader.path.resolve() == Path(path):
        return False
    reader.release()
    reader.path = Path(path)
    return True

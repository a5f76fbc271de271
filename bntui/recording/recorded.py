"""Opens a recording that has keyframes, as every command but ``resume`` requires."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from bntui.errors import RecordingError
from bntui.text.language import _

if TYPE_CHECKING:
    from bntui.recording.opened import Recording
    from bntui.recording.reader import Reader

Opened = TypeVar("Opened", bound="Recording")


class MovingReader(Protocol):
    """The part of a reader that depends on the name of its file."""

    path: Path

    def release(self) -> None: ...


def nothing_recorded(path: Path) -> RecordingError:
    """The error for a recording without keyframes, whose training ended before the first one."""
    sentence = _("{path}: no keyframe was recorded; start again with: bntui resume {path}")
    return RecordingError(sentence.format(path=path))


def has_keyframes(recording: Recording) -> bool:
    """True if any run has a keyframe."""
    return any(recording.place(run.index) is not None for run in recording.runs)


def recorded(path: Path) -> Reader:
    """Open a recording that has keyframes, with the histories of its runs.

    Raises:
        RecordingError: the file is not a recording, is from a newer version, is damaged, or has no keyframe.
    """
    from bntui.recording.reader import Reader  # imports NumPy, which the gallery should not wait for

    return _with_keyframes(Reader(path))


def opened(path: Path) -> Recording:
    """Open a recording that has keyframes, without histories: it takes the same time for any number of keyframes.

    Raises:
        RecordingError: the file is not a recording, is from a newer version, is damaged, or has no keyframe.
    """
    from bntui.recording.opened import Recording

    return _with_keyframes(Recording(path))


def _with_keyframes(recording: Opened) -> Opened:
    if not has_keyframes(recording):
        recording.close()
        raise nothing_recorded(recording.path)
    return recording


def moved_to(reader: MovingReader, path: str) -> bool:
    """Make a reader follow its recording to the path that the trainer reports; True if the path has changed.

    A path that a frame cannot hold is reported with replacement characters, and not followed.
    """
    if not path or "\N{REPLACEMENT CHARACTER}" in path or reader.path.resolve() == Path(path):
        return False
    reader.release()
    reader.path = Path(path)
    return True

"""Renames and deletes recordings; what a trainer is writing is never deleted, and nothing is ever overwritten."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from bntui.errors import NameTakenError, RecordingError, StorageError, UsageError
from bntui.files import in_bytes
from bntui.link.library import ListedRecording, entry
from bntui.link.live import is_live
from bntui.link.lock import Hold, recorded_now
from bntui.link.registry import elsewhere, recorder
from bntui.recording.draft import BESIDE, rename_exclusively
from bntui.recording.file import WritableFile
from bntui.recording.guard import refuse_no_file
from bntui.recording.names import SUFFIX
from bntui.recording.schema import open_read_only
from bntui.text.language import _
from bntui.text.library_messages import reason
from bntui.text.output import clean

FOLLOWED: Final = 5.0
"""Seconds to wait for a trainer to follow its renamed recording; it looks twice a second."""


def question(names: Sequence[str], size: int) -> str:
    """Asks whether to delete files, with their size in bytes and the name of a single one."""
    ask = _("Delete {name} ({size})?") if len(names) == 1 else _("Delete {count} files ({size})?")
    asked = ask.format(name=clean(names[0]), count=len(names), size=in_bytes(size))
    return f"{asked} {_('This cannot be undone.')}"


def deletable(path: Path) -> ListedRecording:
    """What is known of a recording that is to be deleted; :func:`delete` checks it again.

    Raises:
        RecordingError: it is being trained, or it is neither a recording nor named like one.
        StorageError: the file system refuses.
    """
    with _storage(path):
        if not path.is_symlink() or path.exists():
            _refuse_foreign(path)
            _refuse_trained(path)
        return entry(path)


def delete(path: Path) -> None:
    """Delete a recording and what SQLite left beside it; of a link, only the link.

    Raises:
        RecordingError: it is being trained, or it is neither a recording nor named like one.
        StorageError: the file system refuses.
    """
    deletable(path)
    with _storage(path):
        link = path.is_symlink()
        if link and not path.exists():
            path.unlink()
            return
        with _held(path):
            path.unlink()
            for journal in () if link else _beside(path):
                journal.unlink(missing_ok=True)


def rename(path: Path, name: str) -> Path:
    """Give a recording another name in its folder; a trainer follows.  Returns the new path.

    Raises:
        UsageError: the name is not valid, or is taken.
        RecordingError: it is not a recording, is damaged, or is in use.
        StorageError: the file system refuses.
    """
    new = path.with_name(file_name(name))
    open_read_only(path).close()
    _refuse_elsewhere(path)
    with _storage(path):
        _refuse_taken(new)
        if is_live(path):
            rename_exclusively(path, new)
            _wait_until_live(new)
            return new
        with _held(path), _held(new):
            if not path.is_symlink():
                _fold_in(path)
            rename_exclusively(path, new)
    return new


def file_name(name: str) -> str:
    """The file name for a name that the user gave, with or without its suffix.

    Raises:
        UsageError: it cannot be a file's name, would hide the file, or has characters that a terminal cannot show.
    """
    stem = name.strip().removesuffix(SUFFIX)
    if not stem or stem.startswith((".", "-")) or "/" in stem or clean(stem) != stem:
        sentence = _("{name!r} cannot be the name of a recording; use letters, digits, hyphens, and the like")
        raise UsageError(sentence.format(name=name))
    return stem + SUFFIX


def _refuse_foreign(path: Path) -> None:
    """Refuse what is not a file, and files that are not recordings unless their name says so, as a damaged one's."""
    refuse_no_file(path)
    if path.suffix != SUFFIX:
        open_read_only(path).close()


def _refuse_trained(path: Path) -> None:
    if is_live(path):
        sentence = _("{recording} is being trained; stop it first with: bntui stop {recording}")
        raise RecordingError(sentence.format(recording=path))
    if recorder(path) is not None:
        raise recorded_now(path)
    _refuse_elsewhere(path)


def _refuse_elsewhere(path: Path) -> None:
    note = elsewhere(path)
    if note is not None:
        sentence = _("{recording} is being trained on {host} by process {pid}; stop it there first")
        raise RecordingError(sentence.format(recording=path, host=note.host, pid=note.pid))


def _refuse_taken(path: Path) -> None:
    if os.path.lexists(path):
        raise NameTakenError(_("{path} already exists; choose another name").format(path=path))
    left = next((journal for journal in _beside(path) if os.path.lexists(journal)), None)
    if left is not None:
        sentence = _("{left} is left over from another recording with this name; choose another name")
        raise NameTakenError(sentence.format(left=left))


def _fold_in(path: Path) -> None:
    """Write what a killed trainer left in a journal into the file; only that is renamed."""
    if not any(map(os.path.lexists, _beside(path))):
        return
    with closing(WritableFile.open(path)):
        pass
    left = (journal for journal in _beside(path) if journal.exists() and journal.stat().st_size)
    if any(not journal.name.endswith("-shm") for journal in left):
        sentence = _("{recording} is in use by another program; close it there and try again")
        raise RecordingError(sentence.format(recording=path))


def _wait_until_live(path: Path) -> None:
    deadline = time.monotonic() + FOLLOWED
    while not is_live(path) and time.monotonic() < deadline:
        time.sleep(0.05)


def _beside(path: Path) -> list[Path]:
    return [path.with_name(path.name + ending) for ending in BESIDE]


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a recording, or a name, as a trainer does, so that none starts with it meanwhile."""
    hold = Hold(path)
    try:
        yield
    finally:
        hold.release()


@contextlib.contextmanager
def _storage(path: Path) -> Iterator[None]:
    """Report what the file system refuses."""
    try:
        yield
    except FileExistsError as error:
        raise NameTakenError(_("{path} already exists; choose another name").format(path=error.filename)) from error
    except OSError as error:
        raise StorageError(_("cannot change {path}: {reason}").format(path=path, reason=reason(error))) from error

"""Finds and removes files that killed processes and deleted recordings have left; never anything recorded."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bntui.drafts import DRAFTS
from bntui.link import address, registry, state_files
from bntui.link.lock import remove_unused_lock
from bntui.recording.draft import BESIDE, drafts, remove_abandoned
from bntui.recording.file import on_network
from bntui.recording.names import SUFFIX, recordings_folder
from bntui.text.language import _

LOCK: Final = ".lock"
YOUNGEST: Final = 60.0
"""Seconds that a log or a note must be old: a process that is starting has not locked or named it yet."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file that nobody needs any more."""

    path: Path
    title: str
    """What it is, in the reader's language."""
    size: int
    unneeded: Callable[[], bool]
    """Whether that is still true; asked again before it is removed."""

    def remove(self) -> bool:
        """Remove it, if it is still not needed; True if it is gone."""
        with contextlib.suppress(OSError):
            if self.path.suffix == LOCK:
                remove_unused_lock(self.path)
            elif self.unneeded():
                self.path.unlink()
        return not os.path.lexists(self.path)


def leftovers() -> list[Leftover]:
    """All that is left over in the user's folders of recordings, sockets, and notes."""
    return [*_in_recordings(recordings_folder()), *_in_runtime_folders(), *_notes()]


def _in_recordings(folder: Path) -> Iterator[Leftover]:
    locked = not on_network(folder / SUFFIX)
    for path in drafts(folder):
        yield from _if(path, _("unfinished draft"), partial(remove_abandoned, path, locked=locked, dry=True))
    for ending in BESIDE:
        for path in sorted(folder.glob(f"*{SUFFIX}{ending}")):
            recording = path.with_name(path.name.removesuffix(ending))
            yield from _if(path, _("journal without recording"), partial(_empty, path, recording))


def _empty(journal: Path, recording: Path) -> bool:
    """True if a journal belongs to no file and holds nothing that was recorded."""
    return not os.path.lexists(recording) and (journal.name.endswith("-shm") or not journal.stat().st_size)


def _in_runtime_folders() -> Iterator[Leftover]:
    for folder in address.runtime_folders():
        for path in sorted(folder.glob("*.sock")):
            yield from _if(path, _("socket of a trainer that has ended"), partial(_dead, path))
        for path in sorted(folder.glob(f"*{LOCK}")):
            yield from _if(path, _("lock of a trainer that has ended"), partial(_free, path))
        for path in sorted(folder.glob("trainer-*.log")):
            yield from _if(path, _("log of a trainer that has ended"), partial(_closed, path))
        yield from _if(folder / "screen.log", _("log of a screen that failed"), partial(_old, folder / "screen.log"))


def _dead(path: Path) -> bool:
    connection = address.dial(path)
    if connection is not None:
        connection.close()
    return connection is None and _free(path.with_suffix(LOCK))


def _free(path: Path) -> bool:
    """True if no process keeps a file locked."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _closed(log: Path) -> bool:
    return _old(log) and _free(log)


def _old(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > YOUNGEST


def _notes() -> Iterator[Leftover]:
    registry.trainers()  # removes the notes of those that have ended
    for folder in (state_files.state_folder(), registry.registry_folder()):
        for path in sorted(folder.glob(DRAFTS)):
            yield from _if(path, _("unfinished note"), partial(_old, path))


def _if(path: Path, title: str, unneeded: Callable[[], bool]) -> Iterator[Leftover]:
    """The leftover, if it is one and this user's."""
    with contextlib.suppress(OSError):
        found = path.lstat()
        fit = stat.S_ISREG(found.st_mode) or stat.S_ISSOCK(found.st_mode)
        if fit and found.st_uid == os.getuid() and unneeded():
            yield Leftover(path, title, found.st_size, unneeded)

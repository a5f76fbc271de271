"""Creates a recording under a temporary name, and renames it once it can be opened.

A process that is killed before that leaves a hidden file behind, never an empty or damaged recording.  The next
recording created in that folder removes the file.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bntui.errors import NameTakenError, StorageError
from bntui.text.language import _
from bntui.text.library_messages import reason

PREFIX: Final = ".bntui-draft-"
"""Prefix of temporary names; neither ``*`` in a shell nor ``*.bntui`` matches them."""
BESIDE: Final = ("-wal", "-shm", "-journal")
"""Suffixes that SQLite appends to a recording's name for its own files."""
ABANDONED: Final = 24 * 3600.0
"""Age in seconds from which a draft counts as abandoned on file systems without locks."""
NO_LINKS: Final = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}
"""Errors from file systems without hard links, such as FAT and many network file systems."""


class Draft:
    """An empty file under a temporary name, locked as long as its process runs, except on network file systems.

    Raises:
        StorageError: the file cannot be created.
    """

    def __init__(self, path: Path, *, lock: bool) -> None:
        """``path`` is the final name of the recording, for messages and for the folder."""
        self._lock = lock
        self._final = path
        with _storage(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _sweep(path.parent, locked=lock)
            self.path, self._descriptor = self._made()

    def _made(self) -> tuple[Path, int]:
        while True:
            path = self._final.parent / f"{PREFIX}{secrets.token_hex(6)}"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            if not self._lock or (lock_file(descriptor) and os.fstat(descriptor).st_nlink):
                return path, descriptor
            os.close(descriptor)  # another process removed it as abandoned before it was locked

    def publish(self, path: Path) -> None:
        """Sync the file to disk and rename it atomically; SQLite must have closed it.

        Raises:
            NameTakenError: the name is in use, or the journal of a deleted recording with that name still exists.
            StorageError: the file system refuses.
        """
        self._final = path
        left = next((beside for ending in BESIDE if (beside := _beside(path, ending)).exists()), None)
        if left is not None and not os.path.lexists(path):
            sentence = _("{left} is left over from another recording with this name; choose another name with -o")
            raise NameTakenError(sentence.format(left=left))
        with _storage(path):
            os.fsync(self._descriptor)
            _rename(self.path, path)
            _sync_folder(path.parent)
        self.path = path

    def close(self) -> None:
        """Release the lock; SQLite must have closed the file, because this would also release its locks."""
        unlock_file(self._descriptor)

    def discard(self) -> None:
        """Delete the file, published or not."""
        self.close()
        self.path.unlink(missing_ok=True)


Node = tuple[int, int]
"""Device and inode of a file, which identify it independently of its name."""


def node_of(path: Path) -> Node | None:
    """The file that a name refers to; None if it does not exist or is not accessible."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def name_taken(path: Path) -> NameTakenError:
    """The error for a recording that would overwrite a file."""
    return NameTakenError(_("{path} already exists; choose another name with -o").format(path=path))


@contextlib.contextmanager
def _storage(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        if os.path.lexists(path):
            raise name_taken(path) from error
        raise _unwritable(path, error) from error  # a parent of the path is a file
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(_("cannot write the recording {path}: {reason}").format(path=path, reason=reason(error)))


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def lock_file(descriptor: int) -> bool:
    """Lock an open file for this process; False if another one holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def unlock_file(descriptor: int) -> None:
    """Unlock a file and close it; the lock ends even if a process forked from this one still has it open."""
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def drafts(folder: Path) -> list[Path]:
    """Recordings in a folder that have no name yet, being begun or left by killed processes."""
    return sorted(folder.glob(f"{PREFIX}*"))


def remove_abandoned(path: Path, *, locked: bool, dry: bool = False) -> bool:
    """Remove a draft that a killed process has left; True if it is one.

    Args:
        locked: the process of a draft holds its lock, which it cannot on network file systems.
        dry: only say it.

    Raises:
        OSError: it is another user's, or was removed meanwhile.
    """
    if not locked:
        abandoned = time.time() - path.stat().st_mtime > ABANDONED
        if abandoned and not dry:
            path.unlink()
        return abandoned
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        abandoned = lock_file(descriptor)
        if abandoned and not dry:
            path.unlink()
        return abandoned
    finally:
        os.close(descriptor)


def _sweep(folder: Path, *, locked: bool) -> None:
    """Remove what killed processes have left."""
    for path in drafts(folder):
        with contextlib.suppress(OSError):  # somebody else's, or removed meanwhile
            remove_abandoned(path, locked=locked)


def _rename(before: Path, after: Path) -> None:
    """Rename a file without overwriting another.

    Raises:
        FileExistsError: the new name is in use.
    """
    try:
        os.link(before, after)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        rename_exclusively(before, after)
    else:
        before.unlink()


def rename_exclusively(before: Path, after: Path) -> None:
    """The kernel's rename that does not overwrite, or a look before a plain one where it has none.

    Whoever has the file open is told its new name by the kernel, unlike after a link.

    Raises:
        FileExistsError: there is something of that name.
    """
    names = os.fsencode(before), os.fsencode(after)
    library = ctypes.CDLL(None, use_errno=True)
    result = -1
    ctypes.set_errno(errno.ENOSYS)
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        here, no_replace = -100, 1  # AT_FDCWD, RENAME_NOREPLACE
        result = library.renameat2(here, names[0], here, names[1], no_replace)
    elif sys.platform == "darwin" and hasattr(library, "renamex_np"):
        exclusive = 4  # RENAME_EXCL
        result = library.renamex_np(*names, exclusive)
    if result == 0:
        return
    code = ctypes.get_errno()
    if code in NO_LINKS:
        if os.path.lexists(after):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(after))
        before.rename(after)  # the lock on the name excludes other processes of this user
    else:
        raise OSError(code, os.strerror(code), str(after))


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems cannot sync a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

"""Writes files under temporary names, and gives them their names once all are complete; none replaces another.

Where one is to be replaced, it is as if it had been opened and written: a link stays a link, and a mode stays.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Final

from bntui.errors import NameTakenError, StorageError, UsageError
from bntui.text.language import _
from bntui.text.library_messages import reason

DRAFTS: Final = ".*.part"
"""The temporary names, as a pattern; they remain where a process is killed."""


@contextlib.contextmanager
def drafts(*, force: bool = False) -> Iterator[Drafts]:
    """Files that get their names at the end; if anything fails, none of them is left.

    Args:
        force: replace files that exist; by default, nothing is ever overwritten.

    Raises:
        StorageError: a file cannot be written.
    """
    made = Drafts(force)
    try:
        yield made
        made.publish()
    except BaseException as error:
        made.discard()
        if isinstance(error, OSError):
            raise made.unwritable(error) from error
        raise


class Drafts:
    """Files that are being written; see :func:`drafts`."""

    def __init__(self, force: bool) -> None:
        self._force = force
        self._drafts: dict[Path, Path] = {}
        self._new: list[Path] = []
        """Files that have got their names, and were not there before."""
        self._folders: list[Path] = []

    def new(self, path: Path) -> Path:
        """The path to which the contents of a file are to be written.

        Raises:
            NameTakenError: it exists.
            UsageError: its folder does not exist, or it is itself a folder.
        """
        if path.is_dir():
            raise UsageError(_("{path}: a folder, not a file").format(path=path))
        if not self._force and os.path.lexists(path):
            raise _taken(path)
        if not path.parent.is_dir():
            raise UsageError(_("{path}: no folder {folder}; create it first").format(path=path, folder=path.parent))
        return self.unchecked(path)

    def unchecked(self, path: Path) -> Path:
        """The same without these checks; what is wrong is found when the file is written or named."""
        draft = self._drafts[path] = _draft(path)
        if self._force and (mode := _mode_of(path)) is not None:
            draft.touch(exist_ok=False)
            _let(draft, mode)  # whoever may not read the file shall not read the draft
        return draft

    def folder(self, path: Path) -> Path:
        """A folder for files; it is created if it does not exist, and removed again if the export fails.

        Raises:
            UsageError: something else has its name, or that of a folder above it.
        """
        if not path.is_dir():
            for other in (path, *path.parents):
                if other.exists() and not other.is_dir():
                    raise UsageError(_("{path}: a file, not a folder").format(path=other))
            for missing in [one for one in (*reversed(path.parents), path) if not one.exists()]:
                missing.mkdir()
                self._folders.append(missing)
        return path

    def publish(self) -> None:
        """Give all files their names."""
        for path, draft in self._drafts.items():
            if self._force:
                os.replace(draft, _file_of(path))
            else:
                _renamed(draft, path)
                self._new.append(path)

    def discard(self) -> None:
        """Remove what was written."""
        for path in (*self._drafts.values(), *self._new):
            with contextlib.suppress(OSError):
                path.unlink()
        for folder in reversed(self._folders):
            with contextlib.suppress(OSError):  # somebody else has put something there
                folder.rmdir()

    def unwritable(self, error: OSError) -> StorageError:
        """The error for a file that cannot be written."""
        names = {str(draft): str(path) for path, draft in self._drafts.items()}
        named = str(error.filename or next(iter(names), ""))
        sentence = _("{path}: cannot be written: {reason}")
        return StorageError(sentence.format(path=names.get(named, named), reason=reason(error)))


def _renamed(draft: Path, path: Path) -> None:
    """Give a draft its name, unless a file of this name has appeared in the meantime."""
    try:
        os.link(draft, path)
    except FileExistsError as error:
        raise _taken(path) from error
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        if os.path.lexists(path):  # a file system without hard links
            raise _taken(path) from error
        os.replace(draft, path)
    else:
        draft.unlink()


def _taken(path: Path) -> NameTakenError:
    return NameTakenError(_("{path} exists; choose another name, or replace it with --force").format(path=path))


def put(path: Path, contents: bytes, *, private: bool = False, durable: bool = False) -> None:
    """Replace a file by these contents, or leave it as it is: nobody ever sees a part of them.

    Args:
        private: only the user may read it, whoever may have before.
        durable: return when it is on the disk.

    Raises:
        OSError: it could not be written.
    """
    draft = _draft(path)
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
        with os.fdopen(descriptor, "wb") as file:
            if not private and (mode := _mode_of(path)) is not None:
                _let(draft, mode)
            file.write(contents)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(draft, _file_of(path))
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    if durable:
        sync_folder(draft.parent)


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on the disk, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _draft(path: Path) -> Path:
    """A temporary name for a file, in its folder; see :data:`DRAFTS`."""
    file = _file_of(path)
    return file.with_name(f".{file.name[:50]}.{secrets.token_hex(4)}.part")  # systems allow 255 bytes


def _file_of(path: Path) -> Path:
    """The file that a path names; a link names another one."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _mode_of(path: Path) -> int | None:
    """Who may read and write a file; None if there is none."""
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        return None


def _let(draft: Path, mode: int) -> None:
    with contextlib.suppress(OSError):  # a file system without modes
        draft.chmod(mode)


def save_somewhere(folders: Iterable[Path], stem: str, suffix: str, content: bytes) -> Path:
    """Save a file in the first of several folders where this is possible, under a name that is free there.

    Raises:
        StorageError: it is possible in none; says why in the first.
    """
    failures = []
    for folder in folders:
        for number in count(1):
            path = folder / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
            try:
                with drafts() as made:
                    made.unchecked(path).write_bytes(content)
            except NameTakenError:
                continue
            except StorageError as error:
                failures.append(error)
                break
            return path
    raise failures[0]

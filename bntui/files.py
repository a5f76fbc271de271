"""Opens untrusted files: regular files of bounded size only.

Named pipes, devices, sockets, and folders, and files that are too large, are refused before anything is read.  Opening
never blocks.  The same limit applies to a file that grows while it is read.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bntui.text.language import N_, _

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_KINDS: Final = {
    stat.S_IFIFO: N_("a named pipe, not a file; save its contents to a file first"),
    stat.S_IFCHR: N_("a device, not a file"),
    stat.S_IFBLK: N_("a device, not a file"),
    stat.S_IFSOCK: N_("a socket, not a file"),
}
_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # must not block on a pipe that replaces the file after stat()
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class UnfitFileError(OSError):
    """The path is not a regular file, or the file is too large.

    ``strerror`` is a sentence in the language in use, so code that reports an :class:`OSError` also reports this.
    """


def open_regular(path: Path, limit: int) -> io.BufferedReader:
    """Open a regular file of at most ``limit`` bytes for reading.

    Raises:
        UnfitFileError: a pipe, a device, a socket, or a larger file; reading past ``limit`` also raises it.
        IsADirectoryError: a folder.
        OSError: missing, a dangling or circular link, no permission.
    """
    _check_kind(path, _status(path))  # before opening, because opening a device can have side effects
    descriptor = os.open(path, _FLAGS)
    try:
        status = os.fstat(descriptor)
        _check_kind(path, status)  # checks what was actually opened
        if status.st_size > limit:
            raise _too_large(path, limit)
        return io.BufferedReader(_Bounded(descriptor, path, limit))
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, limit: int) -> bytes:
    """Read a regular file of at most ``limit`` bytes; raises the same errors as :func:`open_regular`."""
    with open_regular(path, limit) as file:
        return file.read()


def refuse_kind(path: Path) -> None:
    """Raise the same errors as :func:`open_regular` if a path is not a regular file, without opening it.

    For files that SQLite opens by name: closing a descriptor here would release this process's locks on the file.
    """
    _check_kind(path, _status(path))


def in_bytes(count: int) -> str:
    """A number of bytes in readable form: ``4 GB``, ``1.5 MB``, ``312 bytes``; decimal units."""
    for unit, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            number = count / unit
            return f"{number:.3g} {name}" if number < 999.5 else f"{number:.0f} {name}"
    return _("{count} bytes").format(count=count)


def _status(path: Path) -> os.stat_result:
    try:
        return os.stat(path)
    except ValueError as error:  # null character in the path
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error


def _check_kind(path: Path, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    sentence = _KINDS.get(stat.S_IFMT(status.st_mode), N_("not a regular file"))
    raise UnfitFileError(errno.EINVAL, _(sentence), str(path))


def _too_large(path: Path, limit: int) -> UnfitFileError:
    return UnfitFileError(errno.EFBIG, _("larger than {limit}").format(limit=in_bytes(limit)), str(path))


class _Bounded(io.FileIO):
    """A file that raises when read past the limit: it has grown, or reports no size (as in ``/proc``)."""

    def __init__(self, descriptor: int, path: Path, limit: int) -> None:
        super().__init__(descriptor, "rb")
        self._path, self._limit = path, limit

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        """Like FileIO's, within the limit."""
        count = super().readinto(buffer)
        self._check()
        return count

    def readall(self) -> bytes:
        """Like FileIO's, within the limit; requests at most one byte past it."""
        parts = []
        while part := self.read(min(1 << 20, max(self._limit + 1 - self.tell(), 1))):
            parts.append(part)
            self._check()
        return b"".join(parts)

    def _check(self) -> None:
        if self.tell() > self._limit:
            raise _too_large(self._path, self._limit)

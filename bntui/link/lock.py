"""Ensures that only one trainer writes a recording, with locks on its name and on its file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import threading
from pathlib import Path
from typing import Final

from bntui.errors import BntuiError, RecordingError, StorageError
from bntui.link import registry
from bntui.link.address import lock_path
from bntui.link.live import is_live
from bntui.recording.draft import Node, lock_file, node_of, unlock_file
from bntui.recording.file import on_network
from bntui.recording.names import new_path
from bntui.text.language import _

_RECORDER: Final = " recorder"
"""Follows the process id in the lock file of a recorder, which has no note before its first row."""


class Hold:
    """The exclusive right to write a recording, until it is released or the process ends in any way.

    One lock is on a file in the user's runtime folder, which contains the process id of the holder.  Another is on the
    recording itself, for processes with a different runtime folder, and in case that folder is removed.  On network
    file systems, the second one would conflict with SQLite's locks; there, another trainer of the same user and machine
    is detected by its socket.
    """

    def __init__(self, recording: Path, *, recorder: bool = False) -> None:
        """Acquire the locks.

        :meth:`moved` and :meth:`renew` may be called from another thread.

        Args:
            recorder: this process records a loop of the user's own, so that ``bntui stop`` cannot stop it.

        Raises:
            RecordingError: another trainer holds one; the message names its process if known.
        """
        self.recording = recording
        self.holder = f"{os.getpid()}{_RECORDER if recorder else ''}"
        """What the lock file says of the process that records or trains."""
        self._file: int | None = None
        self._naming = threading.Lock()
        """Held while the name is locked, changed, or released."""
        self._name, self._lock = self._locked_name(recording)
        if recording.exists():
            try:
                self.hold_file()
            except BaseException:
                self.release()
                raise

    @classmethod
    def new(cls, title: str, *, recorder: bool = False) -> Hold:
        """Acquire the first unused name in the user's folder that is made of a title."""
        refused: list[Path] = []
        while True:
            path = new_path(title, refused=refused)
            try:
                return cls(path, recorder=recorder)
            except RecordingError:  # another process that started at the same time has locked it
                refused.append(path)

    @classmethod
    def shared(cls, recording: Path, holder: str, descriptor: int) -> Hold:
        """The hold of the process that started this one, which inherited the lock on the name: either may release it.

        Args:
            holder: what :attr:`holder` says there.
            descriptor: see :attr:`descriptor`.
        """
        hold = cls.__new__(cls)
        hold._adopt(recording, holder, descriptor)
        return hold

    def _adopt(self, recording: Path, holder: str, descriptor: int) -> None:
        self.recording, self.holder, self._file = recording, holder, None
        self._name, self._lock = descriptor, lock_path(recording)
        self._naming = threading.Lock()

    @property
    def descriptor(self) -> int:
        """The open file that is locked for the name."""
        return self._name

    def hold_file(self, *, locked: bool = False) -> None:
        """Acquire the lock on the file as well, once the file exists.

        Args:
            locked: this process has already locked it.

        Raises:
            RecordingError: another trainer holds the lock.
        """
        descriptor = os.open(self.recording, os.O_RDONLY | os.O_CLOEXEC)
        network = on_network(self.recording)
        if not (locked or network or lock_file(descriptor)) or (network and not locked and is_live(self.recording)):
            holder = _holder(descriptor)
            os.close(descriptor)
            raise _refusal(self.recording, holder)
        self._file = descriptor

    def rename(self, recording: Path) -> None:
        """Lock another name instead of the current one.

        Raises:
            RecordingError: another trainer has locked the new name; the current one stays locked.
        """
        with self._naming:
            name, lock = self._locked_name(recording)
            self._let_go_of_name()
            self.recording, self._name, self._lock = recording, name, lock

    def moved(self) -> bool:
        """True if the recording's name no longer refers to the locked file."""
        file = self._file
        if file is None:
            return False
        try:
            found, held = os.stat(self.recording), os.fstat(file)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:  # such as a network that is temporarily down, or it was released meanwhile
            return False
        return (found.st_dev, found.st_ino) != (held.st_dev, held.st_ino)

    def renew(self) -> None:
        """Recreate the lock file if its folder was removed, so that a second trainer can name the holder."""
        with self._naming, contextlib.suppress(BntuiError, OSError):
            if self._name >= 0 and node_of(self._lock) is None:
                name, lock = self._locked_name(self.recording)
                os.close(self._name)
                self._name, self._lock = name, lock

    def place(self) -> Path:
        """The current path of the file.

        Raises:
            StorageError: the file was deleted, or its path is unknown.
        """
        assert self._file is not None
        if not os.fstat(self._file).st_nlink:
            sentence = _("{path} was deleted or replaced during training; training stopped")
            raise StorageError(sentence.format(path=self.recording))
        path = _path_of(self._file)
        if path is None or node_of(path) != self._node():
            sentence = _(
                "{path} was moved during training; training stopped, and everything is saved at its new location"
            )
            raise StorageError(sentence.format(path=self.recording))
        return path

    def release(self) -> None:
        """Release the locks; SQLite must have closed the file, because this would also release its locks."""
        if self._file is not None:
            unlock_file(self._file)
            self._file = None
        with self._naming:
            self._let_go_of_name()

    def leave(self) -> None:
        """Close what this process has of the locks, which another one shares and releases."""
        for descriptor in (self._file, self._name):
            if descriptor is not None and descriptor >= 0:
                os.close(descriptor)
        self._file, self._name = None, -1

    def _let_go_of_name(self) -> None:
        if self._name >= 0:
            with contextlib.suppress(OSError):
                if _is_named(self._name, self._lock):
                    self._lock.unlink()  # while it is locked: who has opened it notices that it has no name
            unlock_file(self._name)
            self._name = -1

    def _node(self) -> Node:
        assert self._file is not None
        found = os.fstat(self._file)
        return found.st_dev, found.st_ino

    def _locked_name(self, recording: Path) -> tuple[int, Path]:
        path = lock_path(recording)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if not lock_file(descriptor):
                holder = os.read(descriptor, 100).decode(errors="replace")
                os.close(descriptor)
                raise _refusal(recording, holder)
            if _is_named(descriptor, path):
                break
            os.close(descriptor)  # its holder removed it before it was locked here
        os.truncate(descriptor, 0)
        os.write(descriptor, self.holder.encode())
        return descriptor, path


def remove_unused_lock(path: Path) -> None:
    """Remove a lock file that a killed process has left, unless a process holds it.

    Raises:
        OSError: it was removed meanwhile.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if lock_file(descriptor) and _is_named(descriptor, path):
            path.unlink()
    finally:
        os.close(descriptor)


def _is_named(descriptor: int, path: Path) -> bool:
    """True if a path is that of an open file."""
    found = os.fstat(descriptor)
    return node_of(path) == (found.st_dev, found.st_ino)


def recorded_now(recording: Path, pid: str = "?") -> RecordingError:
    """The error for a recording whose training loop still runs.

    Args:
        pid: the loop's process, if it has noted itself nowhere else.
    """
    loop = registry.recorder(recording)
    sentence = _("{recording} is being recorded by the training loop of process {pid}; wait until it ends")
    return RecordingError(sentence.format(recording=recording, pid=pid if loop is None else loop.pid))


def _refusal(recording: Path, holder: str) -> RecordingError:
    if holder.endswith(_RECORDER) or registry.recorder(recording) is not None:
        return recorded_now(recording, holder.removesuffix(_RECORDER) or "?")
    sentence = _("{recording} is being written by another process; stop it with: bntui stop {recording}")
    if holder:
        sentence = _("{recording} is being written by process {holder}; stop it with: bntui stop {recording}")
    return RecordingError(sentence.format(recording=recording, holder=holder))


def _path_of(descriptor: int) -> Path | None:
    """The path of an open file according to the kernel; None if unknown."""
    try:
        if sys.platform == "darwin":
            found = fcntl.fcntl(descriptor, fcntl.F_GETPATH, b"\0" * 1024)
            return Path(os.fsdecode(found.rstrip(b"\0")))
        return Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    except OSError:
        return None


def _holder(descriptor: int) -> str:
    """Id of the process that holds the lock on a file; empty if unknown."""
    node = f":{os.fstat(descriptor).st_ino}"
    try:
        locks = Path("/proc/locks").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    fields = [line.split() for line in locks]
    return next((words[4] for words in fields if words[1:2] == ["FLOCK"] and words[5].endswith(node)), "")

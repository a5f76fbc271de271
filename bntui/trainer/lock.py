"""Ensures one trainer per recording: who holds the lock, and for which file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from pathlib import Path

from bntui.errors import BntuiError, RecordingError, StorageError
from bntui.link.address import lock_path
from bntui.link.live import is_live
from bntui.recording.draft import Node, node_of
from bntui.recording.file import on_network
from bntui.text.language import _


class Hold:
    """A recording that nobody else may write, until it is let go or the process ends, however it ends.

    The lock is on a file in the user's runtime folder, which names its holder; and on the recording itself, for whoever
    has another runtime folder, and in case that folder vanishes.  Not on network file systems: there that lock would be
    SQLite's, and another trainer of this user and machine is found by its socket.
    """

    def __init__(self, recording: Path) -> None:
        """Raises RecordingError where another trainer holds it, and names that."""
        self.recording = recording
        self._file: int | None = None
        self._name, self._lock = self._locked_name(recording)
        if recording.exists():
            try:
                self.hold_file()
            except BaseException:
                self.release()
                raise

    def hold_file(self, *, locked: bool = False) -> None:
        """Hold the file as well, once it is there.

        Args:
            locked: this process has locked it already.

        Raises:
            RecordingError: another trainer holds it.
        """
        descriptor = os.open(self.recording, os.O_RDONLY | os.O_CLOEXEC)
        network = on_network(self.recording)
        if not (locked or network or _locked(descriptor)) or (network and not locked and is_live(self.recording)):
            holder = _holder(descriptor)
            os.close(descriptor)
            raise _refusal(self.recording, holder)
        self._file = descriptor

    def rename(self, recording: Path) -> None:
        """Hold another name instead of this one, before the file has it.

        Raises:
            RecordingError: another trainer holds it; this one is still held.
        """
        name, lock = self._locked_name(recording)
        self._let_go_of_name()
        self.recording, self._name, self._lock = recording, name, lock

    def moved(self) -> bool:
        """The recording's name does not lead to the file any more."""
        if self._file is None:
            return False
        try:
            found = os.stat(self.recording)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:  # a network that is down for a while
            return False
        return (found.st_dev, found.st_ino) != self._node()

    def renew(self) -> None:
        """Make the lock's file again where its folder vanished, so that a second trainer is refused by name."""
        if node_of(self._lock) is None:
            with contextlib.suppress(BntuiError, OSError):
                name, lock = self._locked_name(self.recording)
                os.close(self._name)
                self._name, self._lock = name, lock

    def place(self) -> Path:
        """Where the file is now.

        Raises:
            StorageError: it was deleted, or nobody can say.
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
        """Let go of it; SQLite has closed the file by then, or its own locks would go too."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._let_go_of_name()

    def _let_go_of_name(self) -> None:
        if self._name >= 0:
            os.close(self._name)
            self._name = -1

    def _node(self) -> Node:
        assert self._file is not None
        found = os.fstat(self._file)
        return found.st_dev, found.st_ino

    @staticmethod
    def _locked_name(recording: Path) -> tuple[int, Path]:
        path = lock_path(recording)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _locked(descriptor):
            holder = os.read(descriptor, 100).decode(errors="replace")
            os.close(descriptor)
            raise _refusal(recording, holder)
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        return descriptor, path


def _refusal(recording: Path, holder: str) -> RecordingError:
    sentence = _("{recording} is being written by another process; stop it with: bntui stop {recording}")
    if holder:
        sentence = _("{recording} is being written by process {holder}; stop it with: bntui stop {recording}")
    return RecordingError(sentence.format(recording=recording, holder=holder))


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _path_of(descriptor: int) -> Path | None:
    """The name of an open file as the kernel knows it; None where it does not say."""
    try:
        if sys.platform == "darwin":
            found = fcntl.fcntl(descriptor, fcntl.F_GETPATH, b"\0" * 1024)
            return Path(os.fsdecode(found.rstrip(b"\0")))
        return Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    except OSError:
        return None


def _holder(descriptor: int) -> str:
    """Process that holds the lock on a file, where the system tells; else empty."""
    node = f":{os.fstat(descriptor).st_ino}"
    try:
        locks = Path("/proc/locks").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    fields = [line.split() for line in locks]
    return next((words[4] for words in fields if words[1:2] == ["FLOCK"] and words[5].endswith(node)), "")

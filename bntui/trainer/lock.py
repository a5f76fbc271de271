"""One trainer a recording: who holds it, and for how long."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from bntui.errors import RecordingError
from bntui.language import _
from bntui.link.address import lock_path
from bntui.recording.writer import on_network


class Hold:
    """A recording that nobody else may write, until it is let go or the process ends, however it ends.

    The lock lies in the user's runtime folder, where it names its holder; and on the recording itself, for whoever has
    another runtime folder.  (Not on network file systems: there that lock would be SQLite's.)
    """

    def __init__(self, recording: Path) -> None:
        """Raises RecordingError where another trainer holds it, and names that."""
        self._recording = recording
        self._descriptors: list[int] = []
        descriptor = os.open(lock_path(recording), os.O_RDWR | os.O_CREAT, 0o600)
        if not _locked(descriptor):
            holder = os.read(descriptor, 100).decode(errors="replace")
            os.close(descriptor)
            raise self._refusal(holder)
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._descriptors.append(descriptor)
        if recording.exists():
            try:
                self.hold_file()
            except BaseException:
                self.release()
                raise

    def hold_file(self) -> None:
        """Hold the file as well, once it is there.

        Raises:
            RecordingError: another trainer holds it.
        """
        if on_network(self._recording):
            return
        descriptor = os.open(self._recording, os.O_RDONLY)
        if not _locked(descriptor):
            holder = _holder(descriptor)
            os.close(descriptor)
            raise self._refusal(holder)
        self._descriptors.append(descriptor)

    def release(self) -> None:
        """Let go of it; SQLite has closed the file by then, or its own locks would go too."""
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _refusal(self, holder: str) -> RecordingError:
        sentence = _("{recording} is being written by another process: bntui stop {recording} ends it")
        if holder:
            sentence = _("{recording} is being written by process {holder}: bntui stop {recording} ends it")
        return RecordingError(sentence.format(recording=self._recording, holder=holder))


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _holder(descriptor: int) -> str:
    """Process that holds the lock on a file, where the system tells; else empty."""
    node = f":{os.fstat(descriptor).st_ino}"
    try:
        locks = Path("/proc/locks").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    fields = [line.split() for line in locks]
    return next((words[4] for words in fields if words[1:2] == ["FLOCK"] and words[5].endswith(node)), "")

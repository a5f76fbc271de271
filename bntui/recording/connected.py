"""Connects to the file of a recording for reading: opens it when it is needed, and gives consistent snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bntui.recording.guard import Guarded, damaged
from bntui.recording.schema import open_read_only


class Connected:
    """A read-only connection to a recording, which :meth:`release` closes until the next read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: Guarded | None = None
        self._held = False
        """A read transaction is open."""

    def release(self) -> None:
        """Close the file, so that the trainer can checkpoint its WAL; the next read opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    close = release

    @property
    def _db(self) -> Guarded:
        if self._connection is None:
            self._connection = open_read_only(self.path)
        return self._connection

    @contextmanager
    def _at_one_moment(self) -> Iterator[None]:
        """Let several queries see the same state of the recording, whatever is committed in the meantime."""
        if self._held:
            yield
            return
        self._db.execute("BEGIN")
        self._held = True
        try:
            yield
        finally:
            self._held = False
            self._db.execute("COMMIT")

    @contextmanager
    def _damage(self) -> Iterator[None]:
        """Convert the errors that a damaged file causes in SQLite, JSON or NumPy into a RecordingError."""
        with damaged(self.path):
            yield

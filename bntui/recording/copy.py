"""Checks whether a recording is writable, and makes a writable copy."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from bntui.errors import StorageError
from bntui.recording.names import new_path
from bntui.recording.schema import open_read_only
from bntui.text.language import _
from bntui.text.library_messages import reason, told


def writable(path: Path) -> bool:
    """True if a trainer could resume the recording in place; SQLite also writes to its folder."""
    return os.access(path, os.W_OK) and os.access(path.resolve().parent, os.W_OK)


def copied(path: Path, folder: Path | None = None) -> Path:
    """Copy a recording to an unused name in ``folder`` (default: the user's recordings), and return the new path.

    Raises:
        RecordingError: the file is not a recording.
        StorageError: the copy cannot be written.
    """
    with closing(open_read_only(path)) as source:
        copy = new_path(path.stem, folder)
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(copy)) as target:
                source.backup(target)  # includes rows that are still in the WAL
        except (OSError, sqlite3.Error) as error:
            words = reason(error) if isinstance(error, OSError) else told(str(error))
            raise StorageError(_("cannot write the copy {path}: {reason}").format(path=copy, reason=words)) from error
    return copy

"""Tells whether a recording can be written, and makes a copy that can."""

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
    """A trainer could go on with it where it lies: SQLite writes beside it, too."""
    return os.access(path, os.W_OK) and os.access(path.resolve().parent, os.W_OK)


def copied(path: Path, folder: Path | None = None) -> Path:
    """A copy under a name that overwrites nothing, in ``folder`` (default: the user's); its path.

    Raises:
        RecordingError: it is not a recording.
        StorageError: the copy cannot be written.
    """
    with closing(open_read_only(path)) as source:
        copy = new_path(path.stem, folder)
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(copy)) as target:
                source.backup(target)  # with what lies in a journal
        except (OSError, sqlite3.Error) as error:
            words = reason(error) if isinstance(error, OSError) else told(str(error))
            raise StorageError(_("cannot write the copy {path}: {reason}").format(path=copy, reason=words)) from error
    return copy

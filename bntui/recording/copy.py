"""Checks whether a recording is writable, and makes a writable copy."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from bntui.errors import NameTakenError, StorageError
from bntui.recording.draft import Draft
from bntui.recording.file import on_network
from bntui.recording.names import new_path
from bntui.recording.schema import open_read_only
from bntui.text.language import _
from bntui.text.library_messages import told


def writable(path: Path) -> bool:
    """True if a trainer could resume the recording in place; SQLite also writes to its folder."""
    return os.access(path, os.W_OK) and os.access(path.resolve().parent, os.W_OK)


def copied(path: Path, folder: Path | None = None) -> Path:
    """Copy a recording to an unused name in ``folder`` (default: the user's recordings), and return the new path.

    Raises:
        RecordingError: the file is not a recording.
        StorageError: the copy cannot be written.
    """
    refused: list[Path] = []
    with closing(open_read_only(path)) as source:
        while True:
            copy = new_path(path.stem, folder, refused=refused)
            draft = Draft(copy, lock=not on_network(copy))
            try:
                with closing(sqlite3.connect(draft.path)) as target:
                    source.backup(target)  # includes rows that are still in the WAL
                draft.publish(copy)
            except NameTakenError:  # by another process that copies at the same time
                draft.discard()
                refused.append(copy)
            except sqlite3.Error as error:
                draft.discard()
                sentence = _("cannot write the copy {path}: {reason}")
                raise StorageError(sentence.format(path=copy, reason=told(str(error)))) from error
            except BaseException:
                draft.discard()
                raise
            else:
                draft.close()
                return copy

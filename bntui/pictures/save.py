"""Saves files that never appear half written, and never replace another one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from itertools import count
from pathlib import Path

from bntui.errors import NameTakenError, StorageError
from bntui.text.language import _
from bntui.text.library_messages import reason


def save(path: Path, content: bytes) -> None:
    """Write a new file: under a temporary name, which is replaced when all is written.

    Raises:
        NameTakenError: the file exists.
        StorageError: it cannot be written.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.stem}.", suffix=".part") as draft:
            draft.write(content)
            draft.flush()
            os.fchmod(draft.fileno(), 0o644)
            os.link(draft.name, path)
    except FileExistsError as error:
        raise NameTakenError(_("{path} already exists; choose another name").format(path=path)) from error
    except OSError as error:
        raise StorageError(_("{path}: cannot be written: {reason}").format(path=path, reason=reason(error))) from error


def save_somewhere(folders: Iterable[Path], stem: str, suffix: str, content: bytes) -> Path:
    """Save in the first of several folders where this is possible, under a name that is free there.

    Raises:
        StorageError: it is possible in none; says why in the first.
    """
    failures = []
    for folder in folders:
        for number in count(1):
            path = folder / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
            try:
                save(path, content)
            except NameTakenError:
                continue
            except StorageError as error:
                failures.append(error)
                break
            return path
    raise failures[0]

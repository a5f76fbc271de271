"""Finds out whether a recording is being trained, and connects to its trainer."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bntui.errors import RecordingError
from bntui.link import address, wire
from bntui.recording.schema import open_read_only


def dial(recording: Path) -> socket.socket | None:
    """Connect to a recording's trainer, whichever login of this user started it; None if none is live."""
    for path in _addresses(recording):
        connection = address.dial(path)
        if connection is not None:
            return connection
    return None


def is_live(recording: Path) -> bool:
    """True if a trainer answers on the recording's socket."""
    connection = dial(recording)
    if connection is None:
        return False
    connection.close()
    return True


def _addresses(recording: Path) -> Iterator[Path]:
    """Addresses to try: in this login's folders, then the one stored in the recording."""
    known = address.known(recording)
    yield from known
    noted = address.trusted(_noted(recording), recording)
    if noted is not None and noted not in known:
        yield noted


def _noted(recording: Path) -> str:
    """The address stored in a recording; empty if there is none.  It is untrusted: see ``address.trusted``."""
    with contextlib.suppress(RecordingError, sqlite3.Error, OSError, ValueError):
        with closing(open_read_only(recording)) as database:
            found = database.execute("SELECT substr(text, 1, 1000000) FROM agenda").fetchone()
        told = {} if found is None else wire.parse(str(found[0]).encode(), deepest=wire.DEEPEST + 2)
        noted = told.get("address")
        return noted if isinstance(noted, str) else ""
    return ""

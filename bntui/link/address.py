"""Where does a recording's trainer listen?  In a folder that only its user can enter, under the recording's hash.

Logins of one user may have different folders, and a folder may vanish while a trainer listens in it (``/run/user/UID``
does at the last logout).  So the trainer also writes its address into the recording; a reader trusts that address only
as far as :func:`trusted` goes, because recordings come from strangers, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import stat
import struct
import sys
import tempfile
from pathlib import Path
from typing import Final

from bntui.errors import BntuiError
from bntui.text.language import _
from bntui.text.library_messages import reason

LONGEST_SOCKET_PATH: Final = 103
"""Bytes that every system takes; Linux takes four more."""
DIALLING: Final = 2.0
"""Seconds that a connection may take: only a trainer that stands still takes any."""
LOCAL_PEERCRED: Final = 1
"""Option of macOS that gives a ``struct xucred``; Python does not name it."""


def _candidates() -> list[Path]:
    """Folders for sockets, the best first: the login's own, and one that outlives every login."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    folders = [Path(base) / "bntui"] if base else []
    return [*folders, Path(tempfile.gettempdir()) / f"bntui-{os.getuid()}"]


def runtime_folder() -> Path:
    """The user's own folder for sockets, locks and logs, mode 0700; made where it is missing.

    Raises:
        BntuiError: none can be made, or what is there is not the user's own.
    """
    first = None
    for folder in _candidates():
        try:
            return _made(folder)
        except BntuiError as error:
            first = first or error
    assert first is not None
    raise first


def _made(folder: Path) -> Path:
    try:
        for missing in reversed([parent for parent in folder.parents if not parent.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        sentence = _("{folder} cannot be used for sockets: {reason}; set XDG_RUNTIME_DIR")
        raise BntuiError(sentence.format(folder=folder, reason=reason(error))) from error
    if not _own(found):
        sentence = _("{folder} is not a folder that only you can enter; set XDG_RUNTIME_DIR to one that is")
        raise BntuiError(sentence.format(folder=folder))
    if len(os.fsencode(folder / f"{'0' * 24}.sock")) > LONGEST_SOCKET_PATH:
        sentence = _("{path} is too long for a socket; set XDG_RUNTIME_DIR to a shorter folder")
        raise BntuiError(sentence.format(path=folder))
    return folder


def _own(found: os.stat_result) -> bool:
    """A folder that nobody else can enter.  /tmp is everybody's: a folder or link of someone else is never trusted."""
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def _name(recording: Path) -> str:
    return hashlib.sha256(os.fsencode(recording.resolve())).hexdigest()[:24]


def socket_path(recording: Path) -> Path:
    """Where its trainer binds; named by a hash of the recording's real path, because a socket's path ends at 108 bytes.

    Raises:
        BntuiError: there is no folder for it.
    """
    return runtime_folder() / f"{_name(recording)}.sock"


def lock_path(recording: Path) -> Path:
    """The file that a recording's trainer keeps locked while it lives."""
    return runtime_folder() / f"{_name(recording)}.lock"


def trusted(address: str, recording: Path) -> Path | None:
    """An address that was found in a recording, if it can only be that of our own trainer of this very recording.

    It must be a socket of ours in a folder that only we can enter, named by the recording's hash; else None.
    """
    path = Path(address)
    if "\0" in address or ".." in path.parts or not path.is_absolute() or path.name != f"{_name(recording)}.sock":
        return None
    try:
        folder, found = path.parent.lstat(), path.lstat()
    except (OSError, ValueError):
        return None
    safe = _own(folder) and stat.S_ISSOCK(found.st_mode) and found.st_uid == os.getuid()
    return path if safe and len(os.fsencode(path)) <= LONGEST_SOCKET_PATH else None


def known(recording: Path) -> list[Path]:
    """Where a recording's trainer may listen, as far as this login knows."""
    return [path for folder in _candidates() if (path := trusted(str(folder / f"{_name(recording)}.sock"), recording))]


def dial(path: Path) -> socket.socket | None:
    """A connection to a socket of ours; None where nobody listens, or somebody else does."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(DIALLING)
    with contextlib.suppress(OSError):
        connection.connect(str(path))
        connection.settimeout(None)
        if peer(connection) == os.getuid():
            return connection
    connection.close()
    return None


def peer(connection: socket.socket) -> int | None:
    """User of the process at the other end, as the kernel knows it; None where it does not say."""
    try:
        if sys.platform == "linux":
            pid_uid_gid = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            return int(struct.unpack("3i", pid_uid_gid)[1])
        return int(struct.unpack_from("2I", connection.getsockopt(0, LOCAL_PEERCRED, 76))[1])
    except (OSError, AttributeError, struct.error):
        return None

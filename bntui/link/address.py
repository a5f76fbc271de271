"""Locates the socket of a recording's trainer: in a folder accessible only to its user, named by the recording's hash.

Logins of one user may have different folders, and a folder may disappear while a trainer listens in it, as
``/run/user/UID`` does at the last logout.  Therefore the trainer also writes its address into the recording.  A reader
uses that address only if :func:`trusted` accepts it, because recordings may come from untrusted sources.
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
"""Maximum length in bytes on every system; Linux allows four more."""
DIALLING: Final = 2.0
"""Timeout of a connection in seconds; only a hung trainer takes noticeable time."""
LOCAL_PEERCRED: Final = 1
"""Socket option of macOS that returns a ``struct xucred``; Python does not define it."""


def _candidates() -> list[Path]:
    """Folders for sockets in order of preference: the login's own, and one that outlives every login."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    folders = [Path(base) / "bntui"] if base else []
    return [*folders, Path(tempfile.gettempdir()) / f"bntui-{os.getuid()}"]


def runtime_folders() -> list[Path]:
    """All folders in which this login's trainers may have left sockets and logs; those of others are left out."""
    found = []
    for folder in _candidates():
        with contextlib.suppress(OSError):
            if private(folder.lstat()):
                found.append(folder)
    return found


def runtime_folder() -> Path:
    """The user's folder for sockets, locks, and logs, mode 0700; created if missing.

    Raises:
        BntuiError: it cannot be created, or the existing one does not belong to the user.
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
    if not private(found):
        sentence = _("{folder} is not accessible to you alone; set XDG_RUNTIME_DIR to a private folder")
        raise BntuiError(sentence.format(folder=folder))
    if len(os.fsencode(folder / f"{'0' * 24}.sock")) > LONGEST_SOCKET_PATH:
        sentence = _("{path} is too long for a socket; set XDG_RUNTIME_DIR to a folder with a shorter path")
        raise BntuiError(sentence.format(path=folder))
    return folder


def private(found: os.stat_result) -> bool:
    """True for a folder that only this user can access; other users' folders or links in /tmp are never trusted."""
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def _name(recording: Path) -> str:
    return hashlib.sha256(os.fsencode(recording.resolve())).hexdigest()[:24]


def socket_path(recording: Path) -> Path:
    """The socket of its trainer, named by a hash of the recording's real path: socket paths have at most 108 bytes.

    Raises:
        BntuiError: there is no usable folder.
    """
    return runtime_folder() / f"{_name(recording)}.sock"


def lock_path(recording: Path) -> Path:
    """The file that a recording's trainer keeps locked while it is alive."""
    return runtime_folder() / f"{_name(recording)}.lock"


def trusted(address: str, recording: Path) -> Path | None:
    """The address found in a recording, if it can only belong to this user's trainer of this recording.

    It must be this user's socket, in a folder that only this user can access, named by the recording's hash; else
    None.
    """
    path = Path(address)
    if "\0" in address or ".." in path.parts or not path.is_absolute() or path.name != f"{_name(recording)}.sock":
        return None
    try:
        folder, found = path.parent.lstat(), path.lstat()
    except (OSError, ValueError):
        return None
    safe = private(folder) and stat.S_ISSOCK(found.st_mode) and found.st_uid == os.getuid()
    return path if safe and len(os.fsencode(path)) <= LONGEST_SOCKET_PATH else None


def known(recording: Path) -> list[Path]:
    """Sockets on which a recording's trainer may listen, as far as this login can tell."""
    return [path for folder in _candidates() if (path := trusted(str(folder / f"{_name(recording)}.sock"), recording))]


def dial(path: Path) -> socket.socket | None:
    """Connect to a socket of this user; None if no process listens, or another user's does."""
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
    """User id of the process at the other end, from the kernel; None if unavailable."""
    try:
        if sys.platform == "linux":
            pid_uid_gid = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            return int(struct.unpack("3i", pid_uid_gid)[1])
        return int(struct.unpack_from("2I", connection.getsockopt(0, LOCAL_PEERCRED, 76))[1])
    except (OSError, AttributeError, struct.error):
        return None

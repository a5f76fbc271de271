"""Where a recording's trainer listens, and what is said over the wire: one JSON object a line.

The viewer sends commands, the trainer answers every commit and every change of state with its
status.  What was measured never travels here: it is read from the recording.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from bntui.errors import BntuiError
from bntui.foreign import reason
from bntui.language import _

Command = Literal["epoch", "step", "run", "pause", "pace", "fork", "stop"]
"""``epoch`` and ``step`` train one more epoch or mini-batch of every run and pause; ``pace`` carries
``epochs_per_second`` (null: unthrottled); ``fork`` carries ``run`` (its number), ``step`` (of one of its keyframes) and
``changes`` (pairs of key path and value), and trains on; ``stop`` ends after the step under way, everything saved.
What was taken in is kept in the recording until it is done."""

State = Literal["paused", "running", "finished", "stopped", "failed"]

PACES: Final[tuple[float | None, ...]] = (1, 2, 5, 10, 20, 50, 100, None)
"""Epochs a second that + and − walk through; None is unthrottled."""


OVER: Final[tuple[State, ...]] = ("finished", "stopped", "failed")
"""States after which a trainer records nothing more."""

LONGEST_SOCKET_PATH: Final = 103
"""Bytes that every system takes; Linux takes four more."""

INTERACTIVE_PACE: Final = 10.0
"""Epochs a second at which the screen starts: fast enough to see a network learn, slow enough to watch."""


@dataclass(frozen=True, slots=True)
class Status:
    """The trainer's own state: the one thing on the screen that is not in the recording."""

    state: State
    pace: float | None
    """Asked-for epochs a second; None is unthrottled."""
    rate: float
    """Measured epochs a second of all runs together, over the last second or so; 0 when paused."""
    keyframes: int
    """Keyframes committed so far, all runs."""
    message: str = ""
    """What went wrong, when the state is ``failed``."""
    refusal: str = ""
    """Why the last fork that was asked for cannot be; empty where it could."""
    refused: int = 0
    """Number of commands taken in when that was refused: greater than when one asked, or it is an older refusal."""
    commands: int = 0
    """Commands taken in since the trainer began, of all clients: each is kept in the recording until it is done."""

    def line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @staticmethod
    def parse(line: bytes) -> Status:
        return Status(**json.loads(line))


def command_line(command: Command, **arguments: Any) -> bytes:
    return json.dumps({"command": command, **arguments}).encode() + b"\n"


def runtime_folder() -> Path:
    """The user's own folder for sockets, locks and logs, mode 0700.

    Raises:
        BntuiError: it cannot be made, or is not the user's own.
    """
    base = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(base) / "bntui" if base else Path(tempfile.gettempdir()) / f"bntui-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        sentence = _("{folder} cannot be used for sockets: {reason}; set XDG_RUNTIME_DIR")
        raise BntuiError(sentence.format(folder=folder, reason=reason(error))) from error
    # /tmp is everybody's: a folder or link of someone else is never trusted
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        sentence = _("{folder} is not a folder that only you can enter; set XDG_RUNTIME_DIR to one that is")
        raise BntuiError(sentence.format(folder=folder))
    return folder


def _name(recording: Path) -> str:
    return hashlib.sha256(str(recording.resolve()).encode()).hexdigest()[:24]


def socket_path(recording: Path) -> Path:
    """Named by a hash of the recording's real path, because a socket's path ends at 108 bytes.

    Raises:
        BntuiError: even so it is too long.
    """
    path = runtime_folder() / f"{_name(recording)}.sock"
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        sentence = _("{path} is too long for a socket; set XDG_RUNTIME_DIR to a shorter folder")
        raise BntuiError(sentence.format(path=path))
    return path


def lock_path(recording: Path) -> Path:
    """The file that a recording's trainer keeps locked while it lives."""
    return runtime_folder() / f"{_name(recording)}.lock"

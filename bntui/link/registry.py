"""Notes the user's live trainers in the state folder, so that they are found wherever their recordings are stored.

Each trainer keeps one small file there, which names its recording, host, and process.  A note is only a hint: a
trainer of this host is live if it answers, and one of another host if it has renewed its note recently.  Recorders of
other training loops note themselves too; they listen to nobody, and are live as long as their process runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bntui.files import read_regular
from bntui.link import state_files
from bntui.link.live import is_live

RENEWED: Final = 60.0
"""Seconds after which a trainer writes its note again."""
TRUSTED: Final = 10 * RENEWED
"""Seconds for which the note of another host counts: longer than a busy network takes."""
FORGOTTEN: Final = 24 * 3600.0
"""Seconds after which the note of another host is removed."""
PAUSE: Final = 0.1
"""Seconds after which a trainer that runs and does not answer is asked again."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A trainer, as it noted itself."""

    recording: Path
    host: str
    pid: int
    recorder: bool = False
    """It is no trainer: a loop of the user's own is recorded."""
    begun: str = ""
    """When the process of a recorder began, as the kernel counts; empty if unknown."""

    @property
    def here(self) -> bool:
        """True if it runs on this host."""
        return self.host == socket.gethostname()


def registry_folder() -> Path:
    """Where the notes are: ``trainers`` in the user's state folder."""
    return state_files.state_folder() / "trainers"


def write(recording: Path) -> None:
    """Note that this process trains a recording, in place of what it noted before; training never fails by it."""
    text = json.dumps({"recording": str(recording.absolute()), "host": socket.gethostname(), "pid": os.getpid()})
    with contextlib.suppress(OSError):
        state_files.put(_own(), text)


def erase() -> None:
    """Remove the note of this process."""
    with contextlib.suppress(OSError):
        _own().unlink()


def write_recorder(recording: Path, loop: int) -> None:
    """Note that a training loop is recorded; the loop never fails by it.

    Args:
        loop: the process of the loop, which may be another one than this.
    """
    told = {"recording": str(recording.absolute()), "host": socket.gethostname(), "pid": loop, "recorder": True,
            "begun": _begun(loop)}  # fmt: skip
    with contextlib.suppress(OSError, ValueError):
        state_files.put(_of_recorder(recording, loop), json.dumps(told))


def erase_recorder(recording: Path, loop: int) -> None:
    """Remove the note of a training loop."""
    with contextlib.suppress(OSError):
        _of_recorder(recording, loop).unlink()


def recorder(recording: Path) -> Registration | None:
    """The process of this host that records its own loop into this file; None if there is none."""
    return _live_one(recording, lambda note: note.recorder and note.here)


def trainer(recording: Path) -> Registration | None:
    """The live trainer of this recording, on this host or another one; None if there is none."""
    return _live_one(recording, lambda note: not note.recorder)


def trainers() -> tuple[Registration, ...]:
    """Live trainers of this user; notes of trainers that have ended are removed."""
    return tuple(note for path, note in _notes() if _live(note, path))


def elsewhere(recording: Path) -> Registration | None:
    """The trainer on another host that trains this recording; None if there is none."""
    return _live_one(recording, lambda note: not note.here)


def _live_one(recording: Path, wanted: Callable[[Registration], bool]) -> Registration | None:
    """The live process of a kind that writes this recording; others are not asked: one that hangs takes seconds."""
    where = recording.absolute()
    for path, note in _notes():
        if wanted(note) and (note.recording == where or _same(note.recording, where)) and _live(note, path):
            return note
    return None


def _notes() -> Iterator[tuple[Path, Registration]]:
    """All notes, each with its file."""
    try:
        paths = sorted(registry_folder().glob("*.json"))
    except OSError:
        return
    for path in paths:
        note = _read(path)
        if note is not None:
            yield path, note


def _own() -> Path:
    return registry_folder() / f"{_host()}-{os.getpid()}.json"


def _of_recorder(recording: Path, loop: int) -> Path:
    name = hashlib.sha256(os.fsencode(recording.absolute())).hexdigest()[:12]
    return registry_folder() / f"{_host()}-{loop}-{name}.json"


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:12]


def _begun(pid: int) -> str:
    """When a process began, in ticks since the machine did; empty where the kernel does not say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _read(path: Path) -> Registration | None:
    """The note in a file; a file that holds none is removed, one that cannot be read is skipped."""
    try:
        told = json.loads(read_regular(path, state_files.LARGEST))
    except OSError:
        return None
    except (ValueError, RecursionError):
        told = None
    match told:
        case {"recording": str(recording), "host": str(host), "pid": int(pid)} if (
            os.path.isabs(recording) and "\0" not in recording and pid > 0
        ):
            begun = told.get("begun")
            return Registration(
                Path(recording), host, pid, told.get("recorder") is True, begun if type(begun) is str else ""
            )
    _remove(path)
    return None


def _live(note: Registration, path: Path) -> bool:
    if not note.here:
        try:
            silent = time.time() - path.stat().st_mtime
        except OSError:
            return False
        if silent > FORGOTTEN:
            _remove(path)
        return silent <= TRUSTED
    if note.recorder:
        live = _runs(note.pid) and note.begun in ("", _begun(note.pid)) and note.recording.exists()
        if not live:
            _remove(path)
        return live
    if _answers(note):
        return True
    if not _runs(note.pid):
        _remove(path)
        return False
    time.sleep(PAUSE)  # it may be binding its socket again
    return _answers(note)


def _answers(note: Registration) -> bool:
    return note.recording.exists() and is_live(note.recording)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's
        return True
    return True


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()

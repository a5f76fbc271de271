"""Starts the trainer's process, ahead of its first use where that is foreseeable.

It takes most of a second to import torch, so every tenth that it starts earlier is one that the user waits less.  This
module imports little, because it is imported before the screen is.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from bntui.cpu import cores
from bntui.errors import BntuiError, TrainerError
from bntui.link.address import runtime_folder
from bntui.link.training_packages import missing, need_training
from bntui.text.language import _
from bntui.text.library_messages import reason


class Spawned(NamedTuple):
    """A trainer's process that waits for its job."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    """The job is sent here; when it is closed before, the process ends."""
    log: Path

    def discard(self) -> None:
        """End the unused process."""
        self.control.close()
        with suppress(OSError):
            self.log.unlink()
        # it may still be importing torch: killing it loses nothing
        self.process.kill()
        self.process.wait()


_ahead: Spawned | None = None


def spawn() -> Spawned:
    """Start a process in its own session; it outlives this terminal once it has a job.

    It has no terminal: its output goes to a log, so that it cannot corrupt the screen.

    Raises:
        UsageError: bntui is installed without the packages that train.
        TrainerError: the system lacks what a process needs.
    """
    need_training()
    folder = runtime_folder()
    with ExitStack() as undo:
        try:
            ours, theirs = socket.socketpair()
            undo.callback(ours.close)
            undo.callback(theirs.close)
            handle, name = tempfile.mkstemp(prefix="trainer-", suffix=".log", dir=folder)
            log = Path(name)
            undo.callback(log.unlink, missing_ok=True)
            with os.fdopen(handle, "wb") as output:
                process = subprocess.Popen(
                    # -P: do not import from the current folder
                    [sys.executable, "-P", "-m", "bntui.trainer_process", str(theirs.fileno()), str(log)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except OSError as error:  # too many processes or open files, a full disk
            place = f"{error.filename}: " if error.filename else ""
            raise TrainerError(_("cannot start a trainer: {reason}").format(reason=place + reason(error))) from error
        undo.pop_all()
    theirs.close()
    return Spawned(process, ours, log)


def spawn_ahead(*, gently: bool = False) -> None:
    """Start a process for the next :func:`spawned`, unless nothing can be trained.

    On a single core, it would delay what it is meant to run beside.

    Args:
        gently: do not start it either if all cores are busy at this moment.
    """
    global _ahead
    if _ahead is None and not missing() and cores() > 1 and not (gently and _running() >= cores()):
        with suppress(BntuiError, OSError):  # who needs a process says why there is none
            _ahead = spawn()


def _running() -> int:
    """Number of processes and threads that run or could, this one included; 1 where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/loadavg").read_text("ascii").split()[3].partition("/")[0])
    return 1


def spawned() -> Spawned:
    """The process that was started ahead, or a new one; raises the errors of :func:`spawn`."""
    global _ahead
    found, _ahead = _ahead, None
    return found or spawn()


def discard_ahead() -> None:
    """End the process that was started ahead, if nobody needed it."""
    global _ahead
    found, _ahead = _ahead, None
    if found is not None:
        found.discard()

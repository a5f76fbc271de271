"""One trainer a recording: who holds it, and for how long."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from bntui.errors import RecordingError
from bntui.link import lock_path


def hold(recording: Path) -> int:
    """Hold a recording until the descriptor is closed or the process ends, however it ends.

    Raises:
        RecordingError: another trainer holds it, and is named.
    """
    descriptor = os.open(lock_path(recording), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(descriptor, 100).decode(errors="replace") or "another process"
        os.close(descriptor)
        raise RecordingError(f"{recording} is being written by {holder}: bntui stop {recording} ends it") from error
    os.truncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()}".encode())
    return descriptor

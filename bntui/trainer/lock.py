"""One trainer a recording: who holds it, and for how long."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from bntui.errors import RecordingError
from bntui.language import _
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
        holder = os.read(descriptor, 100).decode(errors="replace")
        os.close(descriptor)
        sentence = _("{recording} is being written by another process: bntui stop {recording} ends it")
        if holder:
            sentence = _("{recording} is being written by process {holder}: bntui stop {recording} ends it")
        raise RecordingError(sentence.format(recording=recording, holder=holder)) from error
    os.truncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor

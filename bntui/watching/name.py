"""Locks the name of a new recording, so that nobody else writes it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from bntui.errors import NameTakenError, RecordingError, StorageError, UsageError
from bntui.link.lock import Hold
from bntui.recording.names import SUFFIX
from bntui.text.language import _
from bntui.text.output import clean, shortened


def hold_name(path: Path | None, title: str) -> Hold:
    """The lock on the name of a new recording.

    Args:
        path: its name; None for a new one in the user's folder.
        title: what that one is named after.

    Raises:
        NameTakenError: the file exists.
        RecordingError: another process writes it.
        StorageError: no file can have that name.
        UsageError: it is no name.
    """
    if path is None:
        return Hold.new(title, recorder=True)
    with suppress(RuntimeError):  # a user without a home
        path = path.expanduser()  # its folder would be created, with the name ~
    if not path.name:
        raise UsageError(_("{path} is not the name of a file").format(path=clean(repr(str(path)))))
    named = path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)
    try:
        taken = os.path.lexists(named)
        hold = Hold(named.absolute(), recorder=True)
    except RecordingError as error:  # once the other recorder ends, the file exists
        sentence = _("{path} is already being written; choose another name")
        raise RecordingError(sentence.format(path=named)) from error
    except (ValueError, OSError) as error:  # too long, or characters that no name can have
        reason = error.strerror if isinstance(error, OSError) else str(error)
        sentence = _("cannot write the recording {path}: {reason}")
        raise StorageError(sentence.format(path=shortened(clean(str(named)), 200), reason=reason)) from error
    if taken or os.path.lexists(named):
        hold.release()
        raise NameTakenError(_("{path} already exists; choose another name").format(path=named))
    return hold

"""Finds where a job that was resumed wrote its steps again, and removes what TensorBoard removes there.

A writer that is told from which step it continues, such as PyTorch's with ``purge_step``, marks it with a
``SessionLog.START`` event.  TensorBoard then forgets what the files of this folder said of this step and of later ones,
as ``event_accumulator.py`` of TensorBoard 2 does.  Where steps go back without a mark, it keeps everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from bntui.export.protobuf import VARINT, fields

START: Final = 1
"""``SessionStatus.START`` of ``event.proto``."""
MOST: Final = 1_000
"""Marks that are followed; each costs a look at all values."""


def starts(session_log: memoryview) -> bool:
    """True if a ``SessionLog`` says that a job starts.

    Raises:
        ValueError: it is damaged.
    """
    return any(number == 1 and kind == VARINT and value == START for number, kind, value in fields(session_log))


def forget(tags: Iterable[dict[int, Any]], step: int) -> int:
    """Remove the values of a step and of later ones; returns how many there were."""
    count = 0
    for values in tags:
        for later in [one for one in values if one >= step]:
            del values[later]
            count += 1
    return count

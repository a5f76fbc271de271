"""Ends commands that train many runs with a sentence when SIGTERM arrives before or after the training."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Final

COMMANDS: Final = {"sweep", "verify"}
"""Commands whose first seconds pass before they start a process of their own."""


class Terminated(SystemExit):
    """SIGTERM arrived; the exit code is that of a shell."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


def end_on_sigterm() -> None:
    """Let SIGTERM raise :class:`Terminated`, unless it is ignored."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    if signal.getsignal(signal.SIGTERM) != signal.SIG_IGN:
        signal.signal(signal.SIGTERM, end)

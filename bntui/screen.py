"""Opens the screen: it needs a terminal, and an error that ended it is said on the terminal it leaves behind."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from bntui.errors import BntuiError, UsageError


def need_terminal(instead: str) -> None:
    """Refuse to draw into a pipe; ``instead`` says what to do there.

    Raises:
        UsageError: stdin or stdout is not a terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(f"the screen needs a terminal: {instead}")


def open_screen(recording: Path | None = None, *, opening: Callable[[], Path] | None = None) -> None:
    """The gallery, a recording, or a training that is being started; returns when the user leaves.

    Raises:
        BntuiError: what ended the screen.
    """
    from bntui.viewer.app import LabApp

    error = LabApp(recording, opening=opening).run()
    if isinstance(error, BntuiError):
        raise error

"""Opens the screen: it needs a terminal, and an error that ended it is said on the terminal it leaves behind."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bntui.errors import BntuiError, UsageError
from bntui.language import _


def need_terminal(instead: str) -> None:
    """Refuse to draw into a pipe; ``instead`` says what to do there.

    Raises:
        UsageError: stdin or stdout is not a terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(_("the screen needs a terminal: {instead}").format(instead=instead))


def open_screen(
    recording: Path | Sequence[Path] | None = None,
    *,
    opening: Callable[[], Path] | None = None,
    cancel: Callable[[], None] | None = None,
    starting: str = "",
) -> None:
    """The gallery, a recording, or a training that is being started; returns when the user leaves.

    Args:
        recording: the one to open, or several side by side; without it, and without ``opening``, the gallery.
        opening: starts a training and gives its recording.
        cancel: what to do where the user leaves before that.
        starting: what is being started, for the user.

    Raises:
        BntuiError: what ended the screen.
    """
    from bntui.viewer.app import LabApp

    error = LabApp(recording, opening=opening, cancel=cancel, starting=starting).run()
    if isinstance(error, BntuiError):
        raise error

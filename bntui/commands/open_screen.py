"""Opens the screen: it needs a terminal, and an error that ended it is said on the terminal it leaves behind."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bntui.errors import BntuiError, UsageError
from bntui.text.characters import charset, speaks
from bntui.text.language import _, spoken, use
from bntui.viewer.terminal.guard import guard

ADDRESSABLE: Final = re.compile(
    "(xterm|rxvt|screen|tmux|linux|vt[1-5]|alacritty|kitty|foot|wezterm|ghostty|contour|konsole|gnome|vte|iterm|nsterm|st-|"
    "st$|putty|mintty|cygwin|ms-|mlterm|eterm|dtterm|ansi|rio|warp|zellij|teraterm|konsole|terminator|sun|wsvt|pccon|"
    "cons25|fbterm|jfbterm|bvterm|con80|con132)"
).match
"""Terminals that are known to obey ECMA-48, installed in the terminfo database here or not."""


def need_terminal(instead: str) -> None:
    """Refuse to draw where nobody could see it; ``instead`` says what to do there.  From here on there is a guard.

    Raises:
        UsageError: stdin or stdout is not a terminal, or it cannot place its cursor.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(_("the screen needs a terminal: {instead}").format(instead=instead))
    kind = os.environ.get("TERM", "")
    if not can_place_cursor(kind):
        sentence = _(
            "the screen needs a terminal that can place its cursor, and TERM is {kind!r}: "
            "bntui run SCENARIO --headless trains without a screen, bntui show FILE prints a keyframe as text"
        )
        raise UsageError(sentence.format(kind=kind))
    guard()
    if not speaks(spoken(), charset(stream=sys.stdout)):
        use("en")


def can_place_cursor(kind: str) -> bool:
    """True for a terminal (a value of TERM) that obeys ECMA-48, by its name or by the terminfo database."""
    if ADDRESSABLE(kind):
        return True
    if kind in ("", "dumb", "unknown"):
        return False
    try:
        import curses

        curses.setupterm(kind, sys.stdout.fileno())
        return (curses.tigetstr("cup") or b"").startswith(b"\x1b[")
    except (ImportError, OSError, ValueError):
        return False
    except Exception as error:  # curses.error, whose module may be what is missing
        if type(error).__name__ == "error":
            return False
        raise


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
    from bntui.viewer.terminal.driver import HANG_UP

    app = LabApp(recording, opening=opening, cancel=cancel, starting=starting)
    error = app.run()
    if isinstance(error, BntuiError):
        raise error
    if app.return_code == HANG_UP:
        sys.exit(HANG_UP)

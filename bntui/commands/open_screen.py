"""Opens the screen on a terminal, and reports an error that ended it after restoring the terminal."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bntui.commands import preference
from bntui.errors import BntuiError, UsageError
from bntui.scenario.pace import PacingOptions
from bntui.text.characters import charset, speaks
from bntui.text.language import _, spoken, use
from bntui.text.output import clean
from bntui.text.widths import cut
from bntui.viewer.terminal.guard import guard

if TYPE_CHECKING:
    from bntui.viewer.opening import Beginning
    from bntui.viewer.sweep.board import Board

ADDRESSABLE: Final = re.compile(
    "(xterm|rxvt|screen|tmux|linux|vt[1-5]|alacritty|kitty|foot|wezterm|ghostty|contour|konsole|gnome|vte|iterm|nsterm|st-|"
    "st$|putty|mintty|cygwin|ms-|mlterm|eterm|dtterm|ansi|rio|warp|zellij|teraterm|konsole|terminator|sun|wsvt|pccon|"
    "cons25|fbterm|jfbterm|bvterm|con80|con132)"
).match
"""Terminals known to support ECMA-48, even if they are missing in the terminfo database."""


def need_terminal(instead: str) -> None:
    """Check that there is a terminal, and install the guard that restores it; ``instead`` suggests an alternative.

    Raises:
        UsageError: stdin or stdout is not a terminal, or the terminal cannot position its cursor.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(_("the screen needs a terminal: {instead}").format(instead=instead))
    kind = os.environ.get("TERM", "")
    if not can_place_cursor(kind):
        sentence = _(
            "the screen needs a terminal that can position its cursor, but TERM is {kind!r}; use bntui run SCENARIO"
            " --headless to train without a screen, or bntui show FILE to print a keyframe as text"
        )
        raise UsageError(sentence.format(kind=kind))
    guard()
    if not speaks(spoken(), charset(stream=sys.stdout)):
        use("en")


def can_place_cursor(kind: str) -> bool:
    """True if a terminal (a value of TERM) supports ECMA-48, by its name or the terminfo database."""
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
    except Exception as error:  # curses.error, but the curses module itself may be missing
        if type(error).__name__ == "error":
            return False
        raise


def announce(starting: str) -> None:
    """Say in the terminal's current line what is starting, until the screen has been imported."""
    cells = shutil.get_terminal_size().columns - 1
    sys.stdout.write(cut(clean(_("Starting {name} …").format(name=starting)), cells))
    sys.stdout.flush()


def unannounce() -> None:
    """Erase the current line."""
    sys.stdout.write("\r\x1b[K")
    sys.stdout.flush()


def open_screen(
    recording: Path | Sequence[Path] | None = None,
    *,
    beginning: Beginning | None = None,
    sweep: Callable[[], Board] | None = None,
    watching: PacingOptions | None = None,
    theme: str | None = None,
) -> None:
    """Open the gallery, a recording, or a training that is starting; returns when the user quits.

    Args:
        recording: one to open, or several side by side; without it and ``beginning``, the gallery opens.
        beginning: a training to start, whose recording is shown.
        sweep: reads a sweep to be shown instead.
        watching: how to train for someone who watches; by default as the configuration says.
        theme: as the command line asked for; else the configuration's, else that of the terminal's background.

    Raises:
        BntuiError: the error that ended the screen.
    """
    from bntui.viewer.app import LabApp
    from bntui.viewer.terminal.driver import HANG_UP

    theme = theme or preference.configuration().get("theme")
    watching = watching or preference.watching()
    app = LabApp(recording, beginning=beginning, sweep=sweep, watching=watching, theme=theme)
    unannounce()
    error = app.run()
    if isinstance(error, BntuiError):
        raise error
    if app.return_code == HANG_UP:
        sys.exit(HANG_UP)

"""Writes a picture as text for a terminal, with or without colors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TextIO

from rich.color import ColorSystem
from rich.console import COLOR_SYSTEMS, Console
from rich.style import Style

from bntui.pictures.picture import Line

MANY: Final = ColorSystem.EIGHT_BIT
"""The colors of a terminal that does not say how many it has."""


def colors_of(wanted: str, stream: TextIO, environment: Mapping[str, str]) -> ColorSystem | None:
    """The colors in which to write to a stream; None for text alone.

    Args:
        wanted: ``always``, ``never``, or ``auto``: in colors on a terminal.
    """
    if wanted == "never" or (wanted == "auto" and not stream.isatty()):
        return None
    system = Console(file=stream, force_terminal=True, no_color=False, _environ=environment).color_system
    if system is None:
        return MANY if wanted == "always" else None
    return COLOR_SYSTEMS[system]


def ansi(line: Line, colors: ColorSystem | None) -> str:
    """A row as text; without colors, blank cells at its end are left out."""
    if colors is None:
        return "".join(text for text, _style, _control in line).rstrip()
    return "".join((style or Style.null()).render(text, color_system=colors) for text, style, _control in line)

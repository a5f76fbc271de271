"""Takes pictures of what a running app shows, in the dark palette."""

from __future__ import annotations

from typing import Any, Final

from textual.app import App

from bntui.pictures.picture import Picture
from bntui.text.language import spoken
from bntui.viewer.draw.theme import DARK

TERMINAL: Final = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
"""Environment of a terminal that shows every color."""


def picture_of(app: App[Any], title: str) -> Picture:
    """What the app shows now."""
    lines = tuple(tuple(strip) for strip in app.screen._compositor.render_strips())
    return Picture(title, lines, app.size.width, DARK.text, DARK.ground, spoken())

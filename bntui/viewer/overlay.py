"""Shows a page on top of another screen without changing the cells around it."""

from __future__ import annotations

from textual.geometry import Region
from textual.screen import ModalScreen, ScreenResultType
from textual.strip import Strip

from bntui.viewer.terminal.textual_private import strips_below


class Overlay(ModalScreen[ScreenResultType]):
    """A page on top of another screen.

    Textual would tint the screen below and change the background of all its cells, so that all would be sent again.
    """

    CSS = "Overlay { background: transparent; }"

    def render_lines(self, crop: Region) -> list[Strip]:
        below = strips_below(self)
        if below is None:
            return super().render_lines(crop)
        return [strip.crop(crop.x, crop.right).discard_meta() for strip in below[crop.y : crop.bottom]]

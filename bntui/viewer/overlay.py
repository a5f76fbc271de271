"""Shows a page over another screen without touching what is around it."""

from __future__ import annotations

from textual.geometry import Region
from textual.screen import ModalScreen, ScreenResultType
from textual.strip import Strip

from bntui.viewer.terminal.textual_private import strips_below


class Overlay(ModalScreen[ScreenResultType]):
    """A page over another screen.

    Textual tints what lies below, and gives every cell of it a background, for which all of them would be sent anew.
    """

    CSS = "Overlay { background: transparent; }"

    def render_lines(self, crop: Region) -> list[Strip]:
        below = strips_below(self)
        if below is None:
            return super().render_lines(crop)
        return [strip.crop(crop.x, crop.right).discard_meta() for strip in below[crop.y : crop.bottom]]

"""A page over another screen, of which all around it stays as it is."""

from __future__ import annotations

from textual._context import visible_screen_stack
from textual.geometry import Region
from textual.screen import ModalScreen, ScreenResultType
from textual.strip import Strip


class Overlay(ModalScreen[ScreenResultType]):
    """A page over another screen.

    Textual tints what lies below, and gives every cell of it a background, for which all of them would be sent anew.
    """

    CSS = "Overlay { background: transparent; }"

    def render_lines(self, crop: Region) -> list[Strip]:
        screens = visible_screen_stack.get([])
        below = screens.pop() if screens else None
        if below is None or below is self:
            return super().render_lines(crop)
        strips = below._compositor.render_strips()[crop.y : crop.bottom]
        return [strip.crop(crop.x, crop.right).discard_meta() for strip in strips]

"""Shows a page on top of another screen without changing the cells around it."""

from __future__ import annotations

from typing import ClassVar, Final

from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.screen import ModalScreen, ScreenResultType
from textual.strip import Strip

from bntui.text.language import _
from bntui.viewer.goodbye import QUITS_BELOW
from bntui.viewer.notices import Notices
from bntui.viewer.terminal.textual_private import strips_below

INTERRUPT: Final = Binding("ctrl+c", "interrupt", show=False)


class Overlay(ModalScreen[ScreenResultType]):
    """A page on top of another screen.

    Textual would tint the screen below and change the background of all its cells, so that all would be sent again.
    """

    CSS = "Overlay { background: transparent; }"
    BINDINGS: ClassVar[list[BindingType]] = [INTERRUPT]

    def render_lines(self, crop: Region) -> list[Strip]:
        below = strips_below(self)
        if below is None:
            return super().render_lines(crop)
        return [strip.crop(crop.x, crop.right).discard_meta() for strip in below[crop.y : crop.bottom]]

    def action_interrupt(self) -> None:
        """Handle ctrl+c, which ends neither the page nor the program, and which its screen would not hear of."""
        Notices(self).say_once(_(QUITS_BELOW))

"""Declares the keys of the gallery."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding

from bntui.text.language import N_
from bntui.viewer.keys import Control

# fmt: off
CONTROLS: Final[tuple[Control[None], ...]] = (
    Control(("↑", "↓"), bindings=(
        Binding("up", "move(-1)", N_("Up")), Binding("down", "move(1)", N_("Down")),
    ), footer=N_("choose"), rank=2),
    Control(("home", "end"), bindings=(
        Binding("home", "move(-1000000)", N_("First")), Binding("end", "move(1000000)", N_("Last")),
    )),
    Control(("tab",), bindings=(Binding("tab,shift+tab", "other", N_("Other list")),), footer=N_("other list"), rank=4),
    Control(("pgdn", "pgup"), bindings=(
        Binding("pagedown", "scroll(1)", N_("Read on")), Binding("pageup", "scroll(-1)", N_("Read back")),
    ), footer=N_("read on"), rank=5, glyph="pgdn"),
    Control(("↵",), bindings=(Binding("enter", "open", N_("Open")),), footer=N_("open"), rank=3),
    Control(("q",), bindings=(Binding("q", "app.quit", N_("Quit")),), footer=N_("quit"), rank=1),
)
# fmt: on

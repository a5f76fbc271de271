"""Declares the keys of the fork form."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding

from bntui.text.language import N_
from bntui.viewer.keys import Control

PAGE: Final = 8
"""Number of settings that page up and page down skip."""
ESSENTIAL: Final = 5
"""Controls up to this rank keep their keys at any width: what starts and leaves, and how to get there."""

# fmt: off
CONTROLS: Final[tuple[Control[None], ...]] = (
    Control(("↑", "↓", "pgup", "pgdn", "home", "end"), N_("another setting"), (
        Binding("up,shift+tab", "move(-1)", N_("Setting before")), Binding("down,tab", "move(1)", N_("Next setting")),
        Binding("pageup", f"move(-{PAGE})", N_("Settings before")),
        Binding("pagedown", f"move({PAGE})", N_("Settings after")),
        Binding("home", "move(-1000000)", N_("First setting")), Binding("end", "move(1000000)", N_("Last setting")),
    ), N_("setting"), rank=3, glyph="↑↓"),
    Control(("←", "→"), N_("another choice"), (
        Binding("left", "turn(-1)", N_("Choice before")), Binding("right", "turn(1)", N_("Next choice")),
    ), N_("choice"), rank=5),
    Control((), N_("a value as --set takes it, or the beginning of a choice"), words=N_("letters, digits")),
    Control(("backspace",), N_("the last character away"),
            (Binding("backspace", "erase", N_("The last character away")),)),
    Control(("del",), N_("the parent's value again"),
            (Binding("delete", "restore", N_("The parent's value again")),), N_("as before"), rank=6),
    Control(("enter",), N_("start the fork"), (Binding("enter", "start", N_("Start the fork")),),
            N_("start"), rank=1, glyph="↵"),
    Control(("esc",), N_("leave without one"), (Binding("escape", "leave", N_("Leave without a fork")),),
            N_("leave"), rank=2),
    Control(("?",), N_("this page"), (Binding("question_mark", "explain", N_("Explain")),), N_("explain"), rank=4),
)
# fmt: on

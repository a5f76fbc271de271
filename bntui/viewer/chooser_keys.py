"""Declares the keys of the page on which the panels of the main screen are chosen."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding

from bntui.text.language import N_
from bntui.viewer.keys import Control

# fmt: off
CONTROLS: Final[tuple[Control[None], ...]] = (
    Control(("↑", "↓"), N_("another panel"), (
        Binding("up,shift+tab", "move(-1)", N_("Panel before")), Binding("down,tab", "move(1)", N_("Next panel")),
    ), N_("panel"), rank=2),
    Control(("home", "end"), N_("the first, the last panel"), (
        Binding("home", "move(-1000000)", N_("First panel")), Binding("end", "move(1000000)", N_("Last panel")),
    )),
    Control(("space",), N_("choose the panel, or no longer; those chosen first stand first"),
            (Binding("space", "choose", N_("Choose this panel")),), N_("choose"), rank=3),
    Control(("del",), N_("choose none: the panels with most to show stand there"),
            (Binding("delete,backspace", "reset", N_("Choose none")),), N_("none"), rank=5),
    Control(("↵",), N_("to this panel"), (Binding("enter", "go", N_("To this panel")),), N_("go there"), rank=4),
    Control(("?",), N_("this page"), (Binding("question_mark", "explain", N_("Explain")),), N_("explain"), rank=6),
    Control(("esc",), N_("back to the laboratory"), (Binding("escape,v,q", "leave", N_("Back")),), N_("back"), rank=1),
)
# fmt: on

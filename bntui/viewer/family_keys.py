"""Declares the keys of the page of all runs."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding

from bntui.text.language import N_
from bntui.viewer.keys import Control

# fmt: off
CONTROLS: Final[tuple[Control[None], ...]] = (
    Control(("↑", "↓"), N_("another run"), (
        Binding("up,shift+tab", "move(-1)", N_("Run before")), Binding("down,tab", "move(1)", N_("Next run")),
    ), footer=N_("run"), rank=2),
    Control(("home", "end"), N_("the first, the last run"), (
        Binding("home", "move(-1000000)", N_("First run")), Binding("end", "move(1000000)", N_("Last run")),
    )),
    Control(("↵",), N_("select this run in the laboratory"), (Binding("enter", "choose", N_("Select this run")),),
            footer=N_("select it"), rank=3),
    Control(("?",), N_("this page"), (Binding("question_mark", "explain", N_("Explain")),), N_("explain"), rank=4),
    Control(("esc",), N_("back to the laboratory"), (Binding("escape,r,q", "leave", N_("Back")),),
            footer=N_("back"), rank=1),
)
# fmt: on

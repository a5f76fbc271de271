"""Declares the keys of the page of a run's seeds."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding

from bntui.text.language import N_
from bntui.viewer.keys import Control

# fmt: off
CONTROLS: Final[tuple[Control[None], ...]] = (
    Control(("↑", "↓"), N_("another seed"), (
        Binding("up,shift+tab", "move(-1)", N_("Seed before")), Binding("down,tab", "move(1)", N_("Next seed")),
    ), footer=N_("seed"), rank=2),
    Control(("↵",), N_("train it again in a new recording"),
            (Binding("enter", "choose", N_("Train this seed again in a new recording")),),
            footer=N_("open it"), rank=3),
    Control(("esc",), N_("back to the laboratory"), (Binding("escape,B,q", "leave", N_("Back")),),
            footer=N_("back"), rank=1),
)
# fmt: on

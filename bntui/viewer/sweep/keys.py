"""Declares the keys of the screen of a sweep."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding

from bntui.text.language import N_
from bntui.viewer.keys import Control
from bntui.viewer.sweep.board import Board, BoardSelection

Here = tuple[Board, BoardSelection]


def _pictured(here: Here) -> bool:
    return here[0].pictured


# fmt: off
CONTROLS: Final[tuple[Control[Here], ...]] = (
    Control(("←", "→", "↑", "↓"), N_("another combination; in the list, ← → choose a seed"), (
        Binding("left", "move(-1, 0)", N_("Left")), Binding("right", "move(1, 0)", N_("Right")),
        Binding("up", "move(0, -1)", N_("Combination above")), Binding("down", "move(0, 1)", N_("Combination below")),
    ), footer=N_("move"), rank=3, glyph="←↑↓→"),
    Control(("pgup", "pgdn"), N_("ten combinations up, down"), (
        Binding("pageup", "move(0, -10)", N_("Ten up")), Binding("pagedown", "move(0, 10)", N_("Ten down")),
    )),
    Control(("tab",), N_("another seed of the combination"), (
        Binding("tab", "seed(1)", N_("Next seed")), Binding("shift+tab", "seed(-1)", N_("Seed before")),
    ), footer=N_("seed"), rank=5),
    Control(("home",), N_("the best combination"), (Binding("home,b", "best", N_("Best combination")),),
            footer=N_("best"), rank=6),
    Control(("t",), N_("as a list, as a heat map of two axes or lines over more"),
            (Binding("t", "turn", N_("List or picture")),), footer=N_("list, picture"), rank=7, when=_pictured),
    Control(("↵",), N_("open the recording of the chosen seed; f forks it there"),
            (Binding("enter", "open", N_("Open the recording")),), footer=N_("open"), rank=2),
    Control(("?",), N_("this page"), (Binding("question_mark", "explain", N_("Explain")),), N_("explain"), rank=4),
    Control(("q",), N_("quit; a sweep that is training goes on"), (Binding("q,escape", "app.quit", N_("Quit")),),
            footer=N_("quit"), rank=1),
)
# fmt: on
EVERYTHING: Final = (Board("", "", False, (("", ("",)), ("", ("",))), (), 0, 0, 0), BoardSelection())
"""A sweep in which every key has an effect."""

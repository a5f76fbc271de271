"""Declares the keys of the gallery, and of what it asks in its last row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from textual.binding import Binding

from bntui.text.language import N_
from bntui.viewer.keys import Control


@dataclass(frozen=True, slots=True)
class Here:
    """What decides which keys do something."""

    recording: bool
    """A recording is chosen, and may be changed."""
    searched: bool
    """Only what was searched for is listed."""
    scenarios: bool
    """There are scenarios beside the recordings."""


def _answer(shown: str, key: str, footer: str, rank: int) -> Control[None]:
    """A key that answers; the prompt itself hears it, the binding is for a click."""
    return Control((shown,), bindings=(Binding(key, f"answer('{key}')"),), footer=footer, rank=rank)


EVERYTHING: Final = Here(recording=True, searched=True, scenarios=True)

# fmt: off
CONTROLS: Final[tuple[Control[Here], ...]] = (
    Control(("↑", "↓"), N_("another scenario or recording"), (
        Binding("up", "move(-1)", N_("Up")), Binding("down", "move(1)", N_("Down")),
    ), footer=N_("choose"), rank=3),
    Control(("home", "end"), N_("the first, the last of the list"), (
        Binding("home", "move(-1000000)", N_("First")), Binding("end", "move(1000000)", N_("Last")),
    )),
    Control(("tab",), N_("the other list"),
            (Binding("tab,shift+tab", "other", N_("Other list")),),
            footer=N_("other list"), rank=9, when=lambda here: here.scenarios),
    Control(("pgdn", "pgup"), N_("scroll the description"), (
        Binding("pagedown", "scroll(1)", N_("Read on")), Binding("pageup", "scroll(-1)", N_("Read back")),
    ), footer=N_("read on"), rank=10, glyph="pgdn"),
    Control(("↵",), N_("train the scenario, or open the recording"),
            (Binding("enter", "open", N_("Open")),), footer=N_("open"), rank=4),
    Control(("/",), N_("search both lists"), (Binding("slash", "search", N_("Search")),), footer=N_("search"), rank=5),
    Control(("esc",), N_("show everything again"), (Binding("escape", "show_all", N_("Show all")),),
            footer=N_("show all"), rank=2, when=lambda here: here.searched),
    Control(("r",), N_("rename the recording"), (Binding("r", "rename", N_("Rename")),),
            footer=N_("rename"), rank=7, when=lambda here: here.recording),
    Control(("d", "del"), N_("delete the recording, after asking once"),
            (Binding("d,delete", "delete", N_("Delete")),),
            footer=N_("delete"), rank=6, glyph="d", when=lambda here: here.recording),
    Control(("?",), N_("this page"), (Binding("question_mark", "explain", N_("Explain")),),
            footer=N_("explain"), rank=8),
    Control(("q",), N_("quit"), (Binding("q", "app.quit", N_("Quit")),), footer=N_("quit"), rank=1),
)
ANSWERS: Final[Mapping[str, tuple[Control[None], ...]]] = {
    "search": (_answer("↵", "enter", N_("done"), 2), _answer("esc", "escape", N_("show all"), 1)),
    "rename": (_answer("↵", "enter", N_("rename"), 1), _answer("esc", "escape", N_("cancel"), 2)),
    "delete": (_answer("y", "y", N_("delete"), 1), _answer("n", "n", N_("keep"), 2)),
}
"""The keys that answer, by what is asked."""
# fmt: on

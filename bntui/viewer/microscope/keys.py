"""Declares the keys of the microscope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from textual.binding import Binding

from bntui.text.language import N_
from bntui.viewer.keys import Control
from bntui.viewer.microscope.state import Lens


@dataclass(frozen=True, slots=True)
class MicroscopeSituation:
    """The state that decides which keys have an effect; by default, all except those of the list have one."""

    listing: bool = False
    layers: bool = True
    """There are several layers with a normalization."""
    steps: bool = True
    """Time steps are normalized separately."""
    values: bool = True
    """The values of this keyframe were kept."""
    nearest: bool = True
    """The values of this keyframe were not kept, but those of another one were."""
    runs: bool = True
    """There are several runs with a normalization."""


EVERYTHING: Final = MicroscopeSituation()


def situation(lens: Lens) -> MicroscopeSituation:
    """The situation of the microscope."""
    return MicroscopeSituation(
        listing=lens.state.listing,
        layers=len(lens.layers) > 1,
        steps=lens.slide.steps > 1,
        values=lens.specimen.x is not None,
        nearest=lens.nearest is not None,
        runs=lens.runs > 1,
    )


# fmt: off
CONTROLS: Final[tuple[Control[MicroscopeSituation], ...]] = (
    Control(("←", "→", "shift+←", "shift+→"), N_("one keyframe, ten keyframes back and forward"), (
        Binding("left", "walk(-1)", N_("Keyframe before")), Binding("right", "walk(1)", N_("Keyframe after")),
        Binding("shift+left", "walk(-10)", N_("Ten keyframes before")),
        Binding("shift+right", "walk(10)", N_("Ten keyframes after")),
    ), N_("keyframe"), rank=2, glyph="←→"),
    Control(("↑", "↓", "pgup", "pgdn"), N_("another unit, channel or sample"), (
        Binding("up", "choose(-1)", N_("Previous unit")), Binding("down", "choose(1)", N_("Next unit")),
        Binding("pageup", "choose(-10)", N_("Ten units before")),
        Binding("pagedown", "choose(10)", N_("Ten units after")),
    ), N_("choose"), rank=3, glyph="↑↓"),
    Control(("tab", "shift+tab"), N_("another layer with a normalization"), (
        Binding("tab", "layer(1)", N_("Next layer")), Binding("shift+tab", "layer(-1)", N_("Layer before")),
    ), N_("layer"), rank=10, when=lambda here: here.layers, glyph="tab"),
    Control(("[", "]"), N_("another time step, where each is normalized by itself"), (
        Binding("left_square_bracket", "time(-1)", N_("Time step before")),
        Binding("right_square_bracket", "time(1)", N_("Time step after")),
    ), N_("time step"), rank=5, when=lambda here: here.steps),
    Control(("s", "S"), N_("mark another of the values: the formulas show its numbers"), (
        Binding("s", "mark(1)", N_("Mark the next value")), Binding("S", "mark(-1)", N_("Mark the value before")),
    ), N_("mark next"), rank=13, when=lambda here: here.values, glyph="s"),
    Control((".",), N_("play the four steps one after another"),
            (Binding("full_stop", "play", N_("Play the four steps")),),
            lambda here: "" if here.listing else N_("play"), rank=8),
    Control(("u",), N_("list all units; enter chooses one"), (Binding("u", "listing", N_("List all units")),),
            lambda here: N_("back") if here.listing else N_("list all"), rank=9),
    Control(("enter",), bindings=(Binding("enter", "chosen", N_("Choose")),)),
    Control(("o", "O"), N_("in the list: sort by the next figure, reverse the order"), (
        Binding("o", "sort(1)", N_("Sort by the next figure")), Binding("O", "reverse", N_("Reverse order")),
    ), lambda here: N_("sort") if here.listing else "", rank=6, glyph="o"),
    Control(("home", "end"),
            N_("the first keyframe; the last one, then follow the head; in the list, its first and last row"),
            (Binding("home", "home", N_("First keyframe")), Binding("end", "end", N_("Follow the head"))),
            lambda here: N_("top") if here.listing else "", rank=11, glyph="home"),
    Control(("g",), N_("to the nearest keyframe whose values were kept"),
            (Binding("g", "nearest", N_("Nearest keyframe with values")),),
            N_("nearest with values"), rank=4, when=lambda here: here.nearest),
    Control(("r",), N_("another run with a normalization"), (Binding("r", "run(1)", N_("Next run")),),
            N_("run"), rank=12, when=lambda here: here.runs),
    Control(("ctrl+s",), N_("save a picture of the screen, as SVG"),
            (Binding("ctrl+s", "save_picture", N_("Save a picture of the screen")),)),
    Control(("?",), N_("this page"), (Binding("question_mark", "explain", N_("Explain")),), N_("explain"), rank=7),
    Control(("esc", "m"), N_("back to the laboratory, at this keyframe and run"),
            (Binding("escape,m,q", "back", N_("Back to the laboratory")),), N_("laboratory"), rank=1, glyph="esc"),
)
# fmt: on

"""Declares the keys of the laboratory, from which bindings, footer, help page and README table are derived."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from textual.binding import Binding

from bntui.text.language import N_
from bntui.viewer.keys import Control, bindings_of, useful_of
from bntui.viewer.panels import PANELS

GALLERY: Final = N_("gallery")


@dataclass(frozen=True, slots=True)
class LabSituation:
    """The state that decides which keys have an effect."""

    live: bool = False
    """A trainer is connected."""
    running: bool = False
    runs: int = 1
    several: bool = False
    """Several panels are on the screen."""
    zoomed: bool = False
    walks: str = ""
    """What one can walk through in the focused panel."""
    from_gallery: bool = False
    back: str = GALLERY
    """The screen below, marked for translation."""
    forks: bool = True
    """Runs can be forked."""
    troubled: bool = False
    """An event says where a run first went wrong."""
    tours: bool = False
    """The recording has a guided tour."""
    touring: bool = False
    """A stop of it is shown."""
    banded: bool = False
    """The selected run has other seeds."""
    resumes: bool = False
    """No trainer is connected, and a run can be resumed."""
    judges: bool = False
    """The focused panel says which layers are the worst."""
    folds: bool = False
    """The layers form blocks."""
    folded: bool = False
    """Panels show blocks."""
    chosen: bool = False
    """A layer is chosen."""
    over: bool = False
    """All runs have ended; a trainer may still train seeds, which neither pause nor keep a pace."""


ESSENTIAL: Final = 8
"""Controls up to this rank keep their keys at any width, because without them a user is stuck, or may end a training by
mistake."""
EVERYTHING: Final = LabSituation(runs=3, several=True, from_gallery=True, troubled=True, tours=True, touring=True,
                                   banded=True, folds=True)  # fmt: skip
"""A situation in which every key that needs no trainer has an effect."""


def _live(here: LabSituation) -> bool:
    return here.live


def _trains(here: LabSituation) -> bool:
    return here.live and not here.over


def _many(here: LabSituation) -> bool:
    return here.runs > 1


def _touring(here: LabSituation) -> bool:
    return here.touring


def _back(here: LabSituation) -> str:
    return N_("end tour") if here.touring else N_("choose none") if here.chosen else here.back


def _run(here: LabSituation) -> str:
    if not here.live:
        return N_("resume")
    return N_("pause") if here.running else N_("run")


def _panels() -> Iterator[Control[LabSituation]]:
    """The keys of the panels: one control for all digits, and one for each other key."""

    def chosen(digits: bool) -> list[Binding]:
        return [Binding(p.key, f"focus_panel('{p.name}')", p.label) for p in PANELS if p.key.isdigit() == digits]

    yield Control(("0-9",), N_("choose a panel"), tuple(chosen(True)), N_("panel"), rank=12)
    others = [panel for panel in PANELS if not panel.key.isdigit()]
    for panel, binding in zip(others, chosen(False), strict=True):
        yield Control((panel.key,), panel.does, (binding,))


# fmt: off
CONTROLS: Final[tuple[Control[LabSituation], ...]] = (
    Control(("space",), N_("run, pause"), (Binding("space", "run", N_("Run or pause")),),
            _run, rank=3, when=lambda here: _trains(here) or here.resumes),
    Control(("n",), N_("train one more epoch of every run"),
            (Binding("n", "train('epoch')", N_("Train one more epoch")),),
            lambda here: "" if here.running else N_("epoch"), rank=8, when=_trains),
    Control(("s",), N_("train one more mini-batch of every run"),
            (Binding("s", "train('step')", N_("Train one more mini-batch")),),
            lambda here: "" if here.running else N_("step"), rank=15, when=_trains),
    Control(("+", "−"), N_("pace: epochs a second"),
            (Binding("plus,equals_sign", "pace(1)", N_("Faster")), Binding("minus", "pace(-1)", N_("Slower"))),
            N_("pace"), rank=16, when=_trains, matters=lambda here: here.running),
    Control(("R",), N_("train again from the start, in a new recording"),
            (Binding("R", "train_anew", N_("Train again from the start")),), N_("again"), rank=24,
            when=lambda here: here.forks),
    Control(("←", "→"), N_("one keyframe back, forward"),
            (Binding("left", "walk(-1)", N_("Keyframe before")), Binding("right", "walk(1)", N_("Keyframe after"))),
            N_("keyframe"), rank=7),
    Control(("shift+←", "shift+→"), N_("ten keyframes back, forward"),
            (Binding("shift+left", "walk(-10)", N_("Ten keyframes before")),
             Binding("shift+right", "walk(10)", N_("Ten keyframes after")))),
    Control(("home",), N_("the first keyframe: before training"), (Binding("home", "home", N_("First keyframe")),)),
    Control(("end",), N_("the last keyframe; follows the head while it trains"),
            (Binding("end", "end", N_("Follow the head")),),
            lambda here: N_("follow") if here.live else N_("last"), rank=20),
    *_panels(),
    Control((".",), N_("tour: show the answer, then the next stop"),
            (Binding("full_stop", "walk_tour(1)", N_("Answer, then next stop of the tour")),),
            N_("answer, next"), rank=5,
            when=lambda here: here.touring),
    Control((",",), N_("tour: hide the answer, then the stop before"),
            (Binding("comma", "walk_tour(-1)", N_("Stop of the tour before")),), N_("before"), rank=6,
            when=lambda here: here.touring),
    Control(("t",), N_("guided tour: start, end"), (Binding("t", "tour", N_("Guided tour")),),
            lambda here: "" if here.touring else N_("tour"), rank=9, when=lambda here: here.tours),
    Control(("[", "]"), N_("walk through the layers or features that a panel has no room for"),
            (Binding("left_square_bracket", "walk_panel(-1)", N_("Layer or feature before")),
             Binding("right_square_bracket", "walk_panel(1)", N_("Layer or feature after"))),
            lambda here: here.walks, rank=28, matters=lambda here: bool(here.walks)),
    Control(("o",), N_("one row for each block of layers, or for each layer again"),
            (Binding("o", "fold", N_("Fold layers into blocks")),),
            lambda here: N_("unfold") if here.folded else N_("fold"), rank=32, when=lambda here: here.folds,
            matters=lambda here: here.judges),
    Control(("w",), N_("choose the worst layer of the focused panel, then the next worst; esc ends it"),
            (Binding("w", "worst", N_("Choose the worst layer")),), N_("worst"), rank=33,
            matters=lambda here: here.judges),
    Control(("v",), N_("choose the panels of the main screen"),
            (Binding("v", "choose_panels", N_("Choose the panels of the main screen")),), N_("panels"), rank=29),
    Control(("f",), N_("fork: a new run from this keyframe, with something changed"),
            (Binding("f", "fork", N_("Fork: a new run from this keyframe")),), N_("fork"), rank=10,
            when=lambda here: here.forks),
    Control(("b",), N_("band: train every run with more seeds"),
            (Binding("b", "more_seeds", N_("Train every run with more seeds")),), N_("seeds"), rank=30,
            when=lambda here: here.forks),
    Control(("B",), N_("open a seed of the band: train it again in a new recording"),
            (Binding("B", "open_seed", N_("Open a seed of the band")),), N_("open seed"), rank=31,
            when=lambda here: here.forks and here.banded),
    Control(("N",), N_("write a note at this keyframe, stored in the recording"),
            (Binding("N", "note", N_("Write a note at this keyframe")),), N_("note"), rank=27,
            when=lambda here: here.forks),
    Control(("!",), N_("go to the first NaN, infinite value, or dead gradient; again: the next"),
            (Binding("exclamation_mark", "trouble", N_("To the first bad tensor")),),
            N_("first bad"), rank=11, when=lambda here: here.troubled),
    Control(("m",), N_("microscope: one unit of a normalization in four steps"),
            (Binding("m", "microscope", N_("Microscope: a normalization in four steps")),), N_("microscope"), rank=14),
    Control(("enter",), N_("zoom the focused panel in or out"), (Binding("enter", "zoom", N_("Zoom the panel")),),
            lambda here: N_("back") if here.zoomed else N_("zoom"), rank=17, when=lambda here: here.several, glyph="↵",
            matters=lambda here: here.zoomed),
    Control(("tab", "shift+tab"), N_("choose a run"),
            (Binding("tab", "select(1)", N_("Next run")), Binding("shift+tab", "select(-1)", N_("Previous run"))),
            N_("run"), rank=13, when=_many, glyph="tab"),
    Control(("r",), N_("all runs and their forks, as a tree"), (Binding("r", "family", N_("Runs and their forks")),),
            N_("runs"), rank=19, when=_many),
    Control(("p",), N_("pin the next run beside it; after the last, none"),
            (Binding("p", "pin", N_("Pin the next run beside")),), N_("pin"), rank=22, when=_many),
    Control(("P",), N_("pin a third run beside these two; after the last, none"),
            (Binding("P", "pin_third", N_("Pin a third run beside")),), when=lambda here: here.runs > 2),
    Control(("h",), N_("hide this run in curves and header, and go to the next"),
            (Binding("h", "hide", N_("Hide this run")),), N_("hide"), rank=26, when=_many),
    Control(("H",), N_("show all hidden runs again"),
            (Binding("H", "show_all", N_("Show all runs")),), when=_many),
    Control(("x",), N_("the cursor counts in epochs or in optimizer steps"),
            (Binding("x", "unit", N_("Cursor by epoch or by step")),), N_("epochs, steps"), rank=23, when=_many),
    Control(("z", "Z"), N_("curves: show half, twice as much time around the cursor"),
            (Binding("z", "zoom_time(1)", N_("Show less time in the curves")),
             Binding("Z", "zoom_time(-1)", N_("Show more time in the curves"))), N_("time"), rank=25),
    Control(("l",), N_("logarithmic or linear axis"), (Binding("l", "log_axis", N_("Logarithmic or linear axis")),),
            N_("log"), rank=21),
    Control(("?",), N_("explain the panel and list all keys"),
            (Binding("question_mark", "explain", N_("Explain this panel")),), N_("explain"), rank=4),
    Control(("ctrl+s",), N_("save a picture of the screen, as SVG"),
            (Binding("ctrl+s", "save_picture", N_("Save a picture of the screen")),)),
    Control(("ctrl+p",), N_("command palette")),
    Control(("ctrl+z",), N_("suspend; `fg` in the shell resumes")),
    Control(("esc",), N_("end the tour, go back"), (Binding("escape", "back", N_("Back")),),
            _back, rank=18, when=lambda here: here.from_gallery or here.touring or here.chosen,
            matters=lambda here: here.touring or here.chosen, vital=_touring),
    Control(("d",), N_(
        "detach: quit while training continues"
    ), (Binding("d", "detach", N_("Detach: training goes on")),),
            N_("detach"), rank=2, when=_live),
    Control(("q",), lambda here: N_("stop training, save and quit") if here.live else N_("quit"),
            (Binding("q", "app.quit", N_("Quit; stops the training that was started here")),),
            lambda here: N_("stop, quit") if here.live else N_("quit"), rank=1),
)
# fmt: on
"""All keys of the laboratory, in the order of the footer and the help page."""


def bindings() -> list[Binding]:
    """The bindings of the laboratory's screen."""
    return bindings_of(CONTROLS)


def useful(here: LabSituation) -> list[Control[LabSituation]]:
    """The controls that have an effect here."""
    return useful_of(CONTROLS, here)

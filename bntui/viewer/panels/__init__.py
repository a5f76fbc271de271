"""Finds the panels: every module here declares ``PANEL`` and has a pure ``draw(view, width, height) -> Drawing``.

Declarations are read from the source of the modules, so that only panels that are drawn have to be imported: importing
all of them would delay the first paint.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from bntui.viewer.draw.extremes import unbounded

if TYPE_CHECKING:
    from bntui.viewer.draw.rows import Drawing
    from bntui.viewer.view import View
    from bntui.viewer.worst import CriterionName

Recorded = Literal["dropout", "early stopping", "predictions", "several recordings"]
"""Contents of a recording that decide which panels are on the main screen."""
Loaded = Literal["dataset", "histograms"]
"""Parts of a view that are loaded only if a panel on the screen reads them."""
Trouble = Literal["forward", "backward"]
"""Where in a step a value turns bad."""
_OF_MINI_BATCH: Final = frozenset(("LayerMeasures", "DropoutMask"))
"""Classes of a keyframe's figures that one mini-batch gives."""


@dataclass(frozen=True, slots=True)
class Panel:
    """The declaration of a panel."""

    name: str
    """Name of the module and of the lesson."""
    key: str
    """A digit, or a letter; for a letter, ``does`` describes the key."""
    label: str
    """The name on the screen, in English and marked for translation, like the other words here."""
    short: str
    """A shorter label."""
    does: str = ""
    quotes: dict[str, str] = field(default_factory=dict, hash=False)
    """The fields that the panel draws, by class of the keyframe; the help page quotes their definitions."""
    home: int = 0
    """Number of the panel's own place on the main screen, from 1; 0 if it competes for a free place."""
    strip: bool = False
    """The panel is displayed below the others on every screen."""
    needs: Recorded | Literal[""] = ""
    """What a recording must have for the panel to show something: with it, the panel is among the first candidates for
    the free places, without it among the last."""
    first_with: Recorded | Literal[""] = ""
    """What a recording must have for the panel to be the first candidate for a free place."""
    still: bool = False
    """It shows one keyframe of each run, not its course: its title says of which one if that is not at the cursor."""
    reads: tuple[Loaded, ...] = ()
    walks: str = ""
    """What the user can walk through where there is no room for all: layers, for instance."""
    worst: CriterionName | Literal[""] = ""
    """What makes a layer bad here; for panels that walk through layers."""
    shows: Trouble | Literal[""] = ""
    """The pass of a step whose bad values the panel shows."""

    @property
    def definitions(self) -> tuple[str, ...]:
        """Keys of the quoted definitions; see :mod:`bntui.definitions`."""
        return tuple(f"{owner}.{name}" for owner, names in self.quotes.items() for name in names.split())

    @property
    def of_mini_batch(self) -> bool:
        """It draws figures of the one mini-batch that was measured."""
        return not _OF_MINI_BATCH.isdisjoint(self.quotes)

    def draw(self, view: View, width: int, height: int) -> Drawing:
        """The panel's rows, exactly ``height`` of ``width`` cells; its module is imported on the first call."""
        module = import_module(f"{__name__}.{self.name}")
        with unbounded():
            drawing: Drawing = module.draw(view, width, height)
        return drawing


_BEGIN: Final = "\nPANEL: Final = Panel(\n"
_END: Final = "\n)\n"


def declared(source: str) -> Panel | None:
    """The panel declared in a module's source as ``PANEL: Final = Panel(…)``, on separate lines; None if there is none.

    Raises:
        ValueError: an argument is not a literal.
    """
    _before, begin, rest = source.partition(_BEGIN)
    if not begin:
        return None
    call = ast.parse(f"Panel(\n{rest.partition(_END)[0]}{_END}", mode="eval").body
    assert isinstance(call, ast.Call)
    given: dict[str, Any] = {word.arg: _literal(word.value) for word in call.keywords if word.arg}
    return Panel(*map(_literal, call.args), **given)


def _literal(node: ast.expr) -> Any:
    """The value of a literal, or of the argument of ``N_("…")``."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "N_":
        node = node.args[0]
    return ast.literal_eval(node)


def in_order(panels: Iterable[Panel]) -> tuple[Panel, ...]:
    """Panels sorted by their keys as on a keyboard: 1 to 9, 0, letters."""
    return tuple(sorted(panels, key=lambda panel: (not panel.key.isdigit(), panel.key == "0", panel.key)))


def _found() -> Iterable[Panel]:
    for file in Path(__file__).parent.glob("[a-z]*.py"):
        if (panel := declared(file.read_text(encoding="utf-8"))) is not None:
            yield panel


PANELS: Final = in_order(_found())
"""All panels in the order of their keys."""
BY_NAME: Final = {panel.name: panel for panel in PANELS}
STRIP: Final = next(panel for panel in PANELS if panel.strip)
HOMES: Final = {panel.home: panel for panel in PANELS if panel.home}
"""Panels with their own place on the main screen, by its number."""
FREE: Final = tuple(panel for panel in PANELS if not panel.home and not panel.strip)
"""Panels that compete for the free places."""


def ranked(recorded: Collection[Recorded]) -> tuple[str, ...]:
    """The panels for the free places, the most useful first, for a recording with these contents."""

    def rank(panel: Panel) -> tuple[bool, int]:
        needed = 1 if not panel.needs else 0 if panel.needs in recorded else 2
        return panel.first_with not in recorded, needed

    return tuple(panel.name for panel in sorted(FREE, key=rank))


def read_by(names: Collection[str]) -> frozenset[Loaded]:
    """The parts of a view that the named panels read; names of other parts of the screen are ignored."""
    return frozenset(what for name in names if name in BY_NAME for what in BY_NAME[name].reads)

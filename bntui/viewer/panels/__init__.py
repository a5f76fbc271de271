"""The panels: every module here that declares ``PANEL`` and has a pure ``draw(view, width, height) -> Drawing``.

A declaration is read from the module's source, so that the screen knows all panels and imports only those that it
draws: to import them all would make the first paint later.
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

Recorded = Literal["dropout", "early stopping", "predictions", "several recordings"]
"""What a recording may have, where that decides which panels stand on the main screen."""
Loaded = Literal["dataset", "histograms"]
"""What a view is given only where a panel on the screen reads it."""
Trouble = Literal["forward", "backward"]
"""Where in a step a value turns bad."""


@dataclass(frozen=True, slots=True)
class Panel:
    """What a panel's module declares."""

    name: str
    """Its module's and its lesson's."""
    key: str
    """A digit; or a letter, and then ``does`` says what its key does."""
    label: str
    """In English, marked for translation, like the other words here."""
    short: str
    """The same where there is little room."""
    does: str = ""
    quotes: dict[str, str] = field(default_factory=dict, hash=False)
    """The fields of the keyframe's classes that it draws, by class: their definitions are quoted on its help page."""
    home: int = 0
    """Its own place on the main screen, from 1; 0 where it competes for a free one."""
    strip: bool = False
    """It stands below the others on every screen."""
    needs: Recorded | Literal[""] = ""
    """What it has nothing to show without: where it is recorded the panel is among the first in the free places, else
    among the last."""
    first_with: Recorded | Literal[""] = ""
    """What puts it before all others in the free places."""
    reads: tuple[Loaded, ...] = ()
    shows: Trouble | Literal[""] = ""
    """The bad values that are to be seen in it."""

    @property
    def definitions(self) -> tuple[str, ...]:
        """Keys of the definitions that it quotes; see :mod:`bntui.definitions`."""
        return tuple(f"{owner}.{name}" for owner, names in self.quotes.items() for name in names.split())

    def draw(self, view: View, width: int, height: int) -> Drawing:
        """The panel's rows, exactly ``height`` of ``width`` cells; its module is imported on the first call."""
        module = import_module(f"{__name__}.{self.name}")
        with unbounded():
            drawing: Drawing = module.draw(view, width, height)
        return drawing


_BEGIN: Final = "\nPANEL: Final = Panel(\n"
_END: Final = "\n)\n"


def declared(source: str) -> Panel | None:
    """The panel that a module's source declares: ``PANEL: Final = Panel(…)``, of literals, in lines of its own.

    Raises:
        ValueError: something else than a literal stands in it.
    """
    _before, begin, rest = source.partition(_BEGIN)
    if not begin:
        return None
    call = ast.parse(f"Panel(\n{rest.partition(_END)[0]}{_END}", mode="eval").body
    assert isinstance(call, ast.Call)
    given: dict[str, Any] = {word.arg: _literal(word.value) for word in call.keywords if word.arg}
    return Panel(*map(_literal, call.args), **given)


def _literal(node: ast.expr) -> Any:
    """A literal; ``N_("…")`` is its sentence."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "N_":
        node = node.args[0]
    return ast.literal_eval(node)


def in_order(panels: Iterable[Panel]) -> tuple[Panel, ...]:
    """Panels as their keys stand on the keyboard: 1 to 9, 0, letters."""
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
"""Panels with a place of their own on the main screen, by its number."""
FREE: Final = tuple(panel for panel in PANELS if not panel.home and not panel.strip)
"""Panels that compete for the free places."""


def ranked(recorded: Collection[Recorded]) -> tuple[str, ...]:
    """The panels for the free places, those first that have something to show in a recording that has these."""

    def rank(panel: Panel) -> tuple[bool, int]:
        needed = 1 if not panel.needs else 0 if panel.needs in recorded else 2
        return panel.first_with not in recorded, needed

    return tuple(panel.name for panel in sorted(FREE, key=rank))


def read_by(names: Collection[str]) -> frozenset[Loaded]:
    """What panels of these names read, beside what every view holds; other parts of the screen read nothing else."""
    return frozenset(what for name in names if name in BY_NAME for what in BY_NAME[name].reads)

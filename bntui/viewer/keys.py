"""Declares the keys of a screen once: its bindings, its footer and its help page are derived from its controls.

To add a key, add one control to the screen's list and the action that it names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.cells import cell_len
from textual.binding import Binding

from bntui.text.language import _
from bntui.viewer.draw.rows import Row, Span, fit

Here = TypeVar("Here")
"""What decides which keys of a screen do something."""


@dataclass(frozen=True, slots=True)
class Control(Generic[Here]):
    """One key, or a few that belong together."""

    shown: tuple[str, ...]
    """Its keys as they are written."""
    does: str | Callable[[Here], str] = ""
    """What the help page and the README say of it, marked for translation; empty on a screen without a help page."""
    bindings: tuple[Binding, ...] = ()
    """Empty where another part of the program binds it."""
    footer: str | Callable[[Here], str] = ""
    """Its label in the footer, marked for translation; empty where it does not stand there."""
    rank: int = 99
    """The lower, the later it leaves a footer that is too narrow."""
    when: Callable[[Here], bool] = lambda _here: True
    """Whether it does something here."""
    glyph: str = ""
    """Its keys in the footer, where they are written shorter there."""
    words: str = ""
    """What stands for its keys on the help page where they are too many, marked for translation."""

    @property
    def keys(self) -> str:
        """Its keys in the footer."""
        return self.glyph or "".join(self.shown)

    def label(self, here: Here) -> str:
        """Its label in the footer here, in English."""
        return self.footer if isinstance(self.footer, str) else self.footer(here)

    def help(self, here: Here) -> str:
        """What it does here, in English."""
        return self.does if isinstance(self.does, str) else self.does(here)


def bindings_of(controls: Iterable[Control[Here]]) -> list[Binding]:
    """What Textual binds on the screen."""
    return [binding for control in controls for binding in control.bindings]


def useful_of(controls: Iterable[Control[Here]], here: Here) -> list[Control[Here]]:
    """Controls that do something here."""
    return [control for control in controls if control.when(here)]


def help_of(controls: Iterable[Control[Here]], here: Here) -> tuple[tuple[str, str], ...]:
    """The keys that do something here, and what each does, in the reader's language."""
    told = ((control, control.help(here)) for control in useful_of(controls, here))
    return tuple((_(control.words) or " ".join(control.shown), _(what)) for control, what in told if what)


def footer_of(controls: Sequence[Control[Here]], here: Here, cells: int, essential: int = 0) -> Row:
    """The keys that do something here, in one row; the less important of those that do not fit are left out.

    Args:
        essential: controls up to this rank keep their keys at any width.
    """
    wanted = [(control, _(label)) for control in useful_of(controls, here) if (label := control.label(here))]
    kept = {control.keys: "" for control, _label in wanted if control.rank <= essential}
    room = cells - 1 - sum(cell_len(key) + 2 for key in kept)
    for control, label in sorted(wanted, key=lambda one: one[0].rank):
        size = cell_len(f" {label}") if control.keys in kept else cell_len(f"{control.keys} {label}") + 2
        if size <= room:
            kept[control.keys] = f" {label}"
            room -= size
    row: list[Span] = [Span(" ")]
    for control, _label in wanted:
        if control.keys in kept:
            row += [Span(control.keys, "key"), Span(f"{kept[control.keys]}  ", "muted")]
    return fit(tuple(row), cells)

"""Derives the bindings, the footer and the help page of a screen from the controls that declare its keys.

To add a key, add one control to the screen's list, and the action that it names.
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
"""The state that decides which keys of a screen have an effect."""


@dataclass(frozen=True, slots=True)
class Control(Generic[Here]):
    """One key, or several that belong together."""

    shown: tuple[str, ...]
    """The keys as displayed."""
    does: str | Callable[[Here], str] = ""
    """Description for the help page and the README, marked for translation; empty on a screen without a help page."""
    bindings: tuple[Binding, ...] = ()
    """Empty if another part of the program binds the keys."""
    footer: str | Callable[[Here], str] = ""
    """Label in the footer, marked for translation; empty if the footer does not show it."""
    rank: int = 99
    """Controls with a higher rank are removed first from a footer that is too narrow."""
    when: Callable[[Here], bool] = lambda _here: True
    """Whether the keys have an effect."""
    matters: Callable[[Here], bool] = lambda _here: False
    """Whether the keys matter more now than others that are not essential."""
    vital: Callable[[Here], bool] = lambda _here: False
    """Whether the keys are essential now, whatever their rank, in a footer that has essential ones."""
    glyph: str = ""
    """The keys in the footer, if they are shorter there."""
    words: str = ""
    """Replaces the keys on the help page if there are too many, marked for translation."""

    @property
    def keys(self) -> str:
        """The keys in the footer."""
        return self.glyph or "".join(self.shown)

    def label(self, here: Here) -> str:
        """The label in the footer, in English."""
        return self.footer if isinstance(self.footer, str) else self.footer(here)

    def help(self, here: Here) -> str:
        """The description for the help page, in English."""
        return self.does if isinstance(self.does, str) else self.does(here)


def bindings_of(controls: Iterable[Control[Here]]) -> list[Binding]:
    """The bindings of a screen."""
    return [binding for control in controls for binding in control.bindings]


def useful_of(controls: Iterable[Control[Here]], here: Here) -> list[Control[Here]]:
    """The controls that have an effect here."""
    return [control for control in controls if control.when(here)]


def help_of(controls: Iterable[Control[Here]], here: Here) -> tuple[tuple[str, str], ...]:
    """The keys that have an effect here, and what each does, in the current language."""
    told = ((control, control.help(here)) for control in useful_of(controls, here))
    return tuple((_(control.words) or " ".join(control.shown), _(what)) for control, what in told if what)


def footer_of(controls: Sequence[Control[Here]], here: Here, cells: int, essential: int = 0) -> Row:
    """The keys that have an effect here, in one row of so many cells; see :func:`hints_of`."""
    return fit((Span(" "), *hints_of(controls, here, cells, essential)), cells)


def hints_of(controls: Sequence[Control[Here]], here: Here, cells: int, essential: int = 0) -> Row:
    """The keys that have an effect here, without less important ones that do not fit into so many cells.

    Args:
        essential: controls up to this rank keep their keys at any width.
    """
    wanted = [(control, _(label)) for control in useful_of(controls, here) if (label := control.label(here))]
    kept = {control.keys: "" for control, _label in wanted if _stays(control, here, essential)}
    room = cells - 1 - sum(cell_len(key) + 2 for key in kept)
    for control, label in sorted(wanted, key=lambda one: _rank(one[0], here, essential)):
        size = cell_len(f" {label}") if control.keys in kept else cell_len(f"{control.keys} {label}") + 2
        if size <= room:
            kept[control.keys] = f" {label}"
            room -= size
    row: list[Span] = []
    for control, _label in wanted:
        if control.keys in kept:
            keys = _buttons(control)
            row += [Span("  ", "muted"), *keys, Span(kept[control.keys], "muted", keys[-1].click)]
    return tuple(row[1:])


def _rank(control: Control[Here], here: Here, essential: int) -> tuple[bool, bool, int]:
    """The place of a control among those that compete for the footer."""
    return not _stays(control, here, essential), not control.matters(here), control.rank


def _stays(control: Control[Here], here: Here, essential: int) -> bool:
    """Whether a control keeps its keys at any width."""
    return control.rank <= essential or (essential > 0 and control.vital(here))


def _buttons(control: Control[Here]) -> list[Span]:
    """The keys in the footer; a click on one does what it does, if that is a single thing."""
    rest, row = control.keys, []
    single = len(control.bindings) <= len(control.shown)
    for key, binding in zip(control.shown, control.bindings, strict=False) if single else ():
        if not rest.startswith(key):
            break
        row.append(Span(key, "key", binding.action))
        rest = rest.removeprefix(key)
    if rest or not row:
        row.append(Span(rest, "key", control.bindings[0].action if single and control.bindings else ""))
    return row

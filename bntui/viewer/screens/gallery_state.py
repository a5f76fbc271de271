"""Holds what the gallery lists and what is chosen in it: frozen, with pure transitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from bntui.link.library import Entry
    from bntui.scenario.gallery import Card

Lists = Literal["scenarios", "recordings"]
BESIDE: Final = 100
"""Columns from which the page stands beside the lists instead of below them."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """What is listed, what is chosen, and what is being opened."""

    cards: tuple[Card, ...] = ()
    entries: tuple[Entry, ...] | None = None
    """None until they are listed."""
    active: Lists = "scenarios"
    positions: Mapping[Lists, int] = field(default_factory=dict)
    busy: str = ""
    """What is being opened, in a sentence."""
    refusals: Mapping[Path, str] = field(default_factory=dict)
    """Why something could not be opened when it was tried."""
    scroll: int = 0
    """Rows of the page that have gone past its upper edge."""

    @property
    def position(self) -> int:
        """Place of the chosen item in the active list."""
        return self.positions.get(self.active, 0)

    @property
    def card(self) -> Card | None:
        """The chosen scenario, if the scenarios are the active list."""
        return self.cards[self.position] if self.active == "scenarios" and self.cards else None

    @property
    def entry(self) -> Entry | None:
        """The chosen recording, if the recordings are the active list."""
        return self.entries[self.position] if self.active == "recordings" and self.entries else None

    def size(self, which: Lists) -> int:
        return len(self.cards if which == "scenarios" else self.entries or ())

    def at(self, which: Lists, position: int) -> Gallery:
        """That item chosen, or the nearest there is."""
        position = min(max(position, 0), max(self.size(which) - 1, 0))
        return replace(self, active=which, positions={**self.positions, which: position}, scroll=0)

    def moved(self, by: int) -> Gallery:
        """Up or down; past a list's end into the other one."""
        wanted, last = self.position + by, self.size(self.active) - 1
        if wanted > last and by == 1 and self.active == "scenarios" and self.entries:
            return self.at("recordings", 0)
        if wanted < 0 and by == -1 and self.active == "recordings":
            return self.at("scenarios", self.size("scenarios") - 1)
        return self.at(self.active, wanted)

    def switched(self) -> Gallery:
        """The other list."""
        return replace(self, active="recordings" if self.active == "scenarios" else "scenarios", scroll=0)

    def with_entries(self, entries: tuple[Entry, ...]) -> Gallery:
        """The recordings listed anew; what was chosen stays chosen."""
        chosen = self.entry.path if self.entry else None
        listed = replace(self, entries=entries)
        found = next(
            (at for at, entry in enumerate(entries) if entry.path == chosen), listed.positions.get("recordings", 0)
        )
        position = min(found, max(len(entries) - 1, 0))
        return replace(listed, positions={**listed.positions, "recordings": position})

    @staticmethod
    def list_width(width: int) -> int:
        """Columns that the lists take of a screen."""
        return width * 54 // 100 if width >= BESIDE else width

"""Holds the state of the gallery, with pure transitions."""

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
"""Minimum columns of a screen on which the page is beside the lists instead of below them."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """The listed items, the chosen one, and the one that is being opened."""

    cards: tuple[Card, ...] = ()
    entries: tuple[Entry, ...] | None = None
    """None until the recordings are listed."""
    active: Lists = "scenarios"
    positions: Mapping[Lists, int] = field(default_factory=dict)
    busy: str = ""
    """A sentence that says what is being opened; empty if nothing is."""
    refusals: Mapping[Path, str] = field(default_factory=dict)
    """Errors of items that could not be opened, by path."""
    scroll: int = 0
    """Number of rows by which the page is scrolled."""

    @property
    def position(self) -> int:
        """Index of the chosen item in the active list."""
        return self.positions.get(self.active, 0)

    @property
    def card(self) -> Card | None:
        """The chosen scenario; None if the other list is active."""
        return self.cards[self.position] if self.active == "scenarios" and self.cards else None

    @property
    def entry(self) -> Entry | None:
        """The chosen recording; None if the other list is active."""
        return self.entries[self.position] if self.active == "recordings" and self.entries else None

    def size(self, which: Lists) -> int:
        return len(self.cards if which == "scenarios" else self.entries or ())

    def at(self, which: Lists, position: int) -> Gallery:
        """Choose an item, or the nearest one if there is no such position."""
        position = min(max(position, 0), max(self.size(which) - 1, 0))
        return replace(self, active=which, positions={**self.positions, which: position}, scroll=0)

    def moved(self, by: int) -> Gallery:
        """Move up or down; single steps continue into the other list."""
        wanted, last = self.position + by, self.size(self.active) - 1
        if wanted > last and by == 1 and self.active == "scenarios" and self.entries:
            return self.at("recordings", 0)
        if wanted < 0 and by == -1 and self.active == "recordings":
            return self.at("scenarios", self.size("scenarios") - 1)
        return self.at(self.active, wanted)

    def switched(self) -> Gallery:
        """Switch to the other list."""
        return replace(self, active="recordings" if self.active == "scenarios" else "scenarios", scroll=0)

    def with_entries(self, entries: tuple[Entry, ...]) -> Gallery:
        """Replace the list of recordings, keeping the chosen one."""
        chosen = self.entry.path if self.entry else None
        listed = replace(self, entries=entries)
        found = next(
            (at for at, entry in enumerate(entries) if entry.path == chosen), listed.positions.get("recordings", 0)
        )
        position = min(found, max(len(entries) - 1, 0))
        return replace(listed, positions={**listed.positions, "recordings": position})

    @staticmethod
    def list_width(width: int) -> int:
        """Width of the lists in cells, on a screen of ``width`` cells."""
        return width * 54 // 100 if width >= BESIDE else width

"""Holds the state of the gallery, with pure transitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from bntui.viewer.screens.gallery_prompt import Prompt

if TYPE_CHECKING:
    from bntui.link.library import ListedRecording
    from bntui.scenario.gallery import Card
    from bntui.viewer.view import View

Lists = Literal["scenarios", "recordings"]
BESIDE: Final = 100
"""Minimum columns of a screen on which the page is beside the lists instead of below them."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A recording as it was last read."""

    entry: ListedRecording
    view: View | None
    """At the newest keyframe; None if it cannot be read."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """What is listed, what is chosen, what is asked, and what is being opened."""

    cards: tuple[Card, ...] = ()
    entries: tuple[ListedRecording, ...] | None = None
    """None until the recordings are listed."""
    active: Lists = "scenarios"
    positions: Mapping[Lists, int] = field(default_factory=dict)
    read_only: bool = False
    """Nothing can be trained, renamed, or deleted."""
    query: str = ""
    """Words that are searched for; only what contains them is listed."""
    prompt: Prompt | None = None
    """What is asked in the last row."""
    busy: str = ""
    """What is being opened or changed, in a sentence."""
    refusals: Mapping[Path, str] = field(default_factory=dict)
    """Errors of items that could not be opened, by path."""
    scroll: int = 0
    """Number of rows by which the page is scrolled."""
    walked: frozenset[str] = frozenset()
    """English titles of the scenarios whose tour was walked to its end."""
    preview: Preview | None = None
    """The recording that was last read for a scenario's page."""

    @property
    def trained(self) -> frozenset[str]:
        """English titles of the scenarios of which a recording has ended."""
        return frozenset(entry.original for entry in self.entries or () if entry.ended)

    @property
    def pictured(self) -> ListedRecording | None:
        """The newest recording of the chosen scenario."""
        card = self.card
        of_it = (entry for entry in self.entries or () if card and entry.original and entry.original == card.original)
        return next(of_it, None)

    @property
    def readable(self) -> bool:
        """There is such a recording, and it is not known to be damaged."""
        entry, last = self.pictured, self.preview
        return entry is not None and (last is None or last.entry != entry or last.view is not None)

    @property
    def found_cards(self) -> tuple[Card, ...]:
        """The scenarios that are listed."""
        return tuple(card for card in self.cards if not self.query or card.matches(self.query))

    @property
    def found_entries(self) -> tuple[ListedRecording, ...]:
        """The recordings that are listed."""
        return tuple(entry for entry in self.entries or () if not self.query or entry.matches(self.query))

    @property
    def position(self) -> int:
        """Place of the chosen item in the active list."""
        return self.place(self.active)

    @property
    def card(self) -> Card | None:
        """The chosen scenario, if the scenarios are the active list."""
        cards = self.found_cards if self.active == "scenarios" else ()
        return cards[self.position] if cards else None

    @property
    def entry(self) -> ListedRecording | None:
        """The chosen recording, if the recordings are the active list."""
        entries = self.found_entries if self.active == "recordings" else ()
        return entries[self.position] if entries else None

    def place(self, which: Lists) -> int:
        """Place of the chosen item in a list, which may have become shorter."""
        return min(self.positions.get(which, 0), max(self.size(which) - 1, 0))

    def size(self, which: Lists) -> int:
        """Number of listed items."""
        return len(self.found_cards if which == "scenarios" else self.found_entries)

    def at(self, which: Lists, position: int) -> Gallery:
        """Choose an item, or the nearest one if there is no such position."""
        position = min(max(position, 0), max(self.size(which) - 1, 0))
        return replace(self, active=which, positions={**self.positions, which: position}, scroll=0)

    def moved(self, by: int) -> Gallery:
        """Move up or down; single steps continue into the other list."""
        wanted, last = self.position + by, self.size(self.active) - 1
        if wanted > last and by == 1 and self.active == "scenarios" and self.found_entries:
            return self.at("recordings", 0)
        if wanted < 0 and by == -1 and self.active == "recordings" and self.found_cards:
            return self.at("scenarios", self.size("scenarios") - 1)
        return self.at(self.active, wanted)

    def switched(self) -> Gallery:
        """Switch to the other list."""
        return replace(self, active="recordings" if self.active == "scenarios" else "scenarios", scroll=0)

    def searched(self, query: str) -> Gallery:
        """Only what contains these words; what was chosen stays chosen if it does, and no empty list is active."""
        chosen = self.card or self.entry
        found = replace(self, query=query, positions={}, scroll=0)
        if not found.size(found.active) and found.switched().size(found.switched().active):
            found = found.switched()
        items = found.found_cards if found.active == "scenarios" else found.found_entries
        return found.at(found.active, next((at for at, item in enumerate(items) if item is chosen), 0))

    def with_entries(self, entries: tuple[ListedRecording, ...], chosen: Path | None = None) -> Gallery:
        """The recordings listed anew; what was chosen, or is to be, is chosen.

        Where no scenario is offered, as in a folder that is served to a browser, one of them is.
        """
        wanted = chosen or (self.entry.path if self.entry else None)
        listed = replace(self, entries=entries, active=self.active if self.cards else "recordings")
        found = (at for at, entry in enumerate(listed.found_entries) if entry.path == wanted)
        position = next(found, self.positions.get("recordings", 0))
        return replace(listed, positions={**listed.positions, "recordings": position})

    def with_preview(self, preview: Preview) -> Gallery:
        """A recording read anew, listed as it is now."""
        path = preview.entry.path
        entries = tuple(preview.entry if entry.path == path else entry for entry in self.entries or ())
        return replace(self, entries=None if self.entries is None else entries, preview=preview)

    @staticmethod
    def list_width(width: int) -> int:
        """Width of the lists in cells, on a screen of ``width`` cells."""
        return width * 54 // 100 if width >= BESIDE else width

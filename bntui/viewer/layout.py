"""Places the panels on a screen of a given size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Final, NamedTuple

from textual.geometry import Region

from bntui.viewer import panels
from bntui.viewer.terminal.image import Part

SMALLEST: Final = (40, 12)
MOST_LINES: Final = 3
"""Rows that a stop of a guided tour may have below the timeline's track; one less on a screen with one panel."""
MOST_TIMELINE_ROWS: Final = 1 + MOST_LINES
HEADER: Final = "header"
TABS: Final = "tabs"
TIMELINE: Final = "strip"
KEYS: Final = "keys"

TWO_COLUMNS: Final = 100
THREE_COLUMNS: Final = 140
TALL: Final = 30
"""Minimum rows of a screen with several panels."""


VERY_TALL: Final = 60
"""Minimum rows of a wide screen with all panels."""
FREE: Final = 0
"""A free place, for the panel that is most useful for the recording."""


class PanelRow(NamedTuple):
    """Panels side by side.

    ``share`` is their share of the height in percent.  ``panels`` has the place of each panel, and its share of the
    width in percent.
    """

    share: int
    panels: tuple[tuple[int, int], ...]


WIDE: Final = (
    PanelRow(55, ((1, 52), (2, 48))),
    PanelRow(45, ((3, 32), (FREE, 34), (FREE, 34))),
)
HUGE: Final = (
    PanelRow(38, ((1, 52), (2, 48))),
    PanelRow(32, ((3, 32), (FREE, 34), (FREE, 34))),
    PanelRow(30, ((FREE, 25), (FREE, 25), (FREE, 25), (FREE, 25))),
)
NARROW: Final = (
    PanelRow(42, ((1, 50), (2, 50))),
    PanelRow(33, ((3, 50), (FREE, 50))),
    PanelRow(25, ((FREE, 100),)),
)
FEW: Final = (PanelRow(100, ((1, 50), (2, 50))),)
"""For a lecture hall."""
FREE_PANELS: Final = tuple(panel.name for panel in panels.FREE)


@dataclass(frozen=True, slots=True)
class Candidates:
    """Panels for the main screen."""

    free: Sequence[str] = FREE_PANELS
    """For the free places, those with most to show first."""
    guest: str = ""
    """One that was asked for and has no place: it takes the last free one's."""
    first: Sequence[str] = ()
    """For the first places, whatever else stands there."""
    few: bool = False
    """Two panels alone stand on the screen, as large as they can be."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The region of each part of the screen: ``header``, ``tabs``, ``strip`` (the timeline), ``keys``, and panels."""

    regions: dict[str, Region]
    several: bool
    """There is room for several panels, so that one can be zoomed."""


def layout(
    width: int, height: int, focused: str, zoomed: bool, candidates: Candidates = Candidates(), said: int = 1
) -> Layout:
    """Where everything stands; without regions where the screen is too small.

    160x48: two rows of panels, three where it is very tall; from 100 columns: two columns; below: the focused panel
    alone, with a line of tabs.

    Args:
        said: rows of the timeline below its track: its legend, or a stop of a guided tour.
    """
    if width < SMALLEST[0] or height < SMALLEST[1]:
        return Layout({}, several=False)
    several = width >= TWO_COLUMNS and height >= TALL
    regions = {
        HEADER: Region(0, 0, width, 1),
        TIMELINE: Region(0, height - 2 - said, width, 1 + said),
        KEYS: Region(0, height - 1, width, 1),
    }
    top, bottom = 1, height - 2 - said
    if zoomed or not several:
        regions[TABS] = Region(0, 1, width, 1)
        if focused == panels.STRIP.name:
            del regions[TIMELINE]  # it would show the same again
            bottom = height - 1
        regions[focused] = Region(0, 2, width, bottom - 2)
        return Layout(regions, several)
    wide = width >= THREE_COLUMNS
    rows = FEW if candidates.few else (HUGE if height >= VERY_TALL else WIDE) if wide else NARROW
    chosen = iter(_settled([place for row in rows for place, _ in row.panels], candidates))
    y = top
    for row, share in zip(rows, _split(bottom - top, [row.share for row in rows]), strict=True):
        x = 0
        for cells in _split(width, [part for _, part in row.panels]):
            regions[next(chosen)] = Region(x, y, cells, share)
            x += cells
        y += share
    return Layout(regions, several)


def _settled(places: Sequence[int], candidates: Candidates) -> list[str]:
    """The panel of each place: its own or one that competes; or those wanted first, then the others in that order."""
    count, guest = len(places), candidates.guest
    homes = sorted(panels.HOMES) if candidates.few else [place for place in places if place != FREE]
    own = [panels.HOMES[place].name for place in homes]
    rest = [name for name in candidates.free if name not in own]
    if candidates.first or candidates.few:
        order = dict.fromkeys(name for name in (*candidates.first, *own, *rest) if name in own or name in rest)
        standing = list(order)[:count]
        if guest in order and guest not in standing:
            standing[-1] = guest
        return standing
    competing = rest[: count - len(own)]
    if guest in rest and guest not in competing:
        competing[-1] = guest
    free = iter(competing)
    return [next(free) if place == FREE else panels.HOMES[place].name for place in places]


def parts_of(room: Layout, focused: str) -> list[Part]:
    """The parts with their weights, which decide the order of sending on a slow line.

    Parts that keys change come first, then those that the user is looking at.
    """
    weights = {TIMELINE: 4.0, panels.HOMES[1].name: 2.0, focused: 4.0, HEADER: inf, TABS: inf, KEYS: inf}
    return [Part(region, weights.get(name, 1.0)) for name, region in room.regions.items()]


def _split(total: int, shares: Sequence[int]) -> list[int]:
    """Split a length into whole cells according to shares, without a remainder."""
    edges = [round(total * sum(shares[:n]) / sum(shares)) for n in range(len(shares) + 1)]
    return [after - before for before, after in pairwise(edges)]

"""Holds and draws the choice of panels for the main screen, with pure functions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from rich.cells import cell_len

from bntui.text.language import N_, _
from bntui.text.widths import cut, ljust, longest
from bntui.viewer.chooser_keys import CONTROLS
from bntui.viewer.draw.rows import Drawing, Row, Span, fit
from bntui.viewer.keys import footer_of
from bntui.viewer.layout import TALL, TWO_COLUMNS
from bntui.viewer.panels import PANELS, STRIP, Panel, Recorded

TITLE: Final = N_("Panels of the main screen")
FRAME: Final = 4
"""Rows besides the panels: two sentences, a blank row, and the footer."""


class Choice(NamedTuple):
    """What the page was left with."""

    panels: tuple[str, ...]
    go: str
    """The panel to go to; empty for none."""


@dataclass(frozen=True, slots=True)
class Chooser:
    """The panels chosen so far, and the one that the cursor is at."""

    chosen: tuple[str, ...]
    at: int = 0
    recorded: Collection[Recorded] = ()
    """What the recording contains."""

    @property
    def panel(self) -> Panel:
        return PANELS[self.at]


def moved(state: Chooser, by: int) -> Chooser:
    """Move the cursor, within the list."""
    return replace(state, at=min(max(state.at + by, 0), len(PANELS) - 1))


def toggled(state: Chooser) -> Chooser:
    """Choose the panel at the cursor as the last one, or no longer; the timeline always has its place."""
    name = state.panel.name
    if name == STRIP.name:
        return state
    rest = tuple(one for one in state.chosen if one != name)
    return replace(state, chosen=rest if name in state.chosen else (*rest, name))


def first_row(state: Chooser, height: int) -> int:
    """The first visible panel: the cursor is always visible."""
    return max(state.at - max(height - FRAME, 1) + 1, 0)


def draw(state: Chooser, standing: Collection[str], width: int, height: int) -> Drawing:
    """One row per panel, with its place among the chosen ones and whether it is on the screen.

    Args:
        standing: the panels that are on the screen with this choice; empty if it has room for one only.
    """
    top, room = first_row(state, height), max(height - FRAME, 1)
    names = max(cell_len(_(panel.label)) for panel in PANELS)
    rows = [_line(state, number, standing, names, width) for number in range(len(PANELS))][top : top + room]
    rows += [()] * (room - len(rows))
    if standing:
        sentence = longest(
            width,
            _("Those chosen stand first, in this order; others fill the rest."),
            _("Those chosen stand first."),
        )
    else:
        sentence = longest(
            width,
            _("This screen has room for one panel; several need {width}x{height}."),
            _("Several panels need {width}x{height}."),
        ).format(width=TWO_COLUMNS, height=TALL)
    rows = [(Span(sentence, "muted"),), (), *rows, (), footer_of(CONTROLS, None, width)]
    return Drawing(_(TITLE), tuple(fit(row, width) for row in rows[:height]))


def _line(state: Chooser, number: int, standing: Collection[str], names: int, width: int) -> Row:
    panel = PANELS[number]
    here, click = number == state.at, f"pick({number})"
    place = state.chosen.index(panel.name) + 1 if panel.name in state.chosen else 0
    told, style = _told(state, panel, standing)
    told = cut(told, width - names - 12)
    return (
        Span("▸ " if here else "  ", "bold accent", click),
        Span(f"[{place or ' '}] ", "bold accent" if place else "muted", click),
        Span(f"{panel.key} ", "key", click),
        Span(ljust(_(panel.label), names + 2), "bold" if here else "text", click),
        Span(told, style, click),
    )


def _told(state: Chooser, panel: Panel, standing: Collection[str]) -> tuple[str, str]:
    """Where a panel stands, and its style."""
    if panel.name == STRIP.name:
        return _("always below"), "muted"
    if panel.name in standing:
        return _("on the screen"), "good"
    if panel.name in state.chosen and standing:
        return _("no room left"), "warn"
    if panel.needs and panel.needs not in state.recorded:
        return _("nothing to show in this recording"), "muted"
    return "", "muted"

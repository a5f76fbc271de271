"""Shows all runs as a tree of forks, and lets the user choose one."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.geometry import Region

from bntui.viewer import family_rows
from bntui.viewer.draw.rows import framed
from bntui.viewer.drawn_screen import DrawnScreen
from bntui.viewer.family_keys import CONTROLS
from bntui.viewer.keys import bindings_of, help_of
from bntui.viewer.overlay import Overlay
from bntui.viewer.view import View
from bntui.viewer.widgets import RowsWidget

WIDEST = 110
LEAST, MARGIN = 16, 4
"""Rows of the page in addition to one per run, and free rows around it on a tall screen."""


class RunsScreen(DrawnScreen[int | None], Overlay[int | None]):
    """A page of all runs that opens at the selected one; its result is the number of the chosen run, or None."""

    CSS = "RunsScreen { overflow: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(CONTROLS)]

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        self._order = [twig.run for twig in family_rows.order(view)]
        self._at = self._order.index(view.selected)
        self._top = 0
        self._canvas = RowsWidget("runs")

    def _room(self) -> Region:
        width, height = self.app.size
        cells, rows = min(width, WIDEST), min(height, max(len(self._order) + LEAST, height - 2 * MARGIN - LEAST))
        return Region((width - cells) // 2, (height - rows) // 2, cells, rows)

    def _draw(self) -> None:
        region = self._room()
        size = region.width - 2, region.height - 2
        self._top = family_rows.scrolled(len(self._order), self._at, self._top, size[1])
        self._canvas.place(region)
        drawing = family_rows.draw(self._view, self._at, self._top, *size)
        self._canvas.show(framed(drawing, region.width, focused=True, key="r"), region.width)

    def action_move(self, by: int) -> None:
        self._at = min(max(self._at + by, 0), len(self._order) - 1)
        self._draw()

    def action_choose(self) -> None:
        self.dismiss(self._order[self._at])

    def action_leave(self) -> None:
        self.dismiss(None)

    @on(RowsWidget.Clicked)
    def _clicked(self, message: RowsWidget.Clicked) -> None:
        found = family_rows.at_row(message.y - 1, self._top, len(self._order), self._room().height - 2)
        if found == self._at:
            self.action_choose()
        elif found is not None:
            self.action_move(found - self._at)

    @on(RowsWidget.Wheeled)
    def _wheeled(self, message: RowsWidget.Wheeled) -> None:
        self.action_move(message.by)

    def action_explain(self) -> None:
        from bntui.viewer.screens.help import HelpScreen  # imports Markdown, which drawing does not need

        self.app.push_screen(HelpScreen("runs", help_of(CONTROLS, None)))

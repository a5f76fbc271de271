"""Shows all panels, and lets the user choose those of the main screen."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.geometry import Region

from bntui.viewer import chooser
from bntui.viewer.chooser import FRAME, Choice, Chooser
from bntui.viewer.chooser_keys import CONTROLS
from bntui.viewer.draw.rows import framed
from bntui.viewer.drawn_screen import DrawnScreen
from bntui.viewer.keys import bindings_of, help_of
from bntui.viewer.overlay import Overlay
from bntui.viewer.panels import PANELS
from bntui.viewer.widgets import RowsWidget

WIDEST = 76

Standing = Callable[[tuple[str, ...]], Collection[str]]
"""The panels on the main screen if these are chosen; none if it has room for one only."""


class ChooserScreen(DrawnScreen[Choice], Overlay[Choice]):
    """A page of all panels; its result is what was chosen, however it is left."""

    CSS = "ChooserScreen { overflow: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(CONTROLS)]

    def __init__(self, state: Chooser, standing: Standing) -> None:
        super().__init__()
        self.state = state
        self._standing = standing
        self._canvas = RowsWidget("chooser")

    def _draw(self) -> None:
        width, height = self.app.size
        cells, rows = min(width, WIDEST), min(height, len(PANELS) + FRAME + 2)
        region = Region((width - cells) // 2, (height - rows) // 2, cells, rows)
        self._canvas.place(region)
        drawing = chooser.draw(self.state, self._standing(self.state.chosen), cells - 2, rows - 2)
        self._canvas.show(framed(drawing, cells, focused=True, key="v"), cells)

    def _change(self, state: Chooser) -> None:
        self.state = state
        self._draw()

    def action_move(self, by: int) -> None:
        self._change(chooser.moved(self.state, by))

    def action_choose(self) -> None:
        self._change(chooser.toggled(self.state))

    def action_pick(self, number: int) -> None:
        """Choose the panel that was clicked, or no longer."""
        self._change(chooser.toggled(chooser.moved(self.state, number - self.state.at)))

    def action_reset(self) -> None:
        self._change(Chooser((), self.state.at, self.state.recorded))

    @on(RowsWidget.Wheeled)
    def _wheeled(self, message: RowsWidget.Wheeled) -> None:
        self.action_move(message.by)

    def action_go(self) -> None:
        self.dismiss(Choice(self.state.chosen, self.state.panel.name))

    def action_leave(self) -> None:
        self.dismiss(Choice(self.state.chosen, ""))

    def action_explain(self) -> None:
        from bntui.viewer.screens.help import HelpScreen  # imports Markdown, which drawing does not need

        self.app.push_screen(HelpScreen("panels", help_of(CONTROLS, None)))

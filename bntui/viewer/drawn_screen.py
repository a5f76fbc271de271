"""Defines a screen that is one canvas of rows."""

from __future__ import annotations

from abc import abstractmethod

from textual.app import ComposeResult
from textual.screen import ScreenResultType

from bntui.viewer.palette import SpokenScreen
from bntui.viewer.widgets import RowsWidget


class DrawnScreen(SpokenScreen[ScreenResultType]):
    """A screen of one canvas, which is drawn when the screen is shown and when its size changes."""

    _canvas: RowsWidget

    def compose(self) -> ComposeResult:
        yield self._canvas

    def on_mount(self) -> None:
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    @abstractmethod
    def _draw(self) -> None:
        """Place the canvas and show its rows."""

"""Shows the seeds of a run, and lets the user choose one to train again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.geometry import Region

from bntui.recording.history import RunInfo
from bntui.recording.seeds import SeedCourse
from bntui.viewer import seed_rows
from bntui.viewer.draw.rows import framed
from bntui.viewer.drawn_screen import DrawnScreen
from bntui.viewer.keys import bindings_of
from bntui.viewer.overlay import Overlay
from bntui.viewer.seed_keys import CONTROLS
from bntui.viewer.widgets import RowsWidget

WIDEST = 110


class SeedsScreen(DrawnScreen[int | None], Overlay[int | None]):
    """A page of the seeds of one run; its result is the seed to open, or None."""

    CSS = "SeedsScreen { overflow: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(CONTROLS)]

    def __init__(self, run: RunInfo, courses: Sequence[SeedCourse], *, stops: bool = False) -> None:
        """``stops`` if training a seed again ends the training on the screen: it then takes a second key."""
        super().__init__()
        self._run, self._courses, self._stops = run, courses, stops
        self._asks = False
        self._at = 0
        self._canvas = RowsWidget("seeds")

    def _room(self) -> Region:
        width, height = self.app.size
        most = len(self._courses) + seed_rows.ABOVE + seed_rows.BELOW + 2
        cells, rows = min(width, WIDEST), min(height, most)
        return Region((width - cells) // 2, (height - rows) // 2, cells, rows)

    def _draw(self) -> None:
        region = self._room()
        self._canvas.place(region)
        drawing = seed_rows.draw(
            self._run, self._courses, self._at, region.width - 2, region.height - 2, asks=self._asks
        )
        self._canvas.show(framed(drawing, region.width, focused=True, key="B"), region.width)

    def action_move(self, by: int) -> None:
        self._at, self._asks = min(max(self._at + by, 0), len(self._courses) - 1), False
        self._draw()

    def action_choose(self) -> None:
        if self._stops and not self._asks:
            self._asks = True
            self._draw()
            return
        self.dismiss(self._courses[self._at].seed)

    def action_leave(self) -> None:
        self.dismiss(None)

    @on(RowsWidget.Wheeled)
    def _wheeled(self, message: RowsWidget.Wheeled) -> None:
        self.action_move(message.by)

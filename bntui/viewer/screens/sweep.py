"""Shows a sweep, also while it is training, and opens the recordings of its trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.binding import BindingType
from textual.geometry import Region

from bntui.errors import BntuiError
from bntui.scenario.pace import NOTHING_ASKED, PacingOptions
from bntui.text.language import N_, _
from bntui.text.output import clean
from bntui.viewer import opening
from bntui.viewer.chrome import too_small
from bntui.viewer.drawn_screen import DrawnScreen
from bntui.viewer.keys import bindings_of, help_of
from bntui.viewer.layout import SMALLEST
from bntui.viewer.sweep import board as boards
from bntui.viewer.sweep.board import Board, BoardSelection
from bntui.viewer.sweep.draw import draw
from bntui.viewer.sweep.keys import CONTROLS
from bntui.viewer.widgets import RowsWidget

LOOK_SECONDS: Final = 1.0
"""Seconds between two looks at the journal of a sweep that may be training."""
BACK: Final = N_("sweep")

if TYPE_CHECKING:
    from bntui.viewer.feed import TrainerLink
    from bntui.viewer.snapshot import ViewedRecording

Read = Callable[[], Board]
"""Reads the sweep as it is now."""


class SweepScreen(DrawnScreen[None]):
    """The combinations of a sweep."""

    CSS = "SweepScreen { overflow: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(CONTROLS)]

    def __init__(self, read: Read, board: Board, watching: PacingOptions = NOTHING_ASKED) -> None:
        super().__init__()
        self._read, self.board, self._watching = read, board, watching
        self.look = BoardSelection()
        self._canvas = RowsWidget("sweep")
        self._reading, self._said = False, ""

    def on_mount(self) -> None:
        self.set_interval(LOOK_SECONDS, self._again)

    def on_screen_resume(self) -> None:
        self._draw()

    def _draw(self) -> None:
        if self.app.screen is not self:
            return
        width, height = self.app.size
        self._canvas.place(Region(0, 0, width, height))
        if width < SMALLEST[0] or height < SMALLEST[1]:
            self._canvas.show(too_small(width, height), width)
        else:
            self._canvas.show(draw(self.board, self.look, width, height), width)

    def _see(self, look: BoardSelection) -> None:
        self.look = look
        self._draw()

    # --- a sweep that is training ---

    def _again(self) -> None:
        if self.app.screen is self and not self._reading and self.board.done < self.board.total:
            self._reading = True
            opening.in_background(self.app, self._read, self._grown, self._unread)

    def _grown(self, board: Board) -> None:
        self._reading, self._said = False, ""
        if board != self.board:
            self.board = board
            self._draw()

    def _unread(self, error: BntuiError) -> None:
        """Say once why the sweep cannot be read, and look again."""
        self._reading = False
        if str(error) != self._said:
            self._said = str(error)
            self._failed(error)

    def _failed(self, error: BntuiError) -> None:
        self.notify(clean(str(error)), severity="error", timeout=15, markup=False)

    # --- keys ---

    def action_move(self, across: int, down: int) -> None:
        self._see(boards.moved(self.look, self.board, across, down))

    @on(RowsWidget.Wheeled)
    def _wheeled(self, message: RowsWidget.Wheeled) -> None:
        self.action_move(0, message.by)

    def action_seed(self, by: int) -> None:
        self._see(boards.another_seed(self.look, self.board, by))

    def action_best(self) -> None:
        self._see(boards.best(self.look, self.board))

    def action_turn(self) -> None:
        if self.board.pictured:
            self._see(replace(self.look, listed=not self.look.listed))

    def action_open(self) -> None:
        trial = self.look.trial(self.board)
        if trial is None:
            return
        if trial.recording is None:
            self.notify(_("This trial failed: it has no recording."), markup=False)
            return
        opened = opening.look_at if getattr(self.app, "read_only", False) else opening.open_recording
        opening.in_background(self.app, partial(opened, trial.recording), self._opened, self._failed)

    def _opened(self, found: tuple[ViewedRecording, TrainerLink | None]) -> None:
        from bntui.viewer.screens.lab import LabScreen

        self.app.push_screen(LabScreen(*found, from_gallery=True, back=BACK, watching=self._watching))

    def action_explain(self) -> None:
        from bntui.viewer.screens.help import HelpScreen  # imports Markdown, which drawing does not need

        self.app.push_screen(HelpScreen("sweep", help_of(CONTROLS, (self.board, self.look))))

"""Shows one unit of a normalization in its four steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.binding import BindingType
from textual.geometry import Region

from bntui.errors import RecordingError
from bntui.recording.history import RunHistory, RunInfo
from bntui.text import figures
from bntui.text.language import _
from bntui.text.output import clean
from bntui.viewer import view_state
from bntui.viewer.chrome import too_small
from bntui.viewer.drawn_screen import DrawnScreen
from bntui.viewer.goodbye import QUITS_BELOW
from bntui.viewer.keys import bindings_of, help_of
from bntui.viewer.layout import SMALLEST
from bntui.viewer.microscope import state as states
from bntui.viewer.microscope.keys import CONTROLS, EVERYTHING
from bntui.viewer.microscope.reading import Specimens
from bntui.viewer.microscope.state import Lens, Microscope
from bntui.viewer.notices import Notices
from bntui.viewer.screens.photograph import photograph
from bntui.viewer.snapshot import Snapshot, ViewedRecording, take_snapshot
from bntui.viewer.view_state import ViewState
from bntui.viewer.widgets import RowsWidget

if TYPE_CHECKING:
    from textual.timer import Timer

STEP_SECONDS: Final = 0.8
"""Seconds for which each step is displayed while they are played."""
LOOK_SECONDS: Final = 0.4
"""Seconds between two checks of a growing recording."""
FAR: Final = 1_000_000
"""A distance beyond the ends of any list."""


class MicroscopeScreen(DrawnScreen[ViewState]):
    """A screen that opens at the laboratory's cursor; its result is the view state at which it was left."""

    CSS = "MicroscopeScreen { overflow: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(CONTROLS)]

    def __init__(self, reader: ViewedRecording, recorded: Snapshot, state: ViewState, *, forks: bool = True) -> None:
        """``forks``: a run of this recording can be forked."""
        super().__init__()
        self._reader, self._recorded, self._forks = reader, recorded, forks
        self._specimens = Specimens(reader)
        self.microscope = Microscope(self._specimens.selecting(state), layer=state.layer)
        self.lens: Lens | None = None
        self._canvas = RowsWidget("microscope")
        self._timer: Timer | None = None
        self._drawing = False
        self._complaints: set[str] = set()

    def on_mount(self) -> None:
        self.set_interval(LOOK_SECONDS, self._grow)

    def on_screen_resume(self) -> None:
        self._draw()

    def interrupted(self) -> None:
        """Handle ctrl+c, which ends neither the page nor the program."""
        Notices(self).say_once(_(QUITS_BELOW))

    # --- drawing ---

    def change(self, state: Microscope) -> None:
        """Change the state; the results of several queued keys are drawn once."""
        self.microscope = state
        if not self._drawing:
            self._drawing = True
            self.call_later(self._draw)

    def _draw(self) -> None:
        self._drawing = False
        if self.app.screen is not self:
            return
        width, height = self.app.size
        self._canvas.place(Region(0, 0, width, height))
        if width < SMALLEST[0] or height < SMALLEST[1]:
            self._canvas.show(too_small(width, height), width)
            return
        try:
            self.lens, rows = self._specimens.page(self.microscope, self._history, width, height, forks=self._forks)
        except RecordingError as error:
            self._complain(error)
            return
        if self.lens is not None:
            self.microscope = self.lens.state
        self._canvas.show(rows, width)

    @property
    def _run(self) -> RunInfo:
        return self._reader.runs[self.microscope.look.selected]

    @property
    def _history(self) -> RunHistory:
        return self._recorded.histories[self.microscope.look.selected]

    def _complain(self, error: Exception) -> None:
        words = clean(str(error))
        if words not in self._complaints:
            self._complaints.add(words)
            self.notify(words, severity="error", timeout=15, markup=False)

    # --- a recording that grows ---

    def _grow(self) -> None:
        """Show what the laboratory, which reads the recording, has read since; a following cursor moves along."""
        grown = take_snapshot(self._reader)
        if [*map(len, grown.histories)] == [*map(len, self._recorded.histories)]:
            return
        self._recorded = grown
        look = view_state.grown(self.microscope.look, grown.stops)
        if look != self.microscope.look:
            self.change(replace(self.microscope, look=look))

    # --- looking around ---

    def _see(self, look: ViewState) -> None:
        self.change(replace(self.microscope, look=look))

    def action_walk(self, by: int) -> None:
        self._see(view_state.walk(self.microscope.look, self._recorded.stops, by))

    def action_home(self) -> None:
        if self.microscope.listing:
            self.action_choose(-FAR)
        else:
            self._see(view_state.home(self.microscope.look, self._recorded.stops))

    def action_end(self) -> None:
        if self.microscope.listing:
            self.action_choose(FAR)
        else:
            self._see(view_state.end(self.microscope.look, self._recorded.stops))

    def action_nearest(self) -> None:
        if self.lens is not None and self.lens.nearest is not None:
            self._see(view_state.seek(self.microscope.look, self._recorded.stops, self.lens.nearest))

    def action_run(self, by: int) -> None:
        runs = self._specimens.runs
        if len(runs) > 1:
            look = self.microscope.look
            wanted = runs[(runs.index(look.selected) + by) % len(runs)]
            self._see(view_state.select(look, len(self._reader.runs), wanted - look.selected))

    def action_choose(self, by: int) -> None:
        if self.lens is not None:
            self.change(states.moved(self.microscope, self.lens.slide, by))

    def action_layer(self, by: int) -> None:
        if self.lens is not None:
            layers = self.lens.layers
            number = layers[(layers.index(self.lens.number) + by) % len(layers)]
            self.change(replace(self.microscope, layer=self._run.layers[number].name))

    def action_time(self, by: int) -> None:
        self.change(replace(self.microscope, time=self.microscope.time + by))

    def action_mark(self, by: int) -> None:
        if self.lens is not None and self.lens.slide.count:
            self.change(replace(self.microscope, marked=(self.microscope.marked + by) % self.lens.slide.count))

    @on(RowsWidget.Wheeled)
    def _wheeled(self, message: RowsWidget.Wheeled) -> None:
        self.action_choose(message.by)

    # --- the list ---

    def action_listing(self) -> None:
        self.change(replace(self.microscope, listing=not self.microscope.listing, playing=0))

    def action_chosen(self) -> None:
        self.change(replace(self.microscope, listing=False))

    def action_sort(self, by: int) -> None:
        if self.lens is not None and self.microscope.listing:
            self.change(states.sorted_next(self.microscope, self.lens.slide, by))

    def action_reverse(self) -> None:
        if self.microscope.listing:
            self.change(replace(self.microscope, reverse=not self.microscope.reverse))

    # --- the four steps one after another ---

    def action_play(self) -> None:
        self._stop()
        self.change(replace(self.microscope, playing=1, listing=False))
        self._timer = self.set_interval(STEP_SECONDS, self.next_step)

    def next_step(self) -> None:
        """Play the next step; after the last one, show all four."""
        self.change(states.played(self.microscope))
        if not self.microscope.playing:
            self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def action_save_picture(self) -> None:
        """Save a picture of what is shown."""
        place = f"microscope-epoch-{figures.epoch(self.microscope.look.cursor)}"
        photograph(self, f"{self._reader.title} · {place}", self._reader.path, place)

    # --- leaving ---

    def action_explain(self) -> None:
        from bntui.viewer.screens.help import HelpScreen  # imports Markdown, which drawing does not need

        self.app.push_screen(HelpScreen("microscope", help_of(CONTROLS, EVERYTHING)))

    def action_back(self) -> None:
        if self.microscope.listing:
            self.action_chosen()
        else:
            self.dismiss(self.microscope.look)

"""Shows one unit of a normalization in its four steps."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from textual import on
from textual.binding import BindingType
from textual.geometry import Region

from bntui.errors import RecordingError
from bntui.keyframe import IntArray
from bntui.recording.history import RunHistory, RunInfo
from bntui.text.output import clean
from bntui.viewer import view_state
from bntui.viewer.chrome import too_small
from bntui.viewer.draw.extremes import unbounded
from bntui.viewer.drawn_screen import DrawnScreen
from bntui.viewer.keys import bindings_of, help_of
from bntui.viewer.layout import SMALLEST
from bntui.viewer.microscope import state as states
from bntui.viewer.microscope.courses import Courses, courses
from bntui.viewer.microscope.draw import draw, empty, unread
from bntui.viewer.microscope.keys import CONTROLS, EVERYTHING
from bntui.viewer.microscope.specimen import Slide, normalized_layers, slide
from bntui.viewer.microscope.state import Lens, Microscope
from bntui.viewer.view import RunView
from bntui.viewer.view_state import Recording, Snapshot, ViewState
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

    def __init__(self, reader: Recording, recorded: Snapshot, state: ViewState, *, forks: bool = True) -> None:
        """``forks``: a run of this recording can be forked."""
        super().__init__()
        self._reader, self._recorded, self._forks = reader, recorded, forks
        self._runs = tuple(run.index for run in reader.runs if normalized_layers(run))
        if self._runs and state.selected not in self._runs:
            # prefer the pinned run, which is on the screen, too
            wanted = state.pinned if state.pinned in self._runs else self._runs[0]
            state = view_state.select(state, len(reader.runs), wanted - state.selected)
        self.microscope = Microscope(state)
        self.lens: Lens | None = None
        self._canvas = RowsWidget("microscope")
        self._timer: Timer | None = None
        self._drawing = False
        self._complaints: set[str] = set()
        self._slide = lru_cache(maxsize=16)(self._read_slide)
        self._courses = lru_cache(maxsize=8)(self._read_courses)

    def on_mount(self) -> None:
        self.set_interval(LOOK_SECONDS, self._grow)

    def on_screen_resume(self) -> None:
        self._draw()

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
        if not self._runs:
            run = self._seen() if self._forks else None
            self._canvas.show(empty(self._reader.title, run, width, height), width)
            return
        with unbounded():
            try:
                self.lens = self._under_the_lens()
            except RecordingError as error:
                self._complain(error)
                return
            if self.lens is None:
                self._canvas.show(unread(self._reader.title, self._seen(), width, height), width)
                return
            self.microscope = self.lens.state
            rows = draw(self.lens, width, height)
        self._canvas.show(rows, width)

    def _seen(self) -> RunView:
        """The run that is looked at, without its measures."""
        row = self._history.at(self.microscope.look.cursor) if len(self._history) else -1
        return RunView(self._run, self._history, (), row, None)

    def _under_the_lens(self) -> Lens | None:
        run, history = self._run, self._history
        row = history.at(self.microscope.look.cursor)
        if row < 0:
            return None
        layers = normalized_layers(run)
        number = next((at for at in layers if run.layers[at].name == self.microscope.layer), layers[0])
        under = self._slide(run.index, row, number)
        if under.pool is None:
            self._slide.cache_clear()  # a running trainer may still write the evidence
        state = states.within(replace(self.microscope, layer=run.layers[number].name), under)
        return Lens(
            title=self._reader.title,
            run=RunView(run, history, (), row, self._reader.keyframe(run.index, row)),
            state=state,
            number=number,
            layers=layers,
            runs=len(self._runs),
            slide=under,
            specimen=under.specimen(state.time, state.chosen),
            courses=self._courses(run.index, number, len(history)),
            nearest=self._nearest(history, row) if under.pool is None and run.stages else None,
            numbers=self._numbers,
        )

    @cached_property
    def _numbers(self) -> IntArray | None:
        data = self._reader.dataset
        return None if data is None else data.numbers[data.train]

    @property
    def _run(self) -> RunInfo:
        return self._reader.runs[self.microscope.look.selected]

    @property
    def _history(self) -> RunHistory:
        return self._recorded.histories[self.microscope.look.selected]

    def _read_slide(self, run: int, row: int, number: int) -> Slide:
        evidence = self._reader.evidence(run, row)
        return slide(self._reader.runs[run], number, self._reader.keyframe(run, row), evidence)

    def _read_courses(self, run: int, number: int, _keyframes: int) -> Courses:
        return courses(self._reader, run, self._recorded.histories[run], number)

    def _nearest(self, history: RunHistory, row: int) -> float | None:
        """Epoch of the nearest keyframe that has evidence; None if there is none."""
        kept = self._reader.evidence_rows(self.microscope.look.selected)
        kept = kept[kept < len(history)]
        kept = kept[history.has_frame[kept]]
        return float(history.epoch[kept[np.argmin(np.abs(kept - row))]]) if len(kept) else None

    def _complain(self, error: Exception) -> None:
        words = clean(str(error))
        if words not in self._complaints:
            self._complaints.add(words)
            self.notify(words, severity="error", timeout=15, markup=False)

    # --- a recording that grows ---

    def _grow(self) -> None:
        """Show what the laboratory, which reads the recording, has read since; a following cursor moves along."""
        grown = view_state.snapshot(self._reader)
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
        if len(self._runs) > 1:
            look = self.microscope.look
            wanted = self._runs[(self._runs.index(look.selected) + by) % len(self._runs)]
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

    # --- leaving ---

    def action_explain(self) -> None:
        from bntui.viewer.screens.help import HelpScreen  # imports Markdown, which drawing does not need

        self.app.push_screen(HelpScreen("microscope", help_of(CONTROLS, EVERYTHING)))

    def action_back(self) -> None:
        if self.microscope.listing:
            self.action_chosen()
        else:
            self.dismiss(self.microscope.look)

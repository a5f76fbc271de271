"""Shows a recording in the laboratory, and handles its keys.

``lab_recording.py`` holds what is loaded, ``lab_news.py`` loads what a trainer adds, ``lab_trainer.py`` carries out
the effects of the state machine, ``lab_look.py`` changes where the user looks, ``lab_canvas.py`` draws, and
``lab_pages.py`` opens pages on top of the screen.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message

from bntui.errors import RecordingError
from bntui.link.client import ME
from bntui.link.training_packages import why_no_training
from bntui.recording.history import Event
from bntui.scenario.pace import NOTHING_ASKED, PacingOptions
from bntui.text import figures
from bntui.text.language import _
from bntui.text.output import clean
from bntui.viewer import (
    chrome,
    epochs,
    family,
    goodbye,
    layer_choice,
    live,
    live_states,
    parts,
    tour,
    troubles,
    view_state,
)
from bntui.viewer import live_events as happening
from bntui.viewer.arrangement import Arrangement
from bntui.viewer.feed import TrainerLink
from bntui.viewer.garbage import settled
from bntui.viewer.lab_keys import GALLERY, bindings
from bntui.viewer.layout import TIMELINE, Layout, parts_of
from bntui.viewer.notices import Notices
from bntui.viewer.opening import in_background
from bntui.viewer.palette import SpokenScreen
from bntui.viewer.panels import BY_NAME, STRIP, read_by
from bntui.viewer.screens.lab_canvas import LabCanvas
from bntui.viewer.screens.lab_look import LabLook
from bntui.viewer.screens.lab_news import LabNews
from bntui.viewer.screens.lab_pages import LabPages, warm
from bntui.viewer.screens.lab_recording import LoadedRecording, seeds_left
from bntui.viewer.screens.lab_trainer import TrainerControl
from bntui.viewer.screens.photograph import photograph
from bntui.viewer.terminal.image import Part
from bntui.viewer.terminal.textual_private import SilentBelow
from bntui.viewer.view import View
from bntui.viewer.view_state import ViewState
from bntui.viewer.widgets import RowsWidget

if TYPE_CHECKING:
    from bntui.viewer.snapshot import ViewedRecording
    from bntui.viewer.terminal.line import PacedApp

WARM_SECONDS: Final = 1.0
"""Delay in seconds after the first paint, before importing what the first keys need."""
LOOK_SECONDS: Final = 0.5
"""Seconds between two checks of compared recordings."""


class LabScreen(SpokenScreen[None], SilentBelow[None]):
    """One recording: header, panels, timeline and keys."""

    app: PacedApp[Any]

    CSS = "LabScreen { overflow: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings()]

    class News(Message):
        """The feed has received a status."""

    def __init__(
        self,
        reader: ViewedRecording,
        trainer: TrainerLink | None = None,
        *,
        from_gallery: bool = False,
        back: str = GALLERY,
        watching: PacingOptions = NOTHING_ASKED,
    ) -> None:
        super().__init__()
        self.loaded = LoadedRecording(reader)
        self.trainer = TrainerControl(self, trainer, lambda: self.post_message(self.News()), watching)
        self.notices = Notices(self)
        self.view_state = view_state.grown(view_state.opening(reader), self.loaded.snapshot.stops)
        self.view: View | None = None
        self._look = LabLook(self)
        self._news = LabNews(self)
        self._pages = LabPages(self)
        self._canvas = LabCanvas()
        self._from_gallery, self._back = from_gallery, back
        self._watching = watching
        self._drawing = False
        """A drawing is scheduled after the keys that are already queued."""
        self._trouble: Event | None = None
        """The event of trouble that was visited last."""

    @property
    def reader(self) -> ViewedRecording:
        return self.loaded.reader

    def compose(self) -> ComposeResult:
        yield from self._canvas.widgets

    def on_mount(self) -> None:
        self.trainer.start()
        self.draw()
        self.call_after_refresh(settled, "painted")
        self.set_timer(WARM_SECONDS, self._warm)
        over = self.loaded.watched and self.loaded.ending == "interrupted"
        if self.loaded.compared or self.app.read_only or over:
            self.set_interval(LOOK_SECONDS, self._news.look)

    def _warm(self) -> None:
        in_background(self.app, warm, lambda _: settled("warmed"), self._complain)

    def on_unmount(self) -> None:
        self.trainer.state = live_states.Leaving()
        self.trainer.close()
        self.loaded.close()

    def on_screen_resume(self) -> None:
        self.draw()

    def on_resize(self, event: events.Resize) -> None:
        if event.size != self._canvas.size:
            self.draw()

    # --- drawing ---

    def change(self, state: ViewState) -> None:
        """Change the view state; the results of several queued keys are drawn once."""
        self.view_state = state
        if not self._drawing:
            self._drawing = True
            self.call_later(self.draw)

    def redraw(self) -> None:
        """Schedule a drawing."""
        self.change(self.view_state)

    def draw(self) -> None:
        """Draw now, unless another screen is on top."""
        self._drawing = False
        if self.app.screen is not self or self.loaded.closed:
            return  # a change below would send the top screen again; on_screen_resume draws later
        room = self.room
        self._canvas.place(self.app.size, room.regions)
        if not room.regions:
            return
        reads = read_by(room.regions)
        try:
            self.view = view_state.build_view(
                self.loaded.snapshot,
                self.view_state,
                dataset="dataset" in reads,
                histograms="histograms" in reads,
                heavy=self.app.palette.heavy,
                colorless=self.app.no_color,
            )
        except RecordingError as error:
            self._complain(error)
            return
        self._canvas.show(self._content(self.view, several=room.several), room.regions)

    def _content(self, view: View, *, several: bool) -> parts.ScreenContent:
        loaded, state, changes = self.loaded, self.trainer.state, not self.app.read_only
        return parts.ScreenContent(
            view=view,
            state=self.view_state,
            facts=self.reader.meta,
            words=chrome.state_words(state, loaded.now(read_only=self.app.read_only)),
            live=self.trainer.connected,
            running=live_states.training(state),
            over=loaded.ending != "interrupted",
            several=several,
            from_gallery=self._from_gallery,
            back=self._back,
            forks=loaded.trains and changes,
            resumes=isinstance(state, live_states.Replay) and loaded.unfinished and changes,
            late=self.app.sender.late,
            tours=bool(self.reader.tour),
            tour=self.arrangement.stop(self.view_state),
            said=tour.most_lines(self.app.size.height),
        )

    def parts(self) -> list[Part]:
        """The parts of the screen with their weights on a slow line; see :func:`layout.parts_of`."""
        return parts_of(self.room, self.view_state.focused)

    @property
    def room(self) -> Layout:
        """The region of each part of the screen."""
        return self.arrangement.layout(self.view_state)

    @property
    def arrangement(self) -> Arrangement:
        """How panels are placed on this screen."""
        loaded, app = self.loaded, self.app
        return Arrangement(app.size, loaded.snapshot, loaded.free_panels, self.reader.tour, few=app.palette.heavy)

    # --- the trainer ---

    @on(News)
    def _trainer_spoke(self) -> None:
        self._news.arrived()

    def facts(self) -> live_states.Facts:
        """Facts about the recording for the state machine."""
        loaded = self.loaded
        asked = loaded.reader.seeds_asked
        left = seeds_left(loaded.snapshot, loaded.reader.runs, asked)
        return live_states.Facts(
            ME, compared=loaded.compared, unfinished=loaded.unfinished, seeds=asked, seeds_left=left,
            watched=loaded.watched, read_only=self.app.read_only, untrainable=why_no_training(),
        )  # fmt: skip

    def adopt(self, reader: ViewedRecording) -> None:
        """Replace the recording by a newly opened one: the same file, or a copy of it."""
        self.app.clear_notifications()
        if reader.path.resolve() != self.reader.path.resolve():
            sentence = _("{path} is read-only: training continues in a copy, {copy}")
            self.notices.say(sentence.format(path=self.reader.path, copy=reader.path), seconds=15)
        self.loaded.replace(reader)
        self._news.report_additions()

    def give_way(self, reader: ViewedRecording, trainer: TrainerLink | None) -> None:
        """Let another laboratory show this new recording."""
        there = LabScreen(
            reader, trainer, from_gallery=self._from_gallery, back=self._back, watching=self._watching
        )  # fmt: skip
        self.app.clear_notifications()
        self.app.switch_screen(there)

    # --- looking around ---

    def action_walk(self, by: int) -> None:
        self.change(view_state.walk(self.view_state, self.loaded.snapshot.stops, by))

    def action_home(self) -> None:
        self.change(view_state.home(self.view_state, self.loaded.snapshot.stops))

    def action_end(self) -> None:
        self.change(view_state.end(self.view_state, self.loaded.snapshot.stops))

    def action_seek(self, place: float) -> None:
        """Move to what was clicked in the legend of the timeline."""
        self._look.seek_to(place)

    def action_focus_panel(self, panel: str) -> None:
        there = panel == STRIP.name or panel in self.room.regions
        self.change(view_state.focus(self.view_state, panel, there=there))

    def action_choose_panels(self) -> None:
        self._pages.chooser(self._look.standing, self._look.choose_panels)

    def action_zoom(self) -> None:
        if self.room.several:
            self.change(replace(self.view_state, zoomed=not self.view_state.zoomed))

    def action_select(self, by: int) -> None:
        """The next run of the family tree."""
        self._select(family.next_run(self.reader.runs, self.view_state.selected, by, self.view_state.hidden))

    def _select(self, run: int) -> None:
        self.change(view_state.select(self.view_state, len(self.reader.runs), run - self.view_state.selected))

    def action_select_run(self, run: int) -> None:
        """Select the run whose name was clicked."""
        if run != self.view_state.selected:
            self._select(run)

    def action_pin(self) -> None:
        self.change(view_state.pin(self.view_state, len(self.reader.runs)))

    def action_pin_third(self) -> None:
        self.change(view_state.pin_third(self.view_state, len(self.reader.runs)))

    def action_hide(self) -> None:
        order = [twig.run for twig in family.tree(self.reader.runs)]
        self.change(view_state.hide(self.view_state, order))

    def action_show_all(self) -> None:
        self.change(view_state.show_all(self.view_state))

    def action_log_axis(self) -> None:
        self.change(replace(self.view_state, log_axis=not self.view_state.log_axis))

    def action_zoom_time(self, by: int) -> None:
        self.change(view_state.zoom_time(self.view_state, by))

    def action_tour(self) -> None:
        self._look.start_tour()

    def action_walk_tour(self, by: int) -> None:
        self._look.walk_tour(by)

    def action_unit(self) -> None:
        self._look.change_unit()

    def action_walk_panel(self, by: int) -> None:
        self._look.walk_panel(by)

    def action_fold(self) -> None:
        self._look.fold()

    def action_worst(self) -> None:
        self._look.worst_layer()

    def action_explain(self) -> None:
        self._pages.help()

    def action_microscope(self) -> None:
        self._pages.microscope(self._look.back_from_microscope)

    @on(RowsWidget.Clicked)
    def _clicked(self, message: RowsWidget.Clicked) -> None:
        name = message.widget.name
        if name in (TIMELINE, STRIP.name):
            self._look.seek(message)
        elif name in BY_NAME:
            self.action_focus_panel(name)

    @on(RowsWidget.Dragged)
    def _dragged(self, message: RowsWidget.Dragged) -> None:
        if message.widget.name in (TIMELINE, STRIP.name):
            self._look.seek(message)

    @on(RowsWidget.Wheeled)
    def _wheeled(self, message: RowsWidget.Wheeled) -> None:
        self._look.wheel(message.widget.name or "", message.by)

    # --- commands to the trainer ---

    def action_run(self) -> None:
        self.trainer.happened(happening.PlayPause())

    def action_train(self, command: Literal["epoch", "step"]) -> None:
        self.trainer.happened(happening.TrainOne(command))

    def action_train_anew(self) -> None:
        self.trainer.happened(happening.TrainAnew())

    def action_more_seeds(self) -> None:
        self.trainer.happened(happening.MoreSeeds())

    def action_open_seed(self) -> None:
        self._pages.seeds()

    def action_save_picture(self) -> None:
        """Save a picture of what is shown."""
        if self.view is not None:
            place = f"{self.view_state.unit}-{figures.epoch(self.view_state.cursor)}"
            photograph(self, f"{self.reader.title} · {place}", self.reader.path, place)

    def action_note(self) -> None:
        self._pages.note()

    def noted(self) -> None:
        """Load a note that was written, and show it."""
        self._news.look()

    def action_pace(self, by: int) -> None:
        self.trainer.happened(happening.ChangePace(by))

    def action_fork(self) -> None:
        self.trainer.happened(happening.MayFork())

    # --- forks and troubles ---

    def open_form(self) -> None:
        """Open the form of a fork at the cursor."""
        self._pages.fork_form()

    def action_trouble(self) -> None:
        """Go to the run, keyframe, panel and layer of the next first bad tensor or dead gradient."""
        unit = self.view_state.unit
        event = troubles.following(troubles.troubles(self.loaded.snapshot.events, unit), self._trouble)
        if event is None:
            self.notices.say_once(troubles.none(self.loaded.snapshot.histories, self.reader.runs))
            return
        self._trouble = event
        self._select(event.run)
        self.change(view_state.seek(self.view_state, self.loaded.snapshot.stops, epochs.of_event(event, unit)))
        self.action_focus_panel(troubles.panel(event))
        self._look.choose_layer(*layer_choice.to_trouble(self.view_state, self.reader.runs[event.run], event))

    def action_family(self) -> None:
        if self.view is not None:
            self._pages.runs(self.view, self._select)

    # --- leaving ---

    def action_back(self) -> None:
        if self.view_state.tour is not None:
            self._look.end_tour()
        elif self.view_state.layer:
            self.change(layer_choice.choose(self.view_state, ""))
        elif self.view_state.zoomed and self.room.several:
            self.action_zoom()
        elif self._from_gallery:
            if self.trainer.connected:
                paused = live_states.waits(self.trainer.state)
                self.notices.say(goodbye.goes_on_here(self.reader, paused=paused), seconds=10)
            self.app.pop_screen()

    def action_detach(self) -> None:
        self.trainer.happened(happening.Detach())

    def interrupted(self) -> None:
        """Handle ctrl+c, which does not end this screen: say which key does."""
        self.notices.say_once(live.how_to_end(self.trainer.state, self.facts()))

    def quit(self) -> None:
        """End the program and a training that was started here, after saving everything."""
        self.trainer.happened(happening.Quit())

    def leave(self, *, goes_on: bool = False, stoppable: bool = False) -> None:
        """End the program with a message that says how to return."""
        if goes_on:
            said = goodbye.goes_on(self.reader, paused=live_states.waits(self.trainer.state), stoppable=stoppable)
        else:
            last = live_states.status_of(self.trainer.state)
            rest = self.loaded.unfinished and not (last is not None and last.state == "finished")
            said = goodbye.recorded(self.reader, unfinished=rest)
        words = Text("\n".join(map(clean, said)), no_wrap=True, overflow="ignore")
        self.app.exit(message=None if self.app.is_web else words)  # a visitor does not see the server's terminal

    def _complain(self, error: Exception) -> None:
        self.notices.error(str(error))

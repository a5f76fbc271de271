"""The laboratory's screen: panels around one cursor, drawn from a recording that may still grow."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, cast

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message

from bntui.errors import RecordingError, ScenarioError
from bntui.link.client import ME
from bntui.link.requests import ForkRequest
from bntui.recording.history import Event, Unit
from bntui.recording.recorded import moved_to
from bntui.recording.sentences import traits
from bntui.text import figures
from bntui.text.language import N_, _
from bntui.text.output import clean
from bntui.viewer import chrome, epochs, family, goodbye, live, parts, troubles, view_state
from bntui.viewer import live_events as happening
from bntui.viewer.feed import Tempo, TrainerLink
from bntui.viewer.lab_keys import bindings
from bntui.viewer.layout import TIMELINE, Layout, layout, parts_of
from bntui.viewer.marks import RUN_MARKS
from bntui.viewer.opening import in_background
from bntui.viewer.palette import SpokenScreen
from bntui.viewer.panels import BY_NAME, STRIP, read_by
from bntui.viewer.screens.lab_trainer import TrainerControl
from bntui.viewer.screens.notices import Notices
from bntui.viewer.terminal.image import Part
from bntui.viewer.terminal.textual_private import SilentBelow
from bntui.viewer.view import View
from bntui.viewer.view_state import ViewState
from bntui.viewer.widgets import RowsWidget

if TYPE_CHECKING:
    from textual.timer import Timer

    from bntui.viewer.fork.form import Origin
    from bntui.viewer.terminal.line import PacedApp
    from bntui.viewer.view_state import Recording

WARM_SECONDS: Final = 1.0
"""When what the first keys need is imported: after the first paint."""
LOOK_SECONDS: Final = 0.5
"""How often recordings that are compared are looked at."""
MOVED: Final = N_("The recording was renamed: {path}")


class LabScreen(SpokenScreen[None], SilentBelow[None]):
    """One recording: header, panels, timeline and keys.

    Draws what the view state asks for, tells the trainer's state machine (``live.py``) what happens, and carries out
    what it decides.
    """

    app: PacedApp[Any]

    CSS = "LabScreen { overflow: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings()]

    class News(Message):
        """The trainer said something."""

    def __init__(self, reader: Recording, trainer: TrainerLink | None = None, *, from_gallery: bool = False) -> None:
        super().__init__()
        self.reader = reader
        self.trainer = TrainerControl(self, trainer, lambda: self.post_message(self.News()))
        self.notices = Notices(self)
        self.view_state = view_state.opening(reader)
        self.view: View | None = None
        self._from_gallery = from_gallery
        self._recorded = view_state.snapshot(reader)
        self.view_state = view_state.grown(self.view_state, self._recorded.stops)
        self._free = view_state.free_panels(self._recorded)
        self._drawing = False
        self._drawn_at: Size | None = None
        self._tempo = Tempo()
        self._redraw_timer: Timer | None = None
        self._reader_closed = False
        """The reader is closed: nothing is read or drawn any more."""
        self._widgets = {name: RowsWidget(name) for name in parts.PARTS}
        self._message = RowsWidget("small")
        self._trouble: Event | None = None
        """The first bad tensor, or gradient that died, that was looked at last."""

    def compose(self) -> ComposeResult:
        yield from self._widgets.values()
        yield self._message

    def on_mount(self) -> None:
        self.trainer.start()
        self._draw()
        self.set_timer(WARM_SECONDS, lambda: in_background(self.app, _warm, lambda _: None, self._complain))
        if self.reader.paths:
            self.set_interval(LOOK_SECONDS, self._look)

    def on_unmount(self) -> None:
        self.trainer.state = live.Leaving()
        self.trainer.close()
        self.reader.close()

    def on_screen_resume(self) -> None:
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        if event.size != self._drawn_at:
            self._draw()

    # --- drawing ---

    def change(self, state: ViewState) -> None:
        """Look elsewhere; several keys that wait in line are drawn once."""
        self.view_state = state
        if not self._drawing:
            self._drawing = True
            self.call_later(self._draw)

    def redraw(self) -> None:
        """Draw once, soon."""
        self.change(self.view_state)

    def _draw(self) -> None:
        self._drawing = False
        if self.app.screen is not self or self._reader_closed:
            return  # under another screen each change sends that one whole; on_screen_resume draws what was missed
        self._drawn_at = self.app.size
        width, height = self._drawn_at
        room = self._layout()
        regions = room.regions
        for name, widget in self._widgets.items():
            widget.place(regions.get(name))
        self._message.place(None if regions else Region(0, 0, width, height))
        if not regions:
            self._message.show(chrome.too_small(width, height), width)
            return
        reads = read_by(regions)
        try:
            self.view = view_state.build_view(
                self._recorded,
                self.view_state,
                dataset="dataset" in reads,
                histograms="histograms" in reads,
            )
        except RecordingError as error:
            self._complain(error)
            return
        shown = parts.Shown(
            view=self.view,
            state=self.view_state,
            facts=self.reader.meta,
            words=chrome.state_words(self.trainer.state, unfinished=self._unfinished),
            live=self.trainer.connected,
            running=live.training(self.trainer.state),
            several=room.several,
            from_gallery=self._from_gallery,
            forks=not self.reader.paths,
            resumes=isinstance(self.trainer.state, live.Replay) and self._unfinished,
            late=self.app.sender.late,
        )
        for name, region in regions.items():
            self._widgets[name].show(parts.rows(name, shown, *region.size), region.width)

    def parts(self) -> list[Part]:
        """What is sent first where the line is slow: what a key changes, then what the user looks at."""
        return parts_of(self._layout(), self.view_state.focused)

    @property
    def _unfinished(self) -> bool:
        """A trainer could go on with a run."""
        return view_state.unfinished(self._recorded) and not self.reader.paths

    def _layout(self) -> Layout:
        state = self.view_state
        return layout(*self.app.size, state.focused, state.zoomed, self._free, state.guest)

    # --- the trainer's news ---

    @on(News)
    def _news(self) -> None:
        wait = self._tempo.wait(monotonic())
        if not wait:
            self._update()
        elif self._redraw_timer is None:
            self._redraw_timer = self.set_timer(wait, self._update)

    def _update(self) -> None:
        self._redraw_timer = None
        feed = self.trainer.feed
        if feed is None:  # the trainer that was started for a fork has ended already
            return
        began = monotonic()
        status, hung_up = feed.take()
        if status is not None:
            self.trainer.happened(happening.Heard(status))
        self._load(alone=hung_up)
        if hung_up:
            if feed.error is not None:
                self._complain(feed.error)
            self.trainer.happened(happening.HungUp())
        self._draw()
        if live.over(self.trainer.state):
            self.reader.release()  # last: what is read above holds the file again
        self._tempo = self._tempo.drawn(began, monotonic(), slow=self.app.sender.pending)

    def facts(self) -> live.Facts:
        """What the trainer's state machine wants to know of the recording."""
        return live.Facts(ME, compared=bool(self.reader.paths), unfinished=self._unfinished)

    def carry_out(self, effect: happening.Effect) -> None:
        """What the state machine decides about the screen and the file."""
        match effect:
            case happening.Complain(text, title):
                self.notices.error(text, title)
            case happening.SayOnce(text):
                self.notices.say_once(text)
            case happening.Unsay(text):
                self.notices.unsay(text)
            case happening.FollowFile(path):
                if moved_to(self.reader, path):
                    self.notices.say(_(MOVED).format(path=path))
            case happening.Announce(run, epoch):
                begun = self.reader.runs[run]
                sentence = _("a new run begins at epoch {epoch}").format(epoch=figures.epoch(epoch))
                self.notices.say(sentence, begun.label or begun.name)
            case happening.Lead(run, parent):
                self.view_state = view_state.lead(self.view_state, run, parent)
            case happening.Leave(goes_on, stoppable):
                self._leave(goes_on=goes_on, stoppable=stoppable)
            case happening.LeaveAfter(seconds):
                self.set_timer(seconds, self._leave)
            case _:
                self._carry_out_plain(cast("happening.Plain", effect))

    def _carry_out_plain(self, effect: happening.Plain) -> None:
        match effect:
            case "clear notices":
                self.app.clear_notifications()  # what they say is of before
            case "redraw":
                self.redraw()
            case "release":
                self.reader.release()
            case "close reader":
                self._draw()  # nothing is drawn after it
                self.reader.close()
                self._reader_closed = True
            case "follow head":
                self.action_end()  # who asks for a step wants to see it
            case "open form":
                self._open_form()

    def adopt(self, reader: Recording) -> None:
        """Show this recording instead: the same one opened again, or a copy of it."""
        self.app.clear_notifications()
        if reader.path.resolve() != self.reader.path.resolve():
            sentence = _("{path} cannot be written on: training goes on in a copy, {copy}")
            self.notices.say(sentence.format(path=self.reader.path, copy=reader.path), seconds=15)
        self.reader.close()
        self.reader = reader
        self._taken_in()

    # --- what the recording holds ---

    def _load(self, *, alone: bool) -> None:
        """Take in what was committed; ``alone``: no trainer is connected that could have renamed the file."""
        if self._reader_closed:
            return
        try:
            if self.reader.refresh():
                self._taken_in()
        except RecordingError as error:
            if alone or self.reader.path.exists():  # else it is being renamed: the trainer says to what
                self._complain(error)

    def _look(self) -> None:
        """Recordings that are compared grow without a word of their trainers."""
        before = self._recorded
        self._load(alone=True)
        if self._recorded is not before:
            self._draw()

    def _taken_in(self) -> None:
        """Look at what was committed; say once what happened."""
        before = {event for events in self._recorded.events for event in events}
        known = len(self._recorded.histories)
        self._recorded = view_state.snapshot(self.reader, self.view_state.unit)
        for run in self.reader.runs[known:]:
            if run.fork is not None:
                self.trainer.happened(happening.Appeared(run.index, run.fork.run, run.fork.step, run.fork.epoch))
        if len(self.reader.runs) > known:
            self._free = view_state.free_panels(self._recorded)  # a fork may have what no run had
        self.view_state = view_state.grown(self.view_state, self._recorded.stops, self._recorded.histories)
        for run, happened in zip(self.reader.runs, self._recorded.events, strict=True):
            for event in happened:
                if event not in before and (severity := traits(event.kind).severity):
                    self.notices.say(event.text, run.label or run.name, severity)

    # --- looking around ---

    def action_walk(self, by: int) -> None:
        self.change(view_state.walk(self.view_state, self._recorded.stops, by))

    def action_home(self) -> None:
        self.change(view_state.home(self.view_state, self._recorded.stops))

    def action_end(self) -> None:
        self.change(view_state.end(self.view_state, self._recorded.stops))

    def action_focus_panel(self, panel: str) -> None:
        there = panel == STRIP.name or panel in self._layout().regions
        self.change(view_state.focus(self.view_state, panel, there=there))

    def action_zoom(self) -> None:
        if self._layout().several:
            self.change(replace(self.view_state, zoomed=not self.view_state.zoomed))

    def action_select(self, by: int) -> None:
        """The next run of the family tree."""
        self._select(family.next_run(self.reader.runs, self.view_state.selected, by))

    def _select(self, run: int) -> None:
        self.change(view_state.select(self.view_state, len(self.reader.runs), run - self.view_state.selected))

    def action_pin(self) -> None:
        self.change(view_state.pin(self.view_state, len(self.reader.runs)))

    def action_log_axis(self) -> None:
        self.change(replace(self.view_state, log_axis=not self.view_state.log_axis))

    def action_unit(self) -> None:
        """The cursor counts in the other unit, at the keyframe where it stands."""
        unit: Unit = "epoch" if self.view_state.unit == "step" else "step"
        self.change(self._counting(self.view_state, unit))

    def _counting(self, state: ViewState, unit: Unit) -> ViewState:
        counted = view_state.count_by(state, view_state.recounted(self._recorded, state.unit), unit)
        self._recorded = view_state.recounted(self._recorded, unit)
        return counted

    def action_feature(self, by: int) -> None:
        """Walk through the features of the data panel, through the layers of the comparison."""
        self.change(replace(self.view_state, feature=self.view_state.feature + by))

    def action_explain(self) -> None:
        from bntui.viewer.screens.help import HelpScreen, lab_keys  # Markdown is not needed to draw

        self.app.clear_notifications()
        self.app.push_screen(HelpScreen(self.view_state.focused, lab_keys(self.trainer.connected)))

    def action_microscope(self) -> None:
        from bntui.viewer.screens.microscope import MicroscopeScreen  # with its charts, when it is asked for

        # its axes are those of one run, in epochs
        recorded = view_state.recounted(self._recorded, "epoch")
        state = view_state.count_by(self.view_state, self._recorded, "epoch")
        self.app.clear_notifications()
        self.app.push_screen(MicroscopeScreen(self.reader, recorded, state), self._look_from_microscope)

    def _look_from_microscope(self, state: ViewState | None) -> None:
        """The microscope was left at another keyframe or run: the laboratory stands there too."""
        if state is not None:
            self.change(self._counting(state, self.view_state.unit))

    @on(RowsWidget.Clicked)
    def _clicked(self, message: RowsWidget.Clicked) -> None:
        name = message.widget.name
        if name in (TIMELINE, STRIP.name) and self.view is not None:
            from bntui.viewer.panels.timeline import place_at

            place = place_at(self.view, message.widget.size.width - 2, message.x - 1)
            self.change(view_state.seek(self.view_state, self._recorded.stops, place))
        elif name in BY_NAME:
            self.action_focus_panel(name)

    # --- commands to the trainer ---

    def action_run(self) -> None:
        self.trainer.happened(happening.Run())

    def action_train(self, command: Literal["epoch", "step"]) -> None:
        self.trainer.happened(happening.Train(command))

    def action_pace(self, by: int) -> None:
        self.trainer.happened(happening.Pace(by))

    def action_fork(self) -> None:
        self.trainer.happened(happening.MayFork())

    # --- forks and troubles ---

    def _open_form(self) -> None:
        found = self._fork_origin()
        if found is not None:
            from bntui.viewer.screens.fork import ForkScreen  # with the scenario's schema, when it is asked for

            self.app.clear_notifications()
            self.app.push_screen(ForkScreen(*found), self._fork)

    def _fork(self, request: ForkRequest | None) -> None:
        if request is not None:
            self.trainer.happened(happening.Fork(request))

    def _fork_origin(self) -> tuple[Origin, str] | None:
        """The keyframe under the cursor; what of the data its name does not tell comes from the recording."""
        from bntui.scenario.fork import configuration  # with the scenario's schema, when it is asked for
        from bntui.viewer.fork.form import Origin, data_facts

        state = self.view_state
        run, history = self.reader.runs[state.selected], self._recorded.histories[state.selected]
        row, name = history.at(state.cursor), run.label or run.name
        if row < 0:
            self.notices.say_once(_("There is no keyframe of {run} here to fork from.").format(run=clean(name)))
            return None
        try:
            configuration(run.config)
            facts = data_facts(self.reader, run)
        except (RecordingError, ScenarioError) as error:
            self._complain(error)
            return None
        mark = RUN_MARKS[run.index % len(RUN_MARKS)]
        origin = Origin(run, int(history.step[row]), float(history.epoch[row]), facts)
        return origin, f"{mark} {name}"

    def action_trouble(self) -> None:
        """To the next first bad tensor, or gradient that died: its run, its keyframe, its panel."""
        unit = self.view_state.unit
        event = troubles.following(troubles.troubles(self._recorded.events, unit), self._trouble)
        if event is None:
            self.notices.say_once(troubles.none(self._recorded.histories))
            return
        self._trouble = event
        self._select(event.run)
        self.change(view_state.seek(self.view_state, self._recorded.stops, epochs.of_event(event, unit)))
        self.action_focus_panel(troubles.panel(event))
        run = self.reader.runs[event.run]
        self.notices.say_once(clean(f"{run.label or run.name}: {event.text}"))

    def action_family(self) -> None:
        from bntui.viewer.screens.lab_runs import RunsScreen  # when it is asked for

        if self.view is not None:
            self.app.clear_notifications()
            self.app.push_screen(RunsScreen(self.view), self._select_from_family)

    def _select_from_family(self, run: int | None) -> None:
        if run is not None:
            self._select(run)

    # --- leaving ---

    def action_back(self) -> None:
        if self.view_state.zoomed and self._layout().several:
            self.action_zoom()
        elif self._from_gallery:
            if self.trainer.connected:
                self.notices.say(goodbye.goes_on(self.reader), seconds=10)
            self.app.pop_screen()

    def action_detach(self) -> None:
        self.trainer.happened(happening.Detach())

    def interrupted(self) -> None:
        """Ctrl+c copies or interrupts elsewhere: say what ends this screen."""
        self.notices.say_once(live.how_to_end(self.trainer.state, self.facts()))

    def quit(self) -> None:
        """End the program, and a training that was started here: everything is saved."""
        self.trainer.happened(happening.Quit())

    def _leave(self, *, goes_on: bool = False, stoppable: bool = False) -> None:
        if goes_on:
            said = [goodbye.goes_on(self.reader), *([goodbye.stops(self.reader)] if stoppable else [])]
        else:
            last = live.status_of(self.trainer.state)
            rest = self._unfinished and not (last is not None and last.state == "finished")
            said = goodbye.recorded(self.reader, unfinished=rest)
        self.app.exit(message=Text("\n".join(map(clean, said)), no_wrap=True, overflow="ignore"))

    def _complain(self, error: Exception) -> None:
        self.notices.error(str(error))


def _warm() -> None:
    """Import what the help needs while the first picture is being looked at."""
    from importlib import import_module

    import_module("bntui.viewer.screens.help")

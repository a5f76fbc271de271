"""The laboratory's screen: panels around one cursor, drawn from a recording that may still grow."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message

from bntui.errors import RecordingError, TrainerError
from bntui.language import N_, _
from bntui.link import OVER, PACES, Command, Status
from bntui.recording.history import Unit
from bntui.text import clean
from bntui.viewer import chrome, parts, session
from bntui.viewer.feed import Feed, TrainerLink
from bntui.viewer.layout import TIMELINE, Layout, layout
from bntui.viewer.narrow import NarrowCompositor
from bntui.viewer.palette import SpokenScreen
from bntui.viewer.panels import BY_NAME, PANELS
from bntui.viewer.session import ViewState
from bntui.viewer.view import View
from bntui.viewer.widgets import RowsWidget

if TYPE_CHECKING:
    from textual.notifications import SeverityLevel
    from textual.timer import Timer

FRAME: Final = 1 / 15
"""Seconds between two redraws for the trainer's news: the terminal's queue must not fill up."""
LOOK_SECONDS: Final = 0.5
"""How often recordings that are compared are looked at."""
LAST_WORDS: Final = 3.0
"""Seconds that quitting waits for the trainer to save; it saves without being waited for, too."""
NO_TRAINER: Final = N_("This recording has no live trainer.")
ONLY_LOOKING: Final = N_("Comparing is for looking: bntui attach FILE commands a trainer.")
IS_OVER: Final = N_("Training is over: all is recorded.")
GONE: Final = N_("The trainer ended unexpectedly; what it recorded is saved.")
GOES_ON: Final = N_("Training goes on. Come back with: {command}")
NOTABLE: Final[Mapping[str, SeverityLevel]] = {
    "stopped_early": "information",
    "diverged": "error",
    "interrupted": "warning",
}


class LabScreen(SpokenScreen[None]):
    """One recording: header, panels, timeline and keys.  Draws what the view state asks for, and sends what changed."""

    CSS = "LabScreen { overflow: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "run", N_("Run or pause")),
        Binding("n", "train('epoch')", N_("Train one more epoch")),
        Binding("s", "train('step')", N_("Train one more mini-batch")),
        Binding("plus,equals_sign", "pace(1)", N_("Faster")),
        Binding("minus", "pace(-1)", N_("Slower")),
        Binding("left", "walk(-1)", N_("Keyframe before")),
        Binding("right", "walk(1)", N_("Keyframe after")),
        Binding("shift+left", "walk(-10)", N_("Ten keyframes before")),
        Binding("shift+right", "walk(10)", N_("Ten keyframes after")),
        Binding("home", "home", N_("First keyframe")),
        Binding("end", "end", N_("Follow the head")),
        *(Binding(panel.key, f"focus_panel('{panel.name}')", panel.label) for panel in PANELS),
        Binding("enter", "zoom", N_("Zoom the panel")),
        Binding("tab", "select(1)", N_("Next run")),
        Binding("shift+tab", "select(-1)", N_("Previous run")),
        Binding("p", "pin", N_("Pin the next run beside")),
        Binding("left_square_bracket", "feature(-1)", N_("Feature before")),
        Binding("right_square_bracket", "feature(1)", N_("Feature after")),
        Binding("m", "microscope", N_("Microscope: a normalization in four steps")),
        Binding("x", "unit", N_("Cursor by epoch or by step")),
        Binding("l", "log_axis", N_("Logarithmic or linear axis")),
        Binding("question_mark", "explain", N_("Explain this panel")),
        Binding("escape", "back", N_("Back")),
        Binding("d", "detach", N_("Detach: training goes on")),
        Binding("q", "app.quit", N_("Stop training and quit")),
    ]

    class News(Message):
        """The trainer said something."""

    def __init__(
        self, reader: session.Recording, trainer: TrainerLink | None = None, *, from_gallery: bool = False
    ) -> None:
        super().__init__()
        self._compositor = NarrowCompositor()
        self.view_state = session.opening(reader)
        self.status: Status | None = None
        self.gone = False
        self._reader = reader
        self._trainer = trainer
        self._from_gallery = from_gallery
        self._feed = Feed(trainer, lambda: self.post_message(self.News())) if trainer is not None else None
        self._pace: float | None = None
        self._facts: Mapping[str, str] = getattr(reader, "meta", {})
        self._recorded = session.snapshot(reader)
        self._complaints: set[str] = set()
        self._redraw_timer: Timer | None = None
        self._earliest = 0.0
        self._drawing = False
        self._drawn_at: Size | None = None
        self._leaving = False
        self._closed_reader = False
        self._widgets = {name: RowsWidget(name) for name in parts.PARTS}
        self._message = RowsWidget("small")
        self.view_state = session.grown(self.view_state, self._recorded.stops)
        self.view: View | None = None
        self._free = session.free_panels(self._recorded)

    def compose(self) -> ComposeResult:
        yield from self._widgets.values()
        yield self._message

    def on_mount(self) -> None:
        self._draw()
        if self._feed is not None:
            self._feed.start()
        if session.compared(self._reader):
            self.set_interval(LOOK_SECONDS, self._look)

    def on_unmount(self) -> None:
        if self._trainer is not None:
            self._trainer.close()
        self._reader.close()

    def on_screen_resume(self) -> None:
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        if event.size != self._drawn_at:
            self._draw()

    def _compositor_refresh(self) -> None:
        """Under another screen nothing of this one changes; Textual would send that one whole at each news."""
        if self.app.screen is self:
            super()._compositor_refresh()

    # --- drawing ---

    def change(self, state: ViewState) -> None:
        """Look elsewhere; several keys that wait in line are drawn once."""
        self.view_state = state
        if not self._drawing:
            self._drawing = True
            self.call_later(self._draw)

    def _draw(self) -> None:
        self._drawing = False
        if self.app.screen is not self or self._closed_reader:
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
        try:
            self.view = session.build_view(
                self._recorded,
                self.view_state,
                dataset="data" in regions,
                histograms="distributions" in regions,
            )
        except RecordingError as error:
            self._complain(error)
            return
        shown = parts.Shown(
            view=self.view,
            state=self.view_state,
            facts=self._facts,
            words=self._state_words(),
            live=self._trainer is not None,
            running=self._training,
            several=room.several,
            from_gallery=self._from_gallery,
        )
        for name, region in regions.items():
            self._widgets[name].show(parts.rows(name, shown, *region.size), region.width)

    @property
    def _training(self) -> bool:
        return self.status is not None and self.status.state == "running"

    def _layout(self) -> Layout:
        state = self.view_state
        return layout(*self.app.size, state.focused, state.zoomed, self._free, state.guest)

    def _state_words(self) -> tuple[str, str]:
        if self._leaving:
            return _("⊘ stopping …"), "warn"
        return chrome.state_text(self.status, self.gone, live=self._trainer is not None)

    # --- the trainer's news ---

    @on(News)
    def _news(self) -> None:
        wait = self._earliest - monotonic()
        if wait <= 0:
            self._update()
        elif self._redraw_timer is None:
            self._redraw_timer = self.set_timer(wait, self._update)

    def _update(self) -> None:
        assert self._feed is not None
        self._redraw_timer = None
        began = monotonic()
        status, closed = self._feed.take()
        if status is not None:
            self.status, self._pace = status, status.pace
            if status.state == "failed" and status.message:
                self._complain(TrainerError(status.message))
        if closed:
            self._hung_up()
        self._load()
        self._draw()
        if self.status is not None and self.status.state in OVER:
            self._reader.release()  # the trainer folds the journal in, once nobody holds the file
        # drawing never takes more than half of the time: keys come first
        self._earliest = began + max(FRAME, 2 * (monotonic() - began))

    def _look(self) -> None:
        """Recordings that are compared grow without a word of their trainers."""
        before = self._recorded
        self._load()
        if self._recorded is not before:
            self._draw()

    def _load(self) -> None:
        """Take in what was committed; say once what happened."""
        if self._closed_reader:
            return
        try:
            if not self._reader.refresh():
                return
        except RecordingError as error:
            self._complain(error)
            return
        before = {event for events in self._recorded.events for event in events}
        self._recorded = session.snapshot(self._reader, self.view_state.unit)
        self.view_state = session.grown(self.view_state, self._recorded.stops)
        for run, happened in zip(self._reader.runs, self._recorded.events, strict=True):
            for event in happened:
                if event not in before and (severity := NOTABLE.get(event.kind)):
                    self.notify(clean(event.text), title=clean(run.name), severity=severity, markup=False)

    def _hung_up(self) -> None:
        if self._trainer is not None:
            self._trainer.close()
            self._trainer = None
        self.gone = self.status is None or self.status.state in ("running", "paused")
        if self._leaving:
            self._leave()

    def _complain(self, error: Exception) -> None:
        text = clean(str(error))
        if text not in self._complaints:
            self._complaints.add(text)
            self.notify(text, severity="error", timeout=15, markup=False)

    # --- commands to the trainer ---

    def _command(self, command: Command, **arguments: object) -> bool:
        if self._trainer is None:
            self._say_once(self._why_not())
            return False
        try:
            self._trainer.send(command, **arguments)
        except TrainerError as error:
            self._hung_up()
            self._complain(error)
            self.change(self.view_state)
            return False
        return True

    def _why_not(self) -> str:
        """Why there is nobody to command."""
        if self.gone:
            return _(GONE)
        if session.compared(self._reader):
            return _(ONLY_LOOKING)
        return _(IS_OVER) if self.status is not None and self.status.state in OVER else _(NO_TRAINER)

    def _say_once(self, sentence: str) -> None:
        """A notice, unless the same one is still on the screen: boxes must not pile up."""
        if not any(notice.message == sentence for notice in self.app._notifications):
            self.notify(sentence, markup=False)

    def action_run(self) -> None:
        self._command("pause" if self._training else "run")

    def action_train(self, command: Command) -> None:
        if self._command(command):
            self.action_end()  # who asks for a step wants to see it

    def action_pace(self, by: int) -> None:
        at = PACES.index(self._pace) if self._pace in PACES else len(PACES) - 1
        pace = PACES[min(max(at + by, 0), len(PACES) - 1)]
        if self._command("pace", epochs_per_second=pace):
            self._pace = pace
            if self.status is not None:
                self.status = replace(self.status, pace=pace)  # seen at once; the trainer says the same soon
                self.change(self.view_state)

    # --- looking around ---

    def action_walk(self, by: int) -> None:
        self.change(session.walk(self.view_state, self._recorded.stops, by))

    def action_home(self) -> None:
        self.change(session.home(self.view_state, self._recorded.stops))

    def action_end(self) -> None:
        self.change(session.end(self.view_state, self._recorded.stops))

    def action_focus_panel(self, panel: str) -> None:
        there = panel == "timeline" or panel in self._layout().regions
        self.change(session.focus(self.view_state, panel, there=there))

    def action_zoom(self) -> None:
        if self._layout().several:
            self.change(replace(self.view_state, zoomed=not self.view_state.zoomed))

    def action_select(self, by: int) -> None:
        self.change(session.select(self.view_state, len(self._reader.runs), by))

    def action_pin(self) -> None:
        self.change(session.pin(self.view_state, len(self._reader.runs)))

    def action_log_axis(self) -> None:
        self.change(replace(self.view_state, log_axis=not self.view_state.log_axis))

    def action_unit(self) -> None:
        """The cursor counts in the other unit, at the keyframe where it stands."""
        unit: Unit = "epoch" if self.view_state.unit == "step" else "step"
        self.change(self._counting(self.view_state, unit))

    def _counting(self, state: ViewState, unit: Unit) -> ViewState:
        counted = session.count_by(state, session.recounted(self._recorded, state.unit), unit)
        self._recorded = session.recounted(self._recorded, unit)
        return counted

    def action_feature(self, by: int) -> None:
        """Walk through the features of the data panel, through the layers of the comparison."""
        self.change(replace(self.view_state, feature=self.view_state.feature + by))

    def action_explain(self) -> None:
        from bntui.viewer.screens.help import HelpScreen, lab_keys  # Markdown is not needed to draw

        self.app.push_screen(HelpScreen(self.view_state.focused, lab_keys(self._trainer is not None)))

    def action_microscope(self) -> None:
        from bntui.viewer.screens.microscope import MicroscopeScreen  # with its charts, when it is asked for

        # its axes are those of one run, in epochs
        recorded = session.recounted(self._recorded, "epoch")
        state = session.count_by(self.view_state, self._recorded, "epoch")
        self.app.push_screen(MicroscopeScreen(self._reader, recorded, state), self._look_from_microscope)

    def _look_from_microscope(self, state: ViewState | None) -> None:
        """The microscope was left at another keyframe or run: the laboratory stands there too."""
        if state is not None:
            self.change(self._counting(state, self.view_state.unit))

    @on(RowsWidget.Clicked)
    def _clicked(self, message: RowsWidget.Clicked) -> None:
        name = message.widget.name
        if name in (TIMELINE, "timeline") and self.view is not None:
            from bntui.viewer.panels.timeline import place_at

            place = place_at(self.view, message.widget.size.width - 2, message.x - 1)
            self.change(session.seek(self.view_state, self._recorded.stops, place))
        elif name in BY_NAME:
            self.action_focus_panel(name)

    # --- leaving ---

    def action_back(self) -> None:
        if self.view_state.zoomed and self._layout().several:
            self.action_zoom()
        elif self._from_gallery:
            if self._trainer is not None:
                self.notify(_(GOES_ON).format(command=self._come_back()), timeout=10, markup=False)
            self.app.pop_screen()

    def action_detach(self) -> None:
        if self._trainer is None:
            self._say_once(self._why_not() + " " + _("q quits."))
        else:
            self._say_and_exit(_(GOES_ON).format(command=self._come_back()))

    def interrupted(self) -> None:
        """Ctrl+c copies or interrupts elsewhere: say what ends this screen."""
        self._say_once(_("d detaches, q stops and quits.") if self._trainer is not None else _("q quits."))

    def quit(self) -> None:
        """Stop the trainer, everything saved, and end the program; asked twice, without waiting for it."""
        if self._trainer is None or self._leaving:
            self._leave()
        elif self._command("stop"):
            self._leaving = True
            self._draw()
            # a reader in the way of the trainer's last checkpoint would leave the recording in several files
            self._reader.close()
            self._closed_reader = True
            self.set_timer(LAST_WORDS, self._leave)
        else:
            self._leave()

    def _leave(self) -> None:
        self._say_and_exit(_("Recorded. Look again with: {command}").format(command=session.again(self._reader)))

    def _come_back(self) -> str:
        return f"bntui attach {shlex.quote(str(self._reader.path))}"

    def _say_and_exit(self, sentence: str) -> None:
        self.app.exit(message=Text(clean(sentence), no_wrap=True, overflow="ignore"))

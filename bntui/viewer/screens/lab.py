"""The laboratory's screen: panels around one cursor, drawn from a recording that may still grow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size

from bntui.errors import RecordingError, ScenarioError
from bntui.recording.history import Event, RunInfo, Unit
from bntui.text import figures
from bntui.text.language import N_, _
from bntui.text.output import clean
from bntui.viewer import chrome, epochs, family, parts, troubles, view_state
from bntui.viewer.draw.theme import RUN_MARKS
from bntui.viewer.feed import TrainerLink
from bntui.viewer.layout import TIMELINE, Layout, layout, parts_of
from bntui.viewer.panels import BY_NAME, PANELS
from bntui.viewer.screens.lab_live import GOES_ON, ONE_AT_A_TIME, LiveScreen
from bntui.viewer.terminal.image import Part
from bntui.viewer.view import View
from bntui.viewer.view_state import ViewState
from bntui.viewer.widgets import RowsWidget

if TYPE_CHECKING:
    from textual.notifications import SeverityLevel

    from bntui.viewer.fork.form import Origin

WARM_SECONDS: Final = 1.0
"""When what the first keys need is imported: after the first paint."""
LOOK_SECONDS: Final = 0.5
"""How often recordings that are compared are looked at."""
NOTABLE: Final[Mapping[str, SeverityLevel]] = {
    "stopped_early": "information",
    "diverged": "error",
    "interrupted": "warning",
    "resumed": "information",
    "departed": "warning",
    "first_bad": "error",
    "died": "warning",
}


class LabScreen(LiveScreen):
    """One recording: header, panels, timeline and keys.  Draws what the view state asks for, and sends what changed."""

    CSS = "LabScreen { overflow: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [
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
        Binding("r", "family", N_("Runs and their forks")),
        Binding("exclamation_mark", "trouble", N_("To the first bad tensor")),
        Binding("left_square_bracket", "feature(-1)", N_("Feature before")),
        Binding("right_square_bracket", "feature(1)", N_("Feature after")),
        Binding("m", "microscope", N_("Microscope: a normalization in four steps")),
        Binding("x", "unit", N_("Cursor by epoch or by step")),
        Binding("l", "log_axis", N_("Logarithmic or linear axis")),
        Binding("question_mark", "explain", N_("Explain this panel")),
        Binding("escape", "back", N_("Back")),
    ]

    def __init__(
        self, reader: view_state.Recording, trainer: TrainerLink | None = None, *, from_gallery: bool = False
    ) -> None:
        super().__init__(reader, trainer)
        self.view_state = view_state.opening(reader)
        self._from_gallery = from_gallery
        self._facts: Mapping[str, str] = getattr(reader, "meta", {})
        self._recorded = view_state.snapshot(reader)
        self._drawing = False
        self._drawn_at: Size | None = None
        self._widgets = {name: RowsWidget(name) for name in parts.PARTS}
        self._message = RowsWidget("small")
        self.view_state = view_state.grown(self.view_state, self._recorded.stops)
        self.view: View | None = None
        self._free = view_state.free_panels(self._recorded)
        self._trouble: Event | None = None
        """The first bad tensor, or gradient that died, that was looked at last."""

    def compose(self) -> ComposeResult:
        yield from self._widgets.values()
        yield self._message

    def on_mount(self) -> None:
        self._draw()
        self.set_timer(WARM_SECONDS, lambda: self.app.in_background(_warm, lambda _: None, self._complain))
        if view_state.compared(self._reader):
            self.set_interval(LOOK_SECONDS, self._look)

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

    def redraw(self) -> None:
        """Draw once, soon."""
        self.change(self.view_state)

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
            self.view = view_state.build_view(
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
            words=self.state_words(),
            live=self._trainer is not None,
            running=self.training,
            several=room.several,
            from_gallery=self._from_gallery,
            forks=not view_state.compared(self._reader),
            resumes=self._trainer is None and self.unfinished,
            late=self.app.sender.late,
        )
        for name, region in regions.items():
            self._widgets[name].show(parts.rows(name, shown, *region.size), region.width)

    def parts(self) -> list[Part]:
        """What is sent first where the line is slow: what a key changes, then what the user looks at."""
        return parts_of(self._layout(), self.view_state.focused)

    @property
    def unfinished(self) -> bool:
        """A trainer could go on with a run."""
        return view_state.unfinished(self._recorded) and not view_state.compared(self._reader)

    def _layout(self) -> Layout:
        state = self.view_state
        return layout(*self.app.size, state.focused, state.zoomed, self._free, state.guest)

    # --- what the recording holds ---

    def _look(self) -> None:
        """Recordings that are compared grow without a word of their trainers."""
        before = self._recorded
        self._load()
        if self._recorded is not before:
            self._draw()

    def taken_in(self) -> None:
        """Look at what was committed; say once what happened."""
        before = {event for events in self._recorded.events for event in events}
        known = len(self._recorded.histories)
        self._facts = getattr(self._reader, "meta", {})
        self._recorded = view_state.snapshot(self._reader, self.view_state.unit)
        for run in self._reader.runs[known:]:
            self._appeared(run)
        if len(self._reader.runs) > known:
            self._free = view_state.free_panels(self._recorded)  # a fork may have what no run had
        self.view_state = view_state.grown(self.view_state, self._recorded.stops, self._recorded.histories)
        for run, happened in zip(self._reader.runs, self._recorded.events, strict=True):
            for event in happened:
                if event not in before and (severity := NOTABLE.get(event.kind)):
                    self.notify(clean(event.text), title=clean(run.label or run.name), severity=severity, markup=False)

    def _appeared(self, run: RunInfo) -> None:
        """A fork that was asked for here comes beside its parent; another one is said."""
        if run.fork is None:
            return
        if self._asked is not None and (run.fork.run, run.fork.step) == (self._asked.run, self._asked.step):
            self._asked = None
            self._unsay(_(ONE_AT_A_TIME))
            self.view_state = view_state.lead(self.view_state, run.index, run.fork.run)
        else:
            sentence = _("a new run begins at epoch {epoch}").format(epoch=figures.epoch(run.fork.epoch))
            self.notify(sentence, title=clean(run.label or run.name), markup=False)

    # --- looking around ---

    def action_walk(self, by: int) -> None:
        self.change(view_state.walk(self.view_state, self._recorded.stops, by))

    def action_home(self) -> None:
        self.change(view_state.home(self.view_state, self._recorded.stops))

    def action_end(self) -> None:
        self.change(view_state.end(self.view_state, self._recorded.stops))

    def action_focus_panel(self, panel: str) -> None:
        there = panel == "timeline" or panel in self._layout().regions
        self.change(view_state.focus(self.view_state, panel, there=there))

    def action_zoom(self) -> None:
        if self._layout().several:
            self.change(replace(self.view_state, zoomed=not self.view_state.zoomed))

    def follow_head(self) -> None:
        """Look at the newest keyframe."""
        self.action_end()

    def action_select(self, by: int) -> None:
        """The next run of the family tree."""
        self._select(family.next_run(self._reader.runs, self.view_state.selected, by))

    def _select(self, run: int) -> None:
        self.change(view_state.select(self.view_state, len(self._reader.runs), run - self.view_state.selected))

    def action_pin(self) -> None:
        self.change(view_state.pin(self.view_state, len(self._reader.runs)))

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
        self.app.push_screen(HelpScreen(self.view_state.focused, lab_keys(self._trainer is not None)))

    def action_microscope(self) -> None:
        from bntui.viewer.screens.microscope import MicroscopeScreen  # with its charts, when it is asked for

        # its axes are those of one run, in epochs
        recorded = view_state.recounted(self._recorded, "epoch")
        state = view_state.count_by(self.view_state, self._recorded, "epoch")
        self.app.clear_notifications()
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
            self.change(view_state.seek(self.view_state, self._recorded.stops, place))
        elif name in BY_NAME:
            self.action_focus_panel(name)

    # --- forks and troubles ---

    def fork_origin(self) -> tuple[Origin, str] | None:
        """The keyframe under the cursor; what of the data its name does not tell comes from the recording."""
        from bntui.scenario.fork import configuration  # with the scenario's schema, when it is asked for
        from bntui.viewer.fork.form import Origin, data_facts

        state = self.view_state
        run, history = self._reader.runs[state.selected], self._recorded.histories[state.selected]
        row, name = history.at(state.cursor), run.label or run.name
        if row < 0:
            self._say_once(_("There is no keyframe of {run} here to fork from.").format(run=clean(name)))
            return None
        try:
            configuration(run.config)
            facts = data_facts(self._reader, run)
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
            self._say_once(troubles.none(self._recorded.histories))
            return
        self._trouble = event
        self._select(event.run)
        self.change(view_state.seek(self.view_state, self._recorded.stops, epochs.of_event(event, unit)))
        self.action_focus_panel(troubles.panel(event))
        run = self._reader.runs[event.run]
        self._say_once(clean(f"{run.label or run.name}: {event.text}"))

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
            if self._trainer is not None:
                self.notify(_(GOES_ON).format(command=self._come_back()), timeout=10, markup=False)
            self.app.pop_screen()


def _warm() -> None:
    """Import what the help needs while the first picture is being looked at."""
    from importlib import import_module

    import_module("bntui.viewer.screens.help")

"""Changes where the user looks, for keys that do more than one transition of the view state, and for the mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from bntui.errors import RecordingError
from bntui.link import course
from bntui.text.language import _
from bntui.viewer import layer_choice, tour, view_state
from bntui.viewer.layout import TIMELINE
from bntui.viewer.opening import in_background
from bntui.viewer.panels import BY_NAME, STRIP
from bntui.viewer.snapshot import recounted

if TYPE_CHECKING:
    from bntui.recording.history import Unit
    from bntui.viewer.arrangement import Arrangement
    from bntui.viewer.chooser import Choice
    from bntui.viewer.layout import Layout
    from bntui.viewer.notices import Notices
    from bntui.viewer.screens.lab_recording import LoadedRecording
    from bntui.viewer.terminal.line import PacedApp
    from bntui.viewer.view import View
    from bntui.viewer.view_state import ViewState
    from bntui.viewer.widgets import RowsWidget


class LookingScreen(Protocol):
    """The part of the laboratory's screen that this module needs."""

    loaded: LoadedRecording
    notices: Notices
    view_state: ViewState
    view: View | None

    @property
    def app(self) -> PacedApp[Any]: ...
    @property
    def arrangement(self) -> Arrangement:
        """How panels are placed on this screen."""
        ...

    @property
    def room(self) -> Layout:
        """The region of each part of the screen."""
        ...

    def change(self, state: ViewState) -> None:
        """Change the view state, and draw."""
        ...

    def action_focus_panel(self, panel: str) -> None:
        """Focus a panel."""
        ...

    def action_walk(self, by: int) -> None:
        """Move the cursor by keyframes."""
        ...


class LabLook:
    """What the user of a laboratory looks at: stops of the tour, layers, panels, and keyframes under the mouse."""

    def __init__(self, lab: LookingScreen) -> None:
        self._lab = lab

    # --- the guided tour ---

    def start_tour(self) -> None:
        """Start the guided tour, or end it."""
        lab = self._lab
        if not lab.loaded.reader.tour:
            lab.notices.say_once(_(tour.NONE))
            return
        self._walk_to(tour.begin(lab.view_state, lab.loaded.snapshot, lab.loaded.reader.tour))

    def walk_tour(self, by: int) -> None:
        """Show the answer or the next stop of the tour (1), or go back (-1)."""
        lab = self._lab
        if lab.loaded.reader.tour:
            self._walk_to(tour.walk(lab.view_state, lab.loaded.snapshot, lab.loaded.reader.tour, by))

    def end_tour(self) -> None:
        """End the tour."""
        self._walk_to(tour.end(self._lab.view_state))

    def _walk_to(self, state: ViewState) -> None:
        """Go to another place of the guided tour, or end it; one that ends at its last answer was walked."""
        lab = self._lab
        reader = lab.loaded.reader
        if state.tour is None and tour.answered(lab.view_state, reader.tour) and not lab.app.read_only:
            title = reader.meta["title"]
            in_background(lab.app, lambda: course.note(title), lambda _: None, self._complain)
        try:
            state = lab.arrangement.pointing(state)
        except RecordingError as error:
            self._complain(error)
        lab.change(state)

    # --- the unit of the cursor ---

    def change_unit(self) -> None:
        """Switch the cursor to the other unit, at the same keyframe."""
        self._count(self._lab.view_state, "epoch" if self._lab.view_state.unit == "step" else "step")

    def back_from_microscope(self, state: ViewState) -> None:
        """Move to the keyframe and run at which the microscope was left."""
        self._count(state, self._lab.view_state.unit)

    def _count(self, state: ViewState, unit: Unit) -> None:
        loaded = self._lab.loaded
        counted = view_state.count_by(state, recounted(loaded.snapshot, state.unit), unit)
        loaded.count_by(unit)
        self._lab.change(counted)

    # --- panels and layers ---

    def standing(self, panels: tuple[str, ...]) -> tuple[str, ...]:
        """The panels on the main screen if these are chosen; none if it has room for one only."""
        return self._lab.arrangement.standing(self._lab.view_state, panels)

    def choose_panels(self, choice: Choice) -> None:
        """Show the chosen panels first, and focus one that is shown."""
        lab = self._lab
        lab.change(view_state.choose(lab.view_state, choice.panels))
        standing = self.standing(choice.panels)
        if choice.go:
            lab.action_focus_panel(choice.go)
        elif standing and lab.view_state.focused not in (*standing, STRIP.name):
            lab.action_focus_panel(standing[0])

    def walk_panel(self, by: int) -> None:
        """Walk through features or layers: of the focused panel, or of all on the screen if it has none."""
        lab = self._lab
        focused = BY_NAME[lab.view_state.focused]
        if lab.view is not None and lab.view_state.layer and (focused.worst or not focused.walks):
            panel = layer_choice.judging(focused.name, lab.room.regions)
            lab.change(layer_choice.step(lab.view_state, layer_choice.rows(lab.view, panel), by))
            return
        there = [BY_NAME[name] for name in lab.room.regions if name in BY_NAME]
        for panel in [focused] if focused.walks else there:
            if panel.walks:
                lab.change(view_state.walk_in(lab.view_state, panel.name, by))

    def fold(self) -> None:
        """Show one row for each block of layers, or for each layer again."""
        lab = self._lab
        if lab.view is not None:
            self.choose_layer(*layer_choice.fold(lab.view_state, lab.view))

    def worst_layer(self) -> None:
        """Choose the worst layer by what the focused panel shows, or the next worst one."""
        lab = self._lab
        if lab.view is not None:
            panel = layer_choice.judging(lab.view_state.focused, lab.room.regions)
            self.choose_layer(*layer_choice.to_worst(lab.view_state, lab.view, panel))
            lab.action_focus_panel(panel.name)

    def choose_layer(self, state: ViewState, sentence: str) -> None:
        """Show a layer that was chosen, and a sentence about that unless it is empty."""
        self._lab.change(state)
        self._lab.notices.say_instead(sentence)

    # --- the mouse ---

    def seek(self, message: RowsWidget.Pointed) -> None:
        """Move the cursor to the keyframe under the mouse, if its button was pressed on a track of the timeline."""
        lab = self._lab
        if lab.view is not None:
            from bntui.viewer.panels.timeline import place_at

            below = message.widget.name == TIMELINE  # one track, and words of the legend or the tour
            row = message.row if below else message.row - 1
            place = place_at(lab.view, message.widget.size.width - 2, message.x - 1, row)
            if place is not None and not (below and row):
                self.seek_to(place)

    def seek_to(self, place: float) -> None:
        """Move the cursor to the keyframe nearest to a place."""
        self._lab.change(view_state.seek(self._lab.view_state, self._lab.loaded.snapshot.stops, place))

    def wheel(self, part: str, by: int) -> None:
        """Walk through the keyframes over a course, and through what else a panel walks through."""
        lab, panel = self._lab, BY_NAME.get(part)
        if panel is not None and panel.walks:
            lab.change(view_state.walk_in(lab.view_state, panel.name, by))
        elif panel is not None or part == TIMELINE:
            lab.action_walk(by)

    def _complain(self, error: Exception) -> None:
        self._lab.notices.error(str(error))

"""Places the panels of the laboratory, and finds what its guided tour says beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bntui.recording.tour import TourStop
from bntui.viewer import tour_pointer, view_state
from bntui.viewer.layout import Candidates, Layout, layout
from bntui.viewer.panels import BY_NAME
from bntui.viewer.snapshot import Snapshot
from bntui.viewer.tour import ShownStop, shown
from bntui.viewer.view_state import ViewState


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What the places on a screen depend on besides where the user looks."""

    size: tuple[int, int]
    """Columns and rows of the screen."""
    recorded: Snapshot
    free: Sequence[str]
    """Panels for the free places."""
    tour: Sequence[TourStop] = ()
    few: bool = False
    """As few panels as possible, for a lecture hall."""

    def layout(self, state: ViewState) -> Layout:
        """The region of each part of the screen."""
        said = tour_pointer.rows_of(self.stop(state), self.size)
        return layout(*self.size, state.focused, state.zoomed, self._candidates(state), said)

    def stop(self, state: ViewState) -> ShownStop | None:
        """The stop of the guided tour at which the state is."""
        return shown(state, self.recorded, self.tour)

    def pointing(self, state: ViewState) -> ViewState:
        """The state in which the panel of its stop shows most of the figures of the answer.

        Raises:
            RecordingError: a keyframe is damaged.
        """
        return tour_pointer.settled(state, self.recorded, self.stop(state), self.size, self._candidates(state))

    def standing(self, state: ViewState, panels: tuple[str, ...]) -> tuple[str, ...]:
        """The panels on the main screen if these are chosen; none if it has room for one only."""
        room = self.layout(replace(view_state.choose(state, panels), zoomed=False))
        return tuple(name for name in room.regions if name in BY_NAME) if room.several else ()

    def _candidates(self, state: ViewState) -> Candidates:
        return Candidates(self.free, state.guest, state.panels, few=self.few)

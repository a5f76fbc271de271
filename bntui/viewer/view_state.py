"""Holds what the user is looking at, with pure transitions, and builds the view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np

from bntui.errors import RecordingError
from bntui.keyframe import FloatArray, Foreign, IntArray, Keyframe
from bntui.recording.dataset import RecordedData
from bntui.recording.evidence import Evidence
from bntui.recording.first_view import FirstView
from bntui.recording.histograms import Histograms
from bntui.recording.history import Event, RunHistory, RunInfo, Unit, counted
from bntui.recording.seeds import SeedCourse
from bntui.recording.sentences import EventKind, outcome
from bntui.recording.tour import TourStop
from bntui.viewer.panels import BY_NAME, PANELS, Recorded, ranked
from bntui.viewer.view import SAME, CriterionName, RunView, View

MOST_TIME_ZOOM: Final = 12
"""Halvings of the axis of time."""


class Source(Protocol):
    """The part of a recording's reader that a view is built from."""

    title: str
    task: str
    scenario_text: str
    """The scenario as it was written; empty for several recordings."""
    paths: tuple[Path, ...]
    """Paths of the compared recordings; empty for a single one."""

    @property
    def mixed(self) -> bool:
        """The runs have different data."""
        ...

    @property
    def runs(self) -> tuple[RunInfo, ...]: ...
    @property
    def dataset(self) -> RecordedData | None: ...
    def history(self, run: int) -> RunHistory: ...
    def events(self, run: int) -> tuple[Event, ...]: ...
    def seeds(self, run: int) -> tuple[SeedCourse, ...]: ...
    def keyframe(self, run: int, row: int) -> Keyframe: ...
    def histograms(self, run: int, history: RunHistory) -> Histograms: ...
    def evidence(self, run: int, row: int) -> Evidence | None: ...
    def evidence_rows(self, run: int) -> IntArray: ...


class ViewedRecording(Source, Protocol):
    """The part of a reader that the screen needs."""

    path: Path
    meta: Mapping[str, str]
    """What is fixed about it."""
    first_view: FirstView
    """What it wants the screen to show first."""
    tour: tuple[TourStop, ...]
    """Stops of its guided tour."""

    @property
    def seeds_asked(self) -> int:
        """Number of seeds with which every run is to be trained, its own included."""
        ...

    @property
    def opposite(self) -> int:
        """The run to show beside the first one when the recording is opened."""
        ...

    def refresh(self) -> bool: ...
    def release(self) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ViewState:
    """What the user is looking at, without any recorded data."""

    cursor: float = 0.0
    """In epochs or steps."""
    unit: Unit = "epoch"
    """The unit of the cursor."""
    following: bool = True
    """The cursor moves with the head."""
    selected: int = 0
    pinned: int | None = None
    """The run beside the selected one; never the selected one itself."""
    third: int | None = None
    """A run beside these two; neither of them."""
    hidden: frozenset[int] = frozenset()
    """Runs that are left out of curves and header; never a shown one."""
    leader: int | None = None
    """The run whose newest keyframe a following cursor stays at, even if others are further: a new fork."""
    log_axis: bool = True
    focused: str = PANELS[0].name
    """Name of the panel that enter zooms, help explains, and a small screen shows."""
    zoomed: bool = False
    """The focused panel fills the screen."""
    walked: Mapping[str, int] = field(default_factory=dict, hash=False)
    """How many features or layers the user has walked past, by panel."""
    guest: str = ""
    """A panel that has no place of its own on this screen, and was given one."""
    time_zoom: int = 0
    """How many times the axis of time of the curves was halved."""
    tour: int | None = None
    """Stop of the guided tour, from 0."""
    revealed: bool = False
    """The stop's answer is shown."""
    panels: tuple[str, ...] = ()
    """Panels for the first places of the main screen; others fill the rest."""
    folded: bool = False
    """Panels show one row for each block of layers."""
    layer: str = ""
    """Name of the chosen layer, around which panels show theirs; empty if none is."""
    criterion: CriterionName | Literal[""] = ""
    """What the chosen layer was found by, if it is one of the worst."""


def first(runs: int, opposite: int = 1) -> ViewState:
    """The initial state: at the newest keyframe, with a second run beside the first if there is one.

    Args:
        runs: number of runs.
        opposite: the run to show beside the first one.
    """
    return ViewState(pinned=opposite if runs > 1 else None)


def opening(reader: ViewedRecording) -> ViewState:
    """How this recording opens: as its scenario says, else with the first run and the one opposite.

    Of several recordings, a run of the second stands beside one of the first.
    """
    state, wanted = first(len(reader.runs), reader.opposite), reader.first_view
    numbers = {run.name: run.index for run in reversed(reader.runs)}
    selected = numbers.get(wanted.selected or "", state.selected)
    pinned = numbers.get(wanted.pinned or "", None if wanted.pinned is not None else state.pinned)
    if wanted.pinned is None and pinned == selected:
        pinned = next((run.index for run in reader.runs if run.index != selected), None)
    panels = tuple(dict.fromkeys(name for name in wanted.panels if name in BY_NAME))
    return replace(
        state,
        selected=selected,
        pinned=None if pinned == selected else pinned,
        panels=panels,
        focused=panels[0] if panels else state.focused,
        cursor=wanted.cursor or 0.0,
        following=wanted.cursor is None,
    )


def frames(histories: Sequence[RunHistory]) -> FloatArray:
    """Positions at which any run has a frame, ascending, which are the stops of the cursor."""
    places = np.concatenate([np.empty(0), *(history.frames() for history in histories)])
    places.sort(kind="stable")  # which is fast where each run's places are sorted
    apart: FloatArray = places[np.diff(places, prepend=-np.inf) > SAME]
    return apart


def walk(state: ViewState, stops: FloatArray, by: int) -> ViewState:
    """Move the cursor ``by`` keyframes to the right (left if negative); at the last one, it follows again."""
    if by < 0:
        left = int(np.searchsorted(stops, state.cursor - SAME))
        at = left + by
    else:
        right = int(np.searchsorted(stops, state.cursor + SAME, side="right")) - 1
        at = right + by
    return _stand(state, stops, at)


def home(state: ViewState, stops: FloatArray) -> ViewState:
    """Move to the first keyframe."""
    return _stand(state, stops, 0)


def end(state: ViewState, stops: FloatArray) -> ViewState:
    """Move to the newest keyframe, and follow it."""
    return _stand(state, stops, len(stops) - 1) if len(stops) else replace(state, following=True)


def seek(state: ViewState, stops: FloatArray, position: float) -> ViewState:
    """Move to the keyframe nearest to a position."""
    return _stand(state, stops, int(np.argmin(np.abs(stops - position)))) if len(stops) else state


def _stand(state: ViewState, stops: FloatArray, at: int) -> ViewState:
    if not len(stops):
        return state
    last = len(stops) - 1
    at = min(max(at, 0), last)
    # a single keyframe is also the newest one, so the cursor follows
    return replace(state, cursor=float(stops[at]), following=at == last, leader=None)


def grown(state: ViewState, stops: FloatArray, histories: Sequence[RunHistory] = ()) -> ViewState:
    """The state after more was recorded: a following cursor moves to the newest keyframe, of the leader if set."""
    if state.leader is not None and state.leader < len(histories):
        stops = histories[state.leader].frames()
    return replace(state, cursor=float(stops[-1])) if state.following and len(stops) else state


def lead(state: ViewState, run: int, parent: int) -> ViewState:
    """A fork comes alive: selected, its parent beside it, and the cursor goes with it."""
    shown = {run, parent}
    third = None if state.third in shown else state.third
    hidden = state.hidden - shown
    return replace(state, selected=run, pinned=parent, third=third, hidden=hidden, following=True, leader=run)


def select(state: ViewState, runs: int, by: int = 1) -> ViewState:
    """The next run; where it was pinned, the two change places, so that those that are shown stay.

    One that was hidden is no longer.
    """
    selected = (state.selected + by) % runs
    beside = [state.selected if run == selected else run for run in (state.pinned, state.third)]
    pinned, third = (None if run == selected else run for run in beside)
    return replace(state, selected=selected, pinned=pinned, third=third, hidden=state.hidden - {selected})


def zoom_time(state: ViewState, by: int) -> ViewState:
    """Show half (1) or twice (-1) as much of the time around the cursor in the curves."""
    return replace(state, time_zoom=min(max(state.time_zoom + by, 0), MOST_TIME_ZOOM))


def pin(state: ViewState, runs: int) -> ViewState:
    """The next other run beside the selected one; after the last one none, and then no third one either."""
    pinned = _next(state.pinned, state, runs, {state.selected, state.third})
    return replace(state, pinned=pinned, third=None if pinned is None else state.third)


def pin_third(state: ViewState, runs: int) -> ViewState:
    """The next run that is not shown yet beside the selected and the pinned one; after the last one none."""
    if state.pinned is None:
        return pin(state, runs)
    return replace(state, third=_next(state.third, state, runs, {state.selected, state.pinned}))


def _next(now: int | None, state: ViewState, runs: int, others: set[int | None]) -> int | None:
    """The run after this one, from the selected one on, that is neither hidden nor one of the others."""
    order = [(state.selected + by) % runs for by in range(1, runs)]
    cycle = [None, *(run for run in order if run not in state.hidden and run not in others)]
    at = cycle.index(now) if now in cycle else 0
    return cycle[(at + 1) % len(cycle)]


def hide(state: ViewState, order: Sequence[int]) -> ViewState:
    """Leave the selected run out, and select the next one of ``order`` that is not hidden; the last one stays."""
    hidden = state.hidden | {state.selected}
    at = order.index(state.selected)
    left = [run for run in (*order[at:], *order[:at]) if run not in hidden]
    if not left:
        return state
    beside = [run for run in (state.pinned, state.third) if run is not None and run != left[0]]
    pinned, third = (*beside, None, None)[:2]
    return replace(state, selected=left[0], pinned=pinned, third=third, hidden=hidden)


def show_all(state: ViewState) -> ViewState:
    """No run is hidden."""
    return replace(state, hidden=frozenset())


def focus(state: ViewState, panel: str, *, there: bool = True) -> ViewState:
    """Focus another panel; one that is not on the screen (not ``there``) is given a place."""
    return replace(state, focused=panel, guest=state.guest if there else panel)


def walk_in(state: ViewState, panel: str, by: int) -> ViewState:
    """Walk through the features or layers that a panel has no room for."""
    return replace(state, walked={**state.walked, panel: state.walked.get(panel, 0) + by})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a recording when it was last read; its histories are built once, so panels can compare identity."""

    source: Source
    histories: tuple[RunHistory, ...]
    events: tuple[tuple[Event, ...], ...]
    stops: FloatArray
    """Positions at which the cursor stops."""
    seeds: tuple[tuple[SeedCourse, ...], ...]
    """What is recorded of each run with other seeds."""
    unit: Unit = "epoch"
    """The unit of ``stops``."""


def contents(recorded: Snapshot) -> tuple[Recorded, ...]:
    """What the recording contains that decides which panels have something to show."""
    source = recorded.source
    first = next((run.index for run in source.runs if recorded.histories[run.index].has_frame.any()), None)
    row = 0 if first is None else int(recorded.histories[first].has_frame.argmax())
    try:
        predictions = first is not None and source.keyframe(first, row).predictions is not None
    except RecordingError:  # damage is reported when the keyframe is displayed
        predictions = False
    has: dict[Recorded, bool] = {
        "several recordings": bool(source.paths),
        "dropout": any(layer.dropout for run in source.runs for layer in run.layers),
        "early stopping": any(run.early_stopping for run in source.runs),
        "predictions": predictions,
    }
    return tuple(what for what, there in has.items() if there)


def free_panels(recorded: Snapshot) -> tuple[str, ...]:
    """The panels for the free places of the screen, the most useful for the recording first."""
    return ranked(contents(recorded))


def choose(state: ViewState, panels: tuple[str, ...]) -> ViewState:
    """Place these panels first on the main screen; one that was given a place has it no longer."""
    return replace(state, panels=panels, guest="") if panels != state.panels else state


def ending(recorded: Snapshot) -> EventKind | Foreign:
    """How the training ended; see :func:`~bntui.recording.sentences.outcome`."""
    return outcome([event.kind for event in events] for events in recorded.events)


def snapshot(source: Source, unit: Unit = "epoch") -> Snapshot:
    """The current state of the recording."""
    histories = tuple(counted(source.history(run.index), unit) for run in source.runs)
    events = tuple(source.events(run.index) for run in source.runs)
    seeds = tuple(source.seeds(run.index) for run in source.runs)
    return Snapshot(source, histories, events, frames(histories), seeds, unit)


def recounted(recorded: Snapshot, unit: Unit) -> Snapshot:
    """The same state with positions in epochs or steps."""
    histories = tuple(counted(history, unit) for history in recorded.histories)
    return replace(recorded, histories=histories, stops=frames(histories), unit=unit)


def count_by(state: ViewState, recorded: Snapshot, unit: Unit) -> ViewState:
    """Switch the cursor to another unit.

    A following cursor keeps following.  Otherwise the selected run shows the same keyframe as before, or, if it has
    none yet, the run that is furthest does.

    Args:
        recorded: a snapshot in the unit of the state.
        unit: the new unit.
    """
    if state.following:
        again = recounted(recorded, unit)
        return grown(replace(state, unit=unit), again.stops, again.histories)
    shown = [
        (number == state.selected, float(history.position[row]), float(counted(history, unit).position[row]))
        for number, history in enumerate(recorded.histories)
        if (row := history.at(state.cursor)) >= 0
    ]
    return replace(state, unit=unit, cursor=max(shown)[2] if shown else 0.0)


def build_view(
    recorded: Snapshot, state: ViewState, *, dataset: bool = False, histograms: bool = False, heavy: bool = False
) -> View:
    """The recording as the state looks at it: each run at its last keyframe at or before the cursor.

    Args:
        dataset: with the samples, which only some panels show.
        histograms: with those over time of the selected and the pinned run, which only one panel shows.
        heavy: in thick lines.

    Raises:
        RecordingError: a keyframe under the cursor is damaged.
    """
    source = recorded.source
    runs = []
    every = zip(source.runs, recorded.histories, recorded.events, recorded.seeds, strict=True)
    for info, history, events, seeds in every:
        row = history.at(state.cursor)
        frame = source.keyframe(info.index, row) if row >= 0 else None
        wanted = histograms and info.index in (state.selected, state.pinned, state.third)
        over_time = source.histograms(info.index, history) if wanted else None
        runs.append(RunView(info, history, events, row, frame, over_time, seeds))
    return View(
        title=source.title,
        task=source.task,
        scenario_text=source.scenario_text,
        runs=tuple(runs),
        selected=state.selected,
        pinned=state.pinned,
        third=state.third,
        hidden=state.hidden,
        cursor=state.cursor,
        following=state.following,
        log_axis=state.log_axis,
        dataset=source.dataset if dataset else None,
        mixed=dataset and source.mixed,
        unit=recorded.unit,
        time_zoom=state.time_zoom,
        heavy=heavy,
        folded=state.folded,
        layer=state.layer,
        criterion=state.criterion,
    )

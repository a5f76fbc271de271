"""Holds what the user is looking at, with pure transitions, and builds the view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np

from bntui.keyframe import FloatArray
from bntui.recording.history import Event, RunHistory, Unit, counted
from bntui.viewer.panels import BY_NAME, PANELS
from bntui.viewer.snapshot import Snapshot, ViewedRecording, recounted
from bntui.viewer.view import SAME, CriterionName, RunView, View

MOST_TIME_ZOOM: Final = 12
"""Halvings of the axis of time."""


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
    trouble: Event | None = None
    """What went wrong in the chosen layer, if it was found by that."""


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


def choose(state: ViewState, panels: tuple[str, ...]) -> ViewState:
    """Place these panels first on the main screen; one that was given a place has it no longer."""
    return replace(state, panels=panels, guest="") if panels != state.panels else state


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
    recorded: Snapshot,
    state: ViewState,
    *,
    dataset: bool = False,
    histograms: bool = False,
    heavy: bool = False,
    colorless: bool = False,
) -> View:
    """The recording as the state looks at it: each run at its last keyframe at or before the cursor.

    Args:
        dataset: with the samples, which only some panels show.
        histograms: with those over time of the selected and the pinned run, which only one panel shows.
        heavy: in thick lines.
        colorless: without colors.

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
        colorless=colorless,
        folded=state.folded,
        layer=state.layer,
        criterion=state.criterion,
        trouble=state.trouble,
    )

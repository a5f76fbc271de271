"""Says what the screen needs of a recording's reader, and keeps what was last read of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

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
from bntui.viewer.panels import Recorded, ranked
from bntui.viewer.view import SAME


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


def frames(histories: Sequence[RunHistory]) -> FloatArray:
    """Positions at which any run has a frame, ascending, which are the stops of the cursor."""
    places = np.concatenate([np.empty(0), *(history.frames() for history in histories)])
    places.sort(kind="stable")  # which is fast where each run's places are sorted
    apart: FloatArray = places[np.diff(places, prepend=-np.inf) > SAME]
    return apart


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


def ending(recorded: Snapshot) -> EventKind | Foreign:
    """How the training ended; see :func:`~bntui.recording.sentences.outcome`."""
    return outcome([event.kind for event in events] for events in recorded.events)


def take_snapshot(source: Source, unit: Unit = "epoch") -> Snapshot:
    """The current state of the recording."""
    histories = tuple(counted(source.history(run.index), unit) for run in source.runs)
    events = tuple(source.events(run.index) for run in source.runs)
    seeds = tuple(source.seeds(run.index) for run in source.runs)
    return Snapshot(source, histories, events, frames(histories), seeds, unit)


def recounted(recorded: Snapshot, unit: Unit) -> Snapshot:
    """The same state with positions in epochs or steps."""
    histories = tuple(counted(history, unit) for history in recorded.histories)
    return replace(recorded, histories=histories, stops=frames(histories), unit=unit)

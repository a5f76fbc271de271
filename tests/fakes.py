"""Provides a fake recording and trainer with known numbers for screen tests, without files or processes."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.drivers.headless_driver import HeadlessDriver
from textual.pilot import Pilot

from bntui.errors import TrainerError
from bntui.keyframe import HISTOGRAM_BINS, QUANTITIES, IntArray, Keyframe
from bntui.link import Command, Status
from bntui.link.client import ME
from bntui.recording.dataset import RecordedData
from bntui.recording.evidence import Evidence
from bntui.recording.first_view import FirstView
from bntui.recording.histograms import Histograms, sampled
from bntui.recording.history import Event, Fork, RunHistory, RunInfo
from bntui.recording.seeds import SeedCourse
from bntui.recording.sentences import FINISHED
from bntui.recording.tour import TourStop
from bntui.viewer.view import RunView
from tests import factory

PAUSED = Status("paused", 10, 0, 0, owner=ME)
RUNNING = Status("running", 10, 9.8, 0, owner=ME)


class FakeReader:
    """A recording of which the first ``shown`` keyframes have been committed."""

    def __init__(self, *runs: RunView, shown: int | None = None, title: str = "A title") -> None:
        self._views = runs or (
            factory.run_view(dropout=0.2, vanishing=True),
            factory.run_view(1, "batch norm", norm=True, dropout=0.2),
        )
        self._coming: tuple[RunView, ...] = ()
        self.path = Path("/recordings/a title.bntui")
        self.title = title
        self.task = "classification"
        self.scenario_text = ""
        self.paths: tuple[Path, ...] = ()
        self.mixed = False
        self.opposite = 1
        self.first_view = FirstView()
        self.tour: tuple[TourStop, ...] = ()
        self.meta: Mapping[str, str] = {"title": title, "train_samples": "1437", "validation_samples": "360"}
        self.shown = max(len(run.history) for run in self._views) if shown is None else shown
        self.loaded = self.shown
        self.error: Exception | None = None
        self.over = False
        """Every run is finished."""
        self.closed = False
        self.released = False
        self.held = True
        """The file is open: it is so again after a refresh."""
        self.refreshed = 0

    @property
    def runs(self) -> tuple[RunInfo, ...]:
        return tuple(run.info for run in self._views)

    def add(self, run: RunView) -> None:
        """A new run was committed with all its keyframes; the next refresh loads it."""
        self._coming = (*self._coming, run)

    def refresh(self) -> bool:
        self.refreshed += 1
        self.held = True
        new, self.loaded = self.shown > self.loaded or bool(self._coming), self.shown
        self._views, self._coming = (*self._views, *self._coming), ()
        return new

    def history(self, run: int) -> RunHistory:
        whole = self._views[run].history
        return RunHistory(**{field.name: getattr(whole, field.name)[: self.loaded] for field in fields(RunHistory)})

    def events(self, run: int) -> tuple[Event, ...]:
        last = self.history(run).epoch[-1:]
        happened = tuple(event for event in self._views[run].events if len(last) and event.epoch <= last[0])
        if not self.over:
            return happened
        step, epoch = int(self.history(run).step[-1]), float(last[0])
        return (*happened, Event.of(run, step, epoch, "finished", FINISHED, epochs=int(epoch)))

    def keyframe(self, run: int, row: int) -> Keyframe:
        if self.error is not None:
            raise self.error
        view = self._views[run]
        assert view.frame is not None
        return replace(view.frame, epoch=float(view.history.epoch[row]), step=int(view.history.step[row]))

    @property
    def dataset(self) -> RecordedData | None:
        return None

    def histograms(self, run: int, history: RunHistory) -> Histograms:
        rows = sampled(history)
        counts = np.ones((len(rows), len(self._views[run].info.layers), len(QUANTITIES), HISTOGRAM_BINS), np.int32)
        return Histograms(rows, counts)

    def evidence(self, run: int, row: int) -> Evidence | None:  # noqa: ARG002
        return None

    def seeds(self, run: int) -> tuple[SeedCourse, ...]:
        return self._views[run].seeds

    @property
    def seeds_asked(self) -> int:
        return 1

    def evidence_rows(self, run: int) -> IntArray:  # noqa: ARG002
        return np.empty(0, np.int64)

    def release(self) -> None:
        self.released = True
        self.held = False

    def close(self) -> None:
        self.closed = True


def fork_view(
    index: int, parent: RunView, row: int, *changes: tuple[str, Any, Any], name: str = "", keyframes: int = 4
) -> RunView:
    """A fork after a keyframe of another run, with so many keyframes of its own from there on."""
    named = name or f"{parent.info.name} · fork {index}"
    made = factory.run_view(index, named, keyframes=keyframes, epochs=parent.info.epochs)
    epoch, step = float(parent.history.epoch[row]), int(parent.history.step[row])
    fork = Fork(parent.info.index, step, epoch, changes, ("linear 1.linear.weight",), ("linear 1.norm.weight",))
    history = replace(made.history, epoch=made.history.epoch + epoch, step=made.history.step + step)
    assert made.frame is not None
    frame = replace(made.frame, epoch=float(history.epoch[-1]), step=int(history.step[-1]))
    return replace(made, info=replace(made.info, fork=fork), history=history, frame=frame)


class FakeTrainer:
    """Takes commands, and says what the test tells it to."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, object]]] = []
        self.gone = False
        self.closed = False
        self._said: queue.SimpleQueue[Status | None] = queue.SimpleQueue()

    def say(self, status: Status | None) -> None:
        self._said.put(status)

    def send(self, command: Command, **arguments: object) -> None:
        if self.gone:
            raise TrainerError("the trainer of this recording has exited; everything it recorded is saved")
        self.sent.append((command, arguments))

    def receive(self, timeout: float | None = None) -> Status | None:
        return self._said.get(timeout=timeout)

    def close(self) -> None:
        self.closed = True
        self._said.put(None)


class Wire:
    """What an app would send to a real terminal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written = ""
        monkeypatch.setattr(HeadlessDriver, "is_headless", False)
        monkeypatch.setattr(HeadlessDriver, "write", self._write)

    def _write(self, data: str) -> None:
        self.written += data

    def drain(self) -> int:
        size, self.written = len(self.written.encode()), ""
        return size


async def until(pilot: Pilot[Any], happened: Callable[[], object], seconds: float = 60) -> None:
    """Let the app work until something has happened; fails after some seconds."""
    for _ in range(round(100 * seconds)):
        if happened():
            return
        await pilot.pause(0.01)
    raise AssertionError("it did not happen")

"""How often a trainer publishes its status, by a clock that only training moves."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bntui.errors import UsageError
from bntui.link import Status
from bntui.link.requests import Note, Pace, PlainCommand
from bntui.trainer import service
from bntui.trainer.agenda import Agenda
from bntui.trainer.server import Server
from bntui.trainer.service import INTERVAL, Service
from bntui.trainer.session import Session


@dataclass
class Clock:
    """Stands for the module ``time``."""

    now: float = 100.0

    def monotonic(self) -> float:
        return self.now


@dataclass
class Queue:
    """A queue in which waiting moves the clock; what is to be asked when an epoch is done is put by ``Trained``."""

    clock: Clock
    waiting: list[Any] = field(default_factory=list)

    def qsize(self) -> int:
        return len(self.waiting)

    def empty(self) -> bool:
        return not self.waiting

    def get(self, timeout: float = 0.0) -> Any:
        if not self.waiting:
            self.clock.now += timeout
            raise queue.Empty
        return self.waiting.pop(0)


@dataclass
class Trained:
    """A session whose epochs have steps of a fixed length."""

    clock: Clock
    heard: Queue
    epochs: int
    step: float
    steps: int = 4
    asked: dict[int, Any] = field(default_factory=dict)
    """Requests that arrive at the end of an epoch, by its number."""
    done: int = 0
    trouble: str = ""

    @property
    def writer(self) -> Any:
        return SimpleNamespace(keyframes=self.done, flush=lambda: None, plan=lambda _text: None)

    @property
    def keyframes(self) -> int:
        return self.done

    @property
    def over(self) -> bool:
        return self.done >= self.epochs

    @property
    def furthest_behind(self) -> float:
        return float(self.done)

    @property
    def runs(self) -> list[Any]:
        return []

    def active(self, _goals: object = None) -> list[Any]:
        return []

    def epoch(self, interrupted: Callable[[], bool], _goals: object = None) -> None:
        for _ in range(self.steps):
            interrupted()
            self.clock.now += self.step
        self.done += 1
        self.ended(self.clock.now)
        if self.done in self.asked:
            self.heard.waiting.append(self.asked[self.done])

    def ended(self, now: float) -> None:
        """An epoch is done."""

    def note(self, *_what: object) -> None:
        raise UsageError("there is no such keyframe")

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        pass


def told(
    monkeypatch: pytest.MonkeyPatch, *, epochs: int, step: float, pace: float | None = None, **options: Any
) -> list[tuple[float, Status]]:
    """Every status that was published, with its time."""
    clock = Clock()
    monkeypatch.setattr(service, "time", clock)
    heard, published = Queue(clock), list[tuple[float, Status]]()
    server = SimpleNamespace(
        heard=heard, urgent=threading.Event(), address="", publish=lambda status: published.append((clock.now, status))
    )
    session = Trained(clock, heard, epochs, step, **options)
    Service(cast(Session, session), cast(Server, server), Agenda(True, pace)).serve()
    return published


def test_a_fast_training_publishes_twenty_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    published = told(monkeypatch, epochs=1000, step=0.001)
    times = [now for now, status in published if status.state == "running"]
    gaps = [later - now for now, later in pairwise(times)]
    assert all(INTERVAL <= gap < INTERVAL + 2 * 0.004 for gap in gaps)
    assert published[-1][1] == Status("finished", None, 0.0, 1000)
    assert [status.keyframes for _, status in published] == sorted(status.keyframes for _, status in published)


def test_each_of_slow_epochs_is_published_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    published = told(monkeypatch, epochs=5, step=0.02)
    ends = [(100 + 0.08 * number, number) for number in range(5)]
    found = [(now, status.keyframes) for now, status in published[1:] if status.state == "running"]
    assert [number for _, number in found] == [1, 2, 3, 4]
    assert [now for now, _ in found] == pytest.approx([now for now, number in ends if number])


def test_the_newest_progress_is_published_within_the_next_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first epochs are too early for a status, and the newest of them does not wait for the next one's end."""
    published = told(monkeypatch, epochs=3, step=0.01, steps=2)  # epochs of 20 ms
    assert [(round(now - 100, 3), status.keyframes) for now, status in published if status.state == "running"] == [
        (0.0, 0), (0.05, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(("step", "pace"), [(0.001, None), (0.03, None), (0.001, 2.0), (0.001, 100.0), (0.001, 0.2)])
def test_every_epoch_is_published_soon(monkeypatch: pytest.MonkeyPatch, step: float, pace: float | None) -> None:
    ends: list[float] = []
    monkeypatch.setattr(Trained, "ended", lambda _self, now: ends.append(now))
    published = told(monkeypatch, epochs=9, step=step, pace=pace, asked={2: Pace(pace), 3: Pace(pace)})
    assert len(ends) == 9
    for number, end in enumerate(ends, start=1):
        first = min(now for now, status in published if status.keyframes >= number)
        assert end <= first <= end + INTERVAL + step


def test_a_change_of_state_and_a_refusal_are_published_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    published = told(
        monkeypatch, epochs=1000, step=0.001,
        asked={100: Note(0, 7, "x"), 200: Pace(1000.0), 300: PlainCommand("stop")},
    )  # fmt: skip
    refusal = next((now, status) for now, status in published if status.refusal)
    assert refusal[0] == pytest.approx(100 + 100 * 0.004)
    assert refusal[1].keyframes == 100
    paced = next((now, status) for now, status in published if status.pace == 1000.0)
    assert paced[0] == pytest.approx(100 + 200 * 0.004)
    assert paced[1].keyframes == 200
    assert published[-1][1].state == "stopped"
    assert published[-1][1].keyframes == 300

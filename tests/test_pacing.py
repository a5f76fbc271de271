"""Tests that the model of the line keeps its queue short on any line, with a simulated line and clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bntui.viewer.terminal import pacing
from bntui.viewer.terminal.pacing import TerminalLine

STEP = 0.002
"""Seconds of the simulated clock."""
SLOW = [4_000, 8_000, 25_000, 100_000]


@dataclass
class Wire:
    """A line of so many bytes a second, with a buffer without bounds, and a terminal at its end.

    ``appetite``: bytes that a frame would have if nothing bounded it; 0: nothing changes on the screen.
    """

    rate: float
    round_trip: float = 0.15
    answers: bool = True
    appetite: int = 1 << 20
    now: float = 100.0
    line: TerminalLine = field(init=False)
    free: float = 0.0
    answer_times: list[tuple[float, int]] = field(default_factory=list)
    frames: list[tuple[float, int]] = field(default_factory=list)
    """When each one left, and its size."""
    number: int = 0
    most_in_flight: int = 0

    def __post_init__(self) -> None:
        self.line = pacing.opened(0, 250, self.now)
        self._carry(0, 250)

    def _carry(self, number: int, size: int) -> float:
        self.free = max(self.free, self.now) + size / self.rate
        if self.answers:
            self.answer_times.append((self.free + self.round_trip, number))
        return self.free + self.round_trip / 2

    def send(self, size: int) -> float:
        """When the frame stands on the terminal."""
        self.number = (self.number + 1) % pacing.NUMBERS
        self.line = pacing.sent(self.line, self.number, size, self.now)
        self.frames.append((self.now, size))
        self.most_in_flight = max(self.most_in_flight, len(self.line.in_flight))
        there = self._carry(self.number, size)
        self.line = pacing.written(self.line, size, 0.0, self.now)
        return there

    def tick(self) -> None:
        self.now += STEP
        while self.answer_times and self.answer_times[0][0] <= self.now:
            at, number = self.answer_times.pop(0)
            self.line = pacing.answered(self.line, number, at)
        self.line = pacing.looked(self.line, self.now)

    def go(self, seconds: float) -> Wire:
        """Send whatever may be sent for a while."""
        end = self.now + seconds
        while self.now < end:
            self.tick()
            if self.appetite and (room := pacing.room(self.line, self.now)):
                self.send(min(room, self.appetite))
        return self

    def known(self) -> Wire:
        """Until the rate is known, and all that was sent before has arrived."""
        return self.go(3 + 2 * (250 + pacing.ASSUMED * (pacing.AHEAD + self.round_trip)) / self.rate)

    def key(self) -> float:
        """Seconds from a key at the far end to the frame with its effect standing there."""
        typed = self.now
        self.go(self.round_trip / 2)
        while not (room := pacing.room(self.line, self.now)):
            self.tick()
            assert self.now < typed + 60
        return self.send(min(room, 2000)) - typed


@pytest.mark.parametrize(("rate", "seconds"), [(8_000, 0.7), (25_000, 0.45), (100_000, 0.45)])
def test_a_key_is_answered_in_time_though_more_is_to_be_sent_than_the_line_carries(rate: float, seconds: float) -> None:
    """The promise is 1 s and 0.5 s; the rest of that is for the program to draw."""
    wire = Wire(rate).known()
    assert max(wire.go(0.237).key() for _ in range(60)) < seconds


@pytest.mark.parametrize("rate", SLOW)
def test_at_most_two_frames_are_in_flight_and_the_line_is_used(rate: float) -> None:
    wire = Wire(rate).known()
    wire.most_in_flight, wire.frames = 0, []
    wire.go(10)
    assert 1 <= wire.most_in_flight <= pacing.FRAMES
    assert sum(size for _, size in wire.frames) > 0.55 * 10 * rate
    assert wire.free - wire.now < 0.3  # seconds that bytes wait to be carried


@pytest.mark.parametrize("rate", SLOW)
def test_the_rate_is_found(rate: float) -> None:
    wire = Wire(rate).known()
    assert wire.line.rate == pytest.approx(rate, rel=0.6)
    assert wire.line.round_trip == pytest.approx(0.15, abs=0.1)


@given(st.floats(4_000, 1e7), st.floats(0.0005, 0.8), st.integers(20, 60_000), st.sampled_from([0.0, 0.05, 0.3]))
@settings(max_examples=60, deadline=None)
def test_the_queue_stays_short_on_any_line(rate: float, round_trip: float, appetite: int, pause: float) -> None:
    """Bytes in flight take the line less than half a second, once the rate is known: for frames of any size."""
    wire = Wire(rate, round_trip, appetite=appetite)
    wire.known()
    worst = 0.0
    for _ in range(20):
        wire.go(0.1)
        worst = max(worst, wire.free - wire.now)
        for _ in range(round(pause / STEP)):
            wire.tick()
    assert worst < 0.5
    assert wire.line.answers


def test_a_line_that_becomes_slower_is_noticed() -> None:
    wire = Wire(200_000).go(3)
    wire.rate = 8_000
    wire.go(5)
    assert wire.free - wire.now < 0.3
    wire.rate = 200_000
    wire.go(5)
    assert wire.line.rate is not None
    assert wire.line.rate > 80_000


def test_nothing_is_held_back_on_this_machine() -> None:
    wire = Wire(1e9, 0.001, appetite=0).go(0.05)
    assert pacing.room(wire.line, wire.now) == pacing.UNLIMITED
    wire.appetite = 20_000
    wire.go(2)
    assert {size for _, size in wire.frames} == {20_000}


def test_a_terminal_that_never_answers_gets_all_soon() -> None:
    wire = Wire(1e9, answers=False, appetite=8_000).go(0.2)
    assert sum(size for _, size in wire.frames) >= 24_000  # a first screen, within a fifth of a second
    wire.go(3)
    assert wire.line.answers is False
    assert pacing.room(wire.line, wire.now) == pacing.UNLIMITED


def test_writes_that_block_tell_the_rate_of_a_silent_line() -> None:
    line = pacing.looked(pacing.opened(0, 250, 0.0), 3.0)
    for number in range(20):
        now = 3.0 + number
        assert pacing.room(line, now)
        line = pacing.sent(line, 1, 4_000, now)
        line = pacing.written(line, 4_000, 0.5, now + 0.5)
    assert line.rate == pytest.approx(8_000)
    assert pacing.room(line, 30.0) == pytest.approx(800, rel=0.1)
    before = 8_000
    for number in range(50):  # it blocks no more: the line may have become faster
        line = pacing.written(pacing.sent(line, 1, 800, 30.0 + number), 800, 0.0, 30.0 + number)
    assert line.per_byte
    assert 1 / line.per_byte > before


def test_a_silent_line_is_not_written_to_while_a_write_blocks() -> None:
    line = pacing.sent(pacing.looked(pacing.opened(0, 250, 0.0), 3.0), 1, 50_000, 3.0)
    assert not pacing.room(line, 3.1)
    assert pacing.room(pacing.written(line, 50_000, 0.0, 3.2), 3.2)


def test_an_outage_lets_no_queue_grow_and_ends_with_the_next_answer() -> None:
    wire = Wire(25_000).go(3)
    wire.free = wire.now + 12  # nothing is carried for twelve seconds
    wire.frames = []
    wire.go(12)
    assert 3 <= len(wire.frames) <= 14  # somebody knocks, and no more
    assert sum(size for _, size in wire.frames) < 50_000
    wire.go(3)
    assert wire.line.answers
    assert wire.line.rate == pytest.approx(25_000, rel=0.5)


def test_a_terminal_that_stops_answering_for_good_is_written_to_as_one_that_never_did() -> None:
    wire = Wire(1e8, 0.001, appetite=2_000).go(2)
    wire.answers, wire.answer_times = False, []
    wire.go(40)
    wire.frames = []
    wire.go(1)
    assert len(wire.frames) > 50


@given(st.lists(st.tuples(st.sampled_from(["sent", "answered", "written", "looked"]), st.integers(0, 9)), max_size=60))
def test_no_order_of_events_stops_the_line_for_ever(happened: list[tuple[str, int]]) -> None:
    """Answers to nothing, twice, late: after a while a frame may leave in any case."""

    def step(state: tuple[TerminalLine, float], event: tuple[str, int]) -> tuple[TerminalLine, float]:
        (line, now), (kind, number) = state, event
        now += 0.1 * number
        return {
            "sent": lambda: pacing.sent(line, number % pacing.NUMBERS, 100 * number, now),
            "answered": lambda: pacing.answered(line, number, now),
            "written": lambda: pacing.written(line, 100 * number, 0.01 * number, now),
            "looked": lambda: pacing.looked(line, now),
        }[kind](), now

    line, now = reduce(step, happened, (pacing.opened(0, 250, 10.0), 10.0))
    assert len(line.in_flight) <= pacing.NUMBERS
    waited = 0.0
    while not pacing.room(line, now):
        wait = pacing.wait(line, now)
        assert wait > 0
        now, waited = now + wait, waited + wait
        line = pacing.looked(line, now)
        assert waited < 60

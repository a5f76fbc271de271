"""Only what the terminal does not show yet is sent, and it ends up showing what it should."""

from __future__ import annotations

import io
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.pilot import Pilot
from textual.strip import Strip

from bntui.viewer import opening
from bntui.viewer.app import LabApp
from bntui.viewer.screens.lab import LabScreen
from bntui.viewer.terminal.image import Image, Part
from tests.fakes import FakeReader, Wire, until

WIDTH, HEIGHT = 24, 3
ALL = 1 << 20
CONSOLE = Console(file=io.StringIO(), color_system="truecolor", force_terminal=True)
STYLES = [
    None,
    Style(bold=True),
    Style(color="#ff0000"),
    Style(color="#ff0000", meta={"a": 1}),
    Style(bgcolor="#000080"),
]


@st.composite
def rows(draw: st.DrawFn) -> Strip:
    """A row of the screen: words of narrow and wide characters, in styles."""
    left, segments = WIDTH, []
    while left:
        character, cells = draw(st.sampled_from([("a", 1), ("b", 1), (" ", 1), ("가", 2), ("나", 2)]))
        times = draw(st.integers(1, 9))
        times = min(times, left // cells)
        if times:
            segments.append(Segment(character * times, draw(st.sampled_from(STYLES))))
            left -= times * cells
    return Strip(segments, WIDTH)


def blank() -> pyte.Screen:
    return pyte.Screen(WIDTH, HEIGHT)


def seen(screen: pyte.Screen) -> list[list[Any]]:
    return [[screen.buffer[y][x] for x in range(WIDTH)] for y in range(HEIGHT)]


def emulated(written: str, screen: pyte.Screen | None = None) -> list[list[Any]]:
    screen = screen or blank()
    pyte.Stream(screen).feed(written)
    return seen(screen)


def whole(frame: list[Strip]) -> str:
    return "".join(f"\x1b[{y};1H{strip.render(CONSOLE)}" for y, strip in enumerate(frame, 1))


def image() -> Image:
    made = Image()
    made.resize(Size(WIDTH, HEIGHT))
    return made


def put(made: Image, frame: list[Strip], x: int = 0) -> None:
    for y, strip in enumerate(frame):
        made.put(x, y, strip, CONSOLE)


frames_of_rows = st.lists(st.lists(rows(), min_size=HEIGHT, max_size=HEIGHT), min_size=2, max_size=4)


@given(frames_of_rows)
def test_the_terminal_shows_the_last_frame_whatever_stood_there(frames: list[list[Strip]]) -> None:
    made, written = image(), ""
    for frame in frames:
        put(made, frame)
        written += made.frame(ALL, (), 0.0)
    assert emulated(written) == emulated(whole(frames[-1]))
    assert not made.pending
    put(made, frames[-1])
    assert made.frame(ALL, (), 0.0) == ""


@st.composite
def splits(draw: st.DrawFn) -> list[Part]:
    """A screen cut into parts, one of them left out."""
    column, row = draw(st.integers(1, WIDTH - 1)), draw(st.integers(1, HEIGHT - 1))
    regions = (Region(0, 0, column, HEIGHT), Region(column, 0, WIDTH - column, row))
    return [Part(region, draw(st.sampled_from([1.0, 4.0, inf]))) for region in regions]


@given(frames_of_rows, splits(), st.lists(st.tuples(st.integers(1, 60), st.booleans()), max_size=6))
def test_small_frames_end_in_the_same_picture(
    frames: list[list[Strip]], parts: list[Part], sent: list[tuple[int, bool]]
) -> None:
    """However little room there was in between, and wherever parts cut wide characters in two."""
    made, screen, now = image(), blank(), 0.0
    for frame in frames:
        put(made, frame)
        for room, hurried in sent:
            now += 0.1
            emulated(made.frame(room, parts, now, hurried=hurried), screen)
    for _ in range(1000):
        if not made.pending:
            break
        now += 0.1
        emulated(made.frame(40, parts, now), screen)
    assert seen(screen) == emulated(whole(frames[-1]))


@given(frames_of_rows, st.integers(1, 500))
def test_a_frame_is_hardly_larger_than_its_room(frames: list[list[Strip]], room: int) -> None:
    made = image()
    for frame in frames:
        put(made, frame)
        assert len(made.frame(room, (), 0.0).encode()) < room + 150


def test_a_part_shows_one_state_until_it_is_whole() -> None:
    """Half of one keyframe and half of another is never shown; what comes first is always the newest."""
    made, screen = image(), blank()
    parts = [Part(Region(0, 0, WIDTH, 1), inf), Part(Region(0, 1, WIDTH, HEIGHT - 1))]
    texts = []
    for number in range(40):
        put(made, [Strip([Segment(chr(97 + number % 26) * WIDTH)], WIDTH)] * HEIGHT)
        emulated(made.frame(55, parts, number / 10), screen)
        texts.append(screen.display[:])
        assert texts[-1][0] == chr(97 + number % 26) * WIDTH
    whole_parts = {text[1] for text in texts if text[1] == text[2]}
    assert len(whole_parts) > 5
    for before, text in pairwise(texts):  # a row changes into what its neighbour has become, or before it
        if before[1] == before[2] and text[1] != text[2]:
            assert len(set(text[1])) == 1 or before[1][0] in text[1]


def test_a_key_does_not_wait_for_a_part_that_is_being_sent() -> None:
    made, screen = image(), blank()
    parts = [Part(Region(0, 0, WIDTH, HEIGHT))]
    put(made, [Strip([Segment("a" * WIDTH)], WIDTH)] * HEIGHT)
    emulated(made.frame(20, parts, 0.0), screen)
    put(made, [Strip([Segment("b" * WIDTH)], WIDTH)] * HEIGHT)
    emulated(made.frame(20, parts, 0.1), screen)
    assert "b" not in screen.display[0]
    emulated(made.frame(20, parts, 0.2, hurried=True), screen)
    assert screen.display[0][0] == "b"


def test_every_part_has_its_turn() -> None:
    """A part that matters more is sent more often; no part is forgotten, and what follows late is known."""
    made, screen = image(), blank()
    parts = [Part(Region(0, y, WIDTH, 1), weight) for y, weight in enumerate((8.0, 1.0, 1.0))]
    turns = [0, 0, 0]
    for number in range(60):
        put(made, [Strip([Segment(f"{number:<{WIDTH}}")], WIDTH)] * HEIGHT)
        before = screen.display[:]
        emulated(made.frame(6, parts, number / 10), screen)
        turns = [turn + (screen.display[y] != before[y]) for y, turn in enumerate(turns)]
    assert turns[0] > turns[1] >= 3
    assert turns[2] >= 3
    assert made.late(6.0)
    made.frame(ALL, parts, 6.1)
    made.frame(ALL, parts, 6.2)
    assert not made.late(20.0)


def test_what_is_not_known_is_sent_again() -> None:
    made, row = image(), Strip([Segment("a" * WIDTH)], WIDTH)
    put(made, [row])
    assert "a" * WIDTH in made.frame(ALL, (), 0.0)
    put(made, [row])
    assert made.frame(ALL, (), 0.0) == ""
    made.forget()
    assert "a" * WIDTH in made.frame(ALL, (), 0.0)
    made.resize(Size(WIDTH, HEIGHT + 1))
    assert made.frame(ALL, (), 0.0) == ""
    put(made, [row])
    assert "a" * WIDTH in made.frame(ALL, (), 0.0)


def test_combining_characters_stand_with_the_one_before() -> None:
    made = image()
    put(made, [Strip([Segment("e\u0301" + "a" * (WIDTH - 1))], WIDTH)])
    assert "e\u0301aaa" in made.frame(ALL, (), 0.0)
    put(made, [Strip([Segment("e\u0301" + "a" * (WIDTH - 2) + "b")], WIDTH)])
    assert made.frame(ALL, (), 0.0) == f"\x1b[1;{WIDTH}Hb"


def test_cells_that_cannot_be_counted_are_sent_as_they_are() -> None:
    """A strip that claims another width than its characters have."""
    made, odd = image(), Strip([Segment("ab", Style(bold=True)), Segment("c")], 5)
    put(made, [odd])
    assert made.frame(ALL, (), 0.0) == "\x1b[1H\x1b[1mab\x1b[0mc\x1b[m"
    put(made, [odd])
    assert made.frame(ALL, (), 0.0) == ""
    put(made, [Strip([Segment("abcde")], 5)])
    assert made.frame(ALL, (), 0.0) == "\x1b[1Habcde"


def lab(pilot: Pilot[Any]) -> bool:
    return isinstance(pilot.app.screen, LabScreen)


@pytest.mark.parametrize("key", ["question_mark", "r"])
async def test_a_page_and_its_end_send_less_than_a_screen(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "open_recording", lambda _, trainer=None: (FakeReader(), trainer))
    wire = Wire(monkeypatch)
    async with LabApp(Path("a.bntui")).run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: lab(pilot) and "Curves" in wire.written)
        await pilot.pause()
        frame = wire.drain()
        await pilot.press(key)
        await until(pilot, lambda: not lab(pilot) and wire.written)
        await pilot.pause()
        assert 0 < wire.drain() < 0.9 * frame
        await pilot.press("escape")
        await until(pilot, lambda: lab(pilot) and wire.written)
        await pilot.pause()
        assert 0 < wire.drain() < 0.9 * frame


async def test_keys_send_few_bytes_and_end_in_the_picture_of_a_whole_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "open_recording", lambda _, trainer=None: (FakeReader(), trainer))
    wire = Wire(monkeypatch)
    after_keys, anew = pyte.Screen(160, 48), pyte.Screen(160, 48)
    app = LabApp(Path("a.bntui"))
    async with app.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: lab(pilot) and "Curves" in wire.written)
        await pilot.pause()
        pyte.Stream(after_keys).feed(wire.written)
        frame = wire.drain()
        for key in ("left", "shift+left", "tab", "home", "right", "3", "l"):
            await pilot.press(key)
            await pilot.pause()
            pyte.Stream(after_keys).feed(wire.written)
            assert 0 < wire.drain() < 0.5 * frame, key
        app.sender.image.forget()
        app.screen.refresh()
        await until(pilot, lambda: wire.written)
        await pilot.pause()
        pyte.Stream(anew).feed(wire.written)
        assert wire.drain() > 0.5 * frame
    assert after_keys.display == anew.display
    assert all(after_keys.buffer[y][x] == anew.buffer[y][x] for y in range(48) for x in range(160))


async def test_a_page_of_textual_itself_sends_less_than_a_screen_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "open_recording", lambda _, trainer=None: (FakeReader(), trainer))
    wire = Wire(monkeypatch)
    async with LabApp(Path("a.bntui")).run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: lab(pilot) and "Curves" in wire.written)
        await pilot.pause()
        frame = wire.drain()
        await pilot.press("ctrl+p")
        await until(pilot, lambda: not lab(pilot) and wire.written)
        wire.drain()
        await pilot.press("escape")
        await until(pilot, lambda: lab(pilot) and "Curves" in wire.written)
        await pilot.pause()
        assert 0 < wire.drain() < frame

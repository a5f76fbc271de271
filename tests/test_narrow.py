"""Is only sent what does not stand on the terminal yet, and does the terminal show what it should?"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.pilot import Pilot
from textual.screen import Screen
from textual.strip import Strip

from bntui.viewer import app as app_module
from bntui.viewer.app import LabApp
from bntui.viewer.narrow import Terminal
from bntui.viewer.screens.lab import LabScreen
from tests.fakes import FakeReader, until

WIDTH, HEIGHT = 24, 3
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


def seen(screen: pyte.Screen) -> list[list[Any]]:
    return [[screen.buffer[y][x] for x in range(WIDTH)] for y in range(HEIGHT)]


def emulated(written: str) -> list[list[Any]]:
    screen = pyte.Screen(WIDTH, HEIGHT)
    pyte.Stream(screen).feed(written)
    return seen(screen)


def whole(frame: list[Strip]) -> str:
    return "".join(f"\x1b[{y};1H{strip.render(CONSOLE)}" for y, strip in enumerate(frame, 1))


@given(st.lists(st.lists(rows(), min_size=HEIGHT, max_size=HEIGHT), min_size=2, max_size=4))
def test_the_terminal_shows_the_last_frame_whatever_stood_there(frames: list[list[Strip]]) -> None:
    terminal = Terminal()
    terminal.resize(Size(WIDTH, HEIGHT))
    written = "".join(terminal.send(0, y, strip, CONSOLE) for frame in frames for y, strip in enumerate(frame))
    assert emulated(written) == emulated(whole(frames[-1]))
    assert not any(terminal.send(0, y, strip, CONSOLE) for y, strip in enumerate(frames[-1]))


def test_what_is_not_known_is_sent_again() -> None:
    terminal, row = Terminal(), Strip([Segment("a" * WIDTH)], WIDTH)
    terminal.resize(Size(WIDTH, HEIGHT))
    assert "a" * WIDTH in terminal.send(0, 0, row, CONSOLE)
    assert terminal.send(0, 0, row, CONSOLE) == ""
    terminal.resize(Size(WIDTH, HEIGHT + 1))
    assert "a" * WIDTH in terminal.send(0, 0, row, CONSOLE)
    terminal.forget()
    terminal.resize(Size(WIDTH, HEIGHT + 1))
    assert "a" * WIDTH in terminal.send(0, 0, row, CONSOLE)
    combined = Strip([Segment("e\u0301" + "a" * (WIDTH - 1))], WIDTH)
    assert combined.text in terminal.send(0, 0, combined, CONSOLE)
    assert combined.text in terminal.send(0, 0, combined, CONSOLE)


class Wire:
    """What an app would send to a real terminal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written = ""
        display = LabApp._display

        def listen(app: LabApp, screen: Screen[Any], update: Any) -> None:
            if update is not None and app.screen is screen:
                self.written += update.render_segments(CONSOLE)
            display(app, screen, update)

        monkeypatch.setattr(LabApp, "_display", listen)

    def take(self) -> int:
        size, self.written = len(self.written.encode()), ""
        return size


def lab(pilot: Pilot[Any]) -> bool:
    return isinstance(pilot.app.screen, LabScreen)


@pytest.mark.parametrize("key", ["question_mark", "r"])
async def test_a_page_and_its_end_send_less_than_a_screen(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "open_recording", lambda _, trainer=None: (FakeReader(), trainer))
    wire = Wire(monkeypatch)
    async with LabApp(Path("a.bntui")).run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: lab(pilot) and "Curves" in wire.written)
        await pilot.pause()
        frame = wire.take()
        await pilot.press(key)
        await until(pilot, lambda: not lab(pilot) and wire.written)
        await pilot.pause()
        assert 0 < wire.take() < 0.9 * frame
        await pilot.press("escape")
        await until(pilot, lambda: lab(pilot) and wire.written)
        await pilot.pause()
        assert 0 < wire.take() < 0.9 * frame


async def test_after_a_page_of_textual_itself_all_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "open_recording", lambda _, trainer=None: (FakeReader(), trainer))
    wire = Wire(monkeypatch)
    async with LabApp(Path("a.bntui")).run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: lab(pilot) and "Curves" in wire.written)
        await pilot.press("ctrl+p")
        await until(pilot, lambda: not lab(pilot))
        wire.take()
        await pilot.press("escape")
        await until(pilot, lambda: lab(pilot) and all(word in wire.written for word in ("Curves", "Early stopping")))

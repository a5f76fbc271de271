"""Tests that the terminal's background decides the colors, that a choice overrides it, and that no answer is typed."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.segment import Segment
from textual import events
from textual.strip import Strip

from bntui.commands import preference
from bntui.errors import UsageError
from bntui.text.themes import THEMES
from bntui.viewer import opening
from bntui.viewer.app import LabApp
from bntui.viewer.draw import theme
from bntui.viewer.terminal import line_driver
from bntui.viewer.terminal.ground import PATIENCE, QUESTION, dark_by_variable, is_dark
from bntui.viewer.terminal.line import PacedApp, Sender
from bntui.viewer.terminal.line_driver import AnswerParser, Ground
from bntui.viewer.widgets import RowsWidget
from tests.fakes import FakeReader
from tests.terminal import Terminal
from tests.waiting import until

WHITE = "\x1b]11;rgb:ffff/ffff/ffff\x1b\\"
BLACK = "\x1b]11;rgb:0000/0000/0000\x07"


@pytest.mark.parametrize(
    ("color", "dark"),
    [
        ("rgb:0000/0000/0000", True),
        ("rgb:ffff/ffff/ffff", False),
        ("rgb:f/f/f", False),
        ("rgba:1e1e/1e1e/2e2e/ffff", True),  # Catppuccin
        ("rgb:0000/2b2b/3636", True),  # Solarized
        ("rgb:fdfd/f6f6/e3e3", False),
        ("rgb:00/00/ff", True),  # white on blue: 8.6:1, black on blue: 2.4:1
        ("rgb:76/76/76", False),  # black: 4.6:1
        ("rgb:70/70/70", True),  # white: 4.9:1
        ("#ffffff", None),
        ("rgb:ff/ff", None),
        ("rgb:fffff/0/0", None),
        ("", None),
    ],
)
def test_a_background_is_dark_where_white_text_has_more_contrast(color: str, dark: bool | None) -> None:
    assert is_dark(color) is dark


@pytest.mark.parametrize(
    ("value", "dark"),
    [(None, True), ("15;0", True), ("0;15", False), ("0;default;15", False), ("7;8", True), ("0;7", False),
     ("default;default", True), ("", True), ("0;16", True), ("0;-1", True)],
)  # fmt: skip
def test_the_variable_is_read_as_vim_reads_it(value: str | None, dark: bool) -> None:
    assert dark_by_variable({} if value is None else {"COLORFGBG": value}) is dark


def said(parser: AnswerParser, *pieces: str) -> list[str]:
    """Keys by name, backgrounds as they were written."""
    out = []
    for piece in pieces:
        for message in parser.feed(piece):
            if isinstance(message, events.Key):
                out.append(message.key)
            elif isinstance(message, Ground):
                out.append(message.color)
            elif isinstance(message, events.CursorPosition):
                out.append("cursor")
    return out


@pytest.mark.parametrize("answer", [WHITE, BLACK])
def test_an_answer_cut_anywhere_is_no_key(answer: str) -> None:
    color = answer[5:23]
    for cut in range(1, len(answer)):
        parser = AnswerParser()
        assert said(parser, "a" + answer[:cut], answer[cut:] + "b\x1b[3;2R") == ["a", color, "b", "cursor"]


def test_an_answer_whose_end_comes_late_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = AnswerParser()
    assert said(parser, WHITE[:12]) == []
    now = time.monotonic()
    monkeypatch.setattr(line_driver, "monotonic", lambda: now + 60)
    assert not list(parser.tick())
    assert said(parser, WHITE[12:], "x") == ["rgb:ffff/ffff/ffff", "x"]


def test_the_end_of_an_answer_that_never_comes_holds_no_key_back() -> None:
    parser = AnswerParser()
    assert said(parser, WHITE[:12]) == []
    assert said(parser, "\x1b[A") == ["up"]
    assert said(parser, "q") == ["q"]


# --- in a terminal ---


class Colored(Terminal):
    """A terminal that says once what its background is: when it is asked, or late, when it was drawn on."""

    def __init__(self, answer: str, env: Mapping[str, str | None], *options: str, late: bool = False) -> None:
        self._late = late
        self._color = answer
        self.asked = False
        patience = PATIENCE if late or not answer else 30  # on a busy machine, too, an answer at once is in time
        script = (
            f"import runpy; from bntui.viewer.terminal import ground; ground.PATIENCE = {patience}\n"
            "runpy.run_module('tests.gallery', run_name='__main__')"
        )
        super().__init__([sys.executable, "-c", script, *options], 100, 30, env)

    def read(self, timeout: float) -> bool:
        found = super().read(timeout)
        self.asked = self.asked or QUESTION.encode() in self.transcript
        if self.asked and self._color and (self.grounds() or not self._late):
            os.write(self._master, self._color.encode())
            self._color = ""
        return found

    def grounds(self) -> list[str]:
        """The backgrounds that were drawn, in their order, each once."""
        found = re.findall(rb"48;2;(\d+);(\d+);(\d+)", self.transcript)
        return list(dict.fromkeys("#" + "".join(f"{int(part):02x}" for part in one) for one in found))


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str | None]:
    return {"XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "COLORFGBG": None, "NO_COLOR": None}


@pytest.mark.parametrize(
    ("answer", "late", "options", "drawn"),
    [
        (WHITE, False, (), [theme.LIGHT.ground]),
        (BLACK, False, (), [theme.DARK.ground]),
        ("", False, (), [theme.DARK.ground]),
        (WHITE, True, (), [theme.DARK.ground, theme.LIGHT.ground]),
        (WHITE, False, ("--theme", "dark"), [theme.DARK.ground]),
        (BLACK, False, ("--theme", "projector"), [theme.PROJECTOR.ground]),
        (BLACK, False, ("--theme", "terminal"), []),
    ],
)
def test_the_screen_is_drawn_for_the_background(
    answer: str, options: tuple[str, ...], drawn: list[str], env: dict[str, str | None], *, late: bool
) -> None:
    with Colored(answer, env, *options, late=late) as terminal:
        terminal.until("batch norm")
        until(lambda: not terminal.read(0.5) and len(terminal.grounds()) >= len(drawn), "the drawing on the background")
        assert terminal.grounds() == drawn
        terminal.press("q")
        assert terminal.exit_code() == 0
        assert terminal.asked is (not options or options[1] == "terminal")


def test_the_variable_decides_where_the_terminal_does_not_answer(env: dict[str, str | None]) -> None:
    with Colored("", {**env, "COLORFGBG": "0;15"}) as terminal:
        terminal.until("batch norm")
        assert terminal.grounds() == [theme.LIGHT.ground]


def test_without_colors_nobody_is_asked(env: dict[str, str | None]) -> None:
    with Colored(WHITE, {**env, "NO_COLOR": "1"}) as terminal:
        terminal.until("batch norm")
        assert not terminal.asked
        assert terminal.grounds() == []


# --- choosing ---


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    monkeypatch.setattr(preference, "configuration_path", lambda: path)
    return path


def test_the_configuration_names_a_theme(configured: Path) -> None:
    assert "theme" not in preference.configuration()
    configured.write_text('theme = "projector"')
    assert preference.configuration()["theme"] == "projector"


@pytest.mark.parametrize("value", ['"mauve"', "3", '["dark"]'])
def test_an_unknown_theme_is_an_error_that_names_all(configured: Path, value: str) -> None:
    configured.write_text(f"theme = {value}")
    with pytest.raises(UsageError) as caught:
        preference.preferred()
    assert str(caught.value).startswith(f"{configured}:1: theme = ")
    assert all(name in str(caught.value) for name in THEMES)
    assert caught.value.exit_code == 2


def lab(monkeypatch: pytest.MonkeyPatch, **asked: str) -> LabApp:
    """The laboratory on a recording."""
    reader = FakeReader()
    reader.over = True
    monkeypatch.setattr(opening, "open_recording", lambda _, trainer=None: (reader, trainer))
    return LabApp(Path("a.bntui"), **asked)  # type: ignore[arg-type]


async def test_choosing_a_theme_changes_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    app = lab(monkeypatch, theme="dark")
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause()
        assert sorted(app.available_themes) == sorted(THEMES)
        for name in ("light", "projector", "terminal", "dark"):
            app.theme = name
            await pilot.pause()
            ground = app.palette.ground
            for widget in app.screen.query(RowsWidget):
                for y in range(widget.size.height):
                    for segment in widget.render_line(y):
                        assert segment.style is not None
                        found = segment.style.bgcolor
                        assert (found.get_truecolor().hex if found else "") == ground, (name, segment)


async def test_a_background_told_later_counts_unless_a_theme_was_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = lab(monkeypatch)
    async with app.run_test(size=(120, 36)) as pilot:
        app.ground_told(False)
        await pilot.pause()
        assert (app.theme, app.palette.name, app.palette.dark) == ("light", "light", False)
        app.ground_told(True)
        assert (app.theme, app.palette.name) == ("dark", "dark")
        app.theme = "terminal"
        assert app.palette is theme.palette_of("terminal", dark=True)
        app.ground_told(False)
        assert app.palette is theme.palette_of("terminal", dark=False)
        app.theme = "projector"
        app.ground_told(True)
        assert app.palette.name == "projector"


class Asking(PacedApp[None]):
    """An app that asks for the background, and sends to a list."""

    asks_ground = True

    def __init__(self) -> None:
        super().__init__(ansi_color=True)
        self.sent: list[str] = []
        self.sender = Sender(self, self.sent.append)


async def test_the_first_frame_waits_for_the_answer_but_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PATIENCE <= 0.15
    monkeypatch.setattr("bntui.viewer.terminal.textual_private.has_terminal", lambda _app: True)
    app = Asking()
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.pause()
        word = [(0, 0, Strip([Segment("hello")]))]
        began = time.monotonic()
        app.sender.opened(began)
        app.sent.clear()
        app.sender.put(word)
        assert app.sent == []
        while not app.sent:
            await asyncio.sleep(0.002)
        assert time.monotonic() - began >= PATIENCE - 0.005
        app.sender.opened(time.monotonic())
        app.sent.clear()
        app.sender.put(word)
        app.sender.answered(0, 1, time.monotonic())  # the cursor's place: nothing is said about the background
        assert any("hello" in frame for frame in app.sent)

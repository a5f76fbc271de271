"""Tests that ctrl+c, which ends nothing, says on every page which keys lead out, and that these do."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from bntui.text.language import use
from bntui.viewer.app import LabApp
from bntui.viewer.screens.gallery import GalleryScreen
from bntui.viewer.screens.help import HelpScreen
from bntui.viewer.screens.lab import LabScreen
from bntui.viewer.screens.note import NoteScreen
from bntui.viewer.terminal.textual_private import exiting
from tests.fakes import until
from tests.test_fork_screen import notices
from tests.test_fork_screen import reader as reader
from tests.test_gallery_screen import idle as idle

BACK, OUT = "esc goes back, then q quits.", "q quits."
PAGES = {
    "help": ["question_mark"], "panels": ["v"], "runs": ["r"], "note": ["N", "a"], "fork": ["f"], "microscope": ["m"],
    "help of the fork": ["f", "question_mark"], "help of the microscope": ["m", "question_mark"], "palette": ["ctrl+p"],
}  # fmt: skip


async def left(pilot: Pilot[Any]) -> None:
    """Leave all pages with escape, then the program with q."""
    while len(pilot.app.screen_stack) > 2:
        page = pilot.app.screen
        await pilot.press("escape")
        await until(pilot, partial(lambda page: pilot.app.screen is not page, page))
    await pilot.press("q")
    await until(pilot, lambda: exiting(pilot.app))


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("keys", PAGES.values(), ids=PAGES)
async def test_a_page_says_once_which_keys_lead_out(keys: list[str]) -> None:
    async with LabApp(Path("a.bntui")).run_test(size=(80, 24)) as pilot:
        for key in keys:
            shown = pilot.app.screen
            await pilot.press(key)
            if key != "a":
                await until(pilot, partial(lambda shown: pilot.app.screen is not shown, shown))
        await until(pilot, lambda: pilot.app.screen.is_mounted)
        page = pilot.app.screen
        await pilot.press("ctrl+c", "ctrl+c")
        await until(pilot, lambda: notices(pilot) == [BACK])
        assert pilot.app.screen is page
        await left(pilot)


@pytest.mark.usefixtures("reader")
async def test_the_laboratory_says_that_q_quits() -> None:
    async with LabApp(Path("a.bntui")).run_test(size=(80, 24)) as pilot:
        assert isinstance(pilot.app.screen, LabScreen)
        await pilot.press("ctrl+c", "ctrl+c")
        await until(pilot, lambda: notices(pilot) == [OUT])


@pytest.mark.usefixtures("reader")
async def test_in_a_note_it_copies_what_is_selected() -> None:
    async with LabApp(Path("a.bntui")).run_test(size=(80, 24)) as pilot:
        await pilot.press("N")
        await until(pilot, lambda: isinstance(pilot.app.screen, NoteScreen) and pilot.app.screen.query(Input))
        await pilot.press(*"abc", "shift+left", "shift+left", "ctrl+c")
        await until(pilot, lambda: pilot.app.clipboard == "bc")
        assert not notices(pilot)


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("keys", [["slash", "a"], ["tab", "r"]])
async def test_the_gallery_says_what_leads_out_of_what_it_asks(keys: list[str]) -> None:
    async with LabApp().run_test(size=(80, 24)) as pilot:
        gallery = pilot.app.screen
        assert isinstance(gallery, GalleryScreen)
        await until(pilot, lambda: gallery.gallery.entries is not None)
        await pilot.press("ctrl+c")
        assert notices(pilot) == [OUT]
        await pilot.press(*keys)
        asked = gallery.gallery.prompt
        await pilot.press("ctrl+c")
        assert notices(pilot) == [OUT, BACK]
        assert gallery.gallery.prompt == asked is not None
        await pilot.press("escape")
        assert gallery.gallery.prompt is None
        await left(pilot)


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(("language", "word"), [("en", "back"), ("ko", "뒤로")])
async def test_the_help_says_at_any_width_which_key_leads_back(language: str, word: str) -> None:
    use(language)  # conftest sets it back
    async with LabApp(Path("a.bntui")).run_test(size=(120, 36)) as pilot:
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
        for width in (120, 80, 60, 40, 30, 90):
            await pilot.resize_terminal(width, 12)
            page = pilot.app.screen.query_one("#page")
            cells = min(84, width * 96 // 100)
            await until(pilot, partial(lambda page, cells: page.region.width == cells, page, cells))
            edge = page.region.bottom - 1
            strips = pilot.app.screen._compositor.render_strips()
            assert f"esc {word} ─╯" in strips[edge].text
            if width >= 80:
                assert "↑↓" in strips[edge].text

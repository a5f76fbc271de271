"""Tests that keys which arrive together do what they do when they are typed slowly."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Input, Static

from bntui.viewer import opening
from bntui.viewer.app import LabApp
from bntui.viewer.screens.gallery import GalleryScreen
from bntui.viewer.screens.help import HelpScreen
from bntui.viewer.screens.lab import LabScreen
from bntui.viewer.screens.note import NoteScreen
from bntui.viewer.terminal import typed
from bntui.viewer.terminal.line import PacedApp
from tests import factory
from tests.fakes import FakeReader, until
from tests.test_gallery_screen import idle as idle

NAMES = {"/": "slash", " ": "space", "?": "question_mark", "\x1b": "escape", "\r": "enter"}


def type_at_once(app: App[Any], *characters: str) -> None:
    for character in characters:
        app.post_message(events.Key(NAMES.get(character, character), character))


@pytest.mark.usefixtures("idle")
async def test_a_search_may_begin_with_the_letter_of_a_key() -> None:
    """``/q`` quit."""
    async with LabApp().run_test(size=(120, 36)) as pilot:
        gallery = pilot.app.screen
        assert isinstance(gallery, GalleryScreen)
        type_at_once(pilot.app, *"/qd r\r")
        await until(pilot, lambda: gallery.gallery.query == "qd r" and gallery.gallery.prompt is None)
        assert gallery.is_current
        type_at_once(pilot.app, "\x1b", "/")
        pilot.app.post_message(events.Paste("dropout"))
        await until(pilot, lambda: gallery.gallery.query == "dropout")


async def test_keys_meet_the_page_that_the_key_before_them_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """``Nd…`` left the screen, and the note was lost."""
    reader = FakeReader(factory.run_view())
    monkeypatch.setattr(opening, "open_recording", lambda _, trainer=None: (reader, trainer))
    async with LabApp(Path("a.bntui")).run_test(size=(120, 36)) as pilot:
        lab = pilot.app.screen
        assert isinstance(lab, LabScreen)
        type_at_once(pilot.app, *"Nqd3")
        await until(pilot, lambda: isinstance(pilot.app.screen, NoteScreen))
        await until(pilot, lambda: pilot.app.screen.query_one(Input).value == "qd3")
        type_at_once(pilot.app, "\x1b", "3", "?")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
        assert lab.view_state.focused == "gradients"


class Slow(Screen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [("a", "away", ""), ("b", "back", "")]

    def compose(self) -> ComposeResult:
        yield Static()

    async def action_away(self) -> None:
        await self.app.push_screen(Slow())

    async def action_back(self) -> None:
        await self.dismiss()


async def test_a_screen_that_closes_itself_takes_no_key_along() -> None:
    async with PacedApp[None]().run_test() as pilot:
        await pilot.app.push_screen(Slow())
        for depth, keys in ((5, "aaa"), (3, "bb"), (4, "aba"), (2, "bb")):
            type_at_once(pilot.app, *keys)
            await until(pilot, partial(lambda wanted: len(pilot.app.screen_stack) == wanted, depth))


@pytest.mark.usefixtures("idle")
async def test_a_key_that_never_returns_does_not_stop_the_next_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typed, "WAIT", 0.0)
    async with LabApp().run_test(size=(120, 36)) as pilot:
        app = pilot.app
        assert isinstance(app, PacedApp)
        app._typing._since = 0.0
        await pilot.press("slash", "a")
        assert isinstance(app.screen, GalleryScreen)
        assert app.screen.gallery.query == "a"

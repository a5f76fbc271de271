"""Tests the choice of panels for the main screen: the page, its keys and clicks, and what comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bntui.viewer import chooser
from bntui.viewer.app import LabApp
from bntui.viewer.chooser import Chooser
from bntui.viewer.draw.rows import click_at, text, width
from bntui.viewer.layout import SMALLEST
from bntui.viewer.panels import BY_NAME, PANELS, STRIP, Recorded
from bntui.viewer.screens.help import HelpScreen
from bntui.viewer.screens.lab_chooser import ChooserScreen
from bntui.viewer.widgets import RowsWidget
from tests.fakes import until
from tests.test_clicks import BIG, SMALL, click, lab, reader, state, wheel

__all__ = ["reader"]


@given(st.lists(st.integers(0, len(PANELS) - 1), max_size=12))
def test_toggling_keeps_the_order_of_choosing(presses: list[int]) -> None:
    now = Chooser(())
    expected: list[str] = []
    for number in presses:
        now = chooser.toggled(chooser.moved(now, number - now.at))
        name = PANELS[number].name
        if name in expected:
            expected.remove(name)
        elif name != STRIP.name:
            expected.append(name)
    assert now.chosen == tuple(expected)


@given(st.integers(SMALLEST[0] - 2, 74), st.integers(SMALLEST[1] - 2, 30), st.integers(0, len(PANELS) - 1))
def test_the_page_shows_the_cursor_at_every_size(cells: int, height: int, at: int) -> None:
    rows = chooser.draw(Chooser(("drift",), at), ("curves", "drift"), cells, height).rows
    assert [width(row) for row in rows] == [cells] * height
    here = [row for row in rows if text(row).startswith("▸")]
    assert len(here) == 1
    assert click_at(here[0], 3) == f"pick({at})"


def test_every_panel_is_told_with_its_state() -> None:
    recorded: tuple[Recorded, ...] = ("dropout",)
    state = Chooser(("jury", "compare"), 0, recorded)
    rows = [text(row) for row in chooser.draw(state, ("curves", "jury", "strip"), 74, 20).rows]
    told = {panel.name: next(row for row in rows if f"] {panel.key} {panel.label}" in row) for panel in PANELS}
    assert "[1]" in told["jury"]
    assert "on the screen" in told["jury"]
    assert "[2]" in told["compare"]
    assert "no room left" in told["compare"]
    assert "on the screen" in told["curves"]
    assert "always below" in told[STRIP.name]
    assert "nothing to show" not in told["dropout"]
    assert all(("nothing to show" in told[name]) == (BY_NAME[name].needs not in ("", "dropout")) for name in told)


@pytest.mark.usefixtures("reader")
async def test_chosen_panels_stand_first_on_the_main_screen() -> None:
    async with LabApp(Path("a.bntui")).run_test(size=BIG) as pilot:
        await pilot.press("v", "end", "space", "up", "space")
        page = pilot.app.screen
        assert isinstance(page, ChooserScreen)
        assert page.state.chosen == (PANELS[-1].name, PANELS[-2].name)
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is not page)
        assert state(pilot).panels == (PANELS[-1].name, PANELS[-2].name)
        regions = lab(pilot).room.regions
        assert (regions[PANELS[-1].name].x, regions[PANELS[-1].name].y) == (0, 1)
        await pilot.press("v", "delete", "home", "enter")
        await until(pilot, lambda: pilot.app.screen is not page and not isinstance(pilot.app.screen, ChooserScreen))
        assert (state(pilot).panels, state(pilot).focused) == ((), PANELS[0].name)


@pytest.mark.usefixtures("reader")
async def test_the_page_works_with_the_mouse_and_explains_itself() -> None:
    async with LabApp(Path("a.bntui")).run_test(size=SMALL) as pilot:
        await pilot.press("v")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChooserScreen))
        page = pilot.app.screen
        assert isinstance(page, ChooserScreen)
        rows = "\n".join(map(text, page.query_one("#chooser", RowsWidget).rows))
        assert "room for one panel" in rows
        await click(pilot, "chooser", "Drift")
        assert page.state.chosen == ("drift",)
        await wheel(pilot, "chooser", 1, (5, 5))
        assert page.state.panel.key == "9"
        await click(pilot, "chooser", "explain")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is page)
        await click(pilot, "chooser", "go there")
        await until(pilot, lambda: pilot.app.screen is not page)
        assert (state(pilot).focused, state(pilot).panels) == ("distributions", ("drift",))

"""Tests what a click, the wheel and a drag do, and that what can be clicked is found in the drawn rows."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual import events
from textual.pilot import Pilot

from bntui.viewer import opening
from bntui.viewer.app import LabApp
from bntui.viewer.draw.charts import put
from bntui.viewer.draw.rows import Row, Span, click_at, fit, text
from bntui.viewer.opening import Beginning
from bntui.viewer.panels.timeline import place_at
from bntui.viewer.screens.help import HelpScreen
from bntui.viewer.screens.lab import LabScreen
from bntui.viewer.screens.lab_runs import RunsScreen
from bntui.viewer.screens.starting import StartingScreen
from bntui.viewer.view_state import ViewState
from bntui.viewer.widgets import RowsWidget
from tests.fakes import FakeReader, until

BIG, SMALL = (160, 48), (80, 24)
SPANS = st.builds(Span, st.text(st.sampled_from("ab █가나"), max_size=6), st.just(""), st.sampled_from(["", "p", "q"]))
ROWS = st.lists(SPANS, max_size=6).map(tuple)


def by_cell(row: Row) -> list[str]:
    """The action of each cell of a row."""
    return [span.click for span in row for _cell in range(cell_len(span.text))]


@given(ROWS, st.integers(-2, 50))
def test_a_click_meets_the_span_that_is_drawn_there(row: Row, x: int) -> None:
    cells = by_cell(row)
    assert click_at(row, x) == (cells[x] if 0 <= x < len(cells) else "")


@given(ROWS, st.integers(0, 40), st.integers(0, 10))
def test_cutting_and_covering_leaves_the_rest_clickable(row: Row, cells: int, at: int) -> None:
    was = [*by_cell(row), *[""] * cells][:cells]
    fitted = fit(row, cells)
    assert [click_at(fitted, x) for x in range(cells)] == was
    if at < cells:
        covered = put(fitted, at, "x", "")
        # a wide character of which one cell is covered leaves a blank one
        assert [click_at(covered, x) for x in range(cells) if x != at] == [one for x, one in enumerate(was) if x != at]


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> FakeReader:
    reader = FakeReader()
    reader.over = True
    monkeypatch.setattr(opening, "open_recording", lambda _, trainer=None: (reader, trainer))
    return reader


def lab(pilot: Pilot[Any]) -> LabScreen:
    screen = pilot.app.screen
    assert isinstance(screen, LabScreen)
    return screen


def state(pilot: Pilot[Any]) -> ViewState:
    return lab(pilot).view_state


def rows_of(pilot: Pilot[Any], part: str) -> tuple[Row, ...]:
    return lab(pilot).query_one(f"#{part}", RowsWidget).rows


async def click(pilot: Pilot[Any], part: str, words: str) -> None:
    """Click the first cell of these words, which a part of the screen has."""
    rows = pilot.app.screen.query_one(f"#{part}", RowsWidget).rows
    y = next(y for y, row in enumerate(rows) if words in text(row))
    x = cell_len(text(rows[y]).partition(words)[0])
    await pilot.click(f"#{part}", offset=(x, y))
    await pilot.pause()


async def wheel(pilot: Pilot[Any], part: str, by: int, at: tuple[int, int] = (5, 0)) -> None:
    """Turn the wheel over a cell of a part of the screen, one notch down (1) or up (-1)."""
    widget = pilot.app.screen.query_one(f"#{part}", RowsWidget)
    kind = events.MouseScrollDown if by > 0 else events.MouseScrollUp
    widget.post_message(kind(widget, *at, 0, by, 0, shift=False, meta=False, ctrl=False))
    await pilot.pause()


@pytest.mark.usefixtures("reader")
async def test_run_names_footer_and_tabs_are_clicked() -> None:
    async with LabApp(Path("a.bntui")).run_test(size=BIG) as pilot:
        assert (state(pilot).selected, state(pilot).pinned) == (0, 1)
        await click(pilot, "header", "▲ batch norm")
        assert (state(pilot).selected, state(pilot).pinned) == (1, 0)
        await click(pilot, "header", "▲ batch norm")
        assert (state(pilot).selected, state(pilot).pinned) == (1, 0)
        await click(pilot, "curves", "● plain")
        assert (state(pilot).selected, state(pilot).pinned) == (0, 1)
        await click(pilot, "keys", "←")
        assert state(pilot).cursor == 11
        await click(pilot, "keys", "→")
        assert state(pilot).cursor == 12
        await click(pilot, "keys", "zoom")
        assert state(pilot).zoomed
        await click(pilot, "tabs", "3 Gradients")
        assert (state(pilot).focused, state(pilot).zoomed) == ("gradients", True)
        await click(pilot, "keys", "↵ back")
        assert not state(pilot).zoomed


@pytest.mark.usefixtures("reader")
async def test_a_press_that_moves_away_clicks_nothing() -> None:
    async with LabApp(Path("a.bntui")).run_test(size=BIG) as pilot:
        keys = text(lab(pilot).query_one("#keys", RowsWidget).rows[0])
        await pilot.mouse_down("#keys", offset=(keys.index("←"), 0))
        await pilot.hover("#keys", offset=(keys.index("zoom"), 0))
        await pilot.mouse_up("#keys", offset=(keys.index("zoom"), 0))
        await pilot.pause()
        assert (state(pilot).cursor, state(pilot).zoomed) == (12, False)


@pytest.mark.usefixtures("reader")
async def test_the_cursor_is_dragged_along_the_timeline() -> None:
    async with LabApp(Path("a.bntui")).run_test(size=SMALL) as pilot:
        view = lab(pilot).view
        assert view is not None
        places = {round(place_at(view, SMALL[0] - 2, x, 0) or 0): x + 1 for x in range(SMALL[0] - 2)}
        await pilot.mouse_down("#strip", offset=(places[2], 0))
        for place in (5, 11, 7):
            await pilot.hover("#strip", offset=(places[place], 0))
            await pilot.pause()
            assert state(pilot).cursor == place
        await pilot.mouse_up("#strip", offset=(places[7], 0))
        await pilot.hover("#strip", offset=(places[5], 0))
        await pilot.pause()
        assert state(pilot).cursor == 7


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("keys", [[], ["6", "enter"]], ids=["strip", "panel"])
async def test_words_of_the_timeline_lead_to_what_they_name_and_the_rest_of_their_row_nowhere(keys: list[str]) -> None:
    async with LabApp(Path("a.bntui")).run_test(size=SMALL) as pilot:
        await pilot.press(*keys, *["left"] * 3)
        part = "timeline" if keys else "strip"
        await until(pilot, lambda: any("★ best" in text(row) for row in rows_of(pilot, part)))
        rows = [text(row) for row in rows_of(pilot, part)]
        legend, track = (next(y for y, row in enumerate(rows) if words in row) for words in ("★ best", "┤"))
        best = int(rows[legend].partition("★ best ")[2].split()[0])
        assert best != (before := state(pilot).cursor)
        ends = rows[legend].rstrip(" │")
        for x in (1, rows[legend].index("cursor"), len(ends) + 1, 77):
            await pilot.click(f"#{part}", offset=(x, legend))
            assert state(pilot).cursor == before
        await pilot.mouse_down(f"#{part}", offset=(70, legend))  # a drag that begins beside the track, too
        await pilot.hover(f"#{part}", offset=(8, track))
        await pilot.mouse_up(f"#{part}", offset=(8, track))
        await pilot.pause()
        assert state(pilot).cursor == before
        await click(pilot, part, "★ best")
        assert state(pilot).cursor == best
        await pilot.mouse_down(f"#{part}", offset=(40, track))  # and one along the track may leave it
        await pilot.hover(f"#{part}", offset=(3, legend))
        await pilot.pause()
        assert state(pilot).cursor == 0
        await pilot.mouse_up(f"#{part}", offset=(3, legend))
        await pilot.pause()
        assert state(pilot).cursor == 0


@pytest.mark.usefixtures("reader")
async def test_the_wheel_walks_through_keyframes_and_layers() -> None:
    async with LabApp(Path("a.bntui")).run_test(size=BIG) as pilot:
        await wheel(pilot, "strip", -1)
        assert state(pilot).cursor == 11
        await wheel(pilot, "curves", -1, (20, 10))
        assert state(pilot).cursor == 10
        await wheel(pilot, "curves", 1, (20, 10))
        assert state(pilot).cursor == 11
        await wheel(pilot, "layers", 1, (20, 3))
        assert (state(pilot).cursor, state(pilot).walked) == (11, {"layers": 1})
        before = state(pilot)
        await wheel(pilot, "header", 1)
        assert state(pilot) == before


@pytest.mark.usefixtures("reader")
async def test_brackets_walk_in_the_focused_panel_or_in_all() -> None:
    async with LabApp(Path("a.bntui")).run_test(size=BIG) as pilot:
        await pilot.press("2", "right_square_bracket", "right_square_bracket", "left_square_bracket")
        assert state(pilot).walked == {"layers": 1}
        await pilot.press("1", "right_square_bracket")
        assert state(pilot).walked["layers"] == 2
        assert state(pilot).walked["gradients"] == 1


def test_what_was_walked_past_is_kept_by_panel() -> None:
    from bntui.viewer import view_state

    walked = view_state.walk_in(replace(ViewState(), walked={"drift": 2}), "data", -1)
    assert walked.walked == {"drift": 2, "data": -1}


@pytest.mark.usefixtures("reader")
async def test_the_page_of_runs_and_the_help_work_with_the_mouse() -> None:
    async with LabApp(Path("a.bntui")).run_test(size=SMALL) as pilot:
        await pilot.press("r")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        page = pilot.app.screen
        await click(pilot, "runs", "explain")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
        await pilot.click(offset=(0, 0))
        await until(pilot, lambda: pilot.app.screen is page)
        await wheel(pilot, "runs", 1)
        await click(pilot, "runs", "select it")
        await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
        assert state(pilot).selected == 1
        await pilot.press("r")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        await click(pilot, "runs", "● plain")
        await click(pilot, "runs", "● plain")
        await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
        assert state(pilot).selected == 0


@pytest.mark.usefixtures("reader")
async def test_help_begins_with_the_keys_and_turns_to_the_explanation() -> None:
    async with LabApp(Path("a.bntui")).run_test(size=SMALL) as pilot:
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
        page, words = pilot.app.screen.query_one("#page"), pilot.app.screen.query_one("#text")
        assert page.scroll_y == 0
        assert words.virtual_region.y > page.size.height
        await pilot.press("tab")
        await until(pilot, lambda: page.scroll_y == words.virtual_region.y)
        await pilot.press("tab")
        await until(pilot, lambda: page.scroll_y == 0)


async def test_help_while_a_trainer_starts_gives_way_to_the_laboratory(reader: FakeReader) -> None:
    go_on = threading.Event()

    def begin() -> Path:
        go_on.wait(20)
        return reader.path

    async with LabApp(beginning=Beginning(begin, name="first")).run_test(size=SMALL) as pilot:
        await until(pilot, lambda: isinstance(pilot.app.screen, StartingScreen))
        rows = pilot.app.screen.query_one("#starting", RowsWidget).rows
        assert any("Starting first" in text(row) for row in rows)
        await click(pilot, "starting", "explain")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
        go_on.set()
        await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
        assert not any(isinstance(screen, HelpScreen) for screen in pilot.app.screen_stack)

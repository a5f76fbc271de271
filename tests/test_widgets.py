"""Rows in widgets: as wide as asked, cleaned, framed, and only changed ones are refreshed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.style import Style
from textual.app import App, ComposeResult
from textual.drivers.headless_driver import HeadlessDriver
from textual.geometry import Region
from textual.screen import Screen

from bntui.scenario.schema import MAX_RUNS
from bntui.text.output import clean
from bntui.viewer.draw import theme
from bntui.viewer.draw.rows import Drawing, Row, Span, framed, text, width
from bntui.viewer.marks import RUN_MARKS
from bntui.viewer.terminal.line import PacedApp
from bntui.viewer.widgets import RowsWidget, strip, together

WORDS = st.text(st.sampled_from("ab █⣀●가나"), max_size=30)
ROWS = st.lists(st.builds(Span, WORDS, st.sampled_from(["text", "run0", "bold warn"])), max_size=6).map(tuple)


@given(ROWS, st.integers(0, 60))
def test_a_strip_has_exactly_its_cells(row: Row, cells: int) -> None:
    line = strip(row, cells, theme.style)
    assert cell_len(line.text) == cells == line.cell_length


@given(st.sets(st.integers(0, 40)), st.integers(1, 9))
def test_neighboring_lines_are_refreshed_together_and_no_other(lines: set[int], width: int) -> None:
    regions = together(sorted(lines), width)
    assert sorted(y for region in regions for y in range(region.y, region.bottom)) == sorted(lines)
    assert all((region.x, region.width) == (0, width) for region in regions)
    assert len(regions) == sum(line - 1 not in lines for line in lines)


@pytest.mark.parametrize(
    ("dirty", "expected"),
    [
        ("\x1b[2Jloss", "[2Jloss"),
        ("a\tb\nc", "a b c"),
        ("\u202eevil\u200b", "evil"),
        ("정규화 μ ± σ ●", "정규화 μ ± σ ●"),
        ("bell\x07\x9b31m", "bell31m"),
    ],
)
def test_what_a_terminal_could_obey_is_removed(dirty: str, expected: str) -> None:
    assert clean(dirty) == expected


@pytest.mark.parametrize("cells", [20, 41, 82])
@pytest.mark.parametrize(
    "title", ["Curves", "A title that is much too long for the narrow ones", "층별 평균과 표준편차"]
)
@pytest.mark.parametrize("key", ["", "1"])
def test_a_frame_is_as_wide_as_asked(cells: int, title: str, key: str) -> None:
    body = ((Span("x" * (cells - 2)),),) * 3
    rows = framed(Drawing(title, body), cells, focused=True, key=key)
    assert len(rows) == 5
    assert {width(row) for row in rows} == {cells}
    assert text(rows[0])[0] == "╭"
    assert text(rows[0])[-1] == "╮"


class RowsScreen(Screen[None]):
    def __init__(self, widget: RowsWidget) -> None:
        super().__init__()
        self.widget = widget

    def compose(self) -> ComposeResult:
        yield self.widget


ONE: Row = (Span("epoch "), Span("12", "run0"), Span(" of 60" + " " * 26))


async def test_only_changed_rows_are_refreshed(monkeypatch: pytest.MonkeyPatch) -> None:
    widget = RowsWidget("test")
    app: App[None] = App()
    refreshed: list[tuple[Region, ...]] = []
    refresh = RowsWidget.refresh

    def spy(self: RowsWidget, *regions: Region, **options: bool) -> RowsWidget:
        refreshed.append(regions)
        return refresh(self, *regions, **options)

    async with app.run_test(size=(60, 20)) as pilot:
        await app.push_screen(RowsScreen(widget))
        widget.place(Region(3, 2, 40, 4))
        await pilot.pause()
        monkeypatch.setattr(RowsWidget, "refresh", spy)
        widget.show((ONE,) * 4, 40)
        widget.show((ONE,) * 4, 40)
        assert refreshed == [()]  # everything, once
        other: Row = (ONE[0], Span("13", "run0"), ONE[2])
        widget.show((ONE, other, ONE, ONE), 40)
        assert refreshed[1:] == [(Region(0, 1, 40, 1),)]
        restyled: Row = (ONE[0], Span("13", "run1"), ONE[2])
        widget.show((ONE, restyled, ONE, restyled), 40)
        assert refreshed[2:] == [(Region(0, 1, 40, 1), Region(0, 3, 40, 1))]
        assert widget.rows == (ONE, restyled, ONE, restyled)
        assert widget.render_line(1) == strip(restyled, 40, theme.style)


async def test_the_terminal_gets_the_changed_cells_only(monkeypatch: pytest.MonkeyPatch) -> None:
    widget = RowsWidget("test")
    app: PacedApp[None] = PacedApp(ansi_color=True)
    sent: list[str] = []
    monkeypatch.setattr(HeadlessDriver, "is_headless", False)
    monkeypatch.setattr(HeadlessDriver, "write", lambda _driver, data: sent.append(data))
    async with app.run_test(size=(60, 20)) as pilot:
        await app.push_screen(RowsScreen(widget))
        widget.place(Region(3, 2, 40, 4))
        widget.show((ONE,) * 4, 40)
        await pilot.pause()

        async def frames(row: Row) -> list[str]:
            sent.clear()
            widget.show((ONE, row, ONE, ONE), 40)
            await pilot.pause()
            return [re.sub(r"\x1b\[[0-9;]*m", "", update) for update in sent]

        (update,) = await frames((ONE[0], Span("13", "run0"), ONE[2]))
        assert re.fullmatch(r"\x1b\[4;11H3(\x1b\[[\d;]*H)+", update)  # row 2 + 1, column 3 + 7, counted from 1
        (update,) = await frames((ONE[0], Span("13", "run1"), ONE[2]))
        assert re.fullmatch(r"\x1b\[4;10H13(\x1b\[[\d;]*H)+", update)
        assert await frames((*ONE[:1], Span("1", "run1"), Span("3", "run1"), ONE[2])) == []  # the same cells


def test_every_run_has_a_mark_of_one_cell_of_its_own() -> None:
    assert len(set(RUN_MARKS)) == len(RUN_MARKS) == MAX_RUNS
    assert {cell_len(mark) for mark in RUN_MARKS} == {1}


def test_without_colors_no_style_has_one() -> None:
    for name in theme.NAMES:
        style = theme.style(name, theme.LIGHT, plain=True)
        assert style.color is None
        assert style.bgcolor is None
    assert theme.style("bad", plain=True).reverse
    assert theme.style("bold run0", plain=True).bold


def test_styles_combine_and_unknown_names_look_like_text() -> None:
    color, text = theme.DARK.colors["run0"], theme.DARK.text
    assert theme.style("bold run0") == Style.parse(f"bold {color} on {theme.DARK.ground}")
    assert theme.style("") == theme.style("no such style") == Style.parse(f"{text} on {theme.DARK.ground}")

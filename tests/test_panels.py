"""Tests the contract of all panels: every size and state, exactly the given area, never an error."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bntui.viewer.draw.rows import Drawing, text, width
from bntui.viewer.draw.theme import NAMES
from bntui.viewer.panels import BY_NAME, PANELS, Panel
from bntui.viewer.view import View
from tests.factory import recorded_data, run_view, view, with_data

SIZES = [(20, 6), (38, 6), (38, 19), (50, 10), (75, 21), (81, 24), (98, 12), (118, 28), (158, 40), (200, 60)]
VIEWS: dict[str, Callable[[], View]] = {
    "two runs": view,
    "one run": lambda: view(run_view(norm=True, dropout=0.5)),
    "first frame": lambda: view(run_view(keyframes=1), run_view(1, "batch norm", keyframes=1, norm=True)),
    "no data": lambda: view(run_view(keyframes=0), run_view(1, "batch norm", keyframes=0)),
    "one run without data": lambda: view(run_view(), run_view(1, "late", keyframes=0), selected=1, pinned=0),
    "NaN": lambda: view(run_view(nan=True, dropout=0.2), run_view(1, "batch norm", norm=True)),
    "stopped early": lambda: view(run_view(stopped=True), run_view(1, "none", patience=None)),
    "looking back": lambda: view(run_view(row=3, vanishing=True, dropout=0.2), run_view(1, "batch norm", row=3)),
    "many layers": lambda: view(run_view(layers=30, dropout=0.1), run_view(1, "deep", layers=30, norm=True)),
    "six runs": lambda: view(*(run_view(n, f"run number {n}", dropout=n / 10) for n in range(6)), selected=4, pinned=2),
    "Korean": lambda: view(run_view(name="배치 정규화 없음", dropout=0.2), run_view(1, "배치 정규화", norm=True)),
    "drift": lambda: view(run_view(drift=True), run_view(1, "batch norm", norm=True, drift=True, row=4)),
    "drift of a deep run": lambda: view(run_view(layers=30, keyframes=40, drift=True, nan=True)),
    "linear axis": lambda: view(run_view(vanishing=True), log_axis=False),
    "plane": lambda: with_data(view(), recorded_data("plane")),
    "curve": lambda: with_data(view(), recorded_data("line")),
    "images": lambda: with_data(view(), recorded_data("images", ("minmax", "standard"))),
    "table": lambda: with_data(view(), recorded_data("table", ("none", "minmax"))),
    "plane before the first keyframe": lambda: with_data(view(run_view(keyframes=0)), recorded_data("plane")),
    "curve without predictions": lambda: with_data(view(), recorded_data("line"), predictions=False),
    "images before the first keyframe": lambda: with_data(view(run_view(keyframes=0)), recorded_data("images")),
}
"""Made when a test asks: every worker imports this module."""


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
@pytest.mark.parametrize("name", VIEWS)
def test_every_panel_fills_its_room_in_every_state(panel: Panel, name: str) -> None:
    shown = VIEWS[name]()
    for cells, lines in SIZES:
        drawing = panel.draw(shown, cells, lines)
        assert len(drawing.rows) == lines
        assert {width(row) for row in drawing.rows} == {cells}, (cells, lines)
        assert drawing.title
        assert any(text(row).strip() for row in drawing.rows), "an empty box"
        styles = {word for row in drawing.rows for span in row for word in span.style.split()}
        assert styles <= {*NAMES, "bold", "dim"}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_a_name_of_a_run_is_whole_or_ends_in_dots(panel: Panel) -> None:
    names = "eight hidden layers of one hundred · norm batch", "eight hidden layers of one hundred units"
    shown = view(*(run_view(at, name, dropout=0.2, patience=3 - at) for at, name in enumerate(names)))
    shown = with_data(shown, recorded_data("plane"))
    for cells, lines in SIZES:
        spans = [span for row in panel.draw(shown, cells, lines).rows for span in row]
        for run in shown.runs:
            named = [span.text.strip(f"{run.mark}━╍ ") for span in spans if span.click == run.click]
            assert all(name in ("", run.name) or "…" in name for name in named), (cells, lines, named)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_a_panel_is_a_pure_function(panel: Panel) -> None:
    one = panel.draw(view(), 80, 20)
    panel.draw(view(run_view(nan=True)), 50, 10)
    assert panel.draw(view(), 80, 20) == one


def columns_stay(before: Drawing, after: Drawing) -> None:
    """Check that every word of both drawings stands in the same row and order."""
    assert before.title == after.title
    words = [[word for word in text(row).split() if word.isalpha()] for row in before.rows]
    assert words == [[word for word in text(row).split() if word.isalpha()] for row in after.rows]


def keeps_its_columns(panel: Panel) -> None:
    """Check that what does not change from keyframe to keyframe stays where it is."""
    before, after = (
        panel.draw(view(run_view(row=row, dropout=0.2), run_view(1, "batch norm", norm=True, row=row)), 81, 24)
        for row in (5, 6)
    )
    columns_stay(before, after)


@pytest.mark.parametrize("panel", [p for p in PANELS if p.name != "timeline"], ids=lambda panel: panel.name)
def test_neighbouring_keyframes_keep_their_columns(panel: Panel) -> None:
    """Nothing jumps: what does not change from keyframe to keyframe stays where it is."""
    keeps_its_columns(panel)


@pytest.mark.parametrize("kind", ["plane", "line", "images", "table"])
@pytest.mark.parametrize("size", [(50, 18), (81, 24), (158, 40)])
def test_the_data_stay_where_they_are_while_the_cursor_walks(kind: str, size: tuple[int, int]) -> None:
    data = recorded_data(kind, ("minmax", "standard"))
    before, after = (
        BY_NAME["data"].draw(with_data(view(run_view(row=row), run_view(1, "batch norm", row=row)), data), *size)
        for row in (5, 6)
    )
    columns_stay(before, after)

"""Tests the screen in Korean: no character is cut in half or misaligned, and nothing is left in English."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.markdown import Markdown
from textual.widgets import Static

from bntui.insight.jury import jury
from bntui.insight.verdicts import NAMES
from bntui.lessons import lesson, names, stale
from bntui.link import Status
from bntui.text import language
from bntui.text.language import _
from bntui.text.widths import cut_middle, ljust, parted, rjust
from bntui.viewer import chrome, opening, palette
from bntui.viewer.app import LabApp
from bntui.viewer.draw.charts import put
from bntui.viewer.draw.rows import Drawing, Row, Span, filled, text, width
from bntui.viewer.lab_keys import LabSituation
from bntui.viewer.live_states import Live, Replay
from bntui.viewer.marks import RUN_MARKS
from bntui.viewer.panels import PANELS, Panel, curves, gradients, layers, timeline
from bntui.viewer.screens.gallery_rows import draw
from bntui.viewer.screens.help import HelpScreen, lab_keys
from tests import factory
from tests.factory import run_view, view
from tests.fakes import FakeReader, until
from tests.spread import spread
from tests.test_chrome import FACTS
from tests.test_gallery_screen import FULL
from tests.test_panels import SIZES, VIEWS, keeps_its_columns

LATIN = (
    # keys, and names of layers, figures and settings
    "space", "enter", "patience", "network", "dropout", "data", "samples", "set", "record", "shift", "true",
    "minmax", "standard", "linear", "output", "sigmoid", "NaN", "val", "loss", "min", "delta", "max",
    "Keras", "Lightning", "Ignite", "Prechelt", "threshold", "bntui", "compare", "FILE", "claim",
    # names and sentences of the factory's recordings
    "plain", "batch", "norm", "run", "number", "deep", "late", "none",
    "the", "became", "step", "improvement", "for", "epochs",
)  # fmt: skip
"""Words that no language changes; a name may be cut."""
HANGUL = re.compile("[가-힣]")
MARKS = {juror.mark for juror in jury(None)}
"""Letters of the stopping rules, which may stand side by side on a curve."""


@pytest.fixture(autouse=True)
def korean() -> Iterator[None]:
    language.use("ko")
    yield
    language.use("en")


def is_korean(words: str) -> bool:
    return HANGUL.search(words) is not None


def places(row: Row) -> dict[str, int]:
    """The cell in which each word of a row begins; words are parted by two spaces or more."""
    words = text(row)
    return {found[0]: cell_len(words[: found.start()]) for found in re.finditer(r"\S+(?: \S+)*", words)}


def ends(row: Row) -> dict[str, int]:
    """The cell after each word of a row."""
    return {words: at + cell_len(words) for words, at in places(row).items()}


def latin(words: str) -> list[str]:
    """Words in Latin letters, the shortest left out."""
    return [word for word in re.findall(r"[A-Za-z]{3,}", words) if not set(word) <= MARKS]


def begins(cut: str) -> Callable[[str], bool]:
    """Whether a word begins so."""
    return lambda word: word.startswith(cut)


# --- panels ---


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
@pytest.mark.parametrize("name", VIEWS)
def test_every_panel_fills_its_room_and_leaves_nothing_in_english(panel: Panel, name: str) -> None:
    shown = VIEWS[name]()
    data = shown.dataset
    names = latin(" ".join((data.name, *data.features, *data.classes))) if data is not None else []
    for cells, lines in spread(SIZES, 2):
        drawing = panel.draw(shown, cells, lines)
        assert {width(row) for row in drawing.rows} == {cells}, (cells, lines)
        assert len(drawing.rows) == lines
        assert is_korean(drawing.title)
        assert "…" not in text(drawing.rows[-1]).rstrip()[-1:], "a sentence that ends in the middle"
        for words in {drawing.title, *map(text, drawing.rows)}:
            assert all(any(map(begins(word), (*LATIN, *names))) for word in latin(words)), words


@pytest.mark.parametrize("panel", [p for p in PANELS if p.name != "timeline"], ids=lambda panel: panel.name)
def test_neighbouring_keyframes_keep_their_columns(panel: Panel) -> None:
    keeps_its_columns(panel)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_what_was_kept_of_one_language_is_not_shown_in_the_other(panel: Panel) -> None:
    shown = view()
    drawn: dict[str, Drawing] = {}
    for spoken in ("en", "ko", "en", "ko"):
        language.use(spoken)
        drawing = panel.draw(shown, 120, 24)
        assert drawn.setdefault(spoken, drawing) == drawing
    assert not is_korean("".join([drawn["en"].title, *map(text, drawn["en"].rows)]))
    assert is_korean(drawn["ko"].title)


@pytest.mark.parametrize("cells", [75, 81, 98, 118])
def test_headings_of_the_layers_stand_above_their_columns(cells: int) -> None:
    heading, *rows = layers.draw(view(), cells, 21).rows
    first = next(row for row in rows if "linear 1" in text(row) and "▲" in text(row))
    began = [at for words, at in places(first).items() if "±" in words]
    stood = places(heading)
    # a figure is right-aligned in five cells: a blank one before 0.10
    assert began == [stood[words] + 1 for words in ("정규화 전", "정규화 후", "sigmoid 후")]
    assert ends(heading)["포화"] == cells
    assert text(first).endswith("%")


@pytest.mark.parametrize("cells", [200, 240])
def test_headings_of_all_figures_end_where_these_end(cells: int) -> None:
    heading, first, *_rest = layers.draw(view(), cells, 60).rows
    words = "linear 1"
    stage = text(first).index(words) + len(words)
    last = [found.end() for found in re.finditer(r"\S+", text(first)) if found.start() > stage]
    stood = {found[0]: cell_len(text(heading)[: found.end()]) for found in re.finditer(r"\S+", text(heading))}
    shift = cell_len(text(first)) - len(text(first))  # the stage's name stands left of all figures
    figures = [at + shift for at in last]
    for word in ("평균", "표준편차", "최소", "p15", "p50", "p85", "최대", "포화", "크기", "갱신/가중치"):
        assert stood[word] in figures, word


@pytest.mark.parametrize("cells", [75, 81, 98, 118])
def test_headings_of_the_gradients_stand_above_their_columns(cells: int) -> None:
    heading, first, *_rest = gradients.draw(view(), cells, 21).rows
    course = next(at for at, char in enumerate(text(first)) if 0x2800 < ord(char) < 0x2900)
    assert cell_len(text(heading).partition("에포크별")[0]) == course
    assert text(heading).endswith("갱신/가중치")
    assert text(first).endswith("0.00100")
    for decade in ("1e−5", "1e−3", "1e−1"):
        assert text(first)[text(heading).index(decade)] in "━╸┊ ", decade


def test_axes_of_charts_above_one_another_are_in_line() -> None:
    rows = curves.draw(view(), 80, 21).rows
    corners = {cell_len(text(row).partition("└")[0]) for row in rows if "└" in text(row)}
    assert len(corners) == 1
    named = [text(row).partition("└")[0].strip() for row in rows if "└" in text(row)]
    assert named == ["손실", "정확도%"]
    assert sum("에포크" in text(row) for row in rows) == 2


def test_the_cursor_stays_in_its_column_beside_a_wide_name() -> None:
    rows = [row for row in curves.draw(view(run_view(row=6)), 80, 12).rows if set("│┤└") & set(text(row))]
    axis = rows.pop()
    column = cell_len(text(axis).partition("┼")[0])
    assert sum(text(row)[column] == "│" for row in rows) >= len(rows) - 2  # a curve lies over it where they cross


@pytest.mark.parametrize("name", NAMES)
def test_a_verdict_keeps_its_name_and_is_said_in_korean(name: str) -> None:
    assert is_korean(_(name))
    assert cell_len(_(name)) <= gradients.SIDE
    assert name.isascii()


def test_a_gradient_verdict_in_every_wording() -> None:
    for cells in range(20, 120, 7):
        drawn = [text(row) for row in gradients.draw(view(), cells, 12).rows]
        assert any("소멸" in line for line in drawn), cells
    assert any("층 linear 1의 기울기: NaN" in text(row) for row in gradients.draw(VIEWS["NaN"](), 80, 12).rows)


def test_a_click_lands_on_the_same_epoch_in_both_languages_words() -> None:
    shown = view(run_view(), run_view(1, "batch norm"))  # no mark stands on the first cell of the track
    for cells in (40, 80, 158):
        left = text(timeline.draw(shown, cells, 2).rows[0]).index("├")
        right = cell_len(text(timeline.draw(shown, cells, 2).rows[0]).partition("┤")[0])
        assert timeline.place_at(shown, cells, left, 0) == 0
        assert timeline.place_at(shown, cells, right, 0) == shown.end


# --- around the panels ---


@pytest.mark.parametrize("cells", range(40, 201, 3))
def test_the_rows_around_the_panels_fit(cells: int) -> None:
    states = [None, *(Status(state, 5, 4.9, 0) for state in ("running", "paused", "finished", "stopped", "failed"))]
    for status in states:
        row = chrome.header(factory.view(), FACTS, chrome.state_words(Live(status)), cells)
        assert width(row) == cells
        assert "에포크 12/60" in text(row)
        assert chrome.state_words(Live(status))[0] in text(row)
    for panel in PANELS:
        row = chrome.tabs(panel.name, cells)
        assert width(row) <= cells
        names = panel.label, panel.short
        assert any(f"[{panel.key}{between}{_(name)}]" in text(row) for name in names for between in (" ", ""))
    for live in (True, False):
        row = chrome.keys(cells, LabSituation(live=live, running=live, runs=2, several=True, from_gallery=True))
        assert width(row) == cells
        assert "…" not in text(row)
        assert " q" in text(row)


@given(st.integers(1, 60), st.integers(1, 12))
def test_the_sentence_on_a_small_screen_is_never_cut(cells: int, height: int) -> None:
    rows = chrome.too_small(cells, height)
    assert len(rows) == height
    assert all(width(row) <= max(cells, 2) for row in rows)


def test_states_are_korean_and_have_no_runs_mark() -> None:
    for state in ("running", "paused", "finished", "stopped", "failed"):
        words = chrome.state_words(Live(Status(state, None, 312.4, 0)))[0]
        assert is_korean(words)
        assert not set(words) & set(RUN_MARKS)
    assert is_korean(chrome.state_words(Replay())[0])
    assert is_korean(chrome.state_words(Replay(gone=True))[0])


@given(st.integers(40, 200), st.integers(12, 60), st.sampled_from(["scenarios", "recordings"]), st.integers(0, 9))
def test_the_gallery_fills_every_size(columns: int, rows: int, active: Any, at: int) -> None:
    drawn, _lines = draw(FULL.at(active, at), columns, rows)
    assert len(drawn) == rows
    assert {width(row) for row in drawn} == {columns}


def test_recordings_keep_their_columns_in_the_gallery() -> None:
    drawn = [text(row) for row in draw(FULL, 160, 48)[0]]
    dates = [cell_len(line.partition("2026-")[0]) for line in drawn if "2026-03-14" in line]
    assert len(dates) == 2
    assert len(set(dates)) == 1
    assert any("12에포크" in line for line in drawn)
    assert any("● 학습 중" in line for line in drawn)


def test_borders_of_the_gallerys_page_are_straight() -> None:
    for columns in (80, 100, 120, 160):
        drawn = [text(row) for row in draw(replace(FULL, busy=""), columns, 48)[0]]
        bars = [line for line in drawn if line.rstrip().endswith("│")]
        assert len({cell_len(line[: line.rindex("│")]) for line in bars}) == 1, columns


# --- lessons and help ---


def test_every_lesson_is_there_in_korean_and_up_to_date() -> None:
    assert stale("ko") == {}
    for name in names():
        page = lesson(name)
        assert page.startswith("# ")
        assert page != lesson(name, "en")
        assert len(HANGUL.findall(page)) > 150


@pytest.mark.parametrize("name", names())
def test_a_lesson_has_the_parts_of_the_english_one(name: str) -> None:
    """What it shows, how its figures are defined, how to read it, what to try: as many parts, and as many items."""
    english, korean = lesson(name, "en"), lesson(name)
    for mark in ("## ", "- "):
        counted = [sum(line.startswith(mark) for line in page.splitlines()) for page in (english, korean)]
        assert counted[0] == counted[1], mark


@pytest.mark.parametrize("cells", [34, 60, 76])
@pytest.mark.parametrize("name", names())
def test_a_lesson_is_wrapped_between_words(name: str, cells: int) -> None:
    console = Console(width=cells, file=None, record=False, color_system=None)
    page = lesson(name)
    with console.capture() as capture:
        console.print(Markdown(page))
    lines = capture.get().splitlines()
    assert max(map(cell_len, lines)) <= cells


def test_the_key_table_is_korean() -> None:
    for live in (True, False):
        assert all(is_korean(what) for _key, what in lab_keys(live))


async def test_help_and_the_list_of_keys_speak_korean(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = FakeReader()
    monkeypatch.setattr(opening, "open_recording", lambda _path, _trainer=None: (reader, None))
    app = LabApp(reader.path)
    async with app.run_test(size=(120, 36)) as pilot:
        said = {key: active.binding.description for key, active in app.screen.active_bindings.items()}
        assert said["space"] == "학습하거나 멈춤"
        assert said["1"] == "곡선"
        assert all(is_korean(words) for words in said.values() if words)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        page = app.screen.query_one("#page")
        assert page.border_title == lesson("curves").partition("\n")[0].removeprefix("# ")
        assert page.query_one(Static)


def test_textuals_own_words_are_korean() -> None:
    assert all(is_korean(_(words)) for words in (*palette.TEXTUALS, palette.SEARCH))


# --- cells ---


@given(st.text("ab가나", max_size=24), st.integers(1, 24))
def test_a_text_that_is_cut_in_the_middle_keeps_both_ends(words: str, cells: int) -> None:
    short = cut_middle(words, cells)
    assert cell_len(short) <= cells
    before, mark, after = short.partition("…")
    assert bool(mark) == (cell_len(words) > cells)
    assert words.startswith(before)
    assert words.endswith(after)
    assert not mark or cells < 3 or cell_len(after) >= (cells - 1) // 2 - 1


@given(st.text("ab가나 ", max_size=12), st.integers(0, 24))
def test_a_parted_text_keeps_its_cells(words: str, cells: int) -> None:
    before, after = parted(words, cells)
    whole = cell_len(words)
    assert cell_len(before) == min(cells, whole)
    assert cell_len(before) + cell_len(after) == whole
    assert (before + after).replace(" ", "") in words.replace(" ", "") or len(before + after) != len(words)


@given(st.text("ab가나", max_size=12), st.integers(0, 24), st.integers(0, 30))
def test_what_is_laid_over_wide_text_keeps_the_rows_width(words: str, column: int, size: int) -> None:
    row = (Span(words, "x"), Span("─" * 10, "y"))
    over = "┼" if size % 2 else "손"
    if column + cell_len(over) > width(row):
        return
    laid = put(row, column, over, "z")
    assert width(laid) == width(row)
    at = text(laid).index(over) if over not in words else None
    assert at is None or cell_len(text(laid)[:at]) == column


def test_words_are_padded_in_cells() -> None:
    assert ljust("층", 4) == "층  "
    assert rjust("층", 4) == "  층"
    assert rjust("기울기", 4) == "기울기"


def test_a_sentence_is_filled_in_the_order_of_the_language() -> None:
    parts = {"best": Span("0.1", "text"), "epoch": Span("9", "bold")}
    assert filled("at {epoch}: {best}", "muted", **parts) == (
        Span("at ", "muted"), Span("9", "bold"), Span(": ", "muted"), Span("0.1", "text"),
    )  # fmt: skip

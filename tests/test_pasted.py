"""Tests that pasted text, whatever is in it, is one line for what asks for words, and never keys."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual import events
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.widgets import Input

from bntui.recording.sentences import LONGEST_NOTE
from bntui.text.widths import ending
from bntui.viewer import opening
from bntui.viewer.app import LabApp
from bntui.viewer.draw.rows import text
from bntui.viewer.screens.gallery import GalleryScreen
from bntui.viewer.screens.gallery_prompt import LONGEST
from bntui.viewer.screens.note import NoteScreen
from bntui.viewer.terminal.line_driver import AnswerParser
from bntui.viewer.terminal.pasted import MOST, one_line
from bntui.viewer.widgets import RowsWidget
from tests import factory
from tests.fakes import FakeReader, until
from tests.test_fork_screen import form, open_form, start
from tests.test_fork_screen import reader as reader
from tests.test_gallery_screen import idle as idle

BEGIN, END = "\x1b[200~", "\x1b[201~"
TEXTS = st.text(st.sampled_from("ab 가\n\r\t\x1b[]201~;?R\x07\u202e"), max_size=40).filter(lambda text: END not in text)


def heard(data: str, cuts: list[int]) -> list[str]:
    """What a parser says of data that arrive in pieces: pasted texts in braces, keys as they are."""
    parser, said = AnswerParser(), []
    at = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    for first, last in itertools.pairwise(at):
        if first < last:
            said += [*parser.feed(data[first:last])]
    words = [f"{{{m.text}}}" if isinstance(m, events.Paste) else getattr(m, "key", "") for m in said]
    return [word for word in words if word]


@given(TEXTS, TEXTS, st.lists(st.integers(7, 90), max_size=6))
def test_a_paste_is_whole_whatever_is_in_it_and_however_it_arrives(first: str, second: str, cuts: list[int]) -> None:
    middle = 1 + len(BEGIN + first + END) + 1
    begins = range(middle, middle + len(BEGIN))
    data = f"x{BEGIN}{first}{END}y{BEGIN}{second}{END}z"
    assert heard(data, [cut for cut in cuts if cut not in begins]) == ["x", f"{{{first}}}", "y", f"{{{second}}}", "z"]


@given(st.integers(1, 20), st.integers(1, 20))
def test_a_paste_may_be_cut_in_its_marks(one: int, two: int) -> None:
    assert heard(f"x{BEGIN}short{END}y", [one, two]) == ["x", "{short}", "y"]


def test_of_a_huge_paste_the_beginning_is_kept() -> None:
    huge = "".join(map(str, range(100_000)))
    said = heard(f"{BEGIN}{huge}{END}q", list(range(0, len(huge), 4096)))
    assert said == [f"{{{huge[:MOST]}}}", "q"]


@pytest.mark.parametrize(
    ("pasted", "line"),
    [
        ("short", "short"),
        (" 0.9\n", "0.9"),
        ("\n\nfirst\r\nsecond\rthird\tfourth\u2028fifth", "first second third fourth fifth"),
        ("red \x1b[31m\x07 \u202e가\u200b나", "red [31m 가나"),
        ("\x1b\x00\n", ""),
    ],
)
def test_pasted_text_becomes_one_line(pasted: str, line: str) -> None:
    assert one_line(pasted) == line


@given(st.text("a가é…", max_size=30), st.integers(0, 20))
def test_the_end_of_words_fits(words: str, cells: int) -> None:
    end = ending(words, cells)
    assert cell_len(end) <= cells
    whole = cell_len(words) <= cells
    assert end == words if whole else cells == 0 or (end[0] == "…" and words.endswith(end[1:].lstrip()))


def prompt(pilot: Pilot[Any]) -> str:
    gallery = pilot.app.screen
    assert isinstance(gallery, GalleryScreen)
    return "" if gallery.gallery.prompt is None else gallery.gallery.prompt.text


@pytest.mark.usefixtures("idle")
async def test_a_search_takes_one_line_of_bounded_length() -> None:
    async with LabApp().run_test(size=(40, 12)) as pilot:
        await pilot.press("slash", "x")
        pilot.app.post_message(events.Paste("batch\r\nnorm\x1b"))
        await until(pilot, lambda: prompt(pilot) == "xbatch norm")
        pilot.app.post_message(events.Paste("가" * 5000))
        await until(pilot, lambda: prompt(pilot) == "xbatch norm" + "가" * (LONGEST - 11))
        last = text(pilot.app.screen.query_one(RowsWidget).rows[-1])
        assert "가▏" in last
        assert "esc" in last
        await pilot.press("y")
        assert len(prompt(pilot)) == LONGEST


async def test_a_note_takes_all_lines_and_of_too_many_characters_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    made = FakeReader(factory.run_view())
    monkeypatch.setattr(opening, "open_recording", lambda _, trainer=None: (made, trainer))
    async with LabApp(Path("a.bntui")).run_test(size=(80, 24)) as pilot:
        await pilot.press("N")
        await until(pilot, lambda: isinstance(pilot.app.screen, NoteScreen) and pilot.app.screen.query(Input))
        line = pilot.app.screen.query_one(Input)
        pilot.app.post_message(events.Paste("\none\ntwo"))
        await until(pilot, lambda: line.value == "one two")
        assert not line.border_subtitle
        await pilot.press("home")
        words = "".join(map(str, range(1000)))
        pilot.app.post_message(events.Paste(words))
        await until(pilot, lambda: line.value == words[: LONGEST_NOTE - 7] + "one two")
        assert str(LONGEST_NOTE) in str(line.border_subtitle)
        await pilot.press("backspace")
        await until(pilot, lambda: not line.border_subtitle)


async def test_the_palette_searches_for_all_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    made = FakeReader(factory.run_view())
    monkeypatch.setattr(opening, "open_recording", lambda _, trainer=None: (made, trainer))
    async with LabApp(Path("a.bntui")).run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(pilot.app.screen, CommandPalette))
        pilot.app.post_message(events.Paste("run\nor\x07 pause"))
        await until(pilot, lambda: pilot.app.screen.query_one(Input).value == "run or pause")


@pytest.mark.usefixtures("reader")
async def test_the_caret_of_a_long_value_is_seen() -> None:
    async with start().run_test(size=(80, 24)) as pilot:
        await open_form(pilot)
        await pilot.press("home")
        pilot.app.post_message(events.Paste("1234567890" * 50))
        await until(pilot, lambda: form(pilot).form.text(form(pilot).form.item) == "1234567890" * 50)
        row = next(text(row) for row in form(pilot).query_one(RowsWidget).rows if "training.lr" in text(row))
        assert row.endswith("67890▏│")
        await pilot.press("down")
        row = next(text(row) for row in form(pilot).query_one(RowsWidget).rows if "training.lr" in text(row))
        assert "1234567890" in row
        assert row.endswith("…│")

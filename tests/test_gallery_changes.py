"""Tests searching, renaming, and deleting in the gallery, with real files and a real trainer."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.pilot import Pilot

from bntui.link import client
from bntui.link.manage import question
from bntui.text.language import use
from bntui.text.search import mentions
from bntui.viewer.app import LabApp
from bntui.viewer.draw.rows import text, width
from bntui.viewer.screens.gallery import GalleryScreen
from bntui.viewer.screens.gallery_prompt import Prompt, answered
from bntui.viewer.screens.gallery_rows import draw
from bntui.viewer.screens.gallery_state import Gallery
from bntui.viewer.screens.help import HelpScreen
from tests.fakes import until
from tests.test_gallery_screen import CARDS, ENTRIES, FULL, FakeIdle, shown
from tests.test_manage import made, put
from tests.test_moving import Training, training
from tests.test_registry import note

__all__ = ["made", "training"]


# --- the state ---


@given(st.text("dfinos \n", max_size=6), st.sampled_from(["scenarios", "recordings"]), st.integers(0, 2))
def test_a_search_lists_what_contains_all_words_and_keeps_what_was_chosen(query: str, active: Any, at: int) -> None:
    before = FULL.at(active, at)
    found = before.searched(query)
    texts = [f"{e.path.stem}\n{e.title}\n" + "\n".join(e.runs) for e in ENTRIES]
    wanted = [e for e, words in zip(ENTRIES, texts, strict=True) if all(w in words.lower() for w in query.split())]
    assert list(found.found_entries) == wanted
    if before.entry in wanted and before.entry is not None:
        assert found.entry is before.entry
    if found.found_cards or found.found_entries:
        assert found.card or found.entry
    assert found.searched("").found_cards == CARDS


def test_words_are_found_in_any_case_order_and_composition() -> None:
    assert mentions("BATCH first", "the first", "batch norm")
    assert not mentions("batch second", "the first", "batch norm")
    assert mentions("\u1112\u1161\u11ab", "\ud55c\uad6d")  # decomposed, as macOS writes file names
    assert mentions("", "anything")


@given(st.integers(30, 200), st.integers(8, 60), st.text(max_size=60), st.sampled_from(["search", "rename", "delete"]))
def test_a_question_fits_any_screen_and_shows_the_end_of_what_is_typed(
    columns: int, rows: int, typed: str, asks: Any
) -> None:
    prompt = Prompt(asks, typed, Path(f"/r/{'long' * 20}.bntui"), 41_000_000)
    drawn, _hits = draw(replace(FULL, prompt=prompt), columns, rows)
    assert {width(row) for row in drawn} == {columns}
    last = text(drawn[-1])
    if asks == "delete" and columns >= 60:
        assert "(41 MB)?" in last
        assert "y delete" in last
    if asks != "delete" and typed.isprintable() and columns >= 60:
        assert f"{typed[-10:]}▏" in last


@pytest.mark.parametrize(
    ("asks", "row"),
    [
        ("search", " / abc▏  ↵ done  esc show all"),
        ("rename", " New name: abc▏  ↵ rename  esc cancel"),
        ("delete", " Delete long-001 (700 kB)? This cannot be undone.  y delete  n keep"),
    ],
)
def test_the_keys_that_answer_are_apart(asks: Any, row: str) -> None:
    prompt = Prompt(asks, "" if asks == "delete" else "abc", Path("/r/long-001.bntui"), 700_000)
    assert text(draw(replace(FULL, prompt=prompt), 120, 36)[0][-1]).rstrip() == row


def test_korean_questions_need_no_particle() -> None:
    use("ko")
    asked = {asks: Prompt(asks, path=Path("/r/long-001.bntui"), size=700_000) for asks in ("rename", "delete")}
    rows = {asks: text(draw(replace(FULL, prompt=prompt), 120, 36)[0][-1]) for asks, prompt in asked.items()}
    assert " 지울까요: long-001 (700 kB)? 되돌릴 수 없습니다.  y 지우기  n 그대로" in rows["delete"]
    assert "▏  ↵ 이름 바꾸기  esc " in rows["rename"]
    assert question(["long-001.bntui"], 700_000).startswith("지울까요: long-001.bntui (700 kB)?")


def test_the_page_of_a_recording_says_what_opening_it_leads_to() -> None:
    def page(**facts: Any) -> str:
        gallery = replace(FULL, entries=(replace(ENTRIES[1], **facts),)).at("recordings", 0)
        return "\n".join(text(row) for row in draw(gallery, 160, 48)[0])

    assert "Opening it replays what was recorded." in page(ending="finished")
    assert "It is unfinished: open it to see what was recorded, and press space" in page(ending="interrupted")
    waiting = page(ending="interrupted", live=True, paused=True)
    assert "❚❚ paused done" in waiting
    assert "Its trainer is paused: open it and press space to train on." in waiting
    assert "●" not in waiting.split("Recordings")[1].splitlines()[1].split("│")[0]


@pytest.mark.parametrize("language", ["en", "ko"])
def test_at_80_columns_names_sizes_and_the_whole_question_are_seen(language: str) -> None:
    use(language)
    named = replace(ENTRIES[1], path=Path("/r/vanishing-gradients-002.bntui"))
    gallery = replace(FULL, entries=(named,)).at("recordings", 0)
    drawn = "\n".join(text(row) for row in draw(gallery, 80, 24)[0])
    assert "vanishing-gradients-002" in drawn
    assert "9.4 kB" in drawn
    assert "1/1 · 9.4 kB" in drawn
    asked = replace(gallery, prompt=Prompt("delete", path=named.path, size=373_000))
    row = text(draw(asked, 80, 24)[0][-1])
    assert "vanishing-gradients-002" in row
    assert "373 kB" in row
    assert "y " in row
    assert "n " in row
    assert cell_len(row) == 80


def test_what_another_host_trains_says_so() -> None:
    gallery = replace(FULL, entries=(replace(ENTRIES[1], host="far\x1b[2Jaway"),)).at("recordings", 0)
    drawn = "\n".join(text(row) for row in draw(gallery, 160, 48)[0])
    assert "● far[2Jaway" in drawn
    assert "A trainer on far[2Jaway is live" in drawn


@pytest.mark.parametrize(
    ("asks", "key", "character", "expected"),
    [
        ("delete", "y", "y", ("", "done")), ("delete", "ㅛ", "ㅛ", ("", "done")), ("delete", "Y", "Y", ("", "done")),
        ("delete", "n", "n", ("", "left")), ("delete", "enter", "\r", ("", "left")),
        ("delete", "up", None, ("", "left")),
        ("rename", "enter", "\r", ("ab", "done")), ("rename", "escape", "\x1b", ("ab", "left")),
        ("rename", "backspace", "\x7f", ("a", "open")), ("rename", "ctrl+u", "\x15", ("", "open")),
        ("rename", "q", "q", ("abq", "open")), ("rename", "한", "한", ("ab한", "open")),
        ("rename", "up", None, ("ab", "open")),
        ("search", "slash", "/", ("ab/", "open")), ("search", "up", None, None), ("search", "tab", "\t", None),
    ],
)  # fmt: skip
def test_keys_answer(asks: Any, key: str, character: str | None, expected: tuple[str, str] | None) -> None:
    answer = answered(Prompt(asks, "" if asks == "delete" else "ab"), key, character)
    assert (None if answer is None else (answer[0].text, answer[1])) == expected


# --- the screen ---


@pytest.fixture(autouse=True)
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeIdle.made = []
    monkeypatch.setattr(client, "IdleTrainer", FakeIdle)


def gallery_of(pilot: Pilot[Any]) -> Gallery:
    screen = pilot.app.screen
    assert isinstance(screen, GalleryScreen)
    return screen.gallery


async def listed(pilot: Pilot[Any]) -> None:
    await until(pilot, lambda: gallery_of(pilot).entries is not None)
    await pilot.press("tab")


def notices(pilot: Pilot[Any]) -> str:
    return "\n".join(notice.message for notice in pilot.app._notifications)


async def test_searching_types_into_the_row_and_the_lists_follow(made: Path) -> None:
    put(made, "quiet-001.bntui")
    put(made, "dropout-rates-001.bntui")
    async with LabApp().run_test(size=(80, 24)) as pilot:
        await listed(pilot)
        await pilot.press("slash", *"qui")  # none of these letters is a key of the gallery now
        assert gallery_of(pilot).query == "qui"
        assert [entry.path.stem for entry in gallery_of(pilot).found_entries] == ["quiet-001"]
        assert "/ qui▏" in shown(pilot)
        await pilot.press("enter")
        assert "only what contains: qui" in shown(pilot)
        assert "dropout-rates-001" not in shown(pilot)
        await pilot.press("escape")
        assert "dropout-rates-001" in shown(pilot)
        await pilot.press("slash", *"zzzz")
        assert "No recording contains these words." in shown(pilot)
        await pilot.press("r", "escape")
        assert gallery_of(pilot).query == ""
        assert pilot.app.is_running


async def test_a_recording_is_deleted_only_after_a_yes(made: Path) -> None:
    path = put(made, "quiet-001.bntui")
    async with LabApp().run_test(size=(80, 24)) as pilot:
        await listed(pilot)
        for no in ("n", "escape", "enter", "d", "q"):
            await pilot.press("d")
            await until(pilot, lambda: "Delete quiet-001 (" in shown(pilot))
            await pilot.press(no)
            assert gallery_of(pilot).prompt is None
        assert path.exists()
        await pilot.press("delete")
        await until(pilot, lambda: gallery_of(pilot).prompt)
        await pilot.press("y")
        await until(pilot, lambda: not gallery_of(pilot).busy)
        assert not path.exists()
        assert gallery_of(pilot).entries == ()
        await pilot.press("d", "r")  # there is nothing that they could change
        assert gallery_of(pilot).prompt is None


async def test_a_recording_is_renamed_and_stays_chosen(made: Path) -> None:
    first, second = put(made, "a-1.bntui"), put(made, "b-1.bntui")
    os.utime(first, (1e9, 1e9))
    os.utime(second, (2e9, 2e9))
    async with LabApp().run_test(size=(80, 24)) as pilot:
        await listed(pilot)
        await pilot.press("down", "r", "backspace", "2", "enter")
        await until(pilot, lambda: not gallery_of(pilot).busy)
        assert sorted(path.name for path in first.parent.iterdir()) == ["a-2.bntui", "b-1.bntui"]
        chosen = gallery_of(pilot).entry
        assert chosen is not None
        assert chosen.path.name == "a-2.bntui"
        await pilot.press("r", "ctrl+u", *"b-1", "enter")
        await until(pilot, lambda: "b-1.bntui already exists" in notices(pilot))
        await until(pilot, lambda: not gallery_of(pilot).busy)
        assert sorted(path.name for path in first.parent.iterdir()) == ["a-2.bntui", "b-1.bntui"]


async def test_what_is_trained_in_another_folder_is_listed_and_refused_to_be_deleted(
    training: Training, made: Path
) -> None:
    note(put(made, "shared.bntui"), "far away", 7)
    async with LabApp().run_test(size=(80, 24)) as pilot:
        await listed(pilot)
        assert {entry.path.stem: (entry.live, entry.host) for entry in gallery_of(pilot).entries or ()} == {
            "x": (True, ""), "shared": (False, "far away"),
        }  # fmt: skip
        for name, why in (("x", "is being trained; stop it first"), ("shared", "on far away by process 7")):
            at = [entry.path.stem for entry in gallery_of(pilot).found_entries].index(name)
            await pilot.press("home", *["down"] * at, "d")
            await until(pilot, lambda why=why: why in notices(pilot))  # type: ignore[misc]
            assert gallery_of(pilot).prompt is None
    assert training.recording.exists()


async def test_help_lists_the_keys_of_the_gallery() -> None:
    async with LabApp().run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: gallery_of(pilot).entries is not None)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, GalleryScreen))

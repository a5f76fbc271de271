"""Tests the gallery as a course: chapters, marks of what was done, and the preview of the last recording."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from bntui.link import client, course, library, state_files
from bntui.scenario import gallery as scenarios
from bntui.scenario.gallery import CHAPTERS, chapter
from bntui.text.language import use
from bntui.viewer import tour, view_state
from bntui.viewer.app import LabApp
from bntui.viewer.draw.rows import text
from bntui.viewer.screens.gallery import GalleryScreen
from bntui.viewer.screens.gallery_preview import read
from bntui.viewer.screens.gallery_rows import draw
from bntui.viewer.screens.gallery_state import Gallery
from bntui.viewer.screens.lab import LabScreen
from bntui.viewer.snapshot import Snapshot, take_snapshot
from tests.fakes import FakeReader, until
from tests.test_gallery_screen import CARDS, ENTRIES, FakeIdle, shown
from tests.test_manage import made, put
from tests.test_tour import STOPS

__all__ = ["made"]

COURSE = scenarios.scenarios()
DIGITS_CARD = replace(CARDS[0], original="Digits", title="Figures")
"""A scenario of which ``made`` is a recording."""
FULL_COURSE = Gallery(cards=COURSE, entries=())


@pytest.fixture
def gallery(monkeypatch: pytest.MonkeyPatch) -> Callable[[], LabApp]:
    """The program with one scenario that has recordings, and without a trainer."""
    monkeypatch.setattr(client, "IdleTrainer", FakeIdle)
    monkeypatch.setattr(scenarios, "scenarios", lambda: (DIGITS_CARD, *CARDS[1:]))
    return LabApp


def drawn(gallery: Gallery, columns: int, rows: int) -> list[str]:
    return [text(row) for row in draw(gallery, columns, rows)[0]]


# --- chapters ---


def test_the_course_has_these_chapters_in_this_order() -> None:
    found: dict[str, list[str]] = {}
    for card in COURSE:
        found.setdefault(card.chapter, []).append(card.name)
    assert list(found) == [title for _first, title in CHAPTERS]
    assert found["Vanishing and exploding gradients"] == ["vanishing-gradients", "exploding-gradients", "remedies"]
    assert found["Early stopping"] == ["early-stopping", "reduce-on-plateau"]
    assert sum(map(len, found.values())) == len(COURSE)


@given(st.integers(1, 40))
def test_a_chapter_begins_at_its_first_scenario(lesson: int) -> None:
    (wanted,) = [
        title
        for (first, title), end in zip(CHAPTERS, [*(first for first, _title in CHAPTERS[1:]), 99], strict=True)
        if lesson in range(first, end)
    ]
    assert chapter(lesson) == wanted
    assert chapter(None) == "Own scenarios"


@given(
    st.sampled_from([(80, 24), (80, 36), (120, 24), (120, 36), (160, 48), (100, 20)]),
    st.integers(0, len(COURSE) - 1),
    st.sampled_from(["en", "ko"]),
)
def test_a_row_hits_the_scenario_it_shows_and_a_heading_none(size: tuple[int, int], at: int, language: str) -> None:
    use(language)
    cards = scenarios.scenarios()
    gallery = replace(FULL_COURSE, cards=cards).at("scenarios", at)
    rows, hits = draw(gallery, *size)
    headings = {card.chapter for card in cards}
    width = gallery.list_width(size[0])
    seen: list[str] = []
    for y, row in enumerate(rows):
        left = text(row)[:width].strip(" ❯")
        if y in hits:
            assert left.split("  ")[0][:20] == cards[hits[y][1]].title[:20]
            if seen:
                assert cards[hits[y][1]].chapter == seen[-1]
        elif left.split("  ")[0] in headings:
            seen.append(left.split("  ")[0])
    assert ("scenarios", at) in hits.values()
    named = cards[at].chapter
    assert named in seen or f"· {named}" in text(rows[2])


def test_at_48_rows_every_chapter_and_scenario_is_seen() -> None:
    rows = drawn(FULL_COURSE, 160, 48)
    left = [row[:80].strip(" ❯") for row in rows]
    for card in COURSE:
        assert left.index(card.chapter) < left.index(card.title)


def test_own_scenarios_come_last(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for path in scenarios.builtin_folder().glob("*.toml"):
        shutil.copy(path, tmp_path)
    (tmp_path / "a-mine.toml").write_text('title = "Mine"')
    monkeypatch.setattr(scenarios, "builtin_folder", lambda: tmp_path)
    assert scenarios.scenarios()[-1].title == "Mine"
    assert [card.chapter for card in scenarios.scenarios()[-2:]] == ["Architectures and depth", "Own scenarios"]


# --- what was done ---


def test_marks_say_what_was_trained_and_walked() -> None:
    first, second, third = COURSE[:3]
    ended, begun = (
        replace(ENTRIES[1], original=first.original, ending="finished"),
        replace(ENTRIES[1], original=third.original),
    )
    gallery = replace(FULL_COURSE, entries=(ended, begun), walked=frozenset({first.original, second.original}))
    left = [row[:80].rstrip() for row in drawn(gallery, 160, 48)]
    assert f" ❯ ✓» {first.title}" in left
    assert f"    » {second.title}" in left
    assert f"      {third.title}" in left
    page = "\n".join(drawn(gallery, 160, 48))
    assert "✓ trained to its end   » tour walked to its end" in page
    assert "trained to its end" not in "\n".join(drawn(gallery.at("scenarios", 2), 160, 48))


def test_titles_tell_scenarios_apart() -> None:
    assert len({card.original for card in COURSE}) == len(COURSE)


def test_a_recording_has_ended_when_all_its_runs_have(made: Path) -> None:
    path = put(made, "a.bntui")
    assert library.entry(path).ended
    assert library.entry(path).original == "Digits"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DELETE FROM event WHERE kind = 'finished' AND run = 0")
    assert not library.entry(path).ended


def test_walked_tours_are_remembered() -> None:
    assert course.walked() == frozenset()
    for title in ("One", "기울기", "One", "\ud800"):
        course.note(title)
    assert course.walked() == {"One", "기울기", "\ud800"}
    (file,) = state_files.state_folder().iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "damaged",
    [b"", b"\xff\xfe", b"{", b"[" * 20_000, b"[1]", b'{"walked": 3}', b"null", b'{"walked": [["x"]]}', b" " * 200_000],
)
def test_a_damaged_state_file_remembers_nothing_and_is_replaced(damaged: bytes) -> None:
    state_files.state_folder().mkdir(parents=True, exist_ok=True)
    (state_files.state_folder() / "course.json").write_bytes(damaged)
    assert course.walked() == frozenset()
    course.note("One")
    assert course.walked() == {"One"}


def test_nothing_fails_where_nothing_can_be_noted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    course.note("One")
    assert course.walked() == frozenset()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "bntui" / "course.json").mkdir(parents=True)
    course.note("One")
    os.mkfifo(tmp_path / "bntui" / "pipe")
    (tmp_path / "bntui" / "course.json").rmdir()
    (tmp_path / "bntui" / "pipe").rename(tmp_path / "bntui" / "course.json")
    assert course.walked() == frozenset()


def test_a_tour_is_walked_only_past_its_last_answer() -> None:
    reader = FakeReader()
    snapshot: Snapshot = take_snapshot(reader)
    state, ended = view_state.opening(reader), []
    for _step in range(1 + 2 * len(STOPS)):
        before, answered = state, tour.answered(state, STOPS)
        state = tour.walk(state, snapshot, STOPS, 1)
        assert answered == (before.tour is not None and state.tour is None)
        ended.append(answered)
    assert ended == [False] * 2 * len(STOPS) + [True]


@pytest.mark.parametrize("last", ["full_stop", "t", "escape"])
async def test_the_laboratory_notes_a_walked_tour_however_it_is_left(gallery: Callable[[], LabApp], last: str) -> None:
    reader = FakeReader(title="One")
    reader.tour = STOPS
    async with gallery().run_test(size=(120, 36)) as pilot:
        screen = LabScreen(reader)
        await pilot.app.push_screen(screen)
        screen.action_tour()
        screen.action_tour()  # left without having been walked
        screen.action_tour()
        screen.action_back()
        assert screen.view_state.tour is None
        for _press in range(2 * len(STOPS)):
            assert course.walked() == frozenset()
            screen.action_walk_tour(1)
        assert course.walked() == frozenset()
        await pilot.press(last)
        await until(pilot, lambda: course.walked() == {"One"})
        assert pilot.app.screen is screen
        assert screen.view_state.tour is None


# --- the preview ---


def state(pilot: Pilot[Any]) -> Gallery:
    assert isinstance(pilot.app.screen, GalleryScreen)
    return pilot.app.screen.gallery


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (160, 48)])
async def test_the_last_recordings_curves_are_on_the_scenarios_page(
    gallery: Callable[[], LabApp], made: Path, size: tuple[int, int]
) -> None:
    old, new = put(made, "old.bntui"), put(made, "new.bntui")
    os.utime(old, (1e9, 1e9))
    os.utime(new, (2e9, 2e9))
    async with gallery().run_test(size=size) as pilot:
        await until(pilot, lambda: state(pilot).preview)
        assert "Last recording  new ·" in shown(pilot)
        assert "loss └" in shown(pilot)
        await pilot.press("down")
        assert "Last recording" not in shown(pilot)
        assert "loss └" not in shown(pilot)


async def test_a_damaged_recording_shows_nothing(gallery: Callable[[], LabApp], made: Path) -> None:
    path = put(made, "bad.bntui")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE keyframe SET digest = x'00'")
    put(made, "foreign.bntui").write_bytes(b"something else")
    async with gallery().run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: state(pilot).preview)
        assert state(pilot).preview.view is None  # type: ignore[union-attr]
        assert "Last recording" not in shown(pilot)
        assert "Figures" in shown(pilot)


async def test_the_preview_of_a_recording_being_trained_grows(
    gallery: Callable[[], LabApp], made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(made, "live.bntui")
    with closing(sqlite3.connect(path)) as database, database:
        last = database.execute("SELECT max(epoch) FROM keyframe").fetchone()[0]
        rows = database.execute("SELECT * FROM keyframe WHERE epoch = ?", (last,)).fetchall()
        database.execute("DELETE FROM keyframe WHERE epoch = ?", (last,))
    live = [True]
    monkeypatch.setattr(library, "state_of", lambda _path: "running" if live[0] else None)
    monkeypatch.setattr("bntui.viewer.screens.gallery.GROWTH_SECONDS", 0.05)
    async with gallery().run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: state(pilot).preview)
        assert "● Last recording" in shown(pilot)
        assert state(pilot).preview.view.head < last  # type: ignore[union-attr]
        with closing(sqlite3.connect(path)) as database, database:
            database.executemany(f"INSERT INTO keyframe VALUES ({', '.join('?' * len(rows[0]))})", rows)
        await until(pilot, lambda: state(pilot).preview.view.head == last)  # type: ignore[union-attr]
        live[0] = False
        await until(pilot, lambda: "● Last recording" not in shown(pilot))
        assert state(pilot).preview.entry == library.entry(path)  # type: ignore[union-attr]


def test_a_recording_that_is_gone_cannot_be_read(made: Path) -> None:
    path = put(made, "gone.bntui")
    entry = library.entry(path)
    path.unlink()
    assert read(entry).entry == entry
    assert read(entry).view is None

"""Tests that the gallery lists and opens scenarios and recordings without ever blocking."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from bntui.errors import StorageError, TrainerError
from bntui.link import client, library
from bntui.link.address import runtime_folder
from bntui.link.library import ListedRecording
from bntui.scenario import gallery as scenarios
from bntui.scenario.gallery import Card
from bntui.scenario.pace import NOTHING_ASKED, PacingOptions
from bntui.viewer import opening
from bntui.viewer.app import LabApp
from bntui.viewer.draw.rows import text, width
from bntui.viewer.screens.gallery import WHEEL_ROWS, GalleryScreen
from bntui.viewer.screens.gallery_rows import draw, scrolled
from bntui.viewer.screens.gallery_state import Gallery
from bntui.viewer.screens.lab import LabScreen
from bntui.viewer.widgets import RowsWidget
from tests.fakes import FakeReader, FakeTrainer, until
from tests.terminal import Terminal
from tests.test_clicks import click, wheel
from tests.waiting import until as until_true

CARDS = tuple(
    Card(
        path=Path(f"/scenarios/{name}.toml"),
        name=name,
        title=title,
        look_for=("Curves: which one falls first.", "Layers: the spread."),
        runs=("plain", "batch norm"),
        description="Two networks, one of them normalized.",
        reference="arXiv:1502.03167",
        problem=problem,
    )
    for name, title, problem in (
        ("first", "The first scenario", None),
        ("second", "The second \x1b[2J[bold]one", None),
        ("broken", "broken", "Expected '=' after a key (at line 3, column 5)"),
    )
)
WHEN = datetime(2026, 3, 14, 15, 9)
ENTRIES = (
    ListedRecording(Path("/recordings/live.bntui"), "A live one", ("plain",), 12.0, WHEN, 41_000_000, True, None),
    ListedRecording(Path("/recordings/done.bntui"), "A finished one", ("a", "b"), 1.0, WHEN, 9_400, False, None),
    ListedRecording(Path("/recordings/bad.bntui"), "bad", (), 0.0, WHEN, 5, False, "bad.bntui is not a recording"),
)
FULL = Gallery(cards=CARDS, entries=ENTRIES)


def lines(gallery: Gallery, columns: int = 160, rows: int = 48) -> list[str]:
    return [text(row) for row in draw(gallery, columns, rows)[0]]


@given(st.integers(40, 200), st.integers(12, 60), st.sampled_from(["scenarios", "recordings"]), st.integers(0, 9))
def test_every_size_is_filled_exactly_and_shows_what_is_chosen(columns: int, rows: int, active: Any, at: int) -> None:
    many = replace(FULL, cards=CARDS * 3, entries=ENTRIES * 4).at(active, at)
    drawn, hits = draw(many, columns, rows)
    assert len(drawn) == rows
    assert {width(row) for row in drawn} == {columns}
    chosen = [y for y, hit in hits.items() if hit == (active, many.position)]
    assert chosen
    assert "❯" in text(drawn[chosen[0]])


def test_a_scenarios_page() -> None:
    shown = "\n".join(lines(FULL))
    for words in (
        "❯    The first scenario",
        "● plain   ▲ batch norm",
        "Two networks",
        "What to look for",
        "· Curves: which",
    ):
        assert words in shown
    assert "arXiv:1502.03167" in shown
    assert "bntui run first" in shown


def test_a_broken_scenario_says_its_problem() -> None:
    shown = "\n".join(lines(FULL.at("scenarios", 2)))
    assert "cannot be read" in shown
    assert "Expected '=' after a key (at line 3, column 5)" in shown


def test_recordings_say_epochs_date_size_and_life() -> None:
    shown = lines(FULL.at("recordings", 0))
    assert any(
        "❯ ● live live  A live one" in line and "12 epochs  2026-03-14 15:09     41 MB" in line for line in shown
    )
    assert any("A finished one" in line and "1 epoch  2026-03-14 15:09    9.4 kB" in line for line in shown)
    assert any("bad.bntui" in line and "cannot be opened" in line for line in shown)
    assert any("Its trainer is live: opening it attaches." in line for line in shown)
    assert any("bad.bntui is not a recording" in line for line in lines(FULL.at("recordings", 2)))


def test_an_empty_list_says_what_fills_it() -> None:
    assert any("None yet: every scenario you open" in line for line in lines(replace(FULL, entries=())))
    assert not any("None yet" in line for line in lines(replace(FULL, entries=None)))


def test_without_anything_it_still_draws() -> None:
    assert len(lines(Gallery())) == 48


@pytest.mark.parametrize("columns", range(60, 160, 7))
def test_a_run_in_the_list_is_whole_or_dots_stand_for_it(columns: int) -> None:
    names = tuple(f"run {at} of several" for at in range(6))
    cards = tuple(replace(card, runs=names) for card in CARDS if card.problem is None)[:1]
    rows, _lines = draw(Gallery(cards=cards, entries=()), columns, 40)
    listed = next(row for row in rows if text(row).startswith(" " * 7) and "run 0" in text(row))
    muted = [span.text.strip() for span in listed if span.style == "muted" and span.text.strip()]
    kept = muted[: len(muted) - (muted[-1] == "…")]
    assert kept == list(names[: len(kept)])
    assert muted[-1] == "…" or len(kept) == 6


def test_moving_goes_from_one_list_into_the_other() -> None:
    down = FULL.at("scenarios", 2).moved(1)
    assert (down.active, down.position) == ("recordings", 0)
    up = down.moved(-1)
    assert (up.active, up.position) == ("scenarios", 2)
    assert FULL.moved(-1).position == 0
    assert FULL.at("recordings", 2).moved(1).position == 2
    assert replace(FULL, entries=()).at("scenarios", 2).moved(1).active == "scenarios"


def test_listing_anew_keeps_what_was_chosen() -> None:
    new = replace(ENTRIES[0], path=Path("/recordings/new.bntui"))
    again = FULL.at("recordings", 1).with_entries((new, *ENTRIES))
    assert again.entry == ENTRIES[1]
    assert FULL.at("recordings", 2).with_entries(ENTRIES[:1]).entry == ENTRIES[0]


class FakeIdle:
    """An idle trainer whose opening waits until the test lets it go on."""

    made: ClassVar[list[FakeIdle]] = []

    def __init__(self) -> None:
        self.opened: Path | None = None
        self.discarded = False
        self.go = threading.Event()
        self.error: TrainerError | None = None

    @classmethod
    def start(cls) -> FakeIdle:
        cls.made.append(cls())
        return cls.made[-1]

    def open(self, scenario: Path, recording: Path | None, *, watching: PacingOptions) -> Path:
        assert recording is None
        assert watching == NOTHING_ASKED
        self.opened = scenario
        assert self.go.wait(10)
        if self.error is not None:
            raise self.error
        return Path("/recordings/new.bntui")

    def discard(self) -> None:
        self.discarded = True


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FakeIdle]]:
    FakeIdle.made = []
    monkeypatch.setattr(client, "IdleTrainer", FakeIdle)
    monkeypatch.setattr(scenarios, "scenarios", lambda: CARDS)
    monkeypatch.setattr(library, "recordings", lambda: ENTRIES)
    yield FakeIdle.made
    for made in FakeIdle.made:
        made.go.set()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What is opened, instead of a file: a fake recording with a live trainer."""
    paths: list[Path] = []

    def open_recording(path: Path) -> object:
        paths.append(path)
        return FakeReader(), FakeTrainer()

    monkeypatch.setattr(opening, "open_recording", open_recording)
    return paths


def shown(pilot: Pilot[Any]) -> str:
    return "\n".join(text(row) for row in pilot.app.screen.query_one(RowsWidget).rows)


def ready(pilot: Pilot[Any]) -> bool:
    screen = pilot.app.screen
    return isinstance(screen, GalleryScreen) and screen.gallery.entries is not None and screen.trainer.ready


async def test_a_scenario_that_is_chosen_before_there_is_a_trainer_waits_for_it(
    idle: list[FakeIdle], opened: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = threading.Event()

    class Slow(FakeIdle):
        @classmethod
        def start(cls) -> FakeIdle:
            slow.wait(10)
            return super().start()

    monkeypatch.setattr(client, "IdleTrainer", Slow)
    async with LabApp().run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: "first" in shown(pilot))
        await pilot.press("down", "enter")
        await until(pilot, lambda: "Starting second: data, networks, first keyframe …" in shown(pilot))
        assert not idle
        await pilot.press("up", "enter")  # the choice stands
        slow.set()
        await until(pilot, lambda: idle and idle[0].opened)
        assert idle[0].opened == CARDS[1].path
        idle[0].go.set()
        await until(pilot, lambda: opened)


async def test_what_fails_behind_a_start_does_not_cancel_it(
    idle: list[FakeIdle], opened: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, slow = threading.Event(), threading.Event()

    class Slow(FakeIdle):
        @classmethod
        def start(cls) -> FakeIdle:
            slow.wait(10)
            return super().start()

    def refused() -> tuple[ListedRecording, ...]:
        listed.wait(10)
        raise StorageError("no recordings today")

    monkeypatch.setattr(client, "IdleTrainer", Slow)
    monkeypatch.setattr(library, "recordings", refused)
    async with LabApp().run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: "first" in shown(pilot))
        await pilot.press("down", "enter")
        await until(pilot, lambda: "Starting second" in shown(pilot))
        listed.set()
        await until(pilot, lambda: "no recordings today" in [one.message for one in pilot.app._notifications])
        assert "Starting second" in shown(pilot)
        slow.set()
        await until(pilot, lambda: idle and idle[0].opened)
        idle[0].go.set()
        await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
    assert len(idle) == 1
    assert opened == [Path("/recordings/new.bntui")]


@pytest.mark.usefixtures("idle", "opened")
async def test_a_mistake_behind_the_screen_ends_it_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def listed() -> tuple[ListedRecording, ...]:
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr(library, "recordings", listed)
    app = LabApp()
    with pytest.raises(ZeroDivisionError, match="a mistake of ours"):  # Textual raises it in tests
        async with app.run_test(size=(160, 48)) as pilot:
            await until(pilot, lambda: app._exit or app._exception is not None)
    assert app.return_value is not None
    assert "the screen failed, the recording did not" in str(app.return_value)
    assert "a mistake of ours" in (runtime_folder() / "screen.log").read_text()


async def test_choosing_a_scenario_trains_it(idle: list[FakeIdle], opened: list[Path]) -> None:
    async with LabApp().run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: ready(pilot))
        await pilot.press("down", "enter")
        await until(pilot, lambda: idle[0].opened)
        assert idle[0].opened == CARDS[1].path
        assert "Starting second: data, networks, first keyframe …" in shown(pilot)
        assert "q cancel" in shown(pilot)
        await pilot.press("up", "enter", "3")  # the screen lives on while the trainer starts
        idle[0].go.set()
        await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
        assert opened == [Path("/recordings/new.bntui")]
        assert len(idle) == 1
        await until(pilot, lambda: pilot.app.screen.view_state.focused == "gradients")  # type: ignore[attr-defined]
        await pilot.press("escape")
        await until(pilot, lambda: ready(pilot))
        assert len(idle) == 2  # the next choice trains at once, too
        assert any("continues training" in notice.message for notice in pilot.app._notifications)
        await pilot.press("q")
    assert idle[1].discarded
    assert not idle[0].discarded


async def test_a_scenario_that_the_trainer_refuses_says_why(idle: list[FakeIdle], opened: list[Path]) -> None:
    async with LabApp().run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: ready(pilot))
        idle[0].error = TrainerError("first.toml:7: data.source: no such file")
        idle[0].go.set()
        await pilot.press("enter")
        await until(pilot, lambda: "first.toml:7: data.source: no such file" in shown(pilot))
        await until(pilot, lambda: ready(pilot))
        assert len(idle) == 2
        assert opened == []


@pytest.mark.usefixtures("opened")
async def test_a_broken_scenario_is_not_opened(idle: list[FakeIdle]) -> None:
    async with LabApp().run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: ready(pilot))
        await pilot.press("down", "down", "enter")
        assert idle[0].opened is None
        assert any("Expected '='" in notice.message for notice in pilot.app._notifications)


@pytest.mark.usefixtures("idle")
async def test_choosing_a_recording_opens_it(opened: list[Path]) -> None:
    async with LabApp().run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: ready(pilot))
        await pilot.press("tab", "down", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
        assert opened == [ENTRIES[1].path]


@pytest.mark.usefixtures("idle", "opened")
async def test_a_click_chooses_and_a_second_one_opens() -> None:
    async with LabApp().run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: ready(pilot))
        y = next(y for y, line in enumerate(shown(pilot).splitlines()) if "A finished one" in line)
        await pilot.click(RowsWidget, offset=(5, y))
        assert pilot.app.screen.gallery.entry == ENTRIES[1]  # type: ignore[attr-defined]
        await pilot.click(RowsWidget, offset=(5, y))
        await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))


@pytest.mark.usefixtures("idle", "opened")
async def test_the_wheel_moves_in_the_list_under_the_mouse_and_scrolls_the_page() -> None:
    async with LabApp().run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: ready(pilot))
        screen = pilot.app.screen
        assert isinstance(screen, GalleryScreen)
        await wheel(pilot, "gallery", 1, (5, 3))
        assert (screen.gallery.active, screen.gallery.position) == ("scenarios", 1)
        y = next(y for y, line in enumerate(shown(pilot).splitlines()) if "A finished one" in line)
        await wheel(pilot, "gallery", 1, (5, y))
        assert (screen.gallery.active, screen.gallery.position) == ("recordings", 1)
        await click(pilot, "gallery", "search")
        assert screen.gallery.prompt is not None
        await wheel(pilot, "gallery", 1, (5, y))
        assert screen.gallery.position == 1
        await click(pilot, "gallery", "esc")
        assert screen.gallery.prompt is None
        screen.change(screen.gallery.at("scenarios", 0))
        before = screen.gallery
        await wheel(pilot, "gallery", 1, (5, 18))
        assert screen.gallery == scrolled(before, 1, 80, 24, rows=WHEEL_ROWS)
        assert 0 < screen.gallery.scroll <= WHEEL_ROWS
        await click(pilot, "gallery", "pg")
        assert screen.gallery.active == "scenarios"


def test_arrows_tell_where_a_list_goes_on() -> None:
    many = replace(FULL, cards=tuple(replace(CARDS[0], name=f"number {n}") for n in range(20)))

    def heading(at: int) -> str:
        rows, _lines = draw(many.at("scenarios", at), 80, 24)
        return next(text(row) for row in rows if "Scenarios" in text(row)).strip()

    assert heading(0) == "Scenarios  1/20 · Own scenarios  ↓"
    assert heading(10) == "Scenarios  11/20 · Own scenarios  ↑↓"
    assert heading(19) == "Scenarios  20/20 · Own scenarios  ↑"
    rows, _lines = draw(FULL, 80, 24)
    assert any(text(row).strip().startswith("Scenarios  1/3") and "↓" not in text(row) for row in rows)


@pytest.mark.parametrize("key", ["q", "escape", "ctrl+c"])
async def test_a_start_can_be_cancelled_and_leads_back(idle: list[FakeIdle], opened: list[Path], key: str) -> None:
    app = LabApp()
    async with app.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: ready(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: idle[0].opened)
        await pilot.press("question_mark", "escape", key)
        await until(pilot, lambda: ready(pilot))
        assert idle[0].discarded
        idle[0].go.set()  # it had recorded already
        await until(pilot, lambda: opened)
        await pilot.press("down", "enter")  # the next choice
        await until(pilot, lambda: idle[1].opened)
        idle[1].go.set()
        await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
        assert not app._exit
    assert len(opened) == 2


@pytest.mark.usefixtures("idle", "opened")
async def test_ctrl_c_in_the_gallery_names_the_key_of_the_footer() -> None:
    async with LabApp().run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: ready(pilot))
        await pilot.press("ctrl+c")
        assert [notice.message for notice in pilot.app._notifications] == ["q quits."]
        assert "q quit" in shown(pilot)


@pytest.mark.usefixtures("opened")
async def test_quitting_while_a_scenario_starts_ends_its_trainer(idle: list[FakeIdle]) -> None:
    app = LabApp()
    async with app.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: ready(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: idle[0].opened)
        await pilot.press("ctrl+q")
        assert app._exit
    assert idle[0].discarded


def test_the_gallery_is_painted_without_numpy() -> None:
    """Nothing that the first paint needs may import what takes long."""
    code = (
        "import sys, bntui.viewer.app, bntui.viewer.screens.gallery, bntui.scenario.gallery;"
        "print([m for m in ('numpy', 'plotext', 'pydantic', 'torch', 'sklearn', 'sqlite3') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_page_longer_than_its_room_can_be_read_to_its_end() -> None:
    long = replace(CARDS[0], description="word " * 400, reference="the very end")
    gallery = Gallery(cards=(long,), entries=())
    seen = [text(row) for row in draw(gallery, 80, 24)[0]]
    assert not any("the very end" in row for row in seen)
    assert any("pgdn" in row for row in seen[10:-1])
    for _ in range(30):
        gallery = scrolled(gallery, 1, 80, 24)
    last = [text(row) for row in draw(gallery, 80, 24)[0]]
    assert any("the very end" in row for row in last)
    assert scrolled(gallery, 1, 80, 24) == gallery
    assert scrolled(gallery, -30, 80, 24).scroll == 0
    assert gallery.at("scenarios", 0).scroll == 0


ORDER = """
import sys
from textual.app import App
from bntui.viewer.screens.gallery import GalleryScreen

def told(name, act):
    def tell(*arguments):
        with open(sys.argv[1], "a") as file:
            file.write(name)
        return act(*arguments)
    return tell

App._display = told("p", App._display)
GalleryScreen._prepare = told("P", lambda _screen: None)
from bntui.viewer.app import LabApp
LabApp().run()
"""


def test_what_the_first_paint_does_not_wait_for_comes_after_it(tmp_path: Path) -> None:
    """In a real terminal: in Textual's test driver, the screen has its size from the beginning."""
    with Terminal([sys.executable, "-c", ORDER, str(tmp_path / "order")]) as terminal:
        terminal.until("batch norm")
        until_true(lambda: "P" in (tmp_path / "order").read_text())
        terminal.press("q")
    order = (tmp_path / "order").read_text()
    assert order.startswith("p")
    assert order.count("P") == 1


@pytest.mark.parametrize("columns", [30, 40, 52, 80, 160])
def test_headings_that_are_cut_say_so_and_keep_their_arrows(columns: int) -> None:
    cards = tuple(replace(CARDS[0], path=Path(f"/s/{n}.toml"), lesson=1) for n in range(60))
    rows = lines(Gallery(cards=cards, entries=ENTRIES), columns, 20)
    heading = next(row for row in rows if "Scenarios" in row)
    assert "↓" in heading
    head = rows[0].rstrip()
    assert "training" in head or head.endswith("…")

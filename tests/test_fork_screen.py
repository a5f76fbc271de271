"""Tests forking on the screen from any keyframe, through a live trainer or one that is started for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.command import CommandPalette
from textual.pilot import Pilot

from bntui.errors import StorageError, TrainerError
from bntui.link import Status, client
from bntui.recording import copy as copies
from bntui.recording.history import Event
from bntui.recording.reader import Reader
from bntui.recording.sentences import EventKind
from bntui.scenario.checks import DataFacts
from bntui.scenario.pace import NOTHING_ASKED
from bntui.viewer import live, live_states, opening
from bntui.viewer.app import LabApp
from bntui.viewer.draw.rows import text
from bntui.viewer.fork.form import data_facts
from bntui.viewer.panels import PANELS
from bntui.viewer.screens.fork import ForkScreen
from bntui.viewer.screens.help import HelpScreen
from bntui.viewer.screens.lab import LabScreen
from bntui.viewer.screens.lab_runs import RunsScreen
from bntui.viewer.widgets import RowsWidget
from tests import factory
from tests.fakes import PAUSED, RUNNING, FakeReader, FakeTrainer, Wire, fork_view, until
from tests.test_clicks import click, wheel

BIG = (160, 48)
SCENARIO = """
title = "Forks"
seed = 3
[data]
source = "iris"
batch_size = 30
[network]
hidden = [8]
activation = "tanh"
[training]
lr = 0.1
epochs = 6
"""
CONFIG: dict[str, Any] = {
    "seed": 1, "device": "cpu", "data": {"source": "digits", "batch_size": 60, "scaling": "minmax"},
    "network": {"hidden": [100, 100, 100], "activation": "sigmoid"}, "training": {"lr": 0.1, "epochs": 60},
    "record": {},
}  # fmt: skip


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> FakeReader:
    plain = factory.run_view()
    plain = replace(plain, info=replace(plain.info, config=factory_config(plain.info.config)))
    made = FakeReader(plain, factory.run_view(1, "batch norm", norm=True))
    monkeypatch.setattr(opening, "open_recording", lambda _, trainer=None: (made, trainer))
    return made


def factory_config(config: Any) -> dict[str, Any]:
    """A configuration that is whole: the form reads it with the scenario's schema."""
    return {**CONFIG, "training": {**CONFIG["training"], "early_stopping": config["training"]["early_stopping"]}}


def start(trainer: FakeTrainer | None = None) -> LabApp:
    return LabApp(Path("a.bntui"), trainer)


def lab(pilot: Pilot[Any]) -> LabScreen:
    return next(screen for screen in pilot.app.screen_stack if isinstance(screen, LabScreen))


def shown(pilot: Pilot[Any], name: str) -> str:
    return "\n".join(text(row) for row in lab(pilot).query_one(f"#{name}", RowsWidget).rows)


def form(pilot: Pilot[Any]) -> ForkScreen:
    assert isinstance(pilot.app.screen, ForkScreen)
    return pilot.app.screen


def written(pilot: Pilot[Any]) -> str:
    return "\n".join(text(row) for row in form(pilot).query_one(RowsWidget).rows)


def notices(pilot: Pilot[Any]) -> list[str]:
    return [notice.message for notice in pilot.app._notifications]


async def open_form(pilot: Pilot[Any]) -> None:
    await pilot.press("f")
    await until(pilot, lambda: isinstance(pilot.app.screen, ForkScreen))
    await until(pilot, lambda: form(pilot).query_one(RowsWidget).rows)


async def heard(pilot: Pilot[Any], trainer: FakeTrainer, status: Status) -> None:
    trainer.say(status)
    await until(pilot, lambda: live_states.status_of(lab(pilot).trainer.state) == status)


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("size", [BIG, (80, 24), (40, 12)])
async def test_the_form_opens_at_the_keyframe_under_the_cursor(size: tuple[int, int]) -> None:
    async with start(FakeTrainer()).run_test(size=size) as pilot:
        await pilot.press("left", "left")
        await open_form(pilot)
        assert (form(pilot).form.origin.epoch, form(pilot).form.origin.step) == (10, 240)
        assert "training.lr"[:8] in written(pilot)
        if size[0] >= 80:
            assert "from ● plain at epoch 10, step 240" in written(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is lab(pilot))


@pytest.mark.usefixtures("reader")
async def test_enter_sends_what_was_written_and_escape_nothing() -> None:
    trainer = FakeTrainer()
    async with start(trainer).run_test(size=BIG) as pilot:
        await heard(pilot, trainer, RUNNING)
        await pilot.press("home", "right", "right")
        await open_form(pilot)
        await pilot.press("0", "full_stop", "5", "escape")
        await until(pilot, lambda: pilot.app.screen is lab(pilot))
        assert trainer.sent == []
        await open_form(pilot)
        await pilot.press("0", "full_stop", "5", "down", "right", "enter")
        await until(pilot, lambda: trainer.sent)
        changes = [["training.lr", 0.5], ["network.norm", "batch"]]
        assert trainer.sent == [("fork", {"run": 0, "step": 48, "changes": changes})]
        await until(pilot, lambda: "forking" in shown(pilot, "header"))
        await pilot.press("f")
        assert notices(pilot) == [live.ONE_AT_A_TIME]


@pytest.mark.usefixtures("reader")
async def test_enter_with_something_wrong_goes_to_it() -> None:
    trainer = FakeTrainer()
    async with start(trainer).run_test(size=BIG) as pilot:
        await open_form(pilot)
        await pilot.press("minus", "1", "down", "down", "enter")
        assert form(pilot).form.item.setting.path == "training.lr"
        assert "must be at least 0" in written(pilot)
        assert "First, training.lr" in written(pilot)
        await pilot.press("delete", "enter")
        await until(pilot, lambda: trainer.sent)
        assert trainer.sent[0][1]["changes"] == []


@pytest.mark.usefixtures("reader")
async def test_a_question_mark_opens_the_lesson_and_is_not_typed() -> None:
    async with start().run_test(size=BIG) as pilot:
        await open_form(pilot)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ForkScreen))
        assert not form(pilot).form.typed


@pytest.mark.usefixtures("reader")
async def test_a_key_in_the_form_sends_a_few_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire(monkeypatch)
    async with start().run_test(size=BIG) as pilot:
        await open_form(pilot)
        await until(pilot, lambda: "Fork" in wire.written)
        await pilot.pause()
        form_size = wire.drain()
        for key in ("down", "right", "down", "2"):
            await pilot.press(key)
            await pilot.pause()
            assert 0 < wire.drain() < 0.2 * form_size, key


@pytest.mark.usefixtures("reader")
async def test_a_click_and_a_paste_are_taken_too() -> None:
    from textual import events

    async with start().run_test(size=BIG) as pilot:
        await open_form(pilot)
        rows = form(pilot).query_one(RowsWidget).rows
        y = next(n for n, row in enumerate(rows) if "training.momentum" in text(row))
        await pilot.click("#fork", offset=(10, y))
        assert form(pilot).form.item.setting.path == "training.momentum"
        pilot.app.post_message(events.Paste("0.9\n"))
        await until(pilot, lambda: dict(form(pilot).verdict.changes) == {"training.momentum": 0.9})


@pytest.mark.usefixtures("reader")
async def test_choices_and_hints_of_the_form_are_clicked_and_the_wheel_moves() -> None:
    async with start().run_test(size=BIG) as pilot:
        await open_form(pilot)
        page = form(pilot)
        await click(pilot, "fork", "network.norm ")
        item = page.form.item
        assert item.setting.path == "network.norm"
        at = item.choices.index(page.form.text(item))
        other = next(choice for choice in item.choices if choice != page.form.text(item))
        await click(pilot, "fork", f" {other} ")
        assert page.form.text(item) == other
        await click(pilot, "fork", "◂ ")
        assert page.form.text(item) == item.choices[item.choices.index(other) - 1]
        await click(pilot, "fork", "as before")
        assert page.form.text(item) == item.choices[at]
        number = page.form.at
        await wheel(pilot, "fork", 1)
        assert page.form.at == number + 1
        await click(pilot, "fork", "leave")
        await until(pilot, lambda: pilot.app.screen is not page)


async def test_the_fork_comes_alive_beside_its_parent(reader: FakeReader) -> None:
    trainer = FakeTrainer()
    async with start(trainer).run_test(size=BIG) as pilot:
        await heard(pilot, trainer, PAUSED)
        await pilot.press("home", "right", "right")
        await open_form(pilot)
        await pilot.press("1", "enter")
        await until(pilot, lambda: trainer.sent)
        parent = reader._views[0]
        reader.shown = reader.loaded = 13
        reader.add(fork_view(2, parent, 2, ("training.lr", 0.1, 1), keyframes=3))
        await heard(pilot, trainer, RUNNING)
        state = lab(pilot).view_state
        assert (state.selected, state.pinned, state.following) == (2, 0, True)
        # it stands at its own head, with the parent at the same epoch and not at its end
        assert state.cursor == 4
        assert "epoch 4/60" in shown(pilot, "header")
        assert "forking" not in shown(pilot, "header")
        assert any("╰" in line for line in shown(pilot, "curves").splitlines())
        await pilot.press("tab")
        assert lab(pilot).view_state.selected == 1  # a fork stands below its parent
        await pilot.press("end")
        await until(pilot, lambda: lab(pilot).view_state.cursor == 12)


async def test_a_fork_that_somebody_else_asked_for_is_said(reader: FakeReader) -> None:
    trainer = FakeTrainer()
    async with start(trainer).run_test(size=BIG) as pilot:
        reader.add(fork_view(2, reader._views[0], 2))
        await heard(pilot, trainer, RUNNING)
        assert lab(pilot).view_state.selected == 0
        assert notices(pilot) == ["a new run begins at epoch 2"]


@pytest.mark.usefixtures("reader")
async def test_a_refusal_is_said_each_time() -> None:
    trainer = FakeTrainer()
    async with start(trainer).run_test(size=BIG) as pilot:
        await heard(pilot, trainer, replace(PAUSED, refusal="an old one"))
        assert notices(pilot) == []
        for times in (1, 2):
            await open_form(pilot)
            assert notices(pilot) == []
            await pilot.press("enter")
            await until(pilot, lambda: "forking" in shown(pilot, "header"))
            await heard(pilot, trainer, replace(PAUSED, keyframes=times, refusal="no such step", refused=times))
            await until(pilot, lambda: notices(pilot) == ["no such step"])
            assert "forking" not in shown(pilot, "header")


async def test_before_a_fork_every_panel_and_the_microscope_can_be_looked_at(reader: FakeReader) -> None:
    reader.add(fork_view(2, reader._views[0], 6))
    reader.refresh()
    async with start().run_test(size=(80, 24)) as pilot:
        await pilot.press("tab", "home")
        assert lab(pilot).view_state.selected == 2
        for panel in PANELS:
            await pilot.press(panel.key)
            await pilot.pause()
            assert "begins at epoch 6" in shown(pilot, "header")
        await pilot.press("x", "x", "f")
        assert any("no keyframe of" in notice for notice in notices(pilot))
        await pilot.press("m")
        await until(pilot, lambda: not isinstance(pilot.app.screen, LabScreen))
        await pilot.press("escape", "r")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))
        await pilot.press("home", "enter")
        await until(pilot, lambda: lab(pilot).view_state.selected == 0)


@pytest.mark.usefixtures("reader")
async def test_what_keys_do_is_found_in_the_palette() -> None:
    async with start().run_test(size=BIG) as pilot:
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(pilot.app.screen, CommandPalette))
        await pilot.press(*"runs and their", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen))


def test_what_the_name_of_the_data_does_not_tell_comes_from_the_recording(reader: FakeReader) -> None:
    info = reader.runs[0]
    assert data_facts(reader, info) is None
    of_a_file = replace(info, config={**info.config, "data": {**info.config["data"], "source": "mine.csv"}})
    assert data_facts(reader, of_a_file) == DataFacts(1437 + 360, "classification", None)


async def test_a_trainer_that_went_meanwhile_is_replaced(waking: tuple[FakeTrainer, list[Any]]) -> None:
    _, told = waking
    gone = FakeTrainer()
    async with start(gone).run_test(size=BIG) as pilot:
        await heard(pilot, gone, RUNNING)
        await open_form(pilot)
        gone.gone = True
        await pilot.press("enter")
        await until(pilot, lambda: lab(pilot).view_state.selected == 2)
        assert len(told) == 1
        assert "trainer gone" not in shown(pilot, "header")


class FakeIdle:
    """A trainer process that was started; what it is told is kept."""

    def __init__(self, resume: Callable[..., Path]) -> None:
        self._resume = resume
        self.discarded = False

    def resume(self, recording: Path, **arguments: Any) -> Path:
        return self._resume(recording, **arguments)

    def discard(self) -> None:
        self.discarded = True


@pytest.fixture
def waking(reader: FakeReader, monkeypatch: pytest.MonkeyPatch) -> tuple[FakeTrainer, list[Any]]:
    """No trainer is live; the one that is started begins with the fork."""
    trainer, told = FakeTrainer(), []
    parent = reader._views[0]

    def resume(recording: Path, **arguments: Any) -> Path:
        told.append((recording, arguments))
        return recording

    def opened(path: Path, given: FakeTrainer | None = None) -> tuple[FakeReader, FakeTrainer | None]:
        if not told:
            return reader, given
        grown = FakeReader(*reader._views, fork_view(2, parent, 12, ("training.lr", 0.1, 1)))
        grown.path = path
        return grown, trainer

    monkeypatch.setattr(client.IdleTrainer, "start", lambda: FakeIdle(resume))
    monkeypatch.setattr(opening, "open_recording", opened)
    monkeypatch.setattr(copies, "writable", lambda _: True)
    return trainer, told


async def test_a_trainer_is_woken_where_none_is_live(waking: tuple[FakeTrainer, list[Any]], reader: FakeReader) -> None:
    trainer, told = waking
    async with start().run_test(size=BIG) as pilot:
        assert "⊘ interrupted" in shown(pilot, "header")
        await open_form(pilot)
        await pilot.press("1", "enter")
        await until(pilot, lambda: lab(pilot).view_state.selected == 2)
        request = {"run": 0, "step": 288, "changes": [["training.lr", 1]]}
        assert told == [(reader.path, {"fork": request, "watching": NOTHING_ASKED, "seeds": None})]
        assert reader.closed
        assert notices(pilot) == []
        await heard(pilot, trainer, RUNNING)
        assert "▶ running" in shown(pilot, "header")
        await pilot.press("space")
        assert trainer.sent == [("pause", {})]
        assert lab(pilot).view_state.pinned == 0


async def test_a_trainer_that_has_just_finished_is_not_asked(waking: tuple[FakeTrainer, list[Any]]) -> None:
    _, told = waking
    ended = FakeTrainer()
    async with start(ended).run_test(size=BIG) as pilot:
        await heard(pilot, ended, Status("finished", 10, 0, 26))
        await open_form(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: told)
        assert ended.sent == []


async def test_what_cannot_be_written_on_is_copied_first(
    waking: tuple[FakeTrainer, list[Any]], reader: FakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, told = waking
    monkeypatch.setattr(copies, "writable", lambda _: False)
    monkeypatch.setattr(copies, "copied", lambda path: Path("/mine") / path.name)
    async with start().run_test(size=BIG) as pilot:
        await open_form(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: lab(pilot).view_state.selected == 2)
        assert told[0][0] == Path("/mine/a title.bntui")
        (said,) = notices(pilot)
        assert str(reader.path) in said
        assert "/mine/a title.bntui" in said
        await pilot.press("d")
        assert "bntui attach '/mine/a title.bntui'" in str(pilot.app._exit_renderables[0])


async def test_space_goes_on_with_what_was_interrupted(waking: tuple[FakeTrainer, list[Any]]) -> None:
    trainer, told = waking
    async with start().run_test(size=BIG) as pilot:
        assert "space resume" in shown(pilot, "keys")
        lab(pilot).action_run()
        lab(pilot).action_run()
        await until(pilot, lambda: "space resume" not in shown(pilot, "keys"))
        ((_path, arguments),) = told  # once, however often it is asked for
        assert arguments == {"fork": None, "watching": NOTHING_ASKED, "seeds": None}
        trainer.say(RUNNING)
        await until(pilot, lambda: "▶ running" in shown(pilot, "header"))
        await pilot.press("space")
        await until(pilot, lambda: trainer.sent == [("pause", {})])


@pytest.mark.usefixtures("waking")
@pytest.mark.parametrize("error", [TrainerError("another trainer holds it"), StorageError("the disk is full")])
async def test_a_trainer_that_cannot_be_woken_leaves_the_replay(
    error: Exception, reader: FakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Path:
        raise error

    monkeypatch.setattr(client.IdleTrainer, "start", lambda: FakeIdle(refuse))
    async with start().run_test(size=BIG) as pilot:
        for _ in range(2):
            await open_form(pilot)
            await pilot.press("enter")
            await until(pilot, lambda: notices(pilot))
            assert notices(pilot) == [str(error)]
            pilot.app.clear_notifications()
            assert "⊘ interrupted" in shown(pilot, "header")
        assert not reader.closed


async def test_quitting_ends_a_trainer_that_is_being_woken(reader: FakeReader, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    waiting = threading.Event()

    def block(recording: Path, **_: Any) -> Path:
        waiting.wait(10)
        return recording

    idle = FakeIdle(block)
    monkeypatch.setattr(client.IdleTrainer, "start", lambda: idle)
    monkeypatch.setattr(copies, "writable", lambda _: True)
    async with start().run_test(size=BIG) as pilot:
        await open_form(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: lab(pilot).trainer._starting)
        assert "forking" in shown(pilot, "header")
        await pilot.press("q")
        assert idle.discarded
        assert pilot.app._exit
    waiting.set()
    assert reader.closed


async def test_recordings_side_by_side_cannot_be_forked(reader: FakeReader) -> None:
    reader.paths = (Path("a"), Path("b"))
    async with start().run_test(size=BIG) as pilot:
        await pilot.press("f")
        assert notices(pilot) == [live_states.ONLY_LOOKING]
        assert "f fork" not in shown(pilot, "keys")


def bad(step: int, kind: EventKind, quantity: str, layer: str) -> Event:
    arguments = {"layer": layer, "quantity": quantity, "step": step, "value": "NaN"}
    return Event(1 if kind == "died" else 0, step, step / 24, kind, f"{quantity} of {layer}", arguments)


async def test_the_first_bad_tensors_are_visited_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    first, gradient = (
        bad(96, "first_bad", "pre-activation", "linear 2"),
        bad(120, "died", "weight gradient", "linear 1"),
    )
    one = replace(factory.run_view(), events=(first,))
    other = replace(factory.run_view(1, "other"), events=(gradient,))
    reader = FakeReader(one, other)
    monkeypatch.setattr(opening, "open_recording", lambda _, trainer=None: (reader, trainer))
    async with start().run_test(size=BIG) as pilot:
        assert "! first bad" in shown(pilot, "keys")
        await pilot.press("exclamation_mark")
        await pilot.pause()
        state = lab(pilot).view_state
        assert (state.selected, state.cursor, state.focused) == (0, 4, "layers")
        assert "❯ linear 2  pre-activation of linear 2 " in shown(pilot, "strip")
        assert notices(pilot) == []
        assert "❯!linear 2" in shown(pilot, "layers")
        assert "!linear 1" not in shown(pilot, "layers")
        assert "!" in shown(pilot, "strip").splitlines()[1]
        await pilot.press("exclamation_mark")
        await pilot.pause()
        state = lab(pilot).view_state
        assert (state.selected, state.cursor, state.focused) == (1, 5, "gradients")
        assert "❯!linear 1" in shown(pilot, "gradients")
        assert "❯ linear 1  weight gradient of linear 1 " in shown(pilot, "strip")
        await pilot.press("tab")
        await pilot.pause()
        assert "weight gradient of linear 1" not in shown(pilot, "strip")  # it happened in the other run
        await pilot.press("exclamation_mark")
        assert lab(pilot).view_state.selected == 0


async def test_a_bad_layer_that_has_no_row_is_scrolled_to(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = replace(factory.run_view(layers=60), events=(bad(96, "first_bad", "pre-activation", "linear 47"),))
    reader = FakeReader(deep)
    monkeypatch.setattr(opening, "open_recording", lambda _, trainer=None: (reader, trainer))
    async with start().run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await pilot.pause()
        assert "linear 47" not in shown(pilot, "layers")
        await pilot.press("exclamation_mark")
        await pilot.pause()
        assert "linear 47" in shown(pilot, "layers")
        await pilot.press("escape")
        await pilot.pause()
        assert lab(pilot).view_state.layer == ""


async def test_trouble_without_a_layer_is_said_in_a_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = FakeReader(replace(factory.run_view(), events=(Event(0, 96, 4.0, "first_bad", "it went wrong"),)))
    monkeypatch.setattr(opening, "open_recording", lambda _, trainer=None: (reader, trainer))
    async with start().run_test(size=BIG) as pilot:
        await pilot.press("exclamation_mark")
        assert notices(pilot) == ["plain: it went wrong"]


@pytest.mark.usefixtures("reader")
async def test_without_a_bad_tensor_it_is_said() -> None:
    async with start().run_test(size=BIG) as pilot:
        await pilot.press("exclamation_mark")
        assert notices(pilot) == [
            "No NaN, no infinite value and no dead gradient is recorded "
            "(dead: exactly 0, or below 1e−8 of the last layer's)."
        ]
        assert "first bad" not in shown(pilot, "keys")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished recording of a real trainer."""
    folder = tmp_path_factory.mktemp("fork")
    scenario = folder / "forks.toml"
    scenario.write_text(SCENARIO)
    path = client.IdleTrainer.start().open(scenario, folder / "whole.bntui")
    trainer = client.Trainer.connect(path)
    assert trainer is not None
    while trainer.receive(60) is not None:
        pass
    trainer.close()
    return path


async def test_a_real_trainer_is_woken_forks_and_finishes(recorded: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.bntui"
    shutil.copy(recorded, path)
    async with LabApp(path).run_test(size=BIG) as pilot:
        await pilot.press("home", "right", "right", "right")
        await open_form(pilot)
        await pilot.press("down", "b")
        expected = form(pilot).verdict.state
        await pilot.press("enter")
        await until(pilot, lambda: len(lab(pilot).reader.runs) == 2, seconds=60)
        await until(pilot, lambda: "✓ finished" in shown(pilot, "header"), seconds=60)
        fork = lab(pilot).reader.runs[1].fork
        assert fork is not None
        assert (fork.run, fork.step, fork.epoch) == (0, 12, 3.0)  # 120 samples train, four steps of 30 an epoch
        assert expected is not None
        assert (set(fork.kept), set(fork.new)) == (set(expected.kept), set(expected.new))
        assert lab(pilot).view_state.selected == 1
    reader = Reader(path)
    assert reader.history(1).epoch.tolist() == [3, 4, 5, 6]
    reader.close()


async def test_nothing_changed_is_the_same_once_more(recorded: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.bntui"
    shutil.copy(recorded, path)
    async with LabApp(path).run_test(size=BIG) as pilot:
        await pilot.press("home", "right", "right")
        await open_form(pilot)
        assert "Nothing is changed" in written(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "✓ finished" in shown(pilot, "header"), seconds=60)
    reader = Reader(path)
    ours, theirs = reader.weights(1), reader.weights(0)
    assert len(ours) == 5
    assert all(theirs[step] == digest for step, digest in ours.items())
    np.testing.assert_array_equal(reader.history(1).val_loss[1:], reader.history(0).val_loss[3:])
    reader.close()

"""The laboratory's screen: keys, live training, replay, and what can go wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.command import CommandPalette
from textual.geometry import Region
from textual.pilot import Pilot
from textual.widgets import Static

from bntui.errors import RecordingError, TrainerError
from bntui.lessons import lesson
from bntui.link import Status
from bntui.text import language
from bntui.viewer import live, live_states, opening
from bntui.viewer.app import LabApp
from bntui.viewer.draw.rows import text
from bntui.viewer.feed import FRAME
from bntui.viewer.opening import Beginning
from bntui.viewer.panels import PANELS
from bntui.viewer.screens import lab_news
from bntui.viewer.screens.help import HelpScreen
from bntui.viewer.screens.lab import LabScreen
from bntui.viewer.widgets import RowsWidget
from tests import factory
from tests.fakes import PAUSED, RUNNING, FakeReader, FakeTrainer, until
from tests.test_layer_choice import renamed

BIG = (160, 48)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> FakeReader:
    return use(FakeReader(), monkeypatch)


def use(reader: FakeReader, monkeypatch: pytest.MonkeyPatch) -> FakeReader:
    """Open this one instead of a file."""
    monkeypatch.setattr(opening, "open_recording", lambda _, trainer=None: (reader, trainer))
    return reader


def start(trainer: FakeTrainer | None = None) -> LabApp:
    return LabApp(Path("a.bntui"), trainer)


def lab(pilot: Pilot[Any]) -> LabScreen:
    screen = pilot.app.screen
    assert isinstance(screen, LabScreen)
    return screen


def widget(pilot: Pilot[Any], name: str) -> RowsWidget:
    return lab(pilot).query_one(f"#{name}", RowsWidget)


def shown(pilot: Pilot[Any], name: str) -> str:
    return "\n".join(text(row) for row in widget(pilot, name).rows)


def visible(pilot: Pilot[Any]) -> set[str]:
    return {panel.name for panel in PANELS if widget(pilot, panel.name).display}


def notices(pilot: Pilot[Any]) -> list[str]:
    return [notice.message for notice in pilot.app._notifications]


@pytest.mark.usefixtures("reader")
async def test_replay_opens_at_the_head_with_two_runs_side_by_side(reader: FakeReader) -> None:
    reader.over = True
    async with start().run_test(size=BIG) as pilot:
        state = lab(pilot).view_state
        assert (state.cursor, state.following, state.selected, state.pinned) == (12, True, 0, 1)
        assert "replay" in shown(pilot, "header")
        assert "epoch 12/60   step 288" in shown(pilot, "header")
        assert "digits 1,437 + 360 · 100 classes · cpu" in shown(pilot, "header")
        assert visible(pilot) == {"curves", "layers", "gradients", "dropout", "stopping"}


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("keys", "cursor", "following"),
    [
        (["left"], 11, False),
        (["left"] * 3 + ["right"], 10, False),
        (["left", "right"], 12, True),
        (["shift+left"], 2, False),
        (["shift+left", "shift+right"], 12, True),
        (["home"], 0, False),
        (["home", "left"], 0, False),
        (["home", "end"], 12, True),
        (["right"], 12, True),
    ],
)
async def test_walking(keys: list[str], cursor: float, following: bool) -> None:
    async with start().run_test(size=BIG) as pilot:
        await pilot.press(*keys)
        await pilot.pause()
        assert (lab(pilot).view_state.cursor, lab(pilot).view_state.following) == (cursor, following)
        assert f"epoch {cursor}/60" in shown(pilot, "header")


@pytest.mark.usefixtures("reader")
async def test_runs_are_selected_and_pinned() -> None:
    async with start().run_test(size=BIG) as pilot:
        await pilot.press("tab")
        assert (lab(pilot).view_state.selected, lab(pilot).view_state.pinned) == (1, 0)
        await pilot.press("p")
        assert lab(pilot).view_state.pinned is None
        await pilot.press("shift+tab", "p")
        assert (lab(pilot).view_state.selected, lab(pilot).view_state.pinned) == (0, 1)


@pytest.mark.usefixtures("reader")
async def test_panels_are_focused_and_zoomed() -> None:
    async with start().run_test(size=BIG) as pilot:
        await pilot.press("3", "enter")
        await pilot.pause()
        assert visible(pilot) == {"gradients"}
        assert "[3 Gradients]" in shown(pilot, "tabs")
        await pilot.press("5")
        await pilot.pause()
        assert visible(pilot) == {"stopping"}
        await pilot.press("escape")
        await pilot.pause()
        assert len(visible(pilot)) == 5
        await pilot.press("6", "enter")
        await pilot.pause()
        assert visible(pilot) == {"timeline"}


@pytest.mark.usefixtures("reader")
async def test_log_axis() -> None:
    async with start().run_test(size=BIG) as pilot:
        before = shown(pilot, "curves")
        await pilot.press("l")
        await pilot.pause()
        assert not lab(pilot).view_state.log_axis
        assert shown(pilot, "curves") != before


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("size", "panels"), [((160, 48), 5), ((120, 36), 5), ((80, 24), 1), ((40, 12), 1), ((20, 5), 0)]
)
async def test_sizes(size: tuple[int, int], panels: int) -> None:
    async with start().run_test(size=size) as pilot:
        assert len(visible(pilot)) == panels
        for part in (*(panel.name for panel in PANELS), "header", "strip", "keys"):
            placed = widget(pilot, part)
            if placed.display:
                assert len(placed.rows) == placed.size.height
                assert placed.region.right <= size[0]
                assert placed.region.bottom <= size[1]
        assert widget(pilot, "strip").display == (panels > 0)


@pytest.mark.usefixtures("reader")
async def test_resizing_lays_out_anew() -> None:
    async with start().run_test(size=BIG) as pilot:
        for size, panels in (((80, 24), 1), ((30, 8), 0), (BIG, 5)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert len(visible(pilot)) == panels


@pytest.mark.usefixtures("reader")
async def test_a_small_screen_changes_panels_by_digit_and_does_not_zoom() -> None:
    async with start().run_test(size=(80, 24)) as pilot:
        await pilot.press("enter", "2")
        await pilot.pause()
        assert visible(pilot) == {"layers"}
        assert not lab(pilot).view_state.zoomed


@pytest.mark.usefixtures("reader")
async def test_a_key_refreshes_changed_rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async with start().run_test(size=BIG) as pilot:
        await pilot.press("left")
        await pilot.pause()
        before = {each.name: each.rows for each in lab(pilot).query(RowsWidget)}
        refreshed: dict[str, set[int]] = {}
        refresh = RowsWidget.refresh

        def spy(self: RowsWidget, *regions: Region, **options: bool) -> RowsWidget:
            assert regions, "a whole widget"
            lines = (y for region in regions for y in range(region.y, region.bottom))
            refreshed.setdefault(str(self.name), set()).update(lines)
            return refresh(self, *regions, **options)

        layouts = []
        monkeypatch.setattr(RowsWidget, "refresh", spy)
        monkeypatch.setattr(LabScreen, "_refresh_layout", lambda *_, **__: layouts.append(1))
        await pilot.press("left")
        await pilot.pause()
        after = {each.name: each.rows for each in lab(pilot).query(RowsWidget)}
        differing = {
            name: {y for y, row in enumerate(rows) if row != after[name][y]}
            for name, rows in before.items()
            if rows != after[name]
        }
        assert refreshed == differing
        assert "header" in refreshed
        assert "keys" not in refreshed
        assert layouts == []


@pytest.mark.usefixtures("reader")
async def test_keys_that_wait_in_line_are_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with start().run_test(size=BIG) as pilot:
        drawn = []
        draw = LabScreen.draw

        def spy(self: LabScreen) -> None:
            drawn.append(1)
            draw(self)

        monkeypatch.setattr(LabScreen, "draw", spy)
        for _ in range(5):
            lab(pilot).action_walk(-1)
        await pilot.pause()
        assert lab(pilot).view_state.cursor == 7
        assert len(drawn) == 1


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("key", ["space", "n", "s", "plus", "minus"])
async def test_a_replay_has_no_trainer_to_command(key: str, reader: FakeReader) -> None:
    reader.over = True
    async with start().run_test(size=BIG) as pilot:
        await pilot.press(key)
        assert notices(pilot) == [live.NO_TRAINER]


@pytest.mark.usefixtures("reader")
async def test_detaching_a_replay_says_how_to_quit() -> None:
    async with start().run_test(size=BIG) as pilot:
        await pilot.press("d")
        assert notices(pilot) == [f"{live.RESUMES} q quits."]
        assert pilot.app.is_running


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("status", "key", "command"),
    [
        (PAUSED, "space", ("run", {})),
        (RUNNING, "space", ("pause", {})),
        (PAUSED, "n", ("epoch", {})),
        (PAUSED, "s", ("step", {})),
        (PAUSED, "plus", ("pace", {"epochs_per_second": 20})),
        (PAUSED, "equals_sign", ("pace", {"epochs_per_second": 20})),
        (PAUSED, "minus", ("pace", {"epochs_per_second": 5})),
        (Status("running", None, 300, 0), "plus", ("pace", {"epochs_per_second": None})),
        (Status("running", None, 300, 0), "minus", ("pace", {"epochs_per_second": 100})),
        (Status("running", 0.2, 1, 0), "minus", ("pace", {"epochs_per_second": 0.2})),
    ],
)
async def test_keys_command_the_trainer(status: Status, key: str, command: tuple[str, dict[str, object]]) -> None:
    trainer = FakeTrainer()
    async with start(trainer).run_test(size=BIG) as pilot:
        trainer.say(status)
        await until(pilot, lambda: live_states.status_of(lab(pilot).trainer.state) == status)
        await pilot.press(key)
        assert trainer.sent == [command]


@pytest.mark.usefixtures("reader")
async def test_pace_is_seen_while_paused() -> None:
    trainer = FakeTrainer()
    async with start(trainer).run_test(size=BIG) as pilot:
        assert "▶ starting" in shown(pilot, "header")
        trainer.say(PAUSED)
        await until(pilot, lambda: "❚❚ paused 10/s" in shown(pilot, "header"))
        await pilot.press("plus")
        await until(pilot, lambda: "❚❚ paused 20/s" in shown(pilot, "header"))


@pytest.mark.usefixtures("reader")
async def test_faster_twice_is_twice_as_fast_though_the_trainer_speaks_of_before() -> None:
    trainer = FakeTrainer()
    async with start(trainer).run_test(size=BIG) as pilot:
        trainer.say(RUNNING)
        await until(pilot, lambda: live_states.status_of(lab(pilot).trainer.state) == RUNNING)
        await pilot.press("plus")
        earlier = replace(RUNNING, keyframes=77)  # sent before the key was heard of
        trainer.say(earlier)
        await until(pilot, lambda: live_states.status_of(lab(pilot).trainer.state) == replace(earlier, pace=20))
        await pilot.press("plus")
        assert [given["epochs_per_second"] for _, given in trainer.sent] == [20, 50]
        theirs = replace(RUNNING, pace=5, commands=2)  # another viewer's wish, heard after ours
        trainer.say(theirs)
        await until(pilot, lambda: live_states.status_of(lab(pilot).trainer.state) == theirs)


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("trained", [True, False])
async def test_ctrl_c_says_how_to_end(trained: bool) -> None:
    trainer = FakeTrainer() if trained else None
    async with start(trainer).run_test(size=BIG) as pilot:
        if trainer is not None:
            trainer.say(PAUSED)
            await until(pilot, lambda: live_states.status_of(lab(pilot).trainer.state) == PAUSED)
        await pilot.press("ctrl+c", "ctrl+c")
        assert notices(pilot) == ["d detaches, q stops and quits." if trained else "q quits."]


async def test_the_screen_follows_a_growing_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, trainer = use(FakeReader(shown=3), monkeypatch), FakeTrainer()
    async with start(trainer).run_test(size=BIG) as pilot:
        assert "epoch 2/60" in shown(pilot, "header")
        reader.shown = 6
        trainer.say(RUNNING)
        await until(pilot, lambda: "epoch 5/60" in shown(pilot, "header"))
        assert "▶ running 10/s" in shown(pilot, "header")
        await pilot.press("left")
        reader.shown = 9
        trainer.say(PAUSED)
        await until(pilot, lambda: "❚❚ paused" in shown(pilot, "header"))
        assert "epoch 4/60" in shown(pilot, "header")
        await pilot.press("end")
        await pilot.pause()
        assert "epoch 8/60" in shown(pilot, "header")


async def test_an_empty_recording_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, trainer = use(FakeReader(shown=0), monkeypatch), FakeTrainer()
    async with start(trainer).run_test(size=BIG) as pilot:
        assert "no keyframe yet" in shown(pilot, "header")
        await pilot.press("left", "right", "home", "end")
        reader.shown = 1
        trainer.say(PAUSED)
        await until(pilot, lambda: "epoch 0/60" in shown(pilot, "header"))


async def test_much_news_is_few_redraws(reader: FakeReader, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(lab_news, "monotonic", lambda: clock[0])
    trainer = FakeTrainer()
    async with start(trainer).run_test(size=BIG) as pilot:
        for count in (1, 2):  # the greeting does not count
            trainer.say(PAUSED)
            await until(pilot, lambda count=count: reader.refreshed == count)  # type: ignore[misc]
        waits: list[float] = []

        def set_timer(wait: float, _: object) -> object:
            waits.append(wait)
            return waits

        monkeypatch.setattr(lab(pilot), "set_timer", set_timer)
        for rate in range(50):
            trainer.say(Status("running", None, rate, 0))
        await until(pilot, trainer._said.empty)
        await until(pilot, lambda: waits)
        await pilot.pause()
        assert waits == [pytest.approx(FRAME)]
        assert reader.refreshed == 2


async def test_news_that_has_to_wait_sets_one_timer_at_a_time(
    reader: FakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where several feeds tell of news, as after a trainer was started for a fork."""
    monkeypatch.setattr(lab_news, "monotonic", lambda: 100.0)
    trainer = FakeTrainer()
    async with start(trainer).run_test(size=BIG) as pilot:
        for count in (1, 2):  # the greeting does not count
            trainer.say(PAUSED)
            await until(pilot, lambda count=count: reader.refreshed == count)  # type: ignore[misc]
        timers: list[Callable[[], None]] = []

        def set_timer(_: float, callback: Callable[[], None]) -> object:
            timers.append(callback)
            return timers

        monkeypatch.setattr(lab(pilot), "set_timer", set_timer)
        for turn in (1, 2):
            for _ in range(3):
                lab(pilot).post_message(LabScreen.News())
            await pilot.pause()
            assert len(timers) == turn
            assert reader.refreshed == turn + 1
            timers[-1]()
            assert reader.refreshed == turn + 2


@pytest.mark.usefixtures("reader")
async def test_a_trainer_that_goes_while_it_runs_is_named() -> None:
    trainer = FakeTrainer()
    async with start(trainer).run_test(size=BIG) as pilot:
        trainer.say(RUNNING)
        await until(pilot, lambda: live_states.status_of(lab(pilot).trainer.state) == RUNNING)
        trainer.say(None)
        await until(pilot, lambda: "✗ trainer gone" in shown(pilot, "header"))
        await pilot.press("left", "n")
        await pilot.pause()
        assert "epoch 11/60" in shown(pilot, "header")
        assert "space resume" in shown(pilot, "keys")
        assert notices(pilot) == [live.GONE]
        await pilot.press("n", "s")
        assert notices(pilot) == [live.GONE]
        assert "n epoch" not in shown(pilot, "keys")


@pytest.mark.usefixtures("reader")
async def test_a_command_to_a_trainer_that_is_gone() -> None:
    trainer = FakeTrainer()
    async with start(trainer).run_test(size=BIG) as pilot:
        trainer.gone = True
        await pilot.press("n")
        await until(pilot, lambda: "✗ trainer gone" in shown(pilot, "header"))
        await until(pilot, lambda: notices(pilot))
        assert any("has exited" in notice for notice in notices(pilot))


@pytest.mark.usefixtures("reader")
async def test_a_finished_training_is_not_a_lost_one(reader: FakeReader) -> None:
    trainer = FakeTrainer()
    reader.over = True
    async with start(trainer).run_test(size=BIG) as pilot:
        trainer.say(Status("finished", 10, 0, 26))
        trainer.say(None)
        await until(pilot, lambda: trainer.closed)
        await until(pilot, lambda: "✓ finished" in shown(pilot, "header"))
        await pilot.press("n", "s", "space")
        assert notices(pilot) == ["Training has finished; everything is recorded."]
        assert not reader.held  # else the trainer could not fold the journal in


@pytest.mark.usefixtures("reader")
async def test_a_failed_training_says_why() -> None:
    trainer = FakeTrainer()
    async with start(trainer).run_test(size=BIG) as pilot:
        trainer.say(Status("failed", 10, 0, 26, "/recordings: the disk is full"))
        await until(pilot, lambda: "✗ failed" in shown(pilot, "header"))
        await until(pilot, lambda: notices(pilot))
        assert notices(pilot) == ["/recordings: the disk is full"]


async def test_what_happens_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = use(FakeReader(factory.run_view(stopped=True), shown=12), monkeypatch)
    trainer = FakeTrainer()
    async with start(trainer).run_test(size=BIG) as pilot:
        assert notices(pilot) == []
        reader.shown = 13
        trainer.say(RUNNING)
        await until(pilot, lambda: notices(pilot))
        trainer.say(PAUSED)
        await until(pilot, lambda: live_states.status_of(lab(pilot).trainer.state) == PAUSED)
        assert notices(pilot) == ["no improvement for 5 epochs"]


async def test_what_happened_before_is_not_news(monkeypatch: pytest.MonkeyPatch) -> None:
    use(FakeReader(factory.run_view(nan=True)), monkeypatch)
    async with start().run_test(size=BIG) as pilot:
        assert notices(pilot) == []
        assert "NaN" in shown(pilot, "layers")
        for panel in PANELS:
            await pilot.press(panel.key, "enter", "enter")


async def test_a_damaged_keyframe_is_said_and_the_screen_stays(reader: FakeReader) -> None:
    async with start().run_test(size=BIG) as pilot:
        reader.error = RecordingError("a.bntui: the keyframe at step 264 is damaged")
        await pilot.press("left")
        await pilot.pause()
        assert notices(pilot) == ["a.bntui: the keyframe at step 264 is damaged"]
        reader.error = None
        await pilot.press("left")
        await pilot.pause()
        assert "epoch 10/60" in shown(pilot, "header")


async def test_control_characters_of_a_recording_reach_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    use(FakeReader(factory.run_view(name="pl\x1b[2Jain"), title="A \x1b]0;title\x07 [bold]x[/bold]"), monkeypatch)
    async with start().run_test(size=BIG) as pilot:
        drawn = "".join(widget(pilot, "header").render_line(0).text)
        assert "\x1b" not in drawn
        assert "\x07" not in drawn
        assert "[bold]x[/bold]" in drawn


@pytest.mark.usefixtures("reader")
async def test_clicking_the_timeline_seeks_and_a_panel_is_focused() -> None:
    from bntui.viewer.panels.timeline import place_at

    async with start().run_test(size=BIG) as pilot:
        view = lab(pilot).view
        assert view is not None
        x = next(x for x in range(BIG[0]) if (place_at(view, BIG[0] - 2, x, 0) or 0) >= 6)
        await pilot.click("#strip", offset=(x + 1, 0))
        await pilot.pause()
        assert lab(pilot).view_state.cursor == 6
        await pilot.click("#dropout", offset=(5, 5))
        assert lab(pilot).view_state.focused == "dropout"


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("panel", PANELS)
async def test_every_panel_has_a_lesson(panel: Any) -> None:
    assert lesson(panel.name).startswith("# ")
    async with start().run_test(size=(80, 24)) as pilot:
        await pilot.press(panel.key, "question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
        assert pilot.app.screen.query(Static)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))


async def test_under_another_screen_nothing_is_drawn_and_then_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, trainer = use(FakeReader(shown=3), monkeypatch), FakeTrainer()
    async with start(trainer).run_test(size=BIG) as pilot:
        screen = lab(pilot)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
        reader.shown = 7
        trainer.say(RUNNING)
        await until(pilot, lambda: live_states.status_of(screen.trainer.state) == RUNNING)
        header = screen.query_one("#header", RowsWidget)
        assert "epoch 2/60" in text(header.rows[0])
        await pilot.press("escape")
        await until(pilot, lambda: "epoch 6/60" in text(header.rows[0]))


async def test_q_stops_the_trainer_and_waits_for_its_last_word(reader: FakeReader) -> None:
    trainer = FakeTrainer()
    app = start(trainer)
    async with app.run_test(size=BIG) as pilot:
        trainer.say(RUNNING)
        await until(pilot, lambda: live_states.status_of(lab(pilot).trainer.state) == RUNNING)
        await pilot.press("q")
        await until(pilot, lambda: "stopping" in shown(pilot, "header"))
        assert trainer.sent == [("stop", {})]
        assert reader.closed  # out of the way of the trainer's last checkpoint
        await pilot.press("left", "end")
        trainer.say(Status("stopped", 10, 0, 26))
        trainer.say(None)
        await until(pilot, lambda: not app.is_running or app._exit)
    assert reader.closed


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    "status",
    [
        None,  # not heard yet
        replace(RUNNING, owner="another screen"),
        replace(PAUSED, owner=""),
        replace(RUNNING, clients=2),  # ours, and somebody else looks at it
    ],
)
@pytest.mark.parametrize("key", ["q", "ctrl+q"])
async def test_q_never_stops_another_ones_training(status: Status | None, key: str) -> None:
    trainer = FakeTrainer()
    app = start(trainer)
    async with app.run_test(size=BIG) as pilot:
        if status is not None:
            trainer.say(status)
            await until(pilot, lambda: live_states.status_of(lab(pilot).trainer.state) == status)
        await pilot.press("ctrl+c")
        waits = status is not None and status.state == "paused"
        assert notices(pilot) == [f"q leaves; training {'stays paused' if waits else 'continues'}."]
        await pilot.press(key)
        assert app._exit
        said = str(app._exit_renderables[0])
        assert ("Training continues. " in said) is not waits
        assert "Reattach with: bntui attach '/recordings/a title.bntui'" in said
        assert "Stop it with: bntui stop '/recordings/a title.bntui'" in said
    assert trainer.sent == []
    assert trainer.closed


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("status", "keys", "said"),
    [
        (RUNNING, ["d"], "Training continues. Reattach with: bntui attach"),
        (PAUSED, ["d"], "Paused at epoch 12: nothing is trained until you press space. Reattach with: bntui attach"),
        (RUNNING, ["space", "d"], "Paused at epoch 12: "),  # the trainer has not answered yet
        (PAUSED, ["space", "d"], "Training continues. "),
        (replace(PAUSED, owner="another"), ["q"], "Paused at epoch 12: "),
    ],
)
async def test_a_paused_training_is_not_said_to_continue(status: Status, keys: list[str], said: str) -> None:
    trainer = FakeTrainer()
    app = start(trainer)
    async with app.run_test(size=BIG) as pilot:
        trainer.say(status)
        await until(pilot, lambda: live_states.status_of(lab(pilot).trainer.state) == status)
        await pilot.press(*keys)
        await until(pilot, lambda: app._exit)
        assert said in str(app._exit_renderables[0])


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("status", "said"),
    [
        (RUNNING, "a title continues training: open it again under Recordings."),
        (PAUSED, "a title is paused at epoch 12: to train on, open it again under Recordings and press space."),
    ],
)
async def test_the_gallery_says_in_few_words_what_was_left(status: Status, said: str) -> None:
    trainer = FakeTrainer()
    app = start()
    async with app.run_test(size=BIG) as pilot:
        app.show_lab(FakeReader(), trainer, from_gallery=True)
        await until(pilot, lambda: lab(pilot).trainer.connected)
        trainer.say(status)
        await until(pilot, lambda: live_states.status_of(lab(pilot).trainer.state) == status)
        await pilot.press("escape")
        assert notices(pilot) == [said]


async def test_a_renamed_recording_is_read_on_under_its_new_name(reader: FakeReader) -> None:
    trainer = FakeTrainer()
    async with start(trainer).run_test(size=BIG) as pilot:
        trainer.say(replace(RUNNING, recording="/recordings/renamed.bntui"))
        await until(pilot, lambda: reader.path == Path("/recordings/renamed.bntui"))
        assert reader.released  # its connection is to a file of the old name
        await until(pilot, lambda: notices(pilot))
        assert notices(pilot) == ["The recording was renamed: /recordings/renamed.bntui"]


@pytest.mark.usefixtures("reader")
async def test_d_leaves_the_trainer_alone() -> None:
    trainer = FakeTrainer()
    app = start(trainer)
    async with app.run_test(size=BIG) as pilot:
        await pilot.press("d")
        assert app._exit
        assert "bntui attach '/recordings/a title.bntui'" in str(app._exit_renderables[0])
    assert trainer.sent == []
    assert trainer.closed


@pytest.mark.usefixtures("reader")
async def test_ctrl_q_is_q() -> None:
    app = start()
    async with app.run_test(size=BIG) as pilot:
        await pilot.press("ctrl+q")
        assert app._exit
        assert "bntui replay" in str(app._exit_renderables[0])


@pytest.mark.parametrize("over", [True, False])
async def test_the_last_words_say_how_to_go_on_where_something_is_left_to_do(over: bool, reader: FakeReader) -> None:
    reader.over = over
    app = start()
    async with app.run_test(size=BIG) as pilot:
        await pilot.press("q")
        lines = str(app._exit_renderables[0]).splitlines()
    assert lines[0] == "Recorded. Open it again with: bntui replay '/recordings/a title.bntui'"
    assert lines[1:] == ([] if over else ["Go on with: bntui resume '/recordings/a title.bntui'"])


@pytest.mark.usefixtures("reader")
async def test_a_visitor_who_quits_prints_nothing_where_the_server_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    app = start()
    async with app.run_test(size=BIG) as pilot:
        monkeypatch.setattr(type(app), "is_web", True)
        await pilot.press("q")
        assert app._exit
        assert app._exit_renderables == []


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("key", ["f", "r", "m", "question_mark"])
async def test_a_page_takes_old_notices_away(key: str) -> None:
    async with start().run_test(size=BIG) as pilot:
        pilot.app.notify("an old one", markup=False)
        await until(pilot, lambda: notices(pilot))
        await pilot.press(key)
        await until(pilot, lambda: not isinstance(pilot.app.screen, LabScreen))
        assert notices(pilot) == []


@pytest.mark.usefixtures("reader")
async def test_a_command_takes_the_notice_away_that_told_of_it() -> None:
    trainer = FakeTrainer()
    async with start(trainer).run_test(size=BIG) as pilot:
        trainer.say(PAUSED)
        pilot.app.notify("space goes on", markup=False)
        await until(pilot, lambda: notices(pilot))
        await pilot.press("space")
        await until(pilot, lambda: trainer.sent and not notices(pilot))


async def test_a_file_that_is_no_recording_ends_the_app_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    error = RecordingError("a.bntui is not a recording")

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(opening, "open_recording", refuse)
    app = start()
    async with app.run_test(size=BIG):
        pass
    assert app.return_value is error


async def test_an_opening_that_fails_ends_the_app_with_its_error() -> None:
    error = RecordingError("no space left")

    def refuse() -> Path:
        raise error

    app = LabApp(beginning=Beginning(refuse))
    async with app.run_test(size=BIG) as pilot:
        await until(pilot, lambda: app._exit)
    assert app.return_value is error


@pytest.mark.usefixtures("reader")
async def test_keys_that_are_typed_while_a_training_starts_are_meant_for_it() -> None:
    started = threading.Event()

    def begin() -> Path:
        assert started.wait(10)
        return Path("a.bntui")

    async with LabApp(beginning=Beginning(begin, name="early-stopping")).run_test(size=BIG) as pilot:
        await pilot.press("3", "left", "left", "enter", "x")
        assert not isinstance(pilot.app.screen, LabScreen)
        started.set()
        await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen) and lab(pilot).view_state.unit == "step")
        state, stops = lab(pilot).view_state, lab(pilot).loaded.snapshot.stops
        assert state.focused == "gradients"
        assert state.cursor == stops[-3]
        assert not state.zoomed  # enter is typed again by those who think that nothing happened


@pytest.mark.usefixtures("reader")
async def test_an_opening_leads_to_the_laboratory() -> None:
    app = LabApp(beginning=Beginning(lambda: Path("a.bntui")))
    async with app.run_test(size=BIG) as pilot:
        await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
        await pilot.press("escape")  # there is no gallery to go back to
        assert isinstance(pilot.app.screen, LabScreen)


@pytest.mark.parametrize("key", ["q", "ctrl+q", "ctrl+c"])
async def test_a_start_can_be_cancelled(key: str) -> None:
    cancelled = threading.Event()

    def block() -> Path:
        assert cancelled.wait(10)
        raise TrainerError("the trainer ended")

    app = LabApp(beginning=Beginning(block, cancelled.set, "early-stopping"))
    async with app.run_test(size=BIG) as pilot:
        rows = pilot.app.screen.query_one("#starting", RowsWidget).rows
        assert any("early-stopping" in text(row) for row in rows)
        await pilot.press(key)
        assert app._exit
    assert cancelled.is_set()
    assert app.return_value is None


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("size", [BIG, (80, 24), (40, 12)])
async def test_notices_never_cover_the_timeline_or_the_keys(size: tuple[int, int]) -> None:
    async with start().run_test(size=size, notifications=True) as pilot:
        await pilot.pause()
        for number in range(4):
            lab(pilot).notices.say(f"{number}: a sentence that is long enough to need more than one line of a notice")
        await pilot.pause(0.2)
        toasts = [toast.region for toast in lab(pilot).query("Toast") if toast.region]
        assert toasts
        for name in ("strip", "keys"):
            assert not any(toast.overlaps(widget(pilot, name).region) for toast in toasts), name


@pytest.mark.usefixtures("reader")
async def test_a_notice_covers_few_rows_of_a_small_screen() -> None:
    async with start().run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.pause()
        lab(pilot).notices.say("large weights: first infinite value at step 6: pre-activation of layer linear 4")
        await pilot.pause(0.2)
        (toast,) = lab(pilot).query("Toast")
        assert toast.region.height == 2


async def test_layers_fold_and_the_worst_one_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    run = factory.run_view(layers=40, keyframes=3)
    names = [f"body.{at // 8}.fc{at % 8}" for at in range(40)]
    use(FakeReader(renamed(run, *names, "head")), monkeypatch)
    async with start().run_test(size=(80, 24)) as pilot:
        await pilot.press("3", "w")
        assert lab(pilot).view_state.layer == "body.0.fc0"  # gradients fall towards the first layer
        assert "❯ body.0.fc0" in shown(pilot, "gradients")
        await pilot.press("right_square_bracket")
        assert lab(pilot).view_state.layer == "body.0.fc1"
        await pilot.press("o")
        assert "❯ body.0 " in shown(pilot, "gradients")
        assert "smallest" in shown(pilot, "gradients")
        await pilot.press("right_square_bracket")
        assert lab(pilot).view_state.layer.startswith("body.1.")
        await pilot.press("o", "2")
        assert f"❯ {lab(pilot).view_state.layer}" in shown(pilot, "layers")
        await pilot.press("escape")
        assert lab(pilot).view_state.layer == ""
        assert "❯" not in shown(pilot, "layers")
        await pilot.press("w", "w")
        assert "2 of 41, worst first" in shown(pilot, "strip")


@pytest.mark.parametrize("korean", [False, True], ids=["en", "ko"])
@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_the_legend_says_which_layer_is_the_worst_and_why(
    size: tuple[int, int], korean: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No notice, which would cover the row of the layer."""
    run = factory.run_view(layers=40, keyframes=3)
    names = [f"encoder.layers.{at // 8}.attention.self.query{at % 8}" for at in range(40)]
    use(FakeReader(renamed(run, *names, "head")), monkeypatch)
    language.use("ko" if korean else "en")
    median, cursor = ("중앙값", "커서") if korean else ("the median", "cursor")
    try:
        async with start().run_test(size=size, notifications=True) as pilot:
            await pilot.press("3", "w")
            legend = shown(pilot, "strip").splitlines()[1]
            assert f"❯ {names[0]} " in legend
            assert median in legend
            assert "…" not in legend
            assert not notices(pilot)
            await pilot.press("right_square_bracket")
            legend = shown(pilot, "strip").splitlines()[1]
            assert f"❯ {names[1]} " in legend
            assert cursor in legend
            assert median not in legend
            await pilot.press("escape")
            assert "❯" not in shown(pilot, "strip")
    finally:
        language.use("en")


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("size", [(80, 2), (80, 4), (10, 30), (1, 1)])
async def test_commands_are_offered_where_a_row_of_them_fits(size: tuple[int, int]) -> None:
    """Textual's list of commands raises where it has no row, and its page is turned."""
    async with start().run_test(size=BIG) as pilot:
        await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(pilot.app.screen, CommandPalette))
        await pilot.press("down")
        await pilot.resize_terminal(*size)
        await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
        await pilot.press("ctrl+p", "down", "pagedown", "pageup")
        assert isinstance(pilot.app.screen, LabScreen)
        await pilot.resize_terminal(*BIG)
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(pilot.app.screen, CommandPalette))
        await pilot.press("down", "pagedown", "pageup")

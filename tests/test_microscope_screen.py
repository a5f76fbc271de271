"""Tests the microscope's screen at every size, and its keys."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot
from textual.screen import Screen

from bntui.errors import RecordingError
from bntui.recording.history import Fork
from bntui.recording.reader import Reader
from bntui.text import language
from bntui.viewer import opening, view_state
from bntui.viewer.app import LabApp
from bntui.viewer.draw.rows import text, width
from bntui.viewer.microscope.draw import draw, empty, unread
from bntui.viewer.microscope.formulas import steps
from bntui.viewer.microscope.state import SORTS, Microscope, order
from bntui.viewer.screens import microscope as module
from bntui.viewer.screens.help import HelpScreen
from bntui.viewer.screens.lab import LabScreen
from bntui.viewer.screens.microscope import MicroscopeScreen
from bntui.viewer.snapshot import take_snapshot
from bntui.viewer.widgets import RowsWidget
from tests import factory
from tests.fakes import RUNNING, FakeReader, FakeTrainer, Wire, until
from tests.spread import spread
from tests.test_session import train

BIG = (160, 48)
SIZES = [BIG, (120, 36), (80, 24)]
IMAGES = """
title = "여러 정규화의 비교"
seed = 3
[data]
source = "digits"
samples = 200
scaling = "minmax"
batch_size = 24
[[network.layer]]
type = "conv"
channels = 6
pool = 2
[[network.layer]]
type = "linear"
units = 12
[network]
groups = 3
[training]
lr = 0.2
epochs = 3
[[run]]
name = "plain"
[[run]]
name = "배치 정규화"
set = { network.norm = "batch" }
[[run]]
name = "layer"
set = { network.norm = "layer" }
[[run]]
name = "그룹 정규화"
set = { network.norm = "group" }
"""
SEQUENCES = """
title = "Recurrent"
[data]
source = "digits"
samples = 120
batch_size = 24
sequence = "rows"
[[network.layer]]
type = "recurrent"
units = 5
cell = "lstm"
[network]
norm = "batch"
norm_recurrent = "step"
[training]
epochs = 2
"""
WILD = """
title = "Wild"
[data]
source = "digits"
samples = 120
batch_size = 4
last_batch = "drop"
[network]
hidden = [6, 6]
norm = "batch"
activation = "relu"
[training]
lr = 1e30
epochs = 2
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("images"), IMAGES).path


@pytest.fixture(scope="module")
def thinned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("thinned"), IMAGES, ("record.budget", 0.6), ("training.epochs", 8)).path


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("sequences"), SEQUENCES).path


@pytest.fixture(scope="module")
def wild(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("wild"), WILD).path


@pytest.fixture(params=["en", "ko"])
def spoken(request: pytest.FixtureRequest) -> Iterator[str]:
    language.use(request.param)
    yield request.param
    language.use("en")


def scope(pilot: Pilot[Any]) -> MicroscopeScreen:
    screen = pilot.app.screen
    assert isinstance(screen, MicroscopeScreen)
    return screen


def shown(pilot: Pilot[Any]) -> str:
    return "\n".join(text(row) for row in scope(pilot).query_one("#microscope", RowsWidget).rows)


async def opened(pilot: Pilot[Any]) -> MicroscopeScreen:
    await pilot.press("m")
    await until(pilot, lambda: isinstance(pilot.app.screen, MicroscopeScreen) and scope(pilot).lens is not None)
    return scope(pilot)


async def press(pilot: Pilot[Any], *keys: str) -> Microscope:
    await pilot.press(*keys)
    await pilot.pause()
    return scope(pilot).microscope


def test_a_recording_of_the_first_format_says_why_it_has_no_values() -> None:
    reader = Reader(Path(__file__).parent / "data" / "format-1.bntui")
    screen = MicroscopeScreen(
        reader, take_snapshot(reader), view_state.grown(view_state.first(len(reader.runs)), np.array([1.0]))
    )
    lens = screen._specimens.lens(screen.microscope, screen._history)
    assert lens is not None
    drawn = "\n".join(text(row) for row in draw(lens, *BIG))
    assert "of an older format" in drawn
    assert "∂L/∂γ       —" in drawn  # gradients were not recorded


@pytest.mark.usefixtures("spoken")
@pytest.mark.parametrize("size", [*SIZES, (200, 60), (100, 30), (60, 18), (40, 12)])
@pytest.mark.parametrize("name", ["images", "thinned", "sequences", "wild"])
def test_every_row_is_as_wide_as_the_screen(request: pytest.FixtureRequest, name: str, size: tuple[int, int]) -> None:
    reader = Reader(request.getfixturevalue(name))
    recorded = take_snapshot(reader)
    screen = MicroscopeScreen(reader, recorded, view_state.first(len(reader.runs)))
    for run in screen._specimens.runs:
        for cursor in spread(list(recorded.stops), 3):
            look = replace(screen.microscope.look, selected=run, cursor=float(cursor))
            states = [Microscope(look, chosen=3, marked=5, playing=playing) for playing in (0, 2)]
            for state in (*states, Microscope(look, listing=True, sort="eps_share")):
                screen.microscope = state
                lens = screen._specimens.lens(screen.microscope, screen._history)
                assert lens is not None
                rows = draw(lens, *size)
                assert [width(row) for row in rows] == [size[0]] * size[1]
                if size[0] < 100:  # no frame stands between a row and the edges of the terminal
                    assert {text(row)[0] for row in rows} == {" "}
                    assert size[0] < 80 or {text(row)[-1] for row in rows} == {" "}
    assert [width(row) for row in empty("A title", None, *size)] == [size[0]] * size[1]


@pytest.mark.parametrize("size", SIZES)
async def test_all_four_steps_stand_on_the_screen_with_their_numbers(images: Path, size: tuple[int, int]) -> None:
    async with LabApp(images).run_test(size=size) as pilot:
        screen = await opened(pilot)
        drawn = shown(pilot)
        assert screen.lens is not None
        specimen = screen.lens.specimen
        assert specimen.normalized is not None
        assert specimen.y is not None
        for formula in ("μ = 1/m Σ xᵢ", "σ² = 1/m Σ (xᵢ − μ)²", "x̂ᵢ = (xᵢ − μ)/√(σ² + ε)", "yᵢ = γ x̂ᵢ + β"):
            assert formula in drawn
        for value in (specimen.mean, specimen.normalized[0], specimen.y[0]):
            assert f"{value:.3f}".replace("-", "−") in drawn
        assert f"{specimen.var:.4f}" in drawn
        assert "conv 1 · batch normalization · channel 1" in drawn
        assert "배치 정규화" in drawn
        assert "esc laboratory" in drawn


async def test_printed_figures_give_the_printed_results_or_the_sign_says_about(images: Path) -> None:
    signs = set()
    async with LabApp(images).run_test(size=BIG) as pilot:
        screen = await opened(pilot)
        lens = screen.lens
        assert lens is not None
        assert lens.specimen.x is not None
        for marked in range(len(lens.specimen.x)):
            for step in steps(replace(lens, state=replace(lens.state, marked=marked))):
                for words, result in step.numbers:
                    if not words or "…" in words:
                        continue
                    sign = words[-1]
                    python = words[:-1].replace("−", "-").replace("√", "math.sqrt").replace("·", "*").replace(",", "")
                    python = re.sub(r"(?<=[ (*])0+(?=\d)", "", python)
                    written = result.split()[0].replace("−", "-").replace(",", "")
                    last = 10.0 ** int(Decimal(written).as_tuple().exponent)
                    exact = abs(eval(python, {"math": math}) - float(written)) <= last * 1.001
                    assert sign == ("=" if exact else "≈"), (words, result)
                    signs.add(sign)
    assert signs == {"=", "≈"}


async def test_a_step_without_figures_has_no_marks(images: Path) -> None:
    async with LabApp(images).run_test(size=BIG) as pilot:
        screen = await opened(pilot)
        assert screen.lens is not None
        lost = replace(screen.lens.specimen, x=None, mean=math.nan, var=math.nan)
        for step in steps(replace(screen.lens, specimen=lost)):
            assert math.isnan(step.centre), step.formula


async def test_it_opens_at_the_first_run_with_a_normalization_and_goes_back_to_where_it_was_left(images: Path) -> None:
    async with LabApp(images).run_test(size=BIG) as pilot:
        assert isinstance(pilot.app.screen, LabScreen)
        assert pilot.app.screen.view_state.selected == 0
        await opened(pilot)
        state = await press(pilot, "left")
        assert (state.look.selected, state.look.cursor, state.look.following) == (1, 2.0, False)
        await press(pilot, "r")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
        lab = pilot.app.screen
        assert isinstance(lab, LabScreen)
        assert (lab.view_state.selected, lab.view_state.cursor) == (2, 2.0)


async def test_keys_walk_through_keyframes_units_layers_and_runs(images: Path) -> None:
    async with LabApp(images).run_test(size=BIG) as pilot:
        await opened(pilot)
        assert (await press(pilot, "home")).look.cursor == 0
        assert "epoch 0/3" in shown(pilot)
        assert (await press(pilot, "shift+right")).look.following
        assert (await press(pilot, "down", "down")).chosen == 2
        assert "channel 3 of 6" in shown(pilot)
        assert (await press(pilot, *["down"] * 9)).chosen == 5
        assert (await press(pilot, "up")).chosen == 4
        assert (await press(pilot, "tab")).layer == "linear 1"
        assert "unit 5 of 12" in shown(pilot)
        assert (await press(pilot, "shift+tab")).layer == "conv 1"
        assert (await press(pilot, "s", "s", "S")).marked == 1
        assert "sample 1, pixel 1, 2" in shown(pilot)
        await press(pilot, "r")
        assert "layer normalization · sample 5 of" in shown(pilot)
        assert "all features of one sample" in shown(pilot)
        await press(pilot, "r")
        assert "group normalization · sample 2, group 2" in shown(pilot)
        assert "yᵢ = γᵢ x̂ᵢ + βᵢ" in shown(pilot)
        await press(pilot, "r")
        assert (scope(pilot).microscope.look.selected) == 1  # the one without a normalization is passed over


async def test_time_steps_have_an_axis_of_their_own(sequences: Path) -> None:
    async with LabApp(sequences).run_test(size=BIG) as pilot:
        screen = await opened(pilot)
        assert "input gate, unit 1 of 20 · time step 1/8" in shown(pilot)
        state = await press(pilot, "]", "]", "[", "]")
        assert state.time == 2
        assert "time step 3/8" in shown(pilot)
        assert screen.lens is not None
        assert screen.lens.specimen.x is not None
        evidence = Reader(sequences).evidence(0, screen.lens.run.row)
        assert evidence is not None
        np.testing.assert_array_equal(screen.lens.specimen.x, evidence.stages[0][:, 2, 0])
        assert (await press(pilot, *["]"] * 20)).time == 7
        assert (await press(pilot, *["down"] * 6)).chosen == 6
        assert "forget gate, unit 2" in shown(pilot)
        await press(pilot, "u")
        assert "ifgo·#" in shown(pilot)
        assert "f·2" in shown(pilot)


async def test_the_four_steps_are_played_one_after_another(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEP_SECONDS", 3600.0)
    async with LabApp(images).run_test(size=BIG) as pilot:
        screen = await opened(pilot)
        results = ("= 1/m", "σ² = 1/m", "x̂ᵢ = (xᵢ", "yᵢ = γ")
        assert all(formula in shown(pilot) for formula in results)
        await press(pilot, "full_stop")
        for played in range(1, 5):
            assert screen.microscope.playing == played
            assert [formula in shown(pilot) for formula in results[1:]] == [played > n for n in range(1, 4)]
            screen.next_step()
            await pilot.pause()
        assert screen.microscope.playing == 0
        assert screen._timer is None
        await press(pilot, "full_stop")
        screen.next_step()
        assert (await press(pilot, "full_stop")).playing == 1  # from the beginning


async def test_the_list_is_sorted_by_any_figure(images: Path) -> None:
    async with LabApp(images).run_test(size=BIG) as pilot:
        screen = await opened(pilot)
        await press(pilot, "tab", "u")
        assert "sorted by number" in shown(pilot)
        for sort in SORTS[1:]:
            state = await press(pilot, "o")
            assert state.sort == sort
            assert screen.lens is not None
            figures = screen.lens.slide.figures(0)[sort]
            assert order(screen.lens.slide, state) == sorted(range(12), key=lambda n, f=figures: (-f[n], n))  # type: ignore[misc]
        largest = int(np.argmax(figures))
        assert (await press(pilot, "home")).chosen == largest
        await press(pilot, "O")
        assert (await press(pilot, "end")).chosen == largest
        assert (await press(pilot, "home")).chosen == int(np.argmin(figures))
        state = await press(pilot, "enter")
        assert (state.listing, state.chosen) == (False, int(np.argmin(figures)))
        assert f"unit {state.chosen + 1} of 12" in shown(pilot)
        assert (await press(pilot, "u", "escape")).listing is False  # escape leaves the list first
        assert (await press(pilot, "u", "o")).sort == "unit"


async def test_where_values_were_thinned_out_measures_stay_and_a_key_leads_to_the_nearest(thinned: Path) -> None:
    reader = Reader(thinned)
    kept = reader.evidence_rows(1)
    history = reader.history(1)
    gone = next(row for row in range(len(history)) if row not in kept)
    nearest = float(history.epoch[kept[np.argmin(np.abs(kept - gone))]])
    async with LabApp(thinned).run_test(size=BIG) as pilot:
        screen = await opened(pilot)
        await press(pilot, "home", *["right"] * gone)
        drawn = shown(pilot)
        assert "thinned out" in drawn
        assert f"g goes to epoch {nearest:g}" in drawn
        norm = reader.keyframe(1, gone).layers[0].batch_norm
        assert norm is not None
        assert f"{norm.batch_mean[0]:.3f}".replace("-", "−") in drawn
        assert "g nearest with values" in drawn
        assert (await press(pilot, "g")).look.cursor == nearest
        assert screen.lens is not None
        assert screen.lens.specimen.x is not None
        assert "thinned out" not in shown(pilot)


async def test_values_that_are_not_finite_are_said_and_left_out(wild: Path) -> None:
    async with LabApp(wild).run_test(size=BIG) as pilot:
        await opened(pilot)
        for _ in range(2):
            await press(pilot, "tab")
            for size in SIZES:
                await pilot.resize_terminal(*size)
                await pilot.pause()
        assert "are not finite" in shown(pilot)


def test_where_a_fork_begins_is_said_before_its_first_keyframe() -> None:
    run = factory.run_view()
    fork = replace(run, info=replace(run.info, name="a fork", fork=Fork(0, 96, 4.0)), row=-1, frame=None)
    said = [
        " ".join(text(row).strip() for row in unread("A title", one, 80, 12)) for one in (fork, replace(run, row=-1))
    ]
    assert "a fork: begins at epoch 4" in said[0]
    assert "No keyframe here yet." in said[1]
    compared = " ".join(text(row).strip() for row in empty("A title", None, 80, 12))
    assert "fork" not in compared
    assert "a fork of plain begins at epoch 12" in " ".join(text(row).strip() for row in empty("A title", run, 80, 12))


async def test_without_a_normalization_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = train(tmp_path, IMAGES.split("[[run]]")[0]).path
    async with LabApp(path).run_test(size=BIG) as pilot:
        await pilot.press("m")
        await until(pilot, lambda: isinstance(pilot.app.screen, MicroscopeScreen))
        assert "No run of this recording has a normalization." in shown(pilot)
        wanted = "Or press esc and f: a fork of run begins at epoch 0; set network.norm there."
        await pilot.press("home")
        await until(pilot, lambda: wanted in " ".join(shown(pilot).split()))
        await press(pilot, "up", "tab", "right", "s", "u", "o", "g", "r", "u")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
    fake = FakeReader(shown=0)
    monkeypatch.setattr(opening, "open_recording", lambda _, trainer=None: (fake, trainer))
    async with LabApp(Path("a.bntui")).run_test(size=BIG) as pilot:
        await pilot.press("m")
        await until(pilot, lambda: isinstance(pilot.app.screen, MicroscopeScreen))
        assert "No keyframe here yet." in shown(pilot)


async def test_it_follows_a_recording_that_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeReader(shown=3)
    monkeypatch.setattr(opening, "open_recording", lambda _, trainer=None: (fake, trainer))
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    async with LabApp(Path("a.bntui")).run_test(size=BIG) as pilot:
        await opened(pilot)
        assert "epoch 2/60" in shown(pilot)
        fake.shown = 6
        fake.refresh()  # the laboratory's part
        await until(pilot, lambda: "epoch 5/60" in shown(pilot))
        await press(pilot, "left")
        fake.shown = 9
        fake.refresh()
        await until(pilot, lambda: len(scope(pilot)._recorded.stops) == 9)
        assert "epoch 4/60" in shown(pilot)
        await press(pilot, "end")
        assert "epoch 8/60" in shown(pilot)


async def test_news_for_the_laboratory_below_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, trainer = FakeReader(shown=3), FakeTrainer()
    monkeypatch.setattr(opening, "open_recording", lambda _, trainer=None: (fake, trainer))
    async with LabApp(Path("a.bntui"), trainer).run_test(size=BIG) as pilot:
        await opened(pilot)
        await pilot.pause(0.1)
        sent: list[object] = []
        display = LabApp._display

        def counted(app: LabApp, screen: Screen[Any], update: Any) -> None:
            sent.append(update)
            display(app, screen, update)

        monkeypatch.setattr(LabApp, "_display", counted)
        for refreshed in range(1, 6):
            trainer.say(RUNNING)
            await until(pilot, lambda least=refreshed: fake.refreshed >= least)  # type: ignore[misc]
        await pilot.pause(0.1)
        assert not any(sent)


async def test_a_damaged_keyframe_is_said_once_and_the_screen_stays(images: Path) -> None:
    async with LabApp(images).run_test(size=BIG) as pilot:
        screen = await opened(pilot)
        before = shown(pilot)

        def damaged(*_: object) -> None:
            raise RecordingError("a.bntui: the evidence of row 3 is damaged")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(screen._specimens, "_slide", damaged)
            await press(pilot, "left", "left")
        assert [notice.message for notice in pilot.app._notifications] == ["a.bntui: the evidence of row 3 is damaged"]
        assert shown(pilot) == before
        await press(pilot, "right")
        assert "epoch 2/3" in shown(pilot)


async def test_the_lesson_explains_it(images: Path) -> None:
    async with LabApp(images).run_test(size=BIG) as pilot:
        await opened(pilot)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, MicroscopeScreen))


async def test_a_mark_that_moves_sends_little(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire(monkeypatch)
    async with LabApp(images).run_test(size=BIG) as pilot:
        await opened(pilot)
        await until(pilot, lambda: wire.written)
        await pilot.pause()
        wire.drain()
        await press(pilot, "s")
        moved = wire.drain()
        await press(pilot, "u")
        assert 0 < moved < 0.3 * wire.drain()


async def test_it_opens_at_the_layer_that_is_chosen(images: Path) -> None:
    async with LabApp(images).run_test(size=BIG) as pilot:
        lab = pilot.app.screen
        assert isinstance(lab, LabScreen)
        lab.change(replace(lab.view_state, layer="linear 1"))
        assert (await opened(pilot)).microscope.layer == "linear 1"
        assert "layer 2 of 2" in shown(pilot)

"""Tests ``[view]``: what a scenario wants the screen to show first, and how fast it trains while it is watched."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest

from bntui.audit.audit import audit
from bntui.commands import preference
from bntui.errors import ScenarioError, UsageError
from bntui.lessons import panels
from bntui.link import Status
from bntui.link.client import IdleTrainer, Trainer
from bntui.recording.first_view import FirstView
from bntui.recording.reader import Reader
from bntui.scenario.load import load, parse
from bntui.scenario.pace import FASTEST, SLOWEST, PacingOptions
from bntui.trainer.session import Session
from bntui.viewer import view_state
from bntui.viewer.layout import Candidates, layout
from bntui.viewer.panels import PANELS
from bntui.viewer.snapshot import take_snapshot
from tests.fakes import FakeReader

TWO_RUNS = """
title = "Two runs"
[data]
source = "iris"
[network]
hidden = [4]
[training]
epochs = 3
{view}
[[run]]
name = "one"
[[run]]
name = "two"
[[run]]
name = "three"
"""


def problems(view: str) -> list[str]:
    with pytest.raises(ScenarioError) as error:
        parse(TWO_RUNS.format(view=view), file="x.toml")
    return str(error.value).splitlines()


@pytest.mark.parametrize(
    ("view", "said"),
    [
        ('[view]\nselected = "tow"', ["view.selected", "no such run", "one, two, three", "did you mean 'two'"]),
        ('[view]\npinned = "four"', ["view.pinned", "no such run"]),
        ('[view]\npanels = ["gradient"]', ["view.panels[0]", "did you mean 'gradients'"]),
        ('[view]\npace = "fast"', ["view.pace", "max"]),
        ("[view]\npace = 0", ["view.pace", "at least"]),
        ("[view]\ncursor = -1", ["view.cursor", "at least 0"]),
        ('[view]\ncursor = "first"', ["view.cursor", "newest"]),
        ("[view]\npaused = 1", ["view.paused", "true or false"]),
        ('[view]\nselect = "one"', ["view.select", "did you mean 'selected'"]),
    ],
)
def test_what_is_wrong_in_it_is_named_with_its_line(view: str, said: list[str]) -> None:
    (line,) = problems(view)
    assert line.startswith("x.toml:10:")
    for words in said:
        assert words in line


def test_the_panels_of_a_scenario_are_the_screens() -> None:
    assert set(panels()) == {panel.name for panel in PANELS}


def test_a_recording_keeps_it_and_its_audit_compares_it(tmp_path: Path) -> None:
    view = '[view]\nselected = "three"\npinned = "one"\npanels = ["stopping", "data"]\ncursor = 1.5\npace = "max"'
    path = tmp_path / "x.bntui"
    session = Session.begin(parse(TWO_RUNS.format(view=view), file="x.toml"), path)
    while not session.over:
        session.epoch(lambda: False)
    session.close()
    with closing(Reader(path)) as reader:
        assert reader.first_view == FirstView("three", "one", ("stopping", "data"), 1.5, "max")
        state = view_state.opening(reader)
        recorded = take_snapshot(reader)
    assert (state.selected, state.pinned, state.focused) == (2, 0, "stopping")
    assert (state.cursor, state.following) == (1.5, False)
    shown = view_state.grown(state, recorded.stops)
    assert shown.cursor == 1.5
    assert audit(path).true


@pytest.mark.parametrize(
    ("wanted", "selected", "pinned"),
    [
        (FirstView(), 0, 1),
        (FirstView(selected="batch norm"), 1, 0),
        (FirstView(selected="batch norm", pinned="batch norm"), 1, None),
        (FirstView(pinned="none"), 0, None),
        (FirstView(selected="gone", pinned="plain"), 0, None),
    ],
)
def test_the_runs_that_are_seen_first(wanted: FirstView, selected: int, pinned: int | None) -> None:
    reader = FakeReader()
    assert [run.name for run in reader.runs] == ["plain", "batch norm"]
    reader.first_view = wanted
    state = view_state.opening(reader)
    assert (state.selected, state.pinned) == (selected, pinned)


@pytest.mark.parametrize(("size", "count"), [((160, 48), 5), ((120, 36), 5), ((160, 60), 9)])
def test_wanted_panels_stand_first_and_the_rest_fills_the_room(size: tuple[int, int], count: int) -> None:
    names = {panel.name for panel in PANELS}
    first = ("jury", "drift", "curves")
    regions = layout(*size, "jury", False, Candidates(first=first)).regions
    order = [name for name in regions if name in names]
    assert order[:3] == list(first)
    assert len(order) == len(set(order)) == count
    assert "layers" in order  # it has a place of its own, which the wanted ones left
    asked = layout(*size, "data", False, Candidates(first=first, guest="data")).regions
    assert "data" in asked
    small = layout(80, 24, "jury", False, Candidates(first=first)).regions
    assert [name for name in small if name in names] == ["jury"]


@pytest.mark.parametrize(
    ("epochs", "user", "scenario", "pace"),
    [
        (30, None, None, 1.0),
        (300, None, None, 10.0),
        (3000, None, None, 100.0),
        (3, None, None, 0.5),
        (10**9, None, None, FASTEST),
        (30, None, 4, 4.0),
        (30, None, "max", None),
        (30, 7.5, "max", 7.5),
        (30, "max", 4, None),
        (30, SLOWEST, None, SLOWEST),
    ],
)
def test_the_longest_run_takes_half_a_minute_unless_something_else_is_asked_for(
    epochs: int, user: float | None, scenario: float | None, pace: float | None
) -> None:
    assert PacingOptions(user).pace_of(epochs, scenario) == pace


def trained(tmp_path: Path, view: str, watching: PacingOptions, epochs: int = 6) -> tuple[float, Status]:
    """Seconds that a real trainer takes, and the status that it began with."""
    text = replace_epochs(TWO_RUNS.format(view=view), epochs)
    file = tmp_path / "x.toml"
    file.write_text(text)
    load(file)
    idle = IdleTrainer.start()
    began = time.monotonic()
    recording = idle.open(file, tmp_path / "x.bntui", watching=watching)
    trainer = Trainer.connect(recording)
    assert trainer is not None
    with closing(trainer):
        first = trainer.receive(60)
        assert first is not None
        if first.state == "paused":
            trainer.send("stop")
        while trainer.receive(60) is not None:
            pass
        return time.monotonic() - began, first


def replace_epochs(text: str, epochs: int) -> str:
    return text.replace("epochs = 3", f"epochs = {epochs}")


def test_a_watched_training_takes_its_time(tmp_path: Path) -> None:
    seconds, first = trained(tmp_path, "[view]\npace = 4", PacingOptions())
    assert (first.state, first.pace) == ("running", 4)
    assert seconds >= 1.0  # five pauses of a quarter of a second between six epochs


@pytest.mark.parametrize(
    ("view", "watching"), [("[view]\npaused = true", PacingOptions()), ("", PacingOptions(paused=True))]
)
def test_a_watched_training_waits_where_that_is_wanted(view: str, watching: PacingOptions, tmp_path: Path) -> None:
    assert trained(tmp_path, view, watching)[1].state == "paused"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('pace = "fast"', ["pace = 'fast'", "0.001", "max"]),
        ("pace = 0", ["pace = 0"]),
        ("pace = true", ["pace = True"]),
        ("paused = 1", ["paused = 1", "true or false"]),
        ("pacce = 3", ["pacce", "did you mean 'pace'"]),
    ],
)
def test_what_is_wrong_in_the_configuration_is_named(
    text: str, wrong: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preference, "configuration_path", lambda: tmp_path / "config.toml")
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(UsageError) as error:
        preference.watching()
    assert all(words in str(error.value) for words in ["config.toml", *wrong])


def test_the_command_line_decides_before_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preference, "configuration_path", lambda: tmp_path / "config.toml")
    assert preference.watching() == PacingOptions()
    (tmp_path / "config.toml").write_text("pace = 3\npaused = true")
    assert preference.watching() == PacingOptions(3.0, True)
    assert preference.watching("max") == PacingOptions("max", True)
    assert preference.watching("0.5") == PacingOptions(0.5, True)
    (tmp_path / "config.toml").write_text('pace = "max"\npaused = false')
    assert preference.watching(paused=True) == PacingOptions("max", True)
    for wrong in ("nan", "1e9", "-1", "quick", "\x1b[2J"):
        with pytest.raises(UsageError, match="--pace"):
            preference.watching(wrong)

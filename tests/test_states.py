"""Tests that the command line tells interrupted, finished, and diverged recordings apart, with their events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bntui.keyframe import Foreign
from bntui.recording.history import Event
from bntui.recording.names import recordings_folder
from bntui.recording.sentences import FIRST_BAD, EventKind, outcome
from bntui.scenario.load import Override, load
from bntui.text.language import use
from bntui.trainer.session import Session
from tests.commands import bntui
from tests.korean import korean
from tests.test_process import scenario
from tests.test_session import DIGITS
from tests.test_trouble import DIVERGES


def recorded(folder: Path, name: str, *, epochs: int, overrides: Sequence[Override] = ()) -> Path:
    """A recording in the user's folder that was left after some epochs."""
    path = recordings_folder() / f"{name}.bntui"
    session = Session.begin(load(scenario(folder, DIGITS), overrides), path, list(overrides))
    for _ in range(epochs):
        if not session.over:
            session.epoch(lambda: False)
    session.close()
    return path


@pytest.fixture
def three(tmp_path: Path) -> None:
    recorded(tmp_path, "left", epochs=1, overrides=(("training.epochs", 5000),))
    recorded(tmp_path, "done", epochs=9, overrides=(("training.epochs", 2),))
    recorded(tmp_path, "wild", epochs=9, overrides=DIVERGES)


STATES = {"left": "interrupted", "done": "finished", "wild": "diverged"}


@pytest.mark.usefixtures("three")
def test_every_command_says_what_became_of_a_recording() -> None:
    listed: list[dict[str, Any]] = json.loads(bntui("list", "--json").stdout)["recordings"]
    assert {Path(one["path"]).stem: one["state"] for one in listed} == STATES
    assert {Path(one["path"]).stem: one["planned"] for one in listed} == {"left": 5000, "done": 2, "wild": 5}
    lines = {
        name: next(line for line in bntui("list").stdout.splitlines() if f"/{name}.bntui" in line) for name in STATES
    }
    assert "(run; 1 of 5,000 epochs, interrupted)" in lines["left"]
    assert "(run; 2 epochs)" in lines["done"]
    assert "of 5 epochs, diverged)" in lines["wild"]
    for name, state in STATES.items():
        shown = json.loads(bntui("show", name, "--json").stdout)
        assert shown["state"] == state
        text = bntui("show", name).stdout
        assert (f"resume it with: bntui resume {recordings_folder() / name}.bntui" in text) == (name == "left")
        assert f"of {shown['planned']}   step" in text
        for command in ("attach", "stop"):
            done = bntui(command, name)
            assert done.returncode == 2
            assert ("bntui resume" in done.stderr) == (name == "left")
            assert f"bntui replay {recordings_folder() / name}.bntui" in done.stderr


@pytest.mark.usefixtures("three")
def test_the_events_of_a_recording_are_available_as_json() -> None:
    shown = json.loads(bntui("show", "wild", "--json", "--epoch", 0).stdout)
    bad, diverged = shown["events"]
    assert (bad["kind"], diverged["kind"]) == ("first_bad", "diverged")
    assert bad["run"] == "run"
    assert bad["message"].startswith(f"first {bad['arguments']['value']} value at step {bad['step']}: ")
    assert bad["epoch"] == pytest.approx(bad["step"] / 6)
    text = bntui("show", "wild").stdout
    assert "NaN" in text
    assert "nan" not in text


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ([["finished"], ["finished"]], "finished"),
        ([["first_bad", "diverged"], ["diverged"]], "diverged"),
        ([["stopped_early", "restored_best"]], "stopped_early"),
        ([["diverged"], ["finished"]], "finished"),
        ([["diverged"], ["resumed"]], "interrupted"),
        ([["interrupted"]], "interrupted"),
        ([[], ["finished"]], "interrupted"),
        ([[Foreign("flew by")]], "interrupted"),
    ],
)
def test_how_several_runs_ended(runs: list[list[EventKind | Foreign]], said: str) -> None:
    assert outcome(runs) == said


@pytest.mark.parametrize(
    ("layer", "quantity", "said"),
    [
        ("output", "loss", "first NaN value at step 7: the loss"),
        ("output", "validation loss", "first NaN value at step 7: the validation loss"),
        ("output", "weight gradient", "first NaN value at step 7: weight gradient of the output layer"),
        ("linear 1", "weight gradient", "first NaN value at step 7: weight gradient of layer linear 1"),
    ],
)
def test_a_first_bad_value_of_the_output_layer_reads_well_in_any_recording(
    layer: str, quantity: str, said: str
) -> None:
    event = Event.of(0, 7, 1.0, "first_bad", FIRST_BAD, value="NaN", step=7, quantity=quantity, layer=layer)
    assert event.message == f"first NaN value at step 7: {quantity} of layer {layer}"  # as recorded ever since
    assert event.text == said
    use("ko")
    assert korean(event.text)

"""Tests that events are recorded in English and shown in the reader's language."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pytest

from bntui.commands.show import as_text
from bntui.keyframe import EarlyStopping, Foreign
from bntui.link.library import entry
from bntui.recording.history import Event
from bntui.recording.reader import Reader
from bntui.recording.sentences import (
    DIVERGED_TRAINING,
    EVENT_KINDS,
    FINISHED,
    INTERRUPTED,
    STOPPED,
    why_stopped,
)
from bntui.recording.writer import Writer
from bntui.scenario.gallery import card
from bntui.text.language import use
from tests.korean import korean
from tests.test_process import scenario
from tests.test_session import DIGITS, train


def test_what_happened_is_recorded_in_english_and_told_in_the_readers_language(tmp_path: Path) -> None:
    use("ko")
    text = DIGITS + "[training.early_stopping]\npatience = 0\nmin_delta = 100.0\nrestore_best_weights = true\n"
    path = train(tmp_path, text).path
    with sqlite3.connect(path) as database:
        recorded = database.execute("SELECT message, arguments FROM event ORDER BY id").fetchall()
        reasons = [row[0] for row in database.execute("SELECT reason FROM keyframe WHERE stopped")]
    assert recorded[0][0] == ("stopped at epoch 2: val_loss has not improved since epoch 1; waited 1, patience is 0")
    assert json.loads(recorded[0][1])["best_epoch"] == 1
    assert reasons == ["val_loss has not improved since epoch 1: waited 1, patience is 0"]
    reader = Reader(path)
    stopped, restored = reader.events(0)
    frame = reader.keyframe(0, len(reader.history(0)) - 1)
    assert frame.early_stopping is not None
    told_of = [stopped.text, restored.text, why_stopped(frame.early_stopping), as_text(reader, frame)]
    assert all(map(korean, told_of))
    assert "has not improved" not in told_of[3]
    use("en")
    assert [stopped.text, restored.text] == [stopped.message, restored.message]
    assert why_stopped(frame.early_stopping) == frame.early_stopping.reason


def test_each_kind_of_event_has_korean_words() -> None:
    figures = {
        "epoch": 3, "epochs": 3, "monitor": "val_loss", "best_epoch": 1, "wait": 2, "patience": 2, "step": 7,
        "loss": "infinite", "value": "NaN", "quantity": "output", "layer": "linear 1", "ratio": 1e-9,
        "now": "torch 2", "before": "torch 1", "baseline": 0.3, "best": 0.5, "text": "here", "error": "KeyError",
    }  # fmt: skip
    use("ko")
    for kind, one in EVENT_KINDS.items():
        for sentence in one.sentences:
            names = set(re.findall(r"{(\w+)", sentence))
            event = Event.of(0, 7, 3.0, kind, sentence, **{name: figures[name] for name in names})
            assert korean(event.text)
            assert not korean(event.message)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"epochs": 7}, {"epochs": "{0.__class__}"}, {"step": 1}, [1, 2], "x", {"epochs": {"a": 1}}],
)
def test_a_strangers_event_is_told_as_it_stands(arguments: object) -> None:
    use("ko")
    event = Event(0, 1, 1.0, "finished", FINISHED.format(epochs=6), arguments)  # type: ignore[arg-type]
    assert event.text == "finished after 6 epochs"
    foreign = Event(0, 1, 1.0, Foreign("from the future"), "{epochs} flew by", {"epochs": 6})
    assert foreign.text == "{epochs} flew by"
    wrong = Event(0, 1, 1.0, "diverged", DIVERGED_TRAINING.format(loss=["a"], step=3), {"loss": ["a"], "step": 3})
    assert wrong.text == wrong.message


def test_events_of_the_older_format_are_read() -> None:
    reader = Reader(Path(__file__).parent / "data" / "format-1.bntui")
    events = [event for run in reader.runs for event in reader.events(run.index)]
    assert events
    use("ko")
    assert [event.text for event in events] == [event.message for event in events]


def test_events_that_can_be_told_are_still_hashable() -> None:
    event = Event.of(0, 1, 1.0, "interrupted", INTERRUPTED, epoch=0.5)
    assert event in {event}
    assert event.message == "stopped by the user at epoch 0.5"


@pytest.mark.parametrize(
    ("spoken", "said"), [("en", "stopped by the user at epoch 0.5"), ("ko", "에포크 0.5에서 사용자가 멈춤")]
)
def test_what_earlier_versions_recorded_is_shown_in_the_words_of_this_one(spoken: str, said: str) -> None:
    recorded = Event(0, 1, 1.0, "interrupted", "stopped by hand at epoch 0.5", {"epoch": 0.5})
    use(spoken)
    assert recorded.text == said


@pytest.mark.parametrize(("epochs", "said"), [(1, "finished after 1 epoch"), (2, "finished after 2 epochs")])
def test_one_epoch_is_one(epochs: int, said: str) -> None:
    assert Event.of(0, 7, 1.0, "finished", FINISHED, epochs=epochs).text == said


def test_why_training_stopped_is_derived_from_its_figures() -> None:
    stopping = EarlyStopping("val_loss", 0.5, 9, 5, 5, stopped=True, reason="whatever was recorded")
    assert why_stopped(stopping) == "val_loss has not improved since epoch 9: waited 5, patience is 5"
    never = EarlyStopping("loss", float("nan"), 0, 5, 5, stopped=True, reason="")
    assert why_stopped(never) == "loss has not improved at all: waited 5, patience is 5"
    assert why_stopped(EarlyStopping("loss", 0.1, 1, 2, 5, stopped=False, reason="")) == ""
    assert STOPPED.startswith("stopped")


def test_recordings_and_scenarios_show_their_texts_in_the_language_in_use(tmp_path: Path) -> None:
    translation = '[translation.ko]\ntitle = "숫자"\nlook_for = ["곡선"]\nruns = { plain = "그대로" }\n'
    text = f'{DIGITS}[[run]]\nname = "plain"\n{translation}'
    path = scenario(tmp_path, text)
    recording = train(tmp_path, text).path
    assert (card(path).title, card(path).runs, entry(recording).title) == ("Digits", ("plain",), "Digits")
    use("ko")
    assert (card(path).title, card(path).runs, card(path).look_for) == ("숫자", ("그대로",), ("곡선",))
    assert (entry(recording).title, entry(recording).runs) == ("숫자", ("그대로",))


@pytest.mark.parametrize("translation", ["3", '{"ko": 3}', '{"ko": {"title": 3, "runs": 3}}', "{"])
def test_a_damaged_translation_of_a_recording_is_a_problem_not_a_crash(translation: str, tmp_path: Path) -> None:
    Writer.create(path := tmp_path / "x.bntui", {"title": "x", "translation": translation}).close()
    use("ko")
    found = entry(path)
    assert found.problem or found.title == "3"

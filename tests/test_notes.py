"""Tests notes at keyframes: written into a file, through a live trainer and on the screen, and kept by a copy."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from textual.widgets import Input

from bntui.audit.audit import audit
from bntui.errors import RecordingError, UsageError
from bntui.link import requests
from bntui.link.client import IdleTrainer, Trainer
from bntui.link.lock import Hold
from bntui.link.notes import add_note
from bntui.link.wire import FrameError
from bntui.recording.history import Event
from bntui.recording.reader import Reader
from bntui.recording.sentences import NOTE as TEXT
from bntui.recording.writer import insert_events
from bntui.scenario.load import parse
from bntui.scenario.pace import PacingOptions
from bntui.trainer.session import Session
from bntui.viewer.app import LabApp
from bntui.viewer.draw.rows import text
from bntui.viewer.screens.lab import LabScreen
from bntui.viewer.widgets import RowsWidget
from tests.fakes import until
from tests.test_process import LONG, scenario

SCENARIO = """
title = "Notes"
[data]
source = "iris"
batch_size = 30
[network]
hidden = [4]
[training]
epochs = 2
"""
NOTE = "here 손실 stops falling"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "x.bntui"
    session = Session.begin(parse(SCENARIO, file="x.toml"), path)
    while not session.over:
        session.epoch(lambda: False)
    session.close()
    return path


def notes(path: Path) -> list[tuple[int, float, str]]:
    with closing(Reader(path)) as reader:
        events = [event for event in reader.events(0) if event.kind == "noted"]
        return [(event.step, event.epoch, event.text) for event in events]


def test_a_note_stands_in_the_file_and_in_its_copies_and_the_audit_finds_all_true(recording: Path) -> None:
    for step in (8, 0, 4):  # in any order, at the beginning, and after the end
        add_note(recording, 0, step, f"{NOTE} {step}")
    copy = recording.with_name("copy.bntui")
    shutil.copyfile(recording, copy)
    assert list(recording.parent.glob("x.bntui-*")) == []
    assert notes(copy) == [(step, step / 4, f"note: {NOTE} {step}") for step in (8, 0, 4)]
    assert audit(copy).true


def test_a_note_needs_a_keyframe_and_a_file_that_nobody_trains(recording: Path) -> None:
    before = recording.read_bytes()
    for run, step in ((0, 3), (1, 4), (-1, 4)):
        with pytest.raises(UsageError, match="no keyframe at step"):
            add_note(recording, run, step, NOTE)
    hold = Hold(recording)
    try:
        with pytest.raises(RecordingError):
            add_note(recording, 0, 4, NOTE)
    finally:
        hold.release()
    assert recording.read_bytes() == before


def test_notes_end_before_a_reader_refuses_the_recording(recording: Path) -> None:
    """A reader takes 100,000 events."""
    with closing(sqlite3.connect(recording)) as database, database:
        (there,) = database.execute("SELECT count(*) FROM event").fetchone()
        insert_events(database, [Event.of(0, 4, 1.0, "noted", TEXT, text="x")] * (90_000 - 1 - there))
    add_note(recording, 0, 4, NOTE)
    with pytest.raises(UsageError, match="has 90,000 events and takes no more notes"):
        add_note(recording, 0, 4, NOTE)
    assert notes(recording)[-1] == (4, 1.0, f"note: {NOTE}")


def test_a_trainer_writes_a_note_and_refuses_one_without_a_keyframe(tmp_path: Path) -> None:
    path = IdleTrainer.start().open(
        scenario(tmp_path, LONG), tmp_path / "x.bntui", watching=PacingOptions("max", paused=True)
    )
    trainer = Trainer.connect(path)
    assert trainer is not None
    with closing(trainer):
        trainer.receive(20)
        trainer.send("note", run=0, step=0, text=NOTE)
        while (status := trainer.receive(20)) is not None and status.commands < 1:
            pass
        trainer.send("note", run=0, step=7, text=NOTE)
        while (status := trainer.receive(20)) is not None and status.commands < 2:
            pass
        assert status is not None
        assert "no keyframe at step 7" in status.refusal
        assert notes(path) == [(0, 0.0, f"note: {NOTE}")]
        trainer.send("stop")
        while trainer.receive(20) is not None:
            pass


@pytest.mark.parametrize("words", ["", "  ", "a\nb", "a\x1b[2Jb", "x" * 501, 3, None])
def test_a_note_is_one_line(words: object) -> None:
    frame = json.dumps({"command": "note", "run": 0, "step": 0, "text": words}).encode()
    with pytest.raises(FrameError):
        requests.parse(frame)


async def test_n_writes_a_note_where_the_cursor_stands(recording: Path) -> None:
    async with LabApp(recording).run_test(size=(160, 48)) as pilot:
        await pilot.press("left", "N")
        await until(pilot, lambda: pilot.app.screen.query(Input))
        await pilot.press(*"so it is", "enter")
        await until(pilot, lambda: notes(recording))
        assert notes(recording) == [(4, 1.0, "note: so it is")]
        lab = pilot.app.screen
        assert isinstance(lab, LabScreen)

        def strip() -> str:
            return "\n".join(text(row) for row in lab.query_one("#strip", RowsWidget).rows)

        await until(pilot, lambda: "✎ note 1" in strip())
        await pilot.press("N", "escape")
        await pilot.press("N", "enter")  # an empty one is none
    assert len(notes(recording)) == 1

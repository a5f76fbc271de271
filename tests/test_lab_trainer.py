"""Tests what a laboratory does with what comes after it was left."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bntui.link import notes
from bntui.scenario.pace import NOTHING_ASKED
from bntui.viewer import live_states, opening
from bntui.viewer.live_events import NoteWritten
from bntui.viewer.screens import lab_trainer
from bntui.viewer.screens.lab_recording import LoadedRecording
from bntui.viewer.screens.lab_trainer import TrainerControl
from tests.fakes import FakeReader


@pytest.mark.parametrize("left", [False, True])
def test_a_copy_with_a_note_is_shown_or_closed(left: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A note in a read-only recording goes into a copy, which another screen may have taken the place of by then."""
    copy = FakeReader()
    shown: list[Any] = []
    written: list[Any] = []
    lab: Any = SimpleNamespace(
        loaded=LoadedRecording(FakeReader()), app=None, adopt=shown.append, noted=lambda: shown.append("noted"),
        facts=lambda: live_states.Facts("me"),
    )  # fmt: skip
    monkeypatch.setattr(lab_trainer, "_own", lambda _path: Path("/recordings/copy.bntui"))
    monkeypatch.setattr(lab_trainer, "recorded", lambda _path: copy)
    monkeypatch.setattr(notes, "add_note", lambda *told: written.append(told))

    def at_once(_app: object, work: Any, done: Any, _failed: object) -> None:
        found = work()
        if left:
            lab.loaded.close()
        done(found)

    monkeypatch.setattr(opening, "in_background", at_once)
    TrainerControl(lab, None, lambda: None, NOTHING_ASKED).happened(NoteWritten(0, 12, "look"))
    assert written == [(Path("/recordings/copy.bntui"), 0, 12, "look")]
    assert copy.closed is left
    assert shown == ([] if left else [copy, "noted"])

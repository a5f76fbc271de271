"""Tests that trainers note themselves in the state folder, and that stale notes are neither believed nor kept."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bntui.link import registry
from bntui.link.library import recordings
from tests.commands import bntui
from tests.test_moving import Training, training
from tests.waiting import until

__all__ = ["training"]


def notes() -> list[dict[str, object]]:
    """The notes as they lie in the state folder."""
    folder = Path(os.environ["XDG_STATE_HOME"]) / "bntui" / "trainers"
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*"))]


def note(recording: object, host: str, pid: object, name: str = "other.json", age: float = 0.0) -> Path:
    """A note as another trainer would write it."""
    path = Path(os.environ["XDG_STATE_HOME"]) / "bntui" / "trainers" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"recording": str(recording), "host": host, "pid": pid}))
    os.utime(path, (time.time() - age,) * 2)
    return path


def ended() -> int:
    """Number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_trainer_notes_its_recording_follows_it_and_removes_the_note(training: Training, tmp_path: Path) -> None:
    mine = {"host": socket.gethostname(), "pid": training.idle.pid}
    assert notes() == [{"recording": str(training.recording), **mine}]
    assert [entry.path for entry in recordings() if entry.live] == [training.recording]
    new = tmp_path / "elsewhere" / "y.bntui"
    new.parent.mkdir()
    training.recording.rename(new)
    training.until(lambda status: status.recording == str(new))
    assert notes() == [{"recording": str(new), **mine}]
    listed = json.loads(bntui("list", "--live", "--json").stdout)
    assert [(one["path"], one["live"], one["host"]) for one in listed["recordings"]] == [(str(new), True, "")]
    found = registry.trainer(new)
    assert found is not None
    assert (found.recording, found.recorder) == (new, False)
    assert registry.trainer(new.with_name("another.bntui")) is None
    training.end()
    assert registry.trainer(new) is None
    assert notes() == []
    assert recordings() == ()


def test_the_note_of_a_killed_trainer_is_removed_when_it_is_read(training: Training) -> None:
    os.kill(training.idle.pid, signal.SIGKILL)
    training.idle._process.wait()
    assert len(notes()) == 1
    assert registry.trainers() == ()
    assert notes() == []


def test_what_others_noted_is_checked_by_asking(tmp_path: Path) -> None:
    there, here = tmp_path / "x.bntui", socket.gethostname()
    there.touch()
    running = note(there, here, os.getpid(), "running.json")  # a process that does not answer for this recording
    gone = note(there, here, ended(), "gone.json")
    vanished = note(tmp_path / "vanished.bntui", here, ended(), "vanished.json")
    far = note(there, "far away", 1, "far.json")
    silent = note(there, "far away", 2, "silent.json", age=3600)
    forgotten = note(there, "far away", 3, "forgotten.json", age=2 * 24 * 3600)
    assert registry.trainers() == (registry.Registration(there, "far away", 1),)
    kept = {path for path in (running, gone, vanished, far, silent, forgotten) if path.exists()}
    assert kept == {running, far, silent}
    found = registry.elsewhere(there)
    assert found is not None
    assert (found.host, found.pid, found.here) == ("far away", 1, False)
    assert registry.elsewhere(tmp_path / "other.bntui") is None


def test_only_who_may_write_a_recording_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A trainer that hangs answers after seconds, and the screen of another recording asks at every drawing."""
    here, asked = socket.gethostname(), []

    def is_live(recording: Path) -> bool:
        asked.append(recording)
        return True

    monkeypatch.setattr(registry, "is_live", is_live)
    mine, other = tmp_path / "mine.bntui", tmp_path / "other.bntui"
    for path in (mine, other):
        path.touch()
        note(path, here, os.getpid(), f"{path.stem}.json")
    assert registry.recorder(mine) is None
    assert registry.elsewhere(mine) is None
    assert asked == []
    found = registry.trainer(mine)
    assert found is not None
    assert found.recording == mine
    assert asked == [mine]
    assert {one.recording for one in registry.trainers()} == {mine, other}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"recording": 3, "host": "a", "pid": 1}', '{"recording": "x", "host": "a", "pid": 1}',
     '{"recording": "/x", "host": "a", "pid": 0}', '{"recording": "/x\\u0000", "host": "a", "pid": 1}', "[" * 50_000],
)  # fmt: skip
def test_what_is_no_note_is_removed(text: str) -> None:
    path = note("/x", "a", 1)
    path.write_text(text)
    assert registry.trainers() == ()
    assert not path.exists()


def test_special_files_among_the_notes_are_skipped() -> None:
    path = note("/x", "a", 1)
    path.unlink()
    os.mkfifo(path)
    path.with_name("link.json").symlink_to("/nowhere")
    path.with_name("folder.json").mkdir()
    assert registry.trainers() == ()


def test_a_trainer_trains_without_a_state_folder_and_notes_itself_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    made = Training(tmp_path / "x.bntui", tmp_path)
    made.until(lambda status: status.keyframes > 4)
    made.end()
    made.close()


@pytest.mark.usefixtures("training")
def test_the_folder_and_the_notes_are_the_users_alone() -> None:
    folder = registry.registry_folder()
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    assert [oct(path.stat().st_mode & 0o777) for path in folder.iterdir()] == ["0o600"]


def test_a_note_that_is_removed_is_written_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from bntui.link import Status
    from bntui.trainer.server import Server

    monkeypatch.setattr(registry, "RENEWED", 0.0)
    server = Server(tmp_path / "x.bntui", Status("paused", None, 0.0, 0))
    try:
        (own,) = registry.registry_folder().iterdir()
        own.unlink()
        until(own.exists)
    finally:
        server.close()
    assert not own.exists()

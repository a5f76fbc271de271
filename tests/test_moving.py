"""Tests recordings moved or deleted during training, runtime folders that disappear, and logins that differ."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bntui.errors import RecordingError, TrainerError
from bntui.link import Status, address
from bntui.link.client import IdleTrainer, Trainer
from bntui.link.library import entry
from bntui.link.live import is_live
from bntui.link.lock import Hold
from bntui.recording.copy import copied
from bntui.recording.draft import BESIDE
from bntui.recording.names import new_path
from bntui.recording.reader import Reader
from bntui.scenario.pace import PacingOptions
from tests.commands import bntui
from tests.test_process import BNTUI, LONG, scenario
from tests.waiting import until


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a short path for sockets: those of tests are longer than a socket's may be."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", f"{folder}/one")
        yield Path(folder)


class Training:
    """A real trainer, and a client of it."""

    def __init__(self, recording: Path, folder: Path, *, start: bool = True) -> None:
        self.idle = IdleTrainer.start()
        self.recording = self.idle.open(scenario(folder, LONG), recording, watching=PacingOptions(20, paused=not start))
        client = Trainer.connect(self.recording)
        assert client is not None
        self.client = client

    def until(self, fulfilled: Callable[[Status], bool]) -> Status:
        while True:
            status = self.client.receive(timeout=60)
            assert status is not None, "the trainer hung up"
            if fulfilled(status):
                return status

    def end(self) -> Status:
        """Stop it, and wait until its process has ended."""
        self.client.send("stop")
        status = self.until(lambda status: status.state == "stopped")
        while self.client.receive(timeout=60) is not None:
            pass
        self.idle._process.wait(timeout=60)
        return status

    def close(self) -> None:
        self.client.close()
        if self.idle._process.poll() is None:
            os.kill(self.idle.pid, signal.SIGKILL)
            self.idle._process.wait()


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Training]:
    made = Training(tmp_path / "x.bntui", tmp_path)
    yield made
    made.close()


def beside(recording: Path) -> list[str]:
    return [ending for ending in BESIDE if recording.with_name(recording.name + ending).exists()]


@pytest.mark.parametrize("where", ["another name", "another folder", "its folder"])
@pytest.mark.parametrize("paused", [True, False])
def test_a_recording_that_is_moved_is_followed_and_stays_one_file(
    training: Training, tmp_path: Path, where: str, *, paused: bool
) -> None:
    training.until(lambda status: status.keyframes > 6)
    if paused:
        training.client.send("pause")
        training.until(lambda status: status.state == "paused")
    old = training.recording
    if where == "its folder":
        (tmp_path / "a").mkdir()
        inner = tmp_path / "a" / "x.bntui"
        old.rename(inner)
        training.until(lambda status: status.recording == str(inner))
        old, new = inner, tmp_path / "b" / "x.bntui"
        (tmp_path / "a").rename(tmp_path / "b")
    else:
        new = tmp_path / ("y z.bntui" if where == "another name" else "sub/x.bntui")
        new.parent.mkdir(exist_ok=True)
        old.rename(new)
    status = training.until(lambda status: status.recording == str(new))
    training.client.send("run")
    training.until(lambda later: later.keyframes > status.keyframes + 4)
    assert beside(training.recording) == beside(old) == []
    assert not old.exists()
    assert is_live(new)
    assert not is_live(old)
    with pytest.raises(RecordingError, match=f"written by process {training.idle.pid}"):
        Hold(new)
    assert entry(new).live
    last = training.end()
    assert beside(new) == []
    with closing(Reader(new)) as reader:
        assert sum(len(reader.history(run)) for run in (0, 1)) == last.keyframes
        assert reader.events(0)[-1].kind == "interrupted"
    Hold(old).release()  # its old name is free
    assert bntui("audit", new).returncode == 0


def test_a_reader_in_the_way_does_not_lose_anything(training: Training, tmp_path: Path) -> None:
    training.until(lambda status: status.keyframes > 6)
    old, new = training.recording, tmp_path / "y.bntui"
    with closing(sqlite3.connect(old, isolation_level=None)) as busy:
        busy.execute("BEGIN")
        count = busy.execute("SELECT count(*) FROM keyframe").fetchone()[0]
        old.rename(new)
        training.until(lambda status: status.keyframes > count + 6)
        busy.execute("COMMIT")
    training.until(lambda status: status.recording == str(new))
    last = training.end()
    with closing(Reader(new)) as reader:
        assert sum(len(reader.history(run)) for run in (0, 1)) == last.keyframes
    assert beside(old) == beside(new) == []


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_recording_that_is_deleted_ends_its_training_with_a_sentence(
    training: Training, tmp_path: Path, how: str
) -> None:
    training.until(lambda status: status.keyframes > 6)
    old = training.recording
    if how == "deleted":
        old.unlink()
    else:
        (tmp_path / "other").write_bytes(b"another file")
        (tmp_path / "other").rename(old)
    failed = training.until(lambda status: status.state == "failed")
    assert failed.message == f"{old} was deleted or replaced during training; training stopped"
    assert training.idle._process.wait(timeout=60) == 1
    assert beside(old) == []  # they would ruin another recording of this name
    assert old.exists() == (how == "replaced")
    Hold(old).release()  # its name is free
    assert new_path("x", tmp_path).name == "x-001.bntui"


def test_headless_training_follows_and_names_the_new_file(tmp_path: Path) -> None:
    recording, new = tmp_path / "x.bntui", tmp_path / "y.bntui"
    said = tmp_path / "said"  # no pipe: it would be full, and the reader stand still, before it is read
    with said.open("w") as file:
        process = subprocess.Popen(
            [*BNTUI, "run", scenario(tmp_path, LONG), "--json", "--pace", "20", "-o", recording],
            stdout=file, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    until(lambda: said.stat().st_size, "a first line")
    recording.rename(new)
    until(lambda: is_live(new), "an address for the new name")
    assert bntui("stop", new).returncode == 0
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert str(new) in said.read_text().splitlines()[-1]
    assert sorted(path.name for path in tmp_path.iterdir() if "bntui" in path.name) == ["y.bntui"]


def test_a_runtime_folder_that_vanishes_is_noticed(training: Training) -> None:
    folder = address.runtime_folder()
    shutil.rmtree(folder)
    assert not is_live(training.recording)
    until(lambda: is_live(training.recording), "binding again")
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    with pytest.raises(TrainerError, match=f"is being written by process {training.idle.pid}"):
        IdleTrainer.start().resume(training.recording)
    assert bntui("stop", training.recording).returncode == 0
    assert training.idle._process.wait(timeout=60) == 0


@pytest.mark.parametrize("other", ["another folder", "none"])
def test_another_login_finds_the_trainer(
    tmp_path: Path, short: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    training = Training(tmp_path / "x.bntui", tmp_path)
    recording = training.recording
    try:
        if other == "none":
            monkeypatch.delenv("XDG_RUNTIME_DIR")
            monkeypatch.setenv("TMPDIR", str(short / "t"))
            (short / "t").mkdir()
            tempfile.tempdir = None
        else:
            monkeypatch.setenv("XDG_RUNTIME_DIR", str(short / "two"))
        assert address.known(recording) == []
        assert is_live(recording)
        assert entry(recording).live
        done = bntui("resume", recording, "--headless")
        assert "is being trained; watch it with: bntui attach" in done.stderr
        with pytest.raises(RecordingError, match="is being written by"):
            Hold(recording)
        shutil.rmtree(short / "one")  # the first login ends
        until(lambda: is_live(recording), "binding again")
        with pytest.raises(RecordingError, match="is being written by"):
            Hold(recording)
        assert bntui("stop", recording).returncode == 0
        assert training.idle._process.wait(timeout=60) == 0
        assert not is_live(recording)
        with sqlite3.connect(recording) as database:
            (agenda,) = database.execute("SELECT text FROM agenda").fetchone()
        database.close()
        assert str(short) not in agenda  # a recording that is given away does not say where it was trained
    finally:
        training.close()
        tempfile.tempdir = None


@pytest.mark.parametrize(
    "trick",
    ["another name", "not a socket", "an open folder", "a link", "relative", "too long", "nothing there", "nul"],
)
def test_an_address_in_a_strangers_recording_leads_nowhere(tmp_path: Path, short: Path, trick: str) -> None:
    import socket

    recording = tmp_path / "x.bntui"
    name = address.socket_path(recording).name
    folder = short / "elsewhere"
    folder.mkdir(mode=0o700)
    where = folder / ("0" * 24 + ".sock" if trick == "another name" else name)
    with socket.socket(socket.AF_UNIX) as listening:
        if trick != "nothing there" and trick != "not a socket":
            listening.bind(str(where))
            listening.listen()
        if trick == "not a socket":
            where.touch()
        if trick == "an open folder":
            folder.chmod(0o755)
        noted = {
            "a link": str(short / "link" / name),
            "relative": os.path.relpath(where),
            "too long": f"{folder}/{'../elsewhere/' * 20}{name}",
            "nul": f"{where}\0",
        }.get(trick, str(where))
        (short / "link").symlink_to(folder)
        assert address.trusted(noted, recording) is None
        if trick in ("a link", "relative", "too long", "nul"):
            assert address.trusted(str(where), recording) == where  # the place itself is fine


def test_a_socket_of_another_user_is_not_talked_to(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    path = short / "s.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        found = address.dial(path)
        assert found is not None
        assert address.peer(found) == os.getuid()
        found.close()
        monkeypatch.setattr(address, "peer", lambda _connection: os.getuid() + 1)
        assert address.dial(path) is None


def test_two_trainers_never_write_one_recording_without_a_common_folder(tmp_path: Path, short: Path) -> None:
    training = Training(tmp_path / "x.bntui", tmp_path, start=False)
    try:
        code = "import sys; from pathlib import Path; from bntui.link.lock import Hold; Hold(Path(sys.argv[1]))"
        for folder in ("two", "one"):
            shutil.rmtree(short / folder, ignore_errors=True)
            environment = os.environ | {"XDG_RUNTIME_DIR": str(short / folder)}
            done = subprocess.run(
                [sys.executable, "-c", code, training.recording],
                env=environment, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert f"is being written by process {training.idle.pid}" in done.stderr, done
    finally:
        training.close()


def test_a_recording_that_is_trained_is_copied_with_its_journal(training: Training, tmp_path: Path) -> None:
    training.until(lambda status: status.keyframes > 6)
    copy = copied(training.recording, tmp_path / "copies")
    assert not is_live(copy)  # the copy names the same trainer, which is not its own
    with closing(Reader(copy)) as reader:
        assert len(reader.history(0)) > 2
    with contextlib.closing(training.client):
        training.end()

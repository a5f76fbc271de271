"""Tests that a trainer killed while it creates a recording leaves no empty or damaged file."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bntui.errors import BntuiError, NameTakenError, RecordingError
from bntui.link.library import recordings
from bntui.recording.draft import PREFIX, Draft
from bntui.recording.reader import Reader
from bntui.recording.recorded import recorded
from bntui.recording.writer import Writer
from bntui.trainer.session import Session
from tests.commands import bntui
from tests.spread import ALL
from tests.test_session import DIGITS, TWO_RUNS, never, train

KILLS, STRIDE = (250, 1) if ALL else (10, 53)
"""How many kills at random moments are tried, and at every how many of about a thousand lines one."""
STARTS = """
import os, sys, threading, time, signal
from pathlib import Path
from bntui.link import Status
from bntui.scenario.load import parse
from bntui.trainer.agenda import Agenda
from bntui.trainer.server import Server
from bntui.trainer.service import Service
from bntui.trainer.session import Session

WATCHED = (
    "recording/draft.py", "recording/file.py", "recording/writer.py", "trainer/create_recording.py", "link/lock.py",
)
scenario = parse(sys.argv[1], file="x")

def serve(path, kill_line):
    lines = 0
    def trace(frame, event, argument):
        nonlocal lines
        if not frame.f_code.co_filename.endswith(WATCHED):
            return None
        if event == "line":
            lines += 1
            if lines == kill_line:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace
    if kill_line:
        sys.settrace(trace)
    session = Session.begin(scenario, path)
    server = Server(path, Status("running", None, 0.0, session.writer.keyframes), moved=lambda: session.moved)
    service = Service(session, server, Agenda(True))
    sys.settrace(None)
    if kill_line:
        os._exit(3)  # it was not killed: there are no more lines
    service.serve()

for line in sys.stdin:  # one trainer a line, forked here, where torch is imported: a path, a delay or a line to die at
    path, delay, kill_line = line.split()
    began = time.monotonic()
    pid = os.fork()
    if not pid:
        try:
            serve(Path(path), int(kill_line))
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
        os._exit(0)
    if float(delay) > 0:
        time.sleep(max(0.0, float(delay) - (time.monotonic() - began)))
        os.kill(pid, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
os._exit(0)  # taking PyTorch's modules apart takes seconds
"""


class Starts:
    """Begins recordings, and kills the trainer in the midst of it."""

    def __init__(self, scenario: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", STARTS, scenario],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip

    def killed(self, path: Path, *, after: float = 0.0, line: int = 0) -> int:
        """Exit code of a trainer that was killed ``after`` seconds, or at a line of the code that creates files."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{path} {after} {line}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def starts() -> Iterator[Starts]:
    made = Starts(DIGITS.replace("epochs = 6", "epochs = 100000") + TWO_RUNS)
    yield made
    made.close()


def is_whole(path: Path) -> bool:
    """Either there is no such recording, or it opens and can be resumed; True in the latter case."""
    assert not [name for name in path.parent.iterdir() if name.suffix == ".bntui" and name != path]
    if not path.exists():
        assert recordings(path.parent) == ()
        return False
    with closing(recorded(path)) as reader:
        assert len(reader.runs) == 2
        assert all(len(reader.history(run)) for run in (0, 1))
    (listed,) = recordings(path.parent)
    assert listed.problem is None
    session = Session.resume(path)
    session.epoch(never)
    session.close()
    return True


def test_kills_at_random_moments_of_the_start_leave_a_recording_or_none(starts: Starts, tmp_path: Path) -> None:
    assert starts.killed(tmp_path / "warm" / "x.bntui", line=10**9) == 3
    whole = time.monotonic()
    assert starts.killed(tmp_path / "first" / "x.bntui", line=10**9) == 3  # a whole start, not killed
    whole = time.monotonic() - whole
    chance, there, left = random.Random(9), 0, 0
    for kill in range(KILLS):
        folder = tmp_path / f"{kill}"
        starts.killed(folder / "x.bntui", after=0.001 + chance.random() * whole)
        if folder.exists():
            left += bool(list(folder.glob(f"{PREFIX}*")))
            found = is_whole(folder / "x.bntui")
            there += found
            whole *= 0.9 if found else 1.1  # on a busy machine, too, about half of the kills come before the end
            shutil.rmtree(folder)
        else:
            whole *= 1.1
    print(f"{KILLS} kills: {there} recordings, all resumed; {KILLS - there} without one, {left} drafts left over")


def test_kills_at_every_line_that_creates_files_leave_a_recording_or_none(starts: Starts, tmp_path: Path) -> None:
    seen, line = {False: 0, True: 0}, 1
    while starts.killed(tmp_path / str(line) / "x.bntui", line=line) == -signal.SIGKILL:
        folder = tmp_path / str(line)
        seen[is_whole(folder / "x.bntui") if folder.exists() else False] += 1
        shutil.rmtree(folder, ignore_errors=True)
        line += STRIDE
    print(f"{sum(seen.values())} kills at every {STRIDE}. line: {seen[True]} recordings, {seen[False]} without one")
    assert seen[False] > 5
    assert seen[True] > 2


def test_drafts_of_killed_trainers_are_removed_and_those_of_live_ones_stay(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}dead").write_bytes(b"left over")
    live = Draft(tmp_path / "a.bntui", lock=True)
    writer = Writer.create(tmp_path / "x.bntui", {"title": "x"})
    assert sorted(tmp_path.glob(f"{PREFIX}*")) == [live.path]
    writer.close()
    live.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["x.bntui"]


def test_where_locks_say_nothing_drafts_are_removed_by_age(tmp_path: Path) -> None:
    old, young = tmp_path / f"{PREFIX}old", tmp_path / f"{PREFIX}young"
    for path in (old, young):
        path.touch()
    os.utime(old, (0, 0))
    Draft(tmp_path / "x.bntui", lock=False).discard()
    assert [path.name for path in tmp_path.iterdir()] == [young.name]


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("exclusive", [True, False])
def test_nothing_is_overwritten_on_any_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool, exclusive: bool
) -> None:
    def no_link(*_paths: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no links here")

    if not links:
        monkeypatch.setattr("os.link", no_link)
    if not exclusive:
        monkeypatch.setattr("ctypes.CDLL", lambda *_arguments, **_options: object())
    path = tmp_path / "x.bntui"
    writer = Writer.draft(path, {"title": "x"})
    path.write_text("somebody was faster")
    with pytest.raises(NameTakenError, match="already exists"):
        writer.publish(path)
    assert path.read_text() == "somebody was faster"
    writer.publish(tmp_path / "y.bntui")
    writer.close()
    assert sorted(found.name for found in tmp_path.iterdir()) == ["x.bntui", "y.bntui"]
    with sqlite3.connect(tmp_path / "y.bntui") as database:
        assert database.execute("SELECT value FROM meta WHERE key = 'title'").fetchone() == ("x",)
    database.close()


def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "x.bntui").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NameTakenError):
        Writer.create(tmp_path / "x.bntui", {"title": "x"})
    assert not (tmp_path / "elsewhere").exists()


def test_the_journal_of_a_deleted_recording_does_not_ruin_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "x.bntui-wal").write_bytes(b"left over")
    with pytest.raises(NameTakenError, match=r"x.bntui-wal is left over from another recording"):
        Writer.create(tmp_path / "x.bntui", {"title": "x"})
    assert [path.name for path in tmp_path.iterdir()] == ["x.bntui-wal"]


@pytest.fixture
def without_keyframes(tmp_path: Path) -> Path:
    reader = train(tmp_path, DIGITS + TWO_RUNS, ("training.epochs", 1))
    path = reader.path
    reader.close()
    with sqlite3.connect(path) as database:
        for table in ("keyframe", "measures", "evidence", "event", "checkpoint"):
            database.execute(f"DELETE FROM {table}")
    database.close()
    return path


def test_every_command_says_that_no_keyframe_was_recorded(without_keyframes: Path, tmp_path: Path) -> None:
    sentence = f"{without_keyframes}: no keyframe was recorded; start again with: bntui resume {without_keyframes}"
    other = tmp_path / "other.bntui"
    shutil.copy(without_keyframes, other)
    for arguments in (
        ("show",), ("show", "--json"), ("stops",), ("audit",), ("audit", "--json"), ("replay",), ("attach",),
        ("fork", "--set", "training.lr=1", "--headless"), ("fork", "--check"), ("compare", other),
    ):  # fmt: skip
        done = bntui(*arguments[:1], without_keyframes, *arguments[1:])
        assert done.returncode == 2, (arguments, done)
        assert sentence in done.stderr, (arguments, done)
        assert done.stdout == ""
    (listed, _other) = sorted(recordings(tmp_path), key=lambda entry: entry.path != without_keyframes)
    assert listed.problem == sentence


@pytest.mark.parametrize("runs", [True, False])
def test_resume_starts_a_recording_without_keyframes(without_keyframes: Path, tmp_path: Path, *, runs: bool) -> None:
    if not runs:  # killed between what it is and what is in it, by an older bntui
        with sqlite3.connect(without_keyframes) as database:
            database.execute("DELETE FROM run")
            database.execute("DELETE FROM data")
        database.close()
    done = bntui("resume", without_keyframes, "--headless")
    assert done.returncode == 0, done.stderr
    (tmp_path / "again").mkdir()
    reference = train(tmp_path / "again", DIGITS + TWO_RUNS, ("training.epochs", 1))
    with closing(Reader(without_keyframes)) as reader, closing(reference):
        assert [run.name for run in reader.runs] == ["plain", "batch norm"]
        for run in (0, 1):
            assert reader.weights(run) == reference.weights(run)
            assert [event.kind for event in reader.events(run)][-1] == "finished"
    assert bntui("audit", without_keyframes).returncode == 0


@pytest.mark.parametrize("left", ["nothing", "a name", "tables without a name"])
def test_what_older_versions_left_is_said_to_be_empty(tmp_path: Path, left: str) -> None:
    path = tmp_path / "x.bntui"
    path.touch()
    if left != "nothing":
        with sqlite3.connect(path) as database:
            database.execute(f"PRAGMA application_id = {0x424E5455}")
            if left != "a name":
                database.execute("PRAGMA user_version = 3")
        database.close()
    with pytest.raises(RecordingError, match=r"is empty: no keyframe was recorded; .*start again"):
        Reader(path)
    (listed,) = recordings(tmp_path)
    assert "start again" in (listed.problem or "")


def test_a_start_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.bntui"
    (tmp_path / "x.bntui-notes").write_text("mine")
    with pytest.raises(BntuiError):
        train(tmp_path, DIGITS, ("network.hidden", [10**9, 10**9]))
    assert not path.exists()
    assert not list(tmp_path.glob(f"{PREFIX}*"))
    assert (tmp_path / "x.bntui-notes").read_text() == "mine"

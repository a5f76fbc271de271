"""The second process that writes what ``watch`` records: killed, stopped, missing, and the same file as without it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import bntui
from bntui.errors import RecordingError
from bntui.link import registry
from bntui.link.library import entry
from bntui.link.lock import Hold
from bntui.recording.reader import Reader
from bntui.watching import hand_over
from bntui.watching.hand_over import HandedOver
from bntui.watching.sink import Sink
from bntui.watching.trouble import RecorderWarning
from tests.terminal import Terminal
from tests.watched_loops import Loop

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core")


class Small:
    """A loop that measures each of its steps."""

    def __init__(self, path: Path, **known: Any) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 3))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.path = path
        self.recorder: Any = bntui.watch(self.model, self.optimizer, path, every=1, quiet=True, **known)

    @property
    def writer(self) -> HandedOver:
        found: HandedOver = self.recorder._course._writer
        assert isinstance(found, HandedOver)
        return found

    @property
    def pid(self) -> int:
        return self.writer._process.pid

    def train(self, steps: int) -> None:
        for _ in range(steps):
            loss = self.model(torch.randn(8, 6)).square().sum()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.recorder.step(loss=loss)

    def until_written(self, step: int) -> None:
        until(lambda: step in steps(self.path))


def until(fulfilled: Any, seconds: float = 30.0) -> None:
    """Wait for another process."""
    end = time.monotonic() + seconds
    while not fulfilled():
        assert time.monotonic() < end
        time.sleep(0.01)


def steps(path: Path) -> list[int]:
    """The steps in a file, by plain SQLite."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        return [step for (step,) in database.execute("SELECT step FROM keyframe ORDER BY step")]


def ending(path: Path) -> list[str]:
    with closing(Reader(path)) as reader:
        return [event.kind for event in reader.events(0)]


def runs(pid: int) -> bool:
    """True if a process runs, or waits as a zombie."""
    return Path(f"/proc/{pid}").exists()


def dumped(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All columns of all tables, but clocks and the digests over them."""
    found = {}
    with closing(sqlite3.connect(path)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            dated = {"keyframe": {"wall_time", "digest"}}.get(table, set())
            chosen = ", ".join(column for column in columns if column not in dated)
            where = "WHERE key NOT IN ('created', 'digest')" if table == "meta" else ""
            found[table] = list(map(repr, database.execute(f"SELECT {chosen} FROM {table} {where}")))
    return found  # type: ignore[return-value]


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Small]:
    made = Small(tmp_path / "run.bntui")
    yield made
    made.recorder.close()
    assert not runs(made.pid)


@pytest.mark.filterwarnings("ignore::UserWarning:torch")
@pytest.mark.parametrize("seed", range(24))
def test_a_recording_is_the_same_whichever_process_writes_it(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "other"):
        if name == "other":
            monkeypatch.setattr(hand_over, "_started", lambda _hold: None)
        one = Loop(seed)
        path = tmp_path / f"{name}.bntui"
        with bntui.watch(one.models, one.optimizers, path, every=one.every, scaler=one.scaler, quiet=True) as recorder:
            assert isinstance(recorder._course._writer, HandedOver) == (name == "one")  # type: ignore[union-attr]
            list(one.run(recorder))
    one_file, other_file = dumped(tmp_path / "one.bntui"), dumped(tmp_path / "other.bntui")
    assert len(one_file["keyframe"]) > 1
    assert one_file == other_file


def test_what_is_recorded_is_seen_while_the_loop_runs(loop: Small) -> None:
    loop.train(3)
    loop.until_written(2)  # the third waits for the end of its epoch
    found = entry(loop.path)
    assert (found.live, found.state) == (True, "training")
    noted = registry.recorder(loop.path)
    assert noted is not None
    assert noted.pid == os.getpid()
    with pytest.raises(RecordingError, match=f"training loop of process {os.getpid()}; wait until it ends"):
        Hold(loop.path)
    loop.recorder.close()
    Hold(loop.path).release()
    assert registry.recorder(loop.path) is None
    assert [file.name for file in loop.path.parent.iterdir()] == ["run.bntui"]


def test_the_second_process_does_not_import_torch(loop: Small) -> None:
    loop.train(2)
    loop.until_written(1)
    maps = Path(f"/proc/{loop.pid}/maps").read_text()
    assert "numpy" in maps
    assert "torch" not in maps


@pytest.mark.parametrize("when", ["at once", "midway", "at the end"])
def test_if_the_second_process_is_killed_this_one_continues_the_file(loop: Small, when: str) -> None:
    """Nothing is missing, and nothing is there twice."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if when == "at once":
            os.kill(loop.pid, signal.SIGKILL)
        loop.train(20)
        if when == "midway":
            loop.until_written(5)
            os.kill(loop.pid, signal.SIGKILL)
        loop.train(20)
        loop.recorder.epoch(val_loss=1.0)
        if when == "at the end":
            loop.until_written(39)
            os.kill(loop.pid, signal.SIGKILL)
        loop.recorder.close()
    assert steps(loop.path) == list(range(1, 41))
    assert ending(loop.path) == ["finished"]
    assert not loop.path.with_name("run.bntui-wal").exists()
    Hold(loop.path).release()
    assert registry.recorder(loop.path) is None


def test_a_file_that_was_moved_before_the_second_process_died_is_continued_there(loop: Small, tmp_path: Path) -> None:
    loop.train(5)
    loop.until_written(4)
    moved = tmp_path / "moved.bntui"
    loop.path.rename(moved)
    loop.train(5)
    until(lambda: steps(moved)[-1] == 9)
    until(lambda: loop.recorder.path == moved)
    os.kill(loop.pid, signal.SIGKILL)
    loop.train(5)
    loop.recorder.close()
    assert steps(moved) == list(range(1, 16))
    assert [file.name for file in tmp_path.iterdir()] == ["moved.bntui"]


def test_a_file_that_is_deleted_is_warned_of_once(loop: Small) -> None:
    loop.train(5)
    loop.until_written(4)
    loop.path.unlink()
    with pytest.warns(RecorderWarning, match="was deleted or moved away; nothing more is recorded") as told:  # noqa: PT031
        loop.train(5)
        loop.recorder.close()
    assert len(told) == 1
    assert list(loop.path.parent.iterdir()) == []


def test_a_process_that_is_stopped_for_a_while_does_not_stop_the_loop(loop: Small) -> None:
    loop.train(2)
    loop.until_written(1)
    os.kill(loop.pid, signal.SIGSTOP)
    began = time.monotonic()
    loop.train(300)
    assert time.monotonic() - began < hand_over.PATIENCE / 2
    assert Path(f"/proc/{loop.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    assert max(steps(loop.path)) < 10
    os.kill(loop.pid, signal.SIGCONT)
    loop.recorder.close()
    assert steps(loop.path) == list(range(1, 303))


@pytest.mark.parametrize("when", ["in the loop", "at the end"])
def test_a_process_that_hangs_is_replaced(loop: Small, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loop.train(2)
    loop.until_written(1)
    monkeypatch.setattr(hand_over, "PATIENCE", 0.3)
    if when == "in the loop":
        monkeypatch.setattr(hand_over, "MOST_KEPT", 100_000)
    os.kill(loop.pid, signal.SIGSTOP)
    loop.train(100)
    assert runs(loop.pid) == (when == "at the end")
    loop.recorder.close()
    assert steps(loop.path) == list(range(1, 103))


def test_a_process_that_cannot_be_ended_is_warned_of_and_waited_for_no_longer(
    loop: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop.train(2)
    loop.until_written(1)
    monkeypatch.setattr(hand_over, "PATIENCE", 0.3)
    monkeypatch.setattr(HandedOver, "_killed", lambda _self: None)
    os.kill(loop.pid, signal.SIGSTOP)
    loop.train(3)
    with pytest.warns(RecorderWarning, match="does not answer; nothing more is recorded, training goes on"):
        loop.recorder.close()
    with pytest.raises(RecordingError):  # it still has the file
        Hold(loop.path)
    os.kill(loop.pid, signal.SIGCONT)
    loop.writer._process.wait(30)
    assert steps(loop.path) == list(range(1, 6))  # it was told them all
    Hold(loop.path).release()


def failing(path: Path, fails: object, monkeypatch: pytest.MonkeyPatch) -> Small:
    monkeypatch.setattr(hand_over, "COMMAND", ("-P", "-m", "tests.failing_writer"))
    monkeypatch.setenv("FAILS", str(fails))
    return Small(path)


@pytest.mark.parametrize("fails", ["commit", "crash"])
def test_trouble_of_the_second_process_is_warned_of_once(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = failing(tmp_path / "run.bntui", fails, monkeypatch)
    with pytest.warns(RecorderWarning, match="mine|has crashed") as told:  # noqa: PT031
        loop.train(20)
        loop.recorder.close()
        loop.train(2)
    assert len(told) == 1
    assert str(told[0].message).endswith("; nothing more is recorded, training goes on")
    assert steps(loop.path) == []
    assert not runs(loop.pid)


def test_a_process_that_cannot_begin_is_not_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = failing(tmp_path / "run.bntui", "import", monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loop.train(20)
        loop.recorder.close()
    assert steps(loop.path) == list(range(1, 21))
    assert not runs(loop.pid)


def test_a_full_disk_leaves_out_rows_and_is_warned_of_in_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "full"
    loop = failing(tmp_path / "run.bntui", marker, monkeypatch)
    loop.train(3)
    loop.until_written(2)
    marker.touch()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(3000):
            loop.train(1)
            if told:
                break
            time.sleep(0.01)
        marker.unlink()
        loop.train(3)
        loop.recorder.close()
    full, lost = (str(warning.message) for warning in told)
    assert full.endswith("full; everything recorded before is intact; nothing is recorded until there is space again, "
                         "training goes on")  # fmt: skip
    assert "not recorded, because the disk was full" in lost
    found, last = steps(loop.path), loop.recorder._steps
    assert found[:2] == [1, 2]
    assert found[-1] == last
    assert len(found) < last


# loops in processes of their own

SCRIPT = """
import os, signal, sys, time
import torch, bntui
from torch import nn

torch.set_num_threads(1)
model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
recorder = bntui.watch(model, optimizer, sys.argv[1], every=1, quiet=True)
print("writer", recorder._course._writer._process.pid, flush=True)


def train(steps):
    for _ in range(steps):
        loss = model(torch.randn(8, 6)).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        recorder.step(loss=loss)
"""
ENDINGS = {
    "killed": "train(50)\nos.kill(os.getpid(), signal.SIGKILL)",
    "exits at once": "train(50)\nos._exit(3)",
    "killed before the second process has begun": "train(1)\nos.kill(os.getpid(), signal.SIGKILL)",
    "leaves a process behind": """
train(50)
if not os.fork():
    os.close(1)
    time.sleep(20)
os.kill(os.getpid(), signal.SIGKILL)
""",
}


def script(folder: Path, after: str) -> list[str]:
    (folder / "loop.py").write_text(SCRIPT + after, encoding="utf-8")
    return [sys.executable, str(folder / "loop.py"), str(folder / "run.bntui")]


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script elsewhere finds bntui."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize("how", ENDINGS)
def test_if_the_loop_is_killed_what_it_handed_over_is_written(how: str, tmp_path: Path) -> None:
    began = time.monotonic()
    done = subprocess.run(script(tmp_path, ENDINGS[how]), stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode in (3, -signal.SIGKILL)
    writer = int(done.stdout.split()[1])
    until(lambda: not runs(writer), 15)
    assert time.monotonic() - began < 19  # not when the process that it left ends
    path = tmp_path / "run.bntui"
    # the last row is handed over with the next step
    assert steps(path) == ([] if "begun" in how else list(range(1, 50)))
    assert path.exists() == ("begun" not in how)
    assert {file.name for file in tmp_path.iterdir()} <= {"loop.py", "run.bntui"}
    Hold(path).release()


@pytest.mark.usefixtures("importable")
def test_ctrl_c_in_a_terminal_ends_the_loop_and_not_the_second_process(tmp_path: Path) -> None:
    after = """
try:
    with recorder:
        train(20)
        print("trained", flush=True)
        while True:
            train(1)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    with Terminal(script(tmp_path, after), controlling=True) as terminal:
        terminal.until("trained")
        os.write(terminal._master, b"\x03")
        terminal.until("interrupted")
        terminal.process.wait(30)
        writer = int(terminal.transcript.split()[1])
    path = tmp_path / "run.bntui"
    found = steps(path)
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= 20
    assert ending(path) == ["interrupted"]
    assert not runs(writer)
    assert not path.with_name("run.bntui-wal").exists()


@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize("after", ["train(5)", "train(5)\nraise KeyError('mine')"])
def test_a_loop_that_does_not_close_its_recorder_is_recorded_to_its_end(after: str, tmp_path: Path) -> None:
    done = subprocess.run(script(tmp_path, after), capture_output=True, text=True, check=False)
    assert done.returncode == ("raise" in after)
    assert steps(tmp_path / "run.bntui") == list(range(1, 6))
    assert ending(tmp_path / "run.bntui") == ["interrupted" if "raise" in after else "finished"]
    assert not runs(int(done.stdout.split()[1]))


def test_a_forked_process_has_none_of_the_pipes(loop: Small) -> None:
    loop.train(3)
    ends = [os.readlink(f"/proc/self/fd/{end}") for end in (loop.writer._line._to, loop.writer._line._back)]
    child = os.fork()
    if child == 0:
        open_ones = {os.readlink(f"/proc/self/fd/{one}") for one in os.listdir("/proc/self/fd")[:-1]}
        loop.recorder.close()
        os._exit(len(open_ones & set(ends)))
    assert os.waitpid(child, 0)[1] == 0
    loop.train(3)
    loop.recorder.close()
    assert steps(loop.path) == list(range(1, 7))


def _refused(*_of: Any, **_named: Any) -> None:
    raise BlockingIOError("no more processes")


@pytest.mark.parametrize("why", ["no process", "one core", "no Python", "frozen"])
def test_without_a_second_process_this_one_writes(why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if why == "no process":
        monkeypatch.setattr(subprocess, "Popen", _refused)
    elif why == "one core":
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    elif why == "no Python":
        monkeypatch.setattr(sys, "executable", "/usr/bin/blender")
    else:
        monkeypatch.setattr(sys, "frozen", True, raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loop = Small(tmp_path / "run.bntui")
        assert isinstance(loop.recorder._course._writer, Sink)
        loop.train(5)
        loop.recorder.close()
    assert steps(loop.path) == list(range(1, 6))


def test_two_recorders_write_beside_each_other(tmp_path: Path) -> None:
    loops = [Small(tmp_path / f"{number}.bntui") for number in range(2)]
    for _ in range(10):
        for one in loops:
            one.train(1)
    for one in loops:
        one.recorder.close()
        assert steps(one.path) == list(range(1, 11))
    assert loops[0].pid != loops[1].pid


def test_an_interrupted_hand_over_loses_nothing(loop: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl+C may come between any two lines: here within the call that sends a row."""
    loop.train(3)
    loop.until_written(2)
    send = loop.writer._line.send

    def interrupted(pieces: Any) -> None:
        monkeypatch.setattr(loop.writer._line, "_push", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        send(pieces)

    monkeypatch.setattr(loop.writer._line, "send", interrupted)
    with pytest.raises(KeyboardInterrupt):
        loop.train(3)
    monkeypatch.undo()
    loop.recorder.close(KeyboardInterrupt())
    found = steps(loop.path)
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= 3
    assert ending(loop.path) == ["interrupted"]

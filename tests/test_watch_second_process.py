"""The second process that writes what ``watch`` records: killed, stopped, missing, and the same file as without it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import bntui
from bntui.errors import RecordingError
from bntui.link import registry
from bntui.link.library import entry
from bntui.link.lock import Hold
from bntui.watching import hand_over
from bntui.watching.hand_over import HandedOver
from bntui.watching.sink import Sink
from bntui.watching.trouble import RecorderWarning
from tests.second_process import Small, dumped, ending, runs, steps, until
from tests.watched_loops import Loop

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core")


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


def test_a_file_that_is_deleted_with_its_second_process_is_warned_of(loop: Small) -> None:
    loop.train(5)
    loop.until_written(4)
    until(lambda: loop.recorder.path and loop.writer._done)
    os.kill(loop.pid, signal.SIGKILL)
    loop.path.unlink()
    with pytest.warns(RecorderWarning, match="was deleted or moved away; nothing more is recorded") as told:  # noqa: PT031
        loop.train(5)
        loop.recorder.close()
    assert len(told) == 1


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


@pytest.mark.parametrize("fails", ["import", "kill"])
def test_a_process_that_ends_before_its_first_row_is_not_missed(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = failing(tmp_path / "run.bntui", fails, monkeypatch)
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
    found, last = steps(loop.path), loop.recorder._progress.steps
    assert found[:2] == [1, 2]
    assert found[-1] == last
    assert len(found) < last


def test_a_forked_process_has_none_of_the_pipes(loop: Small) -> None:
    loop.train(3)
    ends = [os.readlink(f"/proc/self/fd/{end}") for end in (loop.writer._line._to, loop.writer._line._back)]
    child = os.fork()
    if child == 0:
        code = 99  # whatever happens, this process must not run any other test
        try:
            open_ones = set()
            for one in os.listdir("/proc/self/fd"):
                with suppress(OSError):  # that of the list itself
                    open_ones.add(os.readlink(f"/proc/self/fd/{one}"))
            loop.recorder.close()
            code = len(open_ones & set(ends))
        finally:
            os._exit(code)
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

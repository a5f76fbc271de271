"""Tests the trainer's process that is started ahead, and what is imported while a trainer starts."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bntui import cpu
from bntui.errors import StorageError, TrainerError
from bntui.link import spawn
from bntui.link.client import IdleTrainer
from bntui.link.job import Answer, Job
from tests.terminal import Terminal
from tests.waiting import until

BNTUI = [sys.executable, "-m", "bntui"]


def trainers(folder: Path) -> list[int]:
    """Process ids of the trainers whose log is below a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if b"bntui.trainer_process" in words and any(word.startswith(bytes(folder)) for word in words):
            found.append(int(process.name))
    return found


def test_the_process_that_was_started_ahead_is_the_first_one_that_is_needed() -> None:
    spawn.spawn_ahead()
    ahead = spawn._ahead
    spawn.spawn_ahead()  # one is enough
    assert ahead is not None
    assert spawn._ahead is ahead
    first, second = IdleTrainer.start(), IdleTrainer.start()
    assert first.pid == ahead.process.pid != second.pid
    first.discard()
    second.discard()
    assert not ahead.log.exists()


def test_what_nobody_needed_is_ended() -> None:
    spawn.spawn_ahead()
    ahead = spawn._ahead
    assert ahead is not None
    spawn.discard_ahead()
    assert spawn._ahead is None
    assert not ahead.log.exists()
    with pytest.raises(OSError, match=r"Bad file descriptor"):
        ahead.control.sendall(b"x")
    assert ahead.process.returncode is not None


@pytest.mark.parametrize("lacks", ["packages", "cores", "a free core"])
def test_none_is_started_where_it_is_of_no_use(lacks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if lacks == "packages":
        monkeypatch.setattr(spawn, "missing", lambda: ("torch",))
    elif lacks == "cores":
        monkeypatch.setattr(spawn, "cores", lambda: 1)
    else:
        monkeypatch.setattr(spawn, "_running", cpu.cores)
    spawn.spawn_ahead(gently=True)
    assert spawn._ahead is None


def test_processes_that_run_are_counted() -> None:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        until(lambda: max(spawn._running() for _ in range(20)) >= 4, "three busy processes and this one")
    finally:
        for process in busy:
            process.kill()
            process.wait()


@pytest.mark.parametrize("arguments", [["no-such-scenario"], ["batch-normalization", "--no-such-option", "--headless"]])
def test_a_command_that_fails_leaves_no_trainer(arguments: list[str]) -> None:
    with Terminal([*BNTUI, "run", *arguments]) as terminal:
        assert terminal.exit_code() == 2
    folder = Path(os.environ["XDG_RUNTIME_DIR"])
    assert not trainers(folder)
    assert not list(folder.rglob("trainer-*.log"))


@pytest.mark.usefixtures("real_trainers")
def test_a_process_that_cannot_be_started_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **_named: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    folder = Path(os.environ["XDG_RUNTIME_DIR"])
    before = sorted(folder.rglob("trainer-*.log")), len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(subprocess, "Popen", refuse)
    spawn.spawn_ahead()
    with pytest.raises(TrainerError, match="cannot start a trainer: Resource temporarily unavailable"):
        IdleTrainer.start()
    assert (sorted(folder.rglob("trainer-*.log")), len(os.listdir("/proc/self/fd"))) == before


@pytest.mark.usefixtures("real_trainers")
def test_an_interpreter_that_cannot_be_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(TrainerError) as error:
        IdleTrainer.start()
    assert str(error.value) == f"cannot start a trainer: {tmp_path / 'python'}: No such file or directory"


def test_too_few_file_descriptors_are_reported_in_one_sentence() -> None:
    """Where the process can still read what it needs to say so."""
    few = "resource.setrlimit(resource.RLIMIT_NOFILE, (7, 7))"
    script = f"import os, resource, sys; {few}; os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-c", script, *BNTUI, "run", "batch-normalization", "--headless"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "bntui: cannot start a trainer: Too many open files\n")
    assert not list(Path(os.environ["XDG_RUNTIME_DIR"]).rglob("trainer-*.log"))


@pytest.mark.usefixtures("real_trainers")
def test_why_torch_cannot_be_imported_is_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('libtorch_cpu.so is broken')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path(spawn.__file__).parents[2])]))
    trainer = IdleTrainer.start()
    with pytest.raises(TrainerError, match="its last output is in") as failed:
        trainer.open(tmp_path / "x.toml", None)
    log = Path(str(failed.value).rpartition(" in ")[2])
    assert log.read_text().endswith("ImportError: libtorch_cpu.so is broken\n")
    log.unlink()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_a_trainer_whose_log_is_on_a_full_disk_still_says_why_it_failed(tmp_path: Path) -> None:
    script = """
import errno, os, sys
from bntui import trainer_process
def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
trainer_process._begun = full
trainer_process._warm = trainer_process._template = lambda *_: None
sys.exit(trainer_process.main())
"""
    ours, theirs = socket.socketpair()
    with ours, theirs, open("/dev/full", "w", encoding="utf-8") as full:
        ours.sendall(Job(resume=False, language="en", scenario=str(tmp_path / "x.toml"), recording=None).line())
        command = [sys.executable, "-c", script, str(theirs.fileno()), str(tmp_path / "x.log")]
        done = subprocess.run(command, stdout=full, stderr=full, pass_fds=[theirs.fileno()], check=False)
        theirs.close()
        with ours.makefile("rb") as lines:
            answer = Answer.parse(lines.readline())
    assert answer.error == "the trainer failed: OSError: [Errno 28] No space left on device"
    assert done.returncode == answer.exit_code == 1


def test_a_trainer_that_fails_before_it_serves_says_why(tmp_path: Path) -> None:
    """The disk may be full once the recording is there: its agenda is written then."""
    script = """
import sys
from bntui import trainer_process
from bntui.errors import StorageError
from bntui.trainer import service
def full(*_, **__):
    raise StorageError("the disk is full")
service.Service = full
trainer_process._warm = trainer_process._template = lambda *_: None
sys.exit(trainer_process.main())
"""
    path = tmp_path / "x.toml"
    path.write_text("title = 'x'\n[data]\nsource = 'moons'\nsamples = 20\n[network]\nhidden = [2]\n")
    recording = tmp_path / "x.bntui"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(Job(resume=False, language="en", scenario=str(path), recording=str(recording)).line())
        command = [sys.executable, "-c", script, str(theirs.fileno()), str(tmp_path / "x.log")]
        done = subprocess.run(command, capture_output=True, pass_fds=[theirs.fileno()], check=False)
        theirs.close()
        with ours.makefile("rb") as lines:
            answer = Answer.parse(lines.readline())
    assert answer.error == "the disk is full"
    assert done.returncode == answer.exit_code == StorageError.exit_code


def test_leaving_the_gallery_at_once_leaves_no_trainer() -> None:
    folder = Path(os.environ["XDG_RUNTIME_DIR"])
    with Terminal(BNTUI) as terminal:
        terminal.until("batch norm")
        (viewer,) = terminal.children()
        until(lambda: trainers(folder), "the start of the trainer")
        assert trainers(folder) == terminal.children(viewer)
        terminal.press("q")
        assert terminal.exit_code() == 0
    until(lambda: not trainers(folder), "the end of the trainer")
    assert not list(folder.rglob("trainer-*.log"))


def test_a_trainer_that_was_started_ahead_ends_with_a_viewer_that_is_killed() -> None:
    folder = Path(os.environ["XDG_RUNTIME_DIR"])
    with Terminal(BNTUI) as terminal:
        terminal.until("batch norm")
        until(lambda: trainers(folder), "the start of the trainer")
        (viewer,) = terminal.children()
        os.kill(viewer, 9)
        terminal.exit_code()
    until(lambda: not trainers(folder), "the end of the trainer")


def test_the_laboratory_is_imported_while_a_trainer_starts() -> None:
    script = """
import asyncio, sys, threading
from pathlib import Path
from bntui.viewer.app import LabApp
from bntui.viewer.opening import Beginning

ended = threading.Event()
def begin():
    ended.wait()
    raise SystemExit

async def look():
    app = LabApp(beginning=Beginning(begin, ended.set, "x"))
    async with app.run_test(size=(160, 48)) as pilot:
        names = {"plotext", "numpy", "bntui.viewer.screens.lab", "bntui.viewer.panels.curves"}
        for _ in range(600):
            if names <= set(sys.modules):
                break
            await pilot.pause(0.05)
        print(sorted(names - set(sys.modules)))
        await pilot.press("q")
asyncio.run(look())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr

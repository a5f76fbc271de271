"""Tests the trainer as a separate process: commands over its socket, and the command line around it."""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bntui.commands.headless import JsonLines
from bntui.errors import TrainerError
from bntui.link import Status, client
from bntui.link.address import runtime_folder, socket_path
from bntui.link.client import ME, IdleTrainer, Trainer
from bntui.link.job import Job
from bntui.link.live import is_live
from bntui.recording.reader import Reader
from bntui.scenario.pace import PacingOptions
from tests.commands import bntui
from tests.test_session import DIGITS, TWO_RUNS, train

LONG = DIGITS.replace("epochs = 6", "epochs = 100000") + TWO_RUNS
BNTUI = [sys.executable, "-m", "bntui"]


def scenario(folder: Path, text: str) -> Path:
    path = folder / "digits.toml"
    path.write_text(text, encoding="utf-8")
    return path


@contextmanager
def connected(recording: Path) -> Iterator[Trainer]:
    """A viewer of a live trainer; whatever happens, the trainer is stopped at the end."""
    trainer = Trainer.connect(recording)
    assert trainer is not None
    try:
        yield trainer
    finally:
        trainer.close()
        bntui("stop", recording)


def until(trainer: Trainer, fulfilled: Callable[[Status], bool]) -> Status:
    """The first status that fulfils a condition; fails after a minute of silence."""
    while True:
        status = trainer.receive(timeout=60)
        assert status is not None, "the trainer hung up"
        if fulfilled(status):
            return status


def steps(recording: Path) -> list[int]:
    reader = Reader(recording)
    result = [int(reader.history(run.index).step[-1]) for run in reader.runs]
    reader.close()
    return result


def test_a_live_trainer_obeys_and_outlives_its_viewers(tmp_path: Path) -> None:
    recording = IdleTrainer.start().open(
        scenario(tmp_path, LONG), tmp_path / "x.bntui", watching=PacingOptions("max", paused=True)
    )
    trainer = Trainer.connect(recording)
    assert trainer is not None
    assert trainer.receive(timeout=60) == Status("paused", None, 0.0, 2, clients=1, recording=str(recording), owner=ME)
    assert oct(socket_path(recording).stat().st_mode & 0o777) == "0o600"

    trainer.send("step")
    until(trainer, lambda status: status.keyframes == 4 and status.state == "paused")
    assert steps(recording) == [1, 1]
    trainer.send("epoch")
    until(trainer, lambda status: status.keyframes == 6 and status.state == "paused")
    assert steps(recording) == [6, 6]  # to the end of the epoch under way
    trainer.send("epoch")
    trainer.send("epoch")
    until(trainer, lambda status: status.keyframes == 10 and status.state == "paused")
    assert steps(recording) == [18, 18]

    trainer.send("pace", epochs_per_second=1000)
    trainer.send("run")
    trainer.close()  # a lost connection is a detach

    with connected(recording) as again:
        assert is_live(recording)
        status = until(again, lambda status: status.keyframes > 30)
        assert (status.state, status.pace) == ("running", 1000)
        assert status.rate > 0
        again.send("pause")
        until(again, lambda status: status.state == "paused")
        done = bntui("stop", recording)
        assert (done.returncode, done.stderr) == (0, f"stopped: {recording}\n")
        last = until(again, lambda status: status.state == "stopped")
        assert again.receive(timeout=60) is None
    assert not is_live(recording)
    assert not Path(f"{recording}-wal").exists()  # folded in: one file
    reader = Reader(recording)
    assert sum(len(reader.history(run)) for run in (0, 1)) == last.keyframes
    assert [event.kind for event in reader.events(0)] == ["interrupted"]


def test_a_pace_is_held(tmp_path: Path) -> None:
    watching = PacingOptions(20, paused=True)
    recording = IdleTrainer.start().open(scenario(tmp_path, LONG), tmp_path / "x.bntui", watching=watching)
    with connected(recording) as trainer:
        began = time.monotonic()
        trainer.send("run")
        until(trainer, lambda status: status.keyframes >= 42)  # 20 epochs of two runs
        took = time.monotonic() - began
        trainer.send("stop")
        until(trainer, lambda status: status.state == "stopped")
    assert took > 0.8  # never faster than asked; slower only where the machine is


def test_sigterm_saves_everything(tmp_path: Path) -> None:
    idle = IdleTrainer.start()
    recording = idle.open(scenario(tmp_path, LONG), tmp_path / "x.bntui")
    with connected(recording) as trainer:
        os.kill(idle.pid, signal.SIGINT)  # ignored: the terminal's signals are not for the trainer
        os.kill(idle.pid, signal.SIGHUP)
        until(trainer, lambda status: status.keyframes > 10)
        os.kill(idle.pid, signal.SIGTERM)
        last = until(trainer, lambda status: status.state == "stopped")
        assert trainer.receive(timeout=60) is None
    reader = Reader(recording)
    assert sum(len(reader.history(run)) for run in (0, 1)) == last.keyframes


def test_a_kill_loses_no_committed_keyframe(tmp_path: Path) -> None:
    idle = IdleTrainer.start()
    recording = idle.open(scenario(tmp_path, LONG), tmp_path / "x.bntui")
    with connected(recording) as trainer:
        status = until(trainer, lambda status: status.keyframes > 10)
        os.kill(idle.pid, signal.SIGKILL)
        while trainer.receive(timeout=60) is not None:
            pass
    assert Trainer.connect(recording) is None  # its socket lies there still, and nobody answers
    assert not is_live(recording)
    reader = Reader(recording)
    assert sum(len(reader.history(run)) for run in (0, 1)) >= status.keyframes
    assert reader.keyframe(1, len(reader.history(1)) - 1).layers[0].batch_norm is not None


def test_what_the_trainer_finds_wrong_reaches_its_starter(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match=r"digits.toml:5: data.source = .*did you mean .digits") as wrong:
        IdleTrainer.start().open(scenario(tmp_path, DIGITS.replace('"digits"', '"digtis"')), None)
    assert wrong.value.exit_code == 2
    (tmp_path / "x.bntui").touch()
    with pytest.raises(TrainerError, match="already exists") as there:
        IdleTrainer.start().open(scenario(tmp_path, DIGITS), tmp_path / "x.bntui")
    assert there.value.exit_code == 2


def test_many_clients_come_and_go(tmp_path: Path) -> None:
    idle = IdleTrainer.start()
    recording = idle.open(scenario(tmp_path, LONG), tmp_path / "x.bntui", watching=PacingOptions("max", paused=True))
    with connected(recording) as trainer:
        trainer.receive(timeout=60)
        for _ in range(100):
            assert is_live(recording)
        trainer.send("step")  # heard after all who came before have gone
        until(trainer, lambda status: status.keyframes == 4)
        assert len(os.listdir(f"/proc/{idle.pid}/fd")) < 60


def test_a_recording_that_is_being_written_is_refused_and_its_holder_named(tmp_path: Path) -> None:
    idle = IdleTrainer.start()
    recording = idle.open(scenario(tmp_path, LONG), tmp_path / "x.bntui", watching=PacingOptions("max", paused=True))
    with connected(recording), pytest.raises(TrainerError, match=f"is being written by process {idle.pid}"):
        IdleTrainer.start().resume(recording)


def test_two_at_the_same_moment_get_two_names(tmp_path: Path) -> None:
    path = scenario(tmp_path, DIGITS)
    with ThreadPoolExecutor() as both:
        names = {
            name.name for name in both.map(lambda idle: idle.open(path, None), [IdleTrainer.start() for _ in "ab"])
        }
    assert names == {"digits-001.bntui", "digits-002.bntui"}


def test_data_files_on_the_command_line_are_named_from_where_one_stands(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("a,b,kind\n" + "".join(f"{n},{n % 7},{n % 2}\n" for n in range(60)))
    done = bntui(
        "run", "batch-normalization", "--headless", "--epochs", 1, "--set", "data.source=mine.csv", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(Reader(Path(done.stdout.strip())).meta["overrides"])[0] == [
        "data.source",
        str(tmp_path / "mine.csv"),
    ]


@pytest.mark.usefixtures("real_trainers")
def test_an_idle_trainer_ends_when_nobody_needs_it() -> None:
    idle = IdleTrainer.start()
    idle.discard()
    with pytest.raises(ProcessLookupError):
        os.kill(idle.pid, 0)


def test_headless_json_lines_then_show(tmp_path: Path) -> None:
    path = scenario(tmp_path, DIGITS + TWO_RUNS)
    done = bntui("run", path, "--headless", "--json", "--epochs", 2, "--seed", 3, "-o", tmp_path / "out.bntui")
    assert done.returncode == 0, done.stderr
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    epochs = [line for line in lines if "val_loss" in line]
    assert sorted((line["run"], line["epoch"]) for line in epochs) == [
        ("batch norm", 1.0), ("batch norm", 2.0), ("plain", 1.0), ("plain", 2.0)
    ]  # fmt: skip
    assert lines[-1] == {"event": "end", "state": "finished", "recording": str(tmp_path / "out.bntui")}
    shown = json.loads(bntui("show", tmp_path / "out.bntui", "--run", "batch norm", "--epoch", 1, "--json").stdout)
    assert shown["val_loss"] == next(
        line["val_loss"] for line in epochs if (line["run"], line["epoch"]) == ("batch norm", 1.0)
    )
    assert set(shown["layers"][0]["batch_norm"]) == {
        "batch_mean", "batch_var", "running_mean", "running_var", "gamma", "beta", "eps", "gamma_gradient",
        "beta_gradient",
    }  # fmt: skip
    assert shown["layers"][0]["dead_fraction"] == "NaN"
    text = bntui("show", tmp_path / "out.bntui").stdout
    assert "linear 1" in text
    assert "finished after 2 epochs" in text
    assert not list(runtime_folder().glob("trainer-*.log"))  # nothing was said in it
    meta = Reader(tmp_path / "out.bntui").meta
    assert json.loads(meta["overrides"]) == [["training.epochs", 2], ["seed", 3]]


def test_headless_progress_goes_to_stderr_and_the_path_to_stdout(tmp_path: Path) -> None:
    done = bntui("run", scenario(tmp_path, DIGITS), "--headless")
    assert done.returncode == 0
    recording = Path(done.stdout.strip())
    assert recording.name == "digits-001.bntui"
    assert "6/6" in done.stderr
    assert "loss" in done.stderr
    listed = json.loads(bntui("list", "--json").stdout)
    assert [entry["path"] for entry in listed["recordings"]] == [str(recording)]
    assert listed["recordings"][0]["live"] is False


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_everything(number: signal.Signals, code: int, tmp_path: Path) -> None:
    recording = tmp_path / "x.bntui"
    process = subprocess.Popen(
        [*BNTUI, "run", scenario(tmp_path, LONG), "--json", "-o", recording],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert json.loads(output.splitlines()[-1])["state"] == "stopped"
    assert Reader(recording).events(0)[-1].kind == "interrupted"


def signalled(monkeypatch: pytest.MonkeyPatch, moment: str, number: signal.Signals) -> None:
    """Send this process a signal before each call of a function, given with the name of its module and class."""
    owner, _, name = moment.rpartition(".")
    place = {
        "job.Job": Job, "client.Trainer": client.Trainer, "client.Status": Status,
        "headless.JsonLines": JsonLines,
    }[owner]  # fmt: skip
    real = getattr(place, name)

    def interrupted(*given: Any, **named: Any) -> Any:
        os.kill(os.getpid(), number)
        return real(*given, **named)

    monkeypatch.setattr(place, name, interrupted)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("moment", ["client.Trainer.connect", "client.Status.parse", "headless.JsonLines.report"])
def test_a_signal_at_any_moment_stops_the_trainer_and_breaks_no_line(
    moment: str, number: signal.Signals, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the trainer has said who started it, while its status is read, and while a line is written."""
    recording = tmp_path / "x.bntui"
    signalled(monkeypatch, moment, number)
    done = bntui("run", scenario(tmp_path, LONG), "--json", "-o", recording)
    assert done.returncode == code, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["state"] == "stopped"
    assert not is_live(recording)
    assert Reader(recording).events(0)[-1].kind == "interrupted"


def test_a_resumed_training_is_stopped_by_sigterm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = tmp_path / "x.bntui"
    with monkeypatch.context() as patch:
        signalled(patch, "headless.JsonLines.report", signal.SIGINT)
        bntui("run", scenario(tmp_path, LONG), "--json", "-o", recording)
    signalled(monkeypatch, "headless.JsonLines.report", signal.SIGTERM)
    assert bntui("resume", recording, "--json").returncode == 143
    assert not is_live(recording)


def test_a_lost_connection_leaves_the_training_running_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = tmp_path / "x.bntui"
    signalled(monkeypatch, "headless.JsonLines.report", signal.SIGHUP)
    done = bntui("run", scenario(tmp_path, LONG), "--json", "-o", recording)
    assert done.returncode == 129
    assert done.stderr == f"training continues; stop it with: bntui stop {recording}\n"
    assert is_live(recording)
    assert bntui("stop", recording).returncode == 0


def test_an_ignored_signal_stays_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        signalled(monkeypatch, "headless.JsonLines.report", signal.SIGHUP)
        done = bntui("run", scenario(tmp_path, DIGITS), "--json", "-o", tmp_path / "x.bntui")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert done.returncode == 0, done.stderr


def test_sigterm_while_a_training_starts_leaves_no_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signalled(monkeypatch, "job.Job.line", signal.SIGTERM)
    started: list[IdleTrainer] = []
    start = IdleTrainer.start

    def kept() -> IdleTrainer:
        started.append(start())
        return started[0]

    monkeypatch.setattr(IdleTrainer, "start", kept)
    done = bntui("run", scenario(tmp_path, LONG), "--detach", "-o", tmp_path / "x.bntui")
    assert done.returncode == 143
    assert not (tmp_path / "x.bntui").exists()
    assert started[0]._process.wait(timeout=60) is not None


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    recording = tmp_path / "mistyped" / "x.bntui"
    done = bntui("run", scenario(tmp_path, DIGITS), "--headless", "-o", recording)
    sentence = f"bntui: {recording}: no folder {recording.parent}; create it first\n"
    assert (done.returncode, done.stderr) == (2, sentence)
    assert not recording.parent.exists()


def test_a_full_disk_is_said_and_what_was_recorded_is_intact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = IdleTrainer.start

    def limited() -> IdleTrainer:
        idle = start()
        resource.prlimit(idle.pid, resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))  # the kernel refuses a longer file
        return idle

    monkeypatch.setattr(IdleTrainer, "start", limited)
    done = bntui("run", scenario(tmp_path, LONG), "--headless", "-o", tmp_path / "x.bntui")
    assert done.returncode == 1
    assert "cannot write the recording" in done.stderr
    assert "everything recorded before is intact" in done.stderr
    reader = Reader(tmp_path / "x.bntui")
    assert reader.keyframe(0, len(reader.history(0)) - 1).layers


@pytest.mark.usefixtures("real_trainers")
def test_a_detached_trainer_outlives_its_command_and_imports_nothing_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit('imported from here')", encoding="utf-8")
    recording = tmp_path / "x.bntui"
    path = str(scenario(tmp_path, LONG))
    command = [sys.executable, "-P", "-m", "bntui", "run", path, "--detach", "-o", str(recording)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, str(recording)), done.stderr
    assert is_live(recording)
    assert bntui("stop", recording).returncode == 0
    again = bntui("stop", recording)
    assert (again.returncode, "has no live trainer" in again.stderr) == (2, True)


def test_a_trainer_that_ends_while_it_is_told_to_stop_is_no_longer_live(tmp_path: Path) -> None:
    with closing(train(tmp_path, DIGITS)) as reader:
        recording = reader.path
    with socket.socket(socket.AF_UNIX) as ending:
        ending.bind(str(socket_path(recording)))
        ending.listen()
        with ThreadPoolExecutor() as pool:
            accepted = pool.submit(lambda: ending.accept()[0].close())
            done = bntui("stop", recording)
            accepted.result()
    gc.collect()  # a connection left open would be a warning, and so a failure
    assert (done.returncode, "has no live trainer" in done.stderr) == (2, True)

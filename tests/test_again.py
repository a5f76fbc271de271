"""Tests resume and fork as processes: through the live trainer or a new one, in a copy if necessary."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from bntui.commands import again
from bntui.errors import UsageError
from bntui.link.address import lock_path
from bntui.link.client import IdleTrainer
from bntui.recording.copy import writable
from bntui.recording.reader import Reader
from bntui.scenario.pace import PacingOptions
from tests.commands import bntui
from tests.same import compare
from tests.test_process import LONG, connected, scenario, steps, until
from tests.test_session import DIGITS, TWO_RUNS, rows, train


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished recording, to be copied."""
    with closing(train(tmp_path_factory.mktemp("made"), DIGITS)) as reader:
        return reader.path


@pytest.fixture
def finished(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(made, tmp_path))


def test_a_fork_joins_through_the_live_trainer(tmp_path: Path) -> None:
    recording = IdleTrainer.start().open(scenario(tmp_path, LONG), tmp_path / "x.bntui", watching=PacingOptions(5))
    with connected(recording) as trainer:
        until(trainer, lambda status: status.keyframes >= 8)
        holder = lock_path(recording).read_text()
        there = again.place(recording, "batch norm", 2)
        assert (there.run, there.step, there.epoch) == (1, 12, 2.0)
        assert again.fork(recording, there, [("training.lr", 0.01)]) == recording
        until(trainer, lambda _status: len(steps(recording)) == 3 and steps(recording)[2] >= 18)
        assert lock_path(recording).read_text() == holder
        refused = bntui("fork", recording, "--run", "0", "--epoch", "3", "--set", "training.epochs=3", "--headless")
        assert refused.returncode == 2
        assert "the fork starts at epoch 3 and would end at once" in refused.stderr
        wrong = bntui("fork", recording, "--set", "training.lr=-1", "--headless")
        assert wrong.returncode == 2
        assert "training.lr = -1: must be at least 0.0" in wrong.stderr
        trainer.send("stop")
        until(trainer, lambda status: status.state == "stopped")
    with closing(Reader(recording)) as reader:
        assert [run.name for run in reader.runs] == ["plain", "batch norm", "batch norm · lr 0.01"]
        assert reader.history(2).lr[1:].tolist() == [0.01] * (len(reader.history(2)) - 1)
        assert reader.weights(2)[12] == reader.weights(1)[12]


def test_a_killed_trainer_is_resumed_from_the_command_line(tmp_path: Path) -> None:
    text = DIGITS.replace("epochs = 6", "epochs = 40") + TWO_RUNS  # which take 20 s, also on a busy machine
    recording = IdleTrainer.start().open(scenario(tmp_path, text), tmp_path / "x.bntui", watching=PacingOptions(2))
    with connected(recording) as trainer:
        until(trainer, lambda status: status.keyframes >= 6)
        os.kill(int(lock_path(recording).read_text()), signal.SIGKILL)
        assert trainer.receive(timeout=60) is None
    done = bntui("resume", recording, "--json")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["event"] for line in events if "event" in line][-3:] == ["finished", "finished", "end"]
    with closing(train(tmp_path, text)) as reference, closing(Reader(recording)) as reader:
        for run in (0, 1):
            assert compare(reference, run, reader, run) == 41
    over = bntui("resume", recording, "--headless")
    assert over.returncode == 2
    assert "have ended" in over.stderr
    assert not Path(f"{recording}-wal").exists()


def test_a_fork_of_a_finished_recording_starts_a_trainer_and_the_self_check_proves_it(finished: Path) -> None:
    before = rows(finished, "SELECT run, step, digest FROM keyframe")
    checked = bntui("fork", finished, "--epoch", "2", "--check")
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout == "forked at epoch 2, nothing changed: the same bits at 4 keyframes\n"
    assert rows(finished, "SELECT run, step, digest FROM keyframe") == before  # checked in a copy
    done = bntui("fork", finished, "--run", "0", "--epoch", "2.5", "--set", "network.norm=batch", "--headless")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{finished}\n"
    said = "begins after step 12 of 'run', epoch 2; changed: network.norm none → batch"  # 2.5 is no keyframe
    assert f"run · norm batch: {said}" in " ".join(done.stderr.split())
    assert said in bntui("show", finished, "--run", "1").stdout
    changes = [{"setting": "network.norm", "before": "none", "after": "batch"}]
    told = [json.loads(bntui("show", finished, "--run", run, "--json").stdout)["fork"] for run in "01"]
    assert told == [None, {"run": "run", "step": 12, "epoch": 2.0, "changes": changes}]
    with closing(Reader(finished)) as reader:
        assert [run.name for run in reader.runs] == ["run", "run · norm batch"]
        fork = reader.runs[1].fork
        assert fork is not None
        assert (fork.run, fork.step, fork.epoch) == (0, 12, 2.0)
        assert fork.changes == (("network.norm", "none", "batch"),)
        assert reader.history(1).step.tolist() == [12, 18, 24, 30, 36]
    with pytest.raises(UsageError, match=r"has no run .nobody."):
        again.place(finished, "nobody", None)


def test_a_long_name_leaves_room_for_the_progress_of_its_run(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    changes = ["network.norm=batch", "network.dropout=0.25", "training.weight_decay=0.001"]
    done = bntui("fork", finished, "--epoch", "4", *(word for one in changes for word in ("--set", one)), "--headless")
    assert done.returncode == 0, done.stderr
    bars = [line for line in done.stderr.splitlines() if " loss " in line and " val " in line]
    assert all("6/6" in line and len(line) <= 80 for line in bars[-2:])


def test_the_self_check_finds_a_departure(finished: Path) -> None:
    from bntui.trainer.selfcheck import no_change_fork

    with closing(sqlite3.connect(finished, isolation_level=None)) as db:
        db.execute("UPDATE keyframe SET val_loss = val_loss + 1e-12 WHERE step = 24")
    found = no_change_fork(finished, 0, 12)
    assert (found.departed, found.figures) == (24, ("val_loss",))
    assert found.steps == (18, 24, 30, 36)


def test_a_recording_that_cannot_be_written_is_copied_first(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert again.on_own_ground(finished) == finished
    monkeypatch.setattr("os.access", lambda place, mode: mode != os.W_OK or not str(place).startswith(str(tmp_path)))
    assert not writable(finished)
    copy = again.on_own_ground(finished)
    assert copy.parent.name == "recordings"
    assert rows(copy, "SELECT digest FROM keyframe") == rows(finished, "SELECT digest FROM keyframe")


def test_a_live_recording_is_not_resumed(tmp_path: Path) -> None:
    recording = IdleTrainer.start().open(
        scenario(tmp_path, LONG), tmp_path / "x.bntui", watching=PacingOptions("max", paused=True)
    )
    with connected(recording):
        began = time.monotonic()
        done = bntui("resume", recording, "--headless")
        assert done.returncode == 2
        assert f"bntui attach {recording}" in done.stderr
        assert time.monotonic() - began < 60


def test_what_a_recording_held_before_is_not_told_again(finished: Path) -> None:
    done = bntui("fork", finished, "--epoch", "4", "--set", "training.lr=.25", "--json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["run"] for line in lines if "run" in line} == {"run · lr 0.25"}
    assert [line["epoch"] for line in lines if "lr" in line] == [5, 6]


@pytest.mark.parametrize("words", [["--set", "training.lr=1"], ["--headless"], ["--json"]])
def test_a_self_check_changes_nothing(finished: Path, words: list[str]) -> None:
    done = bntui("fork", finished, "--check", *words)
    assert done.returncode == 2
    assert "it changes nothing" in done.stderr

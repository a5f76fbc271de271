"""Tests that `bntui clean` finds what is left over, and touches nothing recorded and nothing in use."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path

import pytest

from bntui.link import registry, state_files
from bntui.link.leftovers import _free, leftovers
from tests.commands import bntui
from tests.korean import BNTUI
from tests.terminal import Terminal
from tests.test_manage import made, put
from tests.test_moving import Training, training
from tests.waiting import until

__all__ = ["made", "training"]


@pytest.fixture(autouse=True)
def nothing_of_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Other tests, and other programs, leave sockets and logs in the folder for temporary files."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_clean_finds_what_is_left_over_and_nothing_else(
    training: Training, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bntui.link.leftovers.YOUNGEST", 0.0)
    folder, run = put(made, "a.bntui").parent, Path(os.environ["XDG_RUNTIME_DIR"]) / "bntui"
    kept = [folder / "a.bntui", folder / "gone.bntui-wal", folder / "a.bntui-shm"]
    kept[1].write_bytes(b"recorded")
    kept[2].touch()
    kept += [*run.iterdir()]  # the live trainer's socket, lock and log
    left = [folder / ".bntui-draft-dead", folder / "gone.bntui-shm", folder / "empty.bntui-wal", run / "screen.log",
            run / "trainer-dead.log", registry.registry_folder() / ".x.1.part",
            state_files.state_folder() / ".y.2.part"]  # fmt: skip
    for path in left:
        path.touch()
    assert {one.path for one in leftovers()} == set(left)
    os.kill(training.idle.pid, signal.SIGKILL)
    training.idle._process.wait()
    log = next(path for path in kept if path.suffix == ".log")
    until(lambda: _free(log), "the end of the processes it had forked")  # they keep its log locked until then
    found = leftovers()
    dead = {path for path in kept if path.suffix in (".sock", ".lock", ".log")}
    assert {one.path for one in found} == {*left, *dead}
    assert all(one.remove() for one in found)
    assert {path for path in kept if not path.exists()} == dead
    assert not any(path.exists() for path in left)
    assert leftovers() == []


def test_clean_lists_asks_and_deletes_old_recordings_only_if_told(made: Path) -> None:
    old, new = put(made, "old.bntui"), put(made, "new.bntui")
    damaged = put(made, "damaged.bntui")
    damaged.write_text("perhaps of a newer version")
    for path in (old, damaged):
        os.utime(path, (time.time() - 40 * 24 * 3600,) * 2)
    (old.parent / ".bntui-draft-dead").touch()
    assert "add -y" in (done := bntui("clean")).stderr
    assert ".bntui-draft-dead" in done.stdout
    assert old.name not in done.stdout
    with Terminal([*BNTUI, "clean", "--older-than", "30"], columns=150, rows=10) as terminal:
        terminal.until("Delete 2 files")
        assert "unfinished draft" in terminal.text
        assert str(old) in terminal.text
        terminal.press("y\r")
        assert terminal.exit_code() == 0
    assert sorted(path.name for path in old.parent.iterdir()) == ["damaged.bntui", "new.bntui"]
    assert new.exists()
    assert bntui("clean").stderr == "nothing to delete\n"

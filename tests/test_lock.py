"""Tests that lock files of ended trainers are removed, without two trainers ever holding a recording."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest

from bntui.errors import RecordingError
from bntui.link.address import lock_path, runtime_folder
from bntui.link.leftovers import leftovers
from bntui.link.lock import Hold
from bntui.recording import draft


def test_a_lock_is_removed_when_it_is_released(tmp_path: Path) -> None:
    held = Hold(tmp_path / "a.bntui")
    assert lock_path(held.recording).read_text() == str(os.getpid())
    held.rename(tmp_path / "b.bntui")
    assert not lock_path(tmp_path / "a.bntui").exists()
    held.release()
    held.release()
    assert not list(runtime_folder().glob("*.lock"))


def test_what_was_released_is_not_renewed(tmp_path: Path) -> None:
    """The server of a trainer looks after the lock in its own thread, up to the end of the process."""
    held = Hold(tmp_path / "a.bntui")
    lock_path(held.recording).unlink()
    held.renew()
    assert lock_path(held.recording).read_text() == str(os.getpid())
    held.release()
    held.renew()
    assert not list(runtime_folder().glob("*.lock"))
    Hold(tmp_path / "a.bntui").release()


def test_a_lock_that_is_removed_before_it_is_locked_counts_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder ends between the opening and the locking of its file by another trainer."""
    first = Hold(tmp_path / "a.bntui")

    def late(descriptor: int) -> bool:
        if first._name >= 0:
            first.release()
        return draft.lock_file(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr("bntui.link.lock.lock_file", late)
        second = Hold(tmp_path / "a.bntui")
    assert lock_path(second.recording).stat().st_ino == os.fstat(second._name).st_ino
    with pytest.raises(RecordingError, match="being written by process"):
        Hold(tmp_path / "a.bntui")
    second.release()


def test_never_do_two_hold_one_name(tmp_path: Path) -> None:
    holding, most = 0, 0
    counted = threading.Lock()

    def contend() -> None:
        nonlocal holding, most
        for _ in range(200):
            try:
                held = Hold(tmp_path / "a.bntui")
            except RecordingError:
                continue
            with counted:
                holding += 1
                most = max(most, holding)
            with counted:
                holding -= 1
            held.release()

    threads = [threading.Thread(target=contend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert not list(runtime_folder().glob("*.lock"))


def test_clean_removes_the_lock_of_a_killed_trainer_and_keeps_one_in_use(tmp_path: Path) -> None:
    held = Hold(tmp_path / "a.bntui")
    dead = runtime_folder() / "dead.lock"
    dead.write_text("1")
    (left,) = (one for one in leftovers() if one.path == dead)
    assert left.title == "lock of a trainer that has ended"
    descriptor = os.open(dead, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert not left.remove()
    os.close(descriptor)
    assert left.remove()
    assert lock_path(held.recording).exists()
    held.release()

"""Tests what commands say of files and folders that the user may not read; root needs to give up its privileges."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_import import scalar

WITHOUT = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--") if os.geteuid() == 0 else ()

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or bool(WITHOUT and not shutil.which(WITHOUT[0])), reason="root may read everything"
)


def refused(*arguments: object, code: int) -> str:
    done = subprocess.run(
        [*WITHOUT, sys.executable, "-m", "bntui", *map(str, arguments)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


@pytest.fixture
def recording(seed_folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "x.bntui"
    shutil.copy(seed_folder / "curve.bntui", path)
    path.chmod(0)
    return path


@pytest.mark.parametrize("command", [("show",), ("audit",), ("rename", "y"), ("export", "--to", "y.csv")])
def test_a_recording_that_may_not_be_read_is_not_damaged(command: tuple[str, ...], recording: Path) -> None:
    said = refused(command[0], recording, *command[1:], code=2)
    assert said == f"bntui: {recording}: cannot be read: Permission denied\n"


def test_one_in_a_folder_that_may_not_be_entered_is_not_missing(recording: Path, tmp_path: Path) -> None:
    recording.chmod(0o600)
    tmp_path.chmod(0)
    try:
        said = refused("show", recording, code=2)
    finally:
        tmp_path.chmod(0o700)
    assert said == f"bntui: {recording}: cannot be read: Permission denied\n"


@pytest.mark.parametrize("command", [("list",), ("list", "--json"), ("clean", "--older-than", "0", "-y")])
def test_a_folder_that_may_not_be_read_is_not_empty(command: tuple[str, ...]) -> None:
    folder = Path(os.environ["XDG_DATA_HOME"], "bntui", "recordings")
    folder.mkdir(parents=True)
    folder.chmod(0)
    try:
        assert refused(*command, code=1) == f"bntui: {folder}: cannot be read: Permission denied\n"
    finally:
        folder.chmod(0o700)


def test_a_file_that_no_command_expects_is_a_sentence(tmp_path: Path) -> None:
    """Import looks whether the name is free in a folder that may not be entered."""
    logs, folder = tmp_path / "logs", Path(os.environ["XDG_DATA_HOME"], "bntui", "recordings")
    logs.mkdir()
    (logs / "events.out.tfevents.1").write_bytes(scalar("loss", 1.0))
    folder.mkdir(parents=True)
    folder.chmod(0)
    try:
        said = refused("import", logs, code=1)
    finally:
        folder.chmod(0o700)
    assert said == f"bntui: {folder}/logs-001.bntui: Permission denied\n"


def test_doctor_says_why_nothing_can_be_recorded() -> None:
    folder = Path(os.environ["XDG_DATA_HOME"], "bntui", "recordings")
    folder.mkdir(parents=True)
    folder.chmod(0o500)
    done = subprocess.run(
        [*WITHOUT, sys.executable, "-m", "bntui", "doctor"], capture_output=True, text=True, check=False
    )
    folder.chmod(0o700)
    assert "✗ recordings" in done.stdout
    assert "  you may not write there; use -o FILE to record in another folder\n" in done.stdout


@pytest.mark.parametrize("closed", ["run", "run/events.out.tfevents.1"])
def test_event_files_that_may_not_be_read_are_not_missing(closed: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "events.out.tfevents.1").write_bytes(scalar("loss", 1.0))
    (tmp_path / closed).chmod(0)
    try:
        said = refused("import", tmp_path, code=2)
    finally:
        (tmp_path / closed).chmod(0o700)
    assert said == f"bntui: {tmp_path / closed}: cannot be read: Permission denied\n"

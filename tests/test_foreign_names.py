"""Tests that files whose names are not UTF-8 are trained, read, and imported as any other."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bntui.recording.reader import Reader
from tests.commands import bntui
from tests.test_import import scalar
from tests.test_session import DIGITS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="macOS has names in UTF-8 only")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As an archive in Latin-1 unpacks."""
    made = tmp_path / os.fsdecode(b"caf\xe9")
    made.mkdir()
    return made


def test_a_scenario_is_trained_followed_forked_and_audited_there(folder: Path) -> None:
    scenario, path = folder / "a.toml", folder / "x.bntui"
    scenario.write_text(DIGITS)
    done = bntui("run", scenario, "--epochs", 1, "--headless", "-o", path)
    assert done.returncode == 0, done.stderr
    forked = bntui("fork", path, "--epoch", 0, "--set", "training.lr=0.1", "--headless")
    assert forked.returncode == 0, forked.stderr
    with closing(Reader(path)) as reader:
        assert len(reader.runs) == 2
        assert reader.meta["scenario_file"] == str(folder / "a.toml").replace("\udce9", "?")
    assert bntui("audit", path).returncode == 0


def test_a_sweep_is_trained_summarized_and_resumed_there(folder: Path) -> None:
    (folder / "a.toml").write_text(DIGITS)
    asked = ("sweep", folder / "a.toml", "--over", "training.lr=0.1,0.2", "--set", "training.epochs=1", "--seeds", 1)
    done = bntui(*asked, "-o", folder / "sweep")
    assert done.returncode == 0, done.stderr
    table = (folder / "sweep" / "summary.csv").read_text("utf-8")
    assert table.count("caf?/a.toml") == 2
    again = bntui(*asked, "-o", folder / "sweep")  # the same plan
    assert again.returncode == 0, again.stderr
    assert "2 trials are in" in again.stderr


def test_an_import_is_named_by_what_can_be_written_of_its_folder(folder: Path) -> None:
    (folder / "events.out.tfevents.1.h").write_bytes(scalar("val_loss", 1.0, step=1))
    done = bntui("import", folder, "-o", folder / "x.bntui")
    assert done.returncode == 0, done.stderr
    with closing(Reader(folder / "x.bntui")) as reader:
        assert (reader.title, reader.runs[0].name) == ("caf", "caf")

"""Provides fixtures and settings shared by all tests."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import settings

from bntui.link import spawn
from bntui.text.language import use
from tests.nursery import Nursery

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: tests run beside one another, as audits do
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch

settings.register_profile("bntui", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("bntui")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: some tests wait for a terminal, a socket or a clock."""
    return (os.cpu_count() or 1) + 1


def pytest_collection(session: pytest.Session) -> None:
    """Each worker imports the test modules from another one on, so that it compiles a share of them and finds the
    others compiled: with their rewritten assertions, that is half of what collecting takes in a fresh clone."""
    of_worker = getattr(session.config, "workerinput", None)
    if of_worker is None or session.config.args != session.config.getini("testpaths"):
        return
    names = sorted(path.stem for path in Path(__file__).parent.glob("test_*.py"))
    first = len(names) * int(of_worker["workerid"].removeprefix("gw")) // int(of_worker["workercount"])
    for name in names[first:] + names[:first]:
        with suppress(pytest.skip.Exception):  # what it needs is not installed
            import_module(f"tests.{name}")


def pytest_collection_finish() -> None:
    """What was imported stays until the end: the garbage collector need not look through torch and Textual again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test begins in English, whatever the machine or the test before it speaks; its child processes too."""
    for name in ("LANGUAGE", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    use("en")
    yield
    use("en")


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees the user's recordings and configuration, or leaves anything among them."""
    home = tmp_path_factory.mktemp("home")
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
        folder = home / name.lower()
        folder.mkdir(mode=0o700)
        monkeypatch.setenv(name, str(folder))
    monkeypatch.delenv("NO_COLOR", raising=False)
    return home


@pytest.fixture(scope="session")
def seed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small recordings of every kind, in a folder."""
    from tests.fuzz.recording_seeds import make

    folder = tmp_path_factory.mktemp("seeds")
    make(folder)
    return folder


@pytest.fixture(scope="session")
def seeds(seed_folder: Path) -> dict[str, bytes]:
    """The same by name."""
    return {path.stem: path.read_bytes() for path in sorted(seed_folder.glob("*.bntui"))}


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def forked_trainers(monkeypatch: pytest.MonkeyPatch, nursery: Nursery) -> None:
    """Trainers are forked where torch is imported already."""
    monkeypatch.setattr(spawn, "subprocess", nursery)


@pytest.fixture
def real_trainers(monkeypatch: pytest.MonkeyPatch, forked_trainers: None) -> None:  # noqa: ARG001
    """For tests of how a trainer process starts."""
    monkeypatch.setattr(spawn, "subprocess", subprocess)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorders of PyTorch loops write in the process of the test, as where there is no second one to be had."""
    from bntui.watching import hand_over

    monkeypatch.setattr(hand_over, "_started", lambda _hold: None)

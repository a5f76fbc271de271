"""A loop whose recorder has a second process, and what tests of it wait for."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch import nn

import bntui
from bntui.recording.reader import Reader
from bntui.watching.hand_over import HandedOver


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

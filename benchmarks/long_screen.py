"""Measures the screen against the length of a recording: opening, keys, and memory.

    python -m benchmarks.long_screen [--keyframes 1000,10000,100000] [--rounds 200] [--keep FOLDER] [--json]

A network of three layers (4-8-8-3, tanh, SGD, iris) is recorded for 1,000 epochs, and stretched to each length: every
row is repeated as often as it takes, with its own step and epoch and a valid digest.  ``bntui replay`` opens it in a
pseudo-terminal of 160x48.  ``open`` is the time from the start of the process until the panels are on the screen; a
key's time is that from the press to the last changed byte; ``cpu`` is the processor's time for both, which other
processes disturb less; ``memory`` is the resident memory after all keys.  ``--keep`` keeps the recordings, and uses
those that are there.  Exits 1 if the longest one misses a limit.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.report import parser, verdict
from bntui.recording.codec import fields_digest, row_digest
from bntui.recording.schema import RUN, SCALARS
from bntui.recording.writer import EVENT, INSERT
from tests.terminal import Terminal

SCENARIO: Final = """
title = "Long"
[data]
source = "iris"
batch_size = 60
[network]
hidden = [8, 8]
activation = "tanh"
[training]
optimizer = "sgd"
lr = 0.05
epochs = 999
[[run]]
name = "long"
"""
KEYS: Final = (
    *("left", "left", "left", "right", "\x1b[1;2D", "\x1b[1;2D", "\x1b[1;2C", "right", "left", "right"),
    *("left", "left", "\x1b[1;2D", "right", "right", "left"),
)
"""Single keyframes and tens of them, back and forth; the screen changes at each."""
QUIET: Final = 0.15
"""Seconds without output after which a key is on the screen."""
OPEN_S, KEY_MS, WORST_KEY_MS, MEMORY_MB = 1.0, 12.0, 50.0, 120.0
"""The limits, of the longest recording."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one recording costs on the screen."""

    keyframes: int
    open_s: float
    open_cpu_s: float
    key_p50_ms: float
    key_p99_ms: float
    key_cpu_p50_ms: float
    key_cpu_p99_ms: float
    memory_mb: float


def record(folder: Path) -> Path:
    """The recording that the others are stretched from."""
    scenario, recording = folder / "long.toml", folder / "seed.bntui"
    scenario.write_text(SCENARIO, encoding="utf-8")
    command = [sys.executable, "-m", "bntui", "run", str(scenario), "--headless", "-o", str(recording)]
    subprocess.run(command, check=True, capture_output=True)
    return recording


def stretch(seed: Path, target: Path, keyframes: int) -> None:
    """Write a recording with so many keyframes, whose course is that of ``seed``, stretched."""
    target.write_bytes(seed.read_bytes())
    with closing(sqlite3.connect(target)) as database, database:
        database.row_factory = sqlite3.Row
        rows = database.execute("SELECT keyframe.*, block FROM keyframe LEFT JOIN measures USING (id) ORDER BY id")
        course = list(rows)
        of_epoch = int(database.execute("SELECT steps_per_epoch FROM run").fetchone()[0])
        for table in ("keyframe", "measures", "evidence", "checkpoint"):
            database.execute(f"DELETE FROM {table}")
        stretched = list(_stretched(course, keyframes, of_epoch))
        database.executemany(INSERT.replace("(", "(id, ", 1).replace("(?", "(?, ?", 1), (row for row, _ in stretched))
        database.executemany("INSERT INTO measures VALUES (?, ?)", ((row[0], block) for row, block in stretched))
        _plan(database, keyframes - 1)
        database.execute("DELETE FROM event")
        end = (0, (keyframes - 1) * of_epoch, float(keyframes - 1), "finished", "all epochs trained", "{}")
        columns = ", ".join((*EVENT, "arguments", "digest"))
        database.execute(f"INSERT INTO event ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", (*end, fields_digest(*end)))


def _stretched(course: list[sqlite3.Row], keyframes: int, of_epoch: int) -> Iterator[tuple[tuple[Any, ...], bytes]]:
    for number in range(keyframes):
        source = course[number * len(course) // keyframes]
        told = {name: source[name] for name in SCALARS}
        told |= {"step": number * of_epoch, "epoch": float(number), "epoch_end": int(number > 0)}
        scalars = tuple(told[name] for name in SCALARS)
        checksum = row_digest(scalars, source["layers"], source["block"])
        yield (number + 1, *scalars, source["layers"], checksum), source["block"]


def _plan(database: sqlite3.Connection, epochs: int) -> None:
    """Let the run plan as many epochs."""
    run = dict(database.execute("SELECT * FROM run").fetchone())
    config = json.loads(run["config"])
    config["training"]["epochs"] = epochs
    run["config"] = json.dumps(config)
    digest = fields_digest(*(run[name] for name in RUN))
    database.execute("UPDATE run SET config = ?, digest = ?", (run["config"], digest))


def made(folder: Path, keyframes: int) -> Path:
    """The recording of this length in a folder, written if it is not there."""
    target = folder / f"{keyframes}.bntui"
    if not target.exists():
        seed = folder / "seed.bntui"
        stretch(seed if seed.exists() else record(folder), target, keyframes)
    return target


def measured(recording: Path, keyframes: int, rounds: int) -> Figures:
    command = [sys.executable, "-m", "bntui", "replay", str(recording)]
    opened, opened_cpu = [], []
    for _ in range(3):
        with Terminal(command) as terminal:
            opened.append(terminal.until("Gradients"))
            opened_cpu.append(_cpu(terminal.process.pid) + _cpu(_viewer(terminal)))
            terminal.press("q")
            terminal.exit_code()
    times, cpu = [], []
    with Terminal(command) as terminal:
        terminal.until("Gradients")
        terminal.settle(2.0)  # what is imported after the first paint is there
        viewer = _viewer(terminal)
        for number in range(rounds):
            received, before, began = terminal.received, _cpu(viewer), time.monotonic()
            terminal.press(KEYS[number % len(KEYS)])
            while terminal.received == received:
                terminal.read(1.0)
            times.append((terminal.settle(QUIET) - began) * 1000)
            cpu.append((_cpu(viewer) - before) * 1000)
        memory = _resident(viewer)
        terminal.press("q")
        terminal.exit_code()
    return Figures(
        keyframes, statistics.median(opened), statistics.median(opened_cpu),
        statistics.median(times), _p99(times), statistics.median(cpu), _p99(cpu), memory,
    )  # fmt: skip


def _p99(values: list[float]) -> float:
    return sorted(values)[min(int(0.99 * len(values)), len(values) - 1)]


def _viewer(terminal: Terminal) -> int:
    """The process that draws; the one that was started guards the terminal."""
    return next(iter(terminal.children()), terminal.process.pid)


def _cpu(pid: int) -> float:
    """Seconds that a process has computed."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9


def _resident(pid: int) -> float:
    """Resident memory of a process in MB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def main() -> int:
    made_parser = parser(__doc__, rounds=200)
    made_parser.add_argument("--keyframes", default="1000,10000,100000")
    made_parser.add_argument("--keep", type=Path)
    options = made_parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        lengths = [int(number) for number in options.keyframes.split(",")]
        found = [measured(made(folder, length), length, options.rounds) for length in lengths]
    if options.json:
        print(json.dumps([asdict(one) for one in found]))
    else:
        print(f"{'keyframes':>9} {'open s':>7} {'(cpu)':>6} {'key ms':>7} {'p99':>6} {'(cpu)':>6} {'p99':>6} {'MB':>5}")
        for one in found:
            print(
                f"{one.keyframes:>9,} {one.open_s:>7.2f} {one.open_cpu_s:>6.2f} {one.key_p50_ms:>7.1f}"
                f" {one.key_p99_ms:>6.1f} {one.key_cpu_p50_ms:>6.1f} {one.key_cpu_p99_ms:>6.1f} {one.memory_mb:>5.0f}"
            )
    last = found[-1]
    kept = (last.open_s <= OPEN_S, last.key_p50_ms <= KEY_MS, last.key_p99_ms <= WORST_KEY_MS)
    promise = f"open {OPEN_S:g} s, a key {KEY_MS:g} ms (p99 {WORST_KEY_MS:g}), {MEMORY_MB:g} MB"
    return verdict(all(kept) and last.memory_mb <= MEMORY_MB, promise)


if __name__ == "__main__":
    sys.exit(main())

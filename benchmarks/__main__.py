"""Compares recorded training with what others train the same tasks with, in one table.

    python -m benchmarks [--rounds 7] [--tasks a b c] [--peers "hand-tuned" …] [--json]

The tasks are those of `benchmarks.training`.  bntui validates after each epoch and records a keyframe with evidence;
its peers record nothing, except TensorBoard's histograms.  A figure is the time of a peer over that of bntui, the
median over interleaved rounds: above 1, bntui is faster.  All compute with one thread; where there is a second core,
bntui writes large keyframes with another one.  So there are two tables: of the time that passes, and of processor time,
which holds on a busy machine, too.  A peer that cannot run here is skipped, with the reason.  TensorBoard and Lightning
are not installed with bntui: put them on PYTHONPATH.  Exits 1 if bntui is slower than the DataLoader loop that
validates.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers import PEERS, MissingError, Whole, one_thread
from benchmarks.report import parser, verdict
from benchmarks.training import TASKS, Task, Work, scenario
from bntui.scenario.load import parse
from bntui.trainer.session import Session

BNTUI = "bntui"


def machine() -> dict[str, str]:
    """Versions, processor, load, and date."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        name = models[0] if models else name
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": f"{name}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        **{package: version(package) for package in ("torch", "numpy", "scikit-learn")},
    }


CLOCKS = {"time": time.perf_counter, "processor time": time.process_time}

Found = dict[str, dict[str, float]]
"""By clock: steps per second of bntui, and the ratio of each peer."""


def per_epoch(work: Work, epochs: int) -> tuple[float, ...]:
    """Seconds of an epoch by each clock."""
    times, epochs = (1, work.epochs) if isinstance(work, Whole) else (epochs, epochs)
    began = [clock() for clock in CLOCKS.values()]
    for _ in range(times):
        work()
    return tuple((clock() - before) / epochs for clock, before in zip(CLOCKS.values(), began, strict=True))


def compared(task: Task, rounds: int, peers: list[str]) -> tuple[Found, dict[str, str]]:
    """The figures of a task, and the reasons of the peers that cannot run."""
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        text, overrides = scenario(task, Path(folder), "explicit")
        made = parse(text, file="speed.toml", overrides=overrides)
        with closing(Session.begin(made, Path(folder) / "x.bntui", overrides)) as session:
            session.write_behind()
            run = session.runs[0]
            works: dict[str, Work] = {BNTUI: lambda: session.epoch(lambda: False)}
            for name in peers:
                try:
                    works[name] = PEERS[name](task, run.samples)
                except MissingError as reason:
                    missing[name] = str(reason)
            took = [{name: per_epoch(work, task.epochs) for name, work in works.items()} for _ in range(rounds + 1)]
            steps = run.steps_per_epoch
    found: Found = {}
    for at, clock in enumerate(CLOCKS):
        rows = [{name: times[at] for name, times in one.items()} for one in took[1:]]
        found[clock] = {"steps/s": float(round(steps / statistics.median(row[BNTUI] for row in rows)))}
        for name in works.keys() - {BNTUI}:
            found[clock][name] = round(statistics.median(row[name] / row[BNTUI] for row in rows), 2)
    return found, missing


def table(found: dict[str, dict[str, float]], peers: list[str]) -> list[str]:
    """The figures as a Markdown table."""
    columns = ["steps/s", *peers]
    lines = [f"| task | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for task, row in found.items():
        cells = [f"{row[name]:g}" if name in row else "–" for name in columns]
        lines.append(f"| ({task}) | {' | '.join(cells)} |")
    return lines


def main() -> int:
    made = parser(__doc__, rounds=7)
    made.add_argument("--tasks", nargs="+", choices=tuple(TASKS), default=list(TASKS))
    made.add_argument("--peers", nargs="+", choices=tuple(PEERS), default=list(PEERS))
    options = made.parse_args()
    found: dict[str, Found] = {}
    missing: dict[str, str] = {}
    with one_thread():
        for name in options.tasks:
            found[name], reasons = compared(TASKS[name], options.rounds, options.peers)
            missing |= reasons
    if options.json:
        answer: dict[str, Any] = {"machine": machine(), "tasks": found, "skipped": missing}
        print(json.dumps(answer, indent=2))
    else:
        print(", ".join(f"{key} {value}" for key, value in machine().items()), "\n")
        for clock in CLOCKS:
            print(
                "\n".join((f"{clock}:", "", *table({name: of[clock] for name, of in found.items()}, options.peers), ""))
            )
        print("".join(f"\n{name}: skipped, {reason}" for name, reason in missing.items()))
    fulfilled = all(row["time"].get("+ validation", 1) >= 1 for row in found.values())
    return verdict(fulfilled, "recorded training is at least as fast as the DataLoader loop")


if __name__ == "__main__":
    with torch.random.fork_rng():
        sys.exit(main())

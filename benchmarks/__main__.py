"""Compares recorded training with what others train the same tasks with, in one table.

    python -m benchmarks [--rounds 7] [--tasks a b c] [--peers "hand-tuned" …] [--json]

The tasks are those of `benchmarks.training`.  bntui validates after each epoch and records a keyframe with evidence;
its peers record nothing, except TensorBoard's histograms.  A figure is the processor time of a peer over that of bntui,
the median over interleaved rounds: above 1, bntui is faster.  A peer that cannot run here is skipped, with the reason.
TensorBoard and Lightning are not installed with bntui: put them on PYTHONPATH.  Exits 1 if bntui is slower than the
DataLoader loop that validates.
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
from benchmarks.training import TASKS, Task, Work, scenario, seconds
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


def per_epoch(work: Work, epochs: int) -> float:
    """Processor time of an epoch."""
    if isinstance(work, Whole):
        return seconds(work, 1, time.process_time) / work.epochs
    return seconds(work, epochs, time.process_time)


def compared(task: Task, rounds: int, peers: list[str]) -> tuple[dict[str, float], dict[str, str]]:
    """Steps per second of bntui with the ratio of each peer, and the reasons of those that cannot run."""
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        text, overrides = scenario(task, Path(folder), "explicit")
        made = parse(text, file="speed.toml", overrides=overrides)
        with closing(Session.begin(made, Path(folder) / "x.bntui", overrides)) as session:
            run = session.runs[0]
            works: dict[str, Work] = {BNTUI: lambda: session.epoch(lambda: False)}
            for name in peers:
                try:
                    works[name] = PEERS[name](task, run.samples)
                except MissingError as reason:
                    missing[name] = str(reason)
            took = [{name: per_epoch(work, task.epochs) for name, work in works.items()} for _ in range(rounds + 1)]
            steps = run.steps_per_epoch
    found = {"steps/s": float(round(steps / statistics.median(one[BNTUI] for one in took[1:])))}
    for name in works:
        if name != BNTUI:
            found[name] = round(statistics.median(one[name] / one[BNTUI] for one in took[1:]), 2)
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
    found: dict[str, dict[str, float]] = {}
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
        print("\n".join(table(found, options.peers)))
        print("".join(f"\n{name}: skipped, {reason}" for name, reason in missing.items()))
    fulfilled = all(row.get("+ validation", 1) >= 1 for row in found.values())
    return verdict(fulfilled, "recorded training is at least as fast as the DataLoader loop")


if __name__ == "__main__":
    with torch.random.fork_rng():
        sys.exit(main())

"""Measures how well a sweep uses two cores, and what a trial costs.

    python -m benchmarks.sweep [--rounds 3] [--trials 12] [--json]

The same sweep is trained with one job and with two, in turn.  Efficiency is the wall time of one job divided by twice
the wall time of two jobs.  It is given for the whole command, which starts workers that import torch, and for the
trials alone: from the first line of the journal to the last.  On a machine that does other work, look at the
processor time as well: it says what the second job costs beyond its trials.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.report import parser, verdict
from bntui.study import journal

GOAL = 0.85


@dataclass(frozen=True, slots=True)
class Measured:
    """One sweep: seconds."""

    wall: float
    trials: float
    """Wall time from the first trial's end to the last one's, scaled to all trials."""
    cpu: float
    """Processor time of the command and its workers."""
    training: float
    """Processor time of the trials alone, as the journal says."""
    recording: float
    """Mean size of a recording in bytes."""
    line: float
    """Mean size of a line of the journal in bytes."""


def measured(jobs: int, trials: int) -> Measured:
    """Train a sweep in a process of its own."""
    folder = Path(tempfile.mkdtemp(prefix="sweep-"))
    words = ["sweep", "batch-normalization", "--over", f"training.lr=0.01..0.5:{trials}", "--seeds", "1"]
    words += ["--run", "batch norm", "--jobs", str(jobs), "-o", str(folder / "swept")]
    log, ends, seen = folder / "swept" / journal.NAME, list[float](), 1
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "bntui", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            there = log.read_bytes().count(b"\n") if log.exists() else 0
            ends += [time.perf_counter()] * (there - seen)
            seen = max(seen, there)
            time.sleep(0.01)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    _head, entries = journal.read(folder / "swept")
    assert process.returncode == 0
    assert len(entries) == trials
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # the first of each worker ends after torch was imported
    alone = (ends[-1] - ends[jobs - 1]) * trials / (trials - jobs)
    sizes = [(folder / "swept" / entry.file).stat().st_size for entry in entries]
    lines = log.read_bytes().splitlines()[1:]
    found = Measured(
        wall, alone, cpu, sum(entry.seconds for entry in entries), statistics.mean(sizes),
        statistics.mean(len(line) + 1 for line in lines),
    )  # fmt: skip
    shutil.rmtree(folder)
    return found


def main() -> int:
    options_of = parser(__doc__, rounds=3)
    options_of.add_argument("--trials", type=int, default=12)
    options = options_of.parse_args()
    load = os.getloadavg()[0]
    rounds = [(measured(1, options.trials), measured(2, options.trials)) for _round in range(options.rounds)]
    ratios = {
        "efficiency of the trials": statistics.median(one.trials / (2 * two.trials) for one, two in rounds),
        "efficiency of the command": statistics.median(one.wall / (2 * two.wall) for one, two in rounds),
        "processor time, two jobs to one": statistics.median(two.cpu / one.cpu for one, two in rounds),
        "training, of all processor time": statistics.median(one.training / one.cpu for pair in rounds for one in pair),
    }
    if options.json:
        told = [[asdict(one) for one in pair] for pair in rounds]
        print(json.dumps({"trials": options.trials, "load": load, "rounds": told, **ratios}, indent=2))
    else:
        print(f"{options.trials} trials of batch-normalization, {os.cpu_count()} cores, load {load:.1f} before")
        print("jobs   wall s  trials s  processor s  of it training")
        for pair in rounds:
            for jobs, one in zip((1, 2), pair, strict=True):
                print(f"{jobs:4}  {one.wall:7.1f}  {one.trials:8.1f}  {one.cpu:11.1f}  {one.training:14.1f}")
        for name, ratio in ratios.items():
            print(f"{name}: {ratio:.2f}")
        last = rounds[-1][1]
        print(f"a recording has {last.recording / 1e3:,.0f} kB, a line of the journal {last.line:,.0f} bytes")
    return verdict(ratios["efficiency of the trials"] >= GOAL, f"efficiency of the trials at least {GOAL}")


if __name__ == "__main__":
    sys.exit(main())

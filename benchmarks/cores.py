"""Compares runs that train in worker processes with the same runs in one process.

    python -m benchmarks.cores [--tasks a b small-batches] [--rounds 5] [--json]

For the tasks (a) and (b) of ``benchmarks.training``: the time of two runs, in one process and with a worker for each
core, over that of one run.  For a built-in scenario: the time of its runs with workers over that in one process.  Every
round trains each of them from its first keyframe to its last, the start of the workers included; a ratio is the median
over the rounds, which are interleaved.  ``least`` is the same ratio from processor times, for idle cores that share the
work evenly, or as the busiest process takes; it depends less on what else the machine does, whose load is printed.
Exits 1 if two runs take more than 1.25 times as long as one, or those of a scenario more than 0.6 times.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.report import parser, verdict
from benchmarks.training import TASKS, scenario
from bntui.cpu import cores
from bntui.scenario.gallery import find
from bntui.scenario.load import Scenario, load, parse
from bntui.trainer.cores.template import Template
from bntui.trainer.cores.worker import serve
from bntui.trainer.session import Session

EPOCHS: Final = {"a": 100, "b": 8}
"""Epochs of a run, so that it takes some seconds."""
RUN: Final = '[[run]]\nname = "{name}"\nset = {{ training.lr = {lr} }}\n'
MOST: Final = 1.25
MOST_OF_SUM: Final = 0.6


@dataclass(frozen=True, slots=True)
class Cost:
    """What training took."""

    seconds: float
    processes: tuple[float, ...]
    """Processor seconds of the trainer, and of each worker."""

    @property
    def least(self) -> float:
        """The seconds that it takes at least on idle cores."""
        return max(sum(self.processes) / cores(), *self.processes)


def trained(chosen: Scenario, path: Path, template: Template | None) -> Cost:
    """Train from the first keyframe to the last."""
    session = Session.begin(chosen, path, (), template)
    torch.set_num_threads(1)
    workers: set[int] = set()
    began, before = time.perf_counter(), time.process_time()
    while not session.over:
        session.epoch(lambda: False)
        workers.update(session.workers)
    session.writer.flush()
    took, mine = time.perf_counter() - began, time.process_time() - before
    found = Cost(took, (mine, *map(processor_seconds, workers)))
    session.close()
    path.unlink()
    return found


def processor_seconds(pid: int) -> float:
    """Processor time of another process since it was forked."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def of_task(name: str, runs: int, folder: Path) -> Scenario:
    """A task with so many runs, which differ in the learning rate only."""
    text, overrides = scenario(TASKS[name], folder, "explicit")
    text += "".join(RUN.format(name=f"run {number}", lr=0.001 * (number + 1)) for number in range(runs))
    return parse(text, file="speed.toml", overrides=[*overrides, ("training.epochs", EPOCHS[name])])


def compared(name: str, rounds: int, template: Template) -> dict[str, Any]:
    """The ratios of a task or a scenario."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        ways: dict[str, tuple[Scenario, Template | None]]
        if name in TASKS:
            one, two = (of_task(name, runs, folder) for runs in (1, 2))
            ways = {"one_run": (one, None), "one_process": (two, None), "workers": (two, template)}
        else:
            chosen = load(find(name))
            ways = {"one_process": (chosen, None), "workers": (chosen, template)}
        costs: dict[str, list[Cost]] = {way: [] for way in ways}
        for _round in range(rounds):
            for way, (chosen, forks) in ways.items():
                costs[way].append(trained(chosen, folder / "x.bntui", forks))
    base, *others = ways

    def ratios(way: str, figure: Callable[[Cost], float]) -> float:
        pairs = zip(costs[base], costs[way], strict=True)
        return round(statistics.median(figure(b) / figure(a) for a, b in pairs), 2)

    return {
        "seconds": {way: round(statistics.median(cost.seconds for cost in each), 2) for way, each in costs.items()},
        "ratios": {way: ratios(way, lambda cost: cost.seconds) for way in others},
        "least": {way: ratios(way, lambda cost: cost.least) for way in others},
        "workers": [len(cost.processes) - 1 for cost in costs["workers"]],
    }


def main() -> int:
    template = Template.start(serve)  # before this process has threads
    made = parser(__doc__, rounds=5)
    made.add_argument("--tasks", nargs="+", default=["a", "b", "small-batches"])
    options = made.parse_args()
    before = os.getloadavg()[0]
    found = {name: compared(name, options.rounds, template) for name in options.tasks}
    load_now = f"{cores()} cores, load {before:.1f} before and {os.getloadavg()[0]:.1f} after"
    if options.json:
        print(json.dumps({"load": load_now, **found}))
    else:
        print("\n".join([load_now, *(f"({name}) {row}" for name, row in found.items())]))
    most: Sequence[bool] = [
        row["ratios"]["workers"] <= (MOST if name in TASKS else MOST_OF_SUM) for name, row in found.items()
    ]
    return verdict(
        all(most), f"two runs take at most {MOST} times as long as one, a scenario {MOST_OF_SUM} times its runs"
    )


if __name__ == "__main__":
    sys.exit(main())

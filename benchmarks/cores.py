"""Compares runs that train in worker processes with the same runs in one process.

    python -m benchmarks.cores [--tasks a b small-batches] [--rounds 5] [--json]

For the tasks (a) and (b) of ``benchmarks.training``: the time of two runs, in one process and with a worker for each
core, over that of one run.  For a built-in scenario: the time of its runs with workers over that in one process.  Every
round trains each of them from its first keyframe to its last, the start of the workers included; a ratio is the median
over the rounds, which are interleaved.  Prints the load of the machine before and after.  Exits 1 if two runs take more
than 1.25 times as long as one, or those of a scenario more than 0.6 times.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.report import parser, verdict
from benchmarks.training import TASKS, scenario
from bntui.scenario.gallery import find
from bntui.scenario.load import Scenario, load, parse
from bntui.trainer.cores.template import Template, cores
from bntui.trainer.cores.worker import serve
from bntui.trainer.session import Session

EPOCHS: Final = {"a": 150, "b": 8}
"""Epochs of a run, so that it takes some seconds."""
RUN: Final = '[[run]]\nname = "{name}"\nset = {{ training.lr = {lr} }}\n'
MOST: Final = 1.25
MOST_OF_SUM: Final = 0.6


def trained(chosen: Scenario, path: Path, template: Template | None) -> tuple[float, bool]:
    """Seconds of training, and if workers took part."""
    session = Session.begin(chosen, path, (), template)
    torch.set_num_threads(1)
    began, helped = time.perf_counter(), False
    while not session.over:
        session.epoch(lambda: False)
        helped = helped or session.shared_out
    session.writer.flush()
    took = time.perf_counter() - began
    session.close()
    path.unlink()
    return took, helped


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
        took: dict[str, list[float]] = {way: [] for way in ways}
        helped = 0
        for _round in range(rounds):
            for way, (chosen, forks) in ways.items():
                seconds, shared = trained(chosen, folder / "x.bntui", forks)
                took[way].append(seconds)
                helped += shared
    base, *others = ways
    ratios = {way: statistics.median(b / a for a, b in zip(took[base], took[way], strict=True)) for way in others}
    return {
        "seconds": {way: round(statistics.median(each), 2) for way, each in took.items()},
        "ratios": {way: round(ratio, 2) for way, ratio in ratios.items()},
        "with_workers": helped,
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

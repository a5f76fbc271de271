"""Compares eight seeds, in worker processes and stacked, with one recorded run.

    python -m benchmarks.seeds [--rounds 5] [--seeds 8] [--jobs 2] [--tasks a c] [--json]

The tasks are those of benchmarks.training.  One run is trained with a keyframe and evidence in every epoch; the seeds
are trained as those of a band, which records the scalars of every epoch.  Rounds are interleaved.  `wall` is the time
of all seeds over that of the run, without the start of the workers; `cpu` is the processor time of the worker that took
longest over that of the run: what `wall` would be if nothing else used the cores.  `stacked` is the processor time of
the same seeds trained at once over that of the seeds one after another, in this process.  Exits 1 if `cpu` is above 2
in (a) or 1.3 in (c).
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import torch

from benchmarks.report import parser, verdict
from benchmarks.training import TASKS, scenario
from bntui.scenario.load import Scenario, parse
from bntui.scenario.schema import RunConfig
from bntui.study.pool import answers
from bntui.study.together import trained_together
from bntui.study.trial import Over, SeedsJob
from bntui.trainer.session import Session

EPOCHS: Final = {"a": 30, "b": 1, "c": 200}
"""Epochs of a run: it takes about half a second."""
GOALS: Final = {"a": 2.0, "c": 1.3}


def recorded(text: Scenario, folder: Path) -> tuple[float, float]:
    """Wall and processor time of a recorded run."""
    wall, cpu = time.perf_counter(), time.process_time()
    path = folder / f"{time.monotonic_ns()}.bntui"
    with closing(Session.begin(text, path)) as session:
        while not session.runs[0].over:
            session.epoch(lambda: False)
    return time.perf_counter() - wall, time.process_time() - cpu


def in_workers(configs: Sequence[RunConfig], folder: Path, jobs: int) -> tuple[float, float]:
    """Wall time of the seeds in worker processes after their start, and processor time of the longest."""
    parts = [SeedsJob(tuple(configs[first::jobs]), folder) for first in range(jobs)]
    # an epoch first, so that workers have imported and loaded what they need
    warm = [SeedsJob(tuple(_of(config, 1) for config in part.configs), folder) for part in parts]
    ready: set[int] = set()
    took, wall = [], 0.0
    for number, answer in answers([*warm, *parts], jobs):
        if isinstance(answer, Over):
            assert not answer.failure, answer.failure
            ready.add(number)
            took.append(answer.seconds)
            if len(ready) == jobs:
                wall = time.perf_counter()
    return time.perf_counter() - wall, max(took[jobs:])


def _of(config: RunConfig, epochs: int) -> RunConfig:
    return config.model_copy(update={"training": config.training.model_copy(update={"epochs": epochs})})


def in_process(configs: Sequence[RunConfig], folder: Path, *, stacked: bool) -> float:
    """Processor time of the seeds in this process."""
    began = time.process_time()
    trained_together(SeedsJob(tuple(configs), folder), lambda _epochs: None, stacked=stacked)
    return time.process_time() - began


def compared(name: str, rounds: int, seeds: int, jobs: int) -> dict[str, float]:
    """The ratios of a task."""
    found: list[tuple[float, float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        text, overrides = scenario(TASKS[name], Path(folder), "explicit")
        whole = parse(text, file="speed.toml", overrides=[*overrides, ("training.epochs", EPOCHS[name])])
        config = whole.runs[0].config
        configs = [config.model_copy(update={"seed": seed}) for seed in range(seeds)]
        short = [_of(one, max(1, EPOCHS[name] // 10)) for one in configs]
        for _ in range(rounds + 1):
            wall, cpu = recorded(whole, Path(folder))
            walls, longest = in_workers(configs, Path(folder), jobs)
            again = recorded(whole, Path(folder))
            wall, cpu = (wall + again[0]) / 2, (cpu + again[1]) / 2
            apart = in_process(short, Path(folder), stacked=False)
            found.append((walls / wall, longest / cpu, in_process(short, Path(folder), stacked=True) / apart))
    medians = (statistics.median(column) for column in zip(*found[1:], strict=True))
    return dict(zip(("wall", "cpu", "stacked"), (round(one, 2) for one in medians), strict=True))


def main() -> int:
    made = parser(__doc__, rounds=5)
    made.add_argument("--tasks", nargs="+", choices=tuple(GOALS), default=list(GOALS))
    made.add_argument("--seeds", type=int, default=8)
    made.add_argument("--jobs", type=int, default=2)
    options = made.parse_args()
    torch.set_num_threads(1)
    found = {name: compared(name, options.rounds, options.seeds, options.jobs) for name in options.tasks}
    print(json.dumps(found) if options.json else "\n".join(f"({name}) {row}" for name, row in found.items()))
    return verdict(
        all(row["cpu"] <= GOALS[name] for name, row in found.items()),
        f"{options.seeds} seeds cost at most {', '.join(f'{goal} runs of ({name})' for name, goal in GOALS.items())}",
    )


if __name__ == "__main__":
    sys.exit(main())

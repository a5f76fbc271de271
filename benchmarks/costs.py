"""Measures what training and recording cost against size, and draws it.

    python -m benchmarks.costs [--epochs 100000] [--only epochs width …] [--svg docs/costs.svg] [--json]

Everything is recorded, a keyframe with evidence in every epoch.  The charts: seconds against `epochs`, of a tiny
network with one step an epoch; milliseconds of a step and of a keyframe, and kilobytes of a keyframe, against `width`
(two hidden layers) and `depth` (hidden layers of 32), on digits; of an epoch against the number of `runs`, trained in
turn in one process; of an epoch of all `seeds` of a network like (c) of benchmarks.training, stacked.
Times are processor time of this process, the smallest of three.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import torch

from benchmarks.chart import Chart, Points, page
from bntui.scenario.load import Override, parse
from bntui.study.together import trained_together
from bntui.study.trial import SeedsJob
from bntui.trainer.run import Run
from bntui.trainer.session import Session

Curves = Mapping[str, Points]

DIGITS: Final = 'title = "Costs"\n[data]\nsource = "digits"\nbatch_size = 60\n[training]\nlr = 0.1\nepochs = 1000000\n'
TINY: Final = DIGITS.replace("digits", "sine").replace("60", "50") + "[network]\nhidden = [8, 8]\n"
WIDTHS: Final = (16, 32, 64, 128, 256, 512, 1024, 2048)
DEPTHS: Final = (1, 2, 4, 8, 16, 32)
RUNS: Final = (1, 2, 4, 8)
SEEDS: Final = (1, 2, 4, 8, 16, 32)


def begun(text: str, folder: str, *overrides: Override) -> Session:
    scenario = parse(text, file="costs.toml", overrides=list(overrides))
    return Session.begin(scenario, Path(folder) / f"{time.monotonic_ns()}.bntui", list(overrides))


def best(work: Callable[[], object], rounds: int) -> float:
    """Milliseconds of processor time."""
    found = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return 1000 * min(found)


def epochs(longest: int) -> list[Chart]:
    points: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        overrides = [("network.hidden", [4]), ("record.budget", 8)]
        with closing(begun(TINY, folder, *overrides)) as session:
            began, done, goal = time.process_time(), 0, 1
            while goal <= longest:
                while done < goal:
                    session.epoch(lambda: False)
                    done += 1
                points.append((goal, max(time.process_time() - began, 1e-3)))
                goal *= 10
    return [Chart("Epochs of a tiny network", "epochs, a keyframe each", "seconds", {"": points})]


def bare(run: Run) -> Callable[[], object]:
    """Steps of an epoch that are not measured."""
    batches = run._epoch.left

    def steps() -> None:
        with run.stepper.training():
            for batch in batches:
                run.stepper.bare(batch.x, batch.y, 1, 0.0)

    return steps


def per_step(
    hidden: Sequence[Sequence[int]], sizes: Sequence[int]
) -> tuple[Mapping[str, Points], Mapping[str, Points]]:
    """Milliseconds of a step and of a keyframe, and kilobytes of a keyframe, by size."""
    steps, frames = [], []
    stored: dict[str, list[tuple[float, float]]] = {"measures": [], "evidence": []}
    for size, units in zip(sizes, hidden, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            session = begun(DIGITS, folder, ("network.hidden", units))
            (run,) = session.runs
            train = bare(run)
            train()
            session.epoch(lambda: False)
            step = best(train, 3)
            whole = best(lambda: session.epoch(lambda: False), 3)  # noqa: B023 - called at once
            steps.append((size, step / run.steps_per_epoch))
            frames.append((size, max(whole - step, 1e-2)))
            path = session.writer.path
            session.close()
            with closing(sqlite3.connect(path)) as database:
                for table, column in stored.items():
                    (length,) = database.execute(f"SELECT max(length(block)) FROM {table}").fetchone()
                    column.append((size, length / 1000))
    return {"step": steps, "keyframe": frames}, stored


def width() -> list[Chart]:
    times, size = per_step([[units, units] for units in WIDTHS], WIDTHS)
    return [
        Chart("Width", "units of each of two hidden layers", "ms", times),
        Chart("Size of a keyframe", "units of each of two hidden layers", "kB", size),
    ]


def depth() -> list[Chart]:
    times, _size = per_step([[32] * layers for layers in DEPTHS], DEPTHS)
    return [Chart("Depth", "hidden layers of 32 units", "ms", times)]


def runs() -> list[Chart]:
    points = []
    for count in RUNS:
        text = DIGITS + "[network]\nhidden = [32, 32]\n" + "".join(f'[[run]]\nname = "{at}"\n' for at in range(count))
        with tempfile.TemporaryDirectory() as folder, closing(begun(text, folder)) as session:
            session.epoch(lambda: False)
            points.append((count, best(lambda: session.epoch(lambda: False), 5)))
    return [Chart("Runs, in one process", "runs of 64-32-32-10", "ms an epoch of all", {"": points})]


def seeds() -> list[Chart]:
    text = TINY.replace("batch_size = 50", "batch_size = 10")
    points = []
    for count in SEEDS:

        def train(total: int, count: int = count) -> Callable[[], object]:
            (run,) = parse(text, file="costs.toml", overrides=[("training.epochs", total), ("data.samples", 500)]).runs
            configs = tuple(run.config.model_copy(update={"seed": seed}) for seed in range(count))
            return lambda: trained_together(SeedsJob(configs, Path()), lambda _epochs: None)

        # without what every seed needs once
        points.append((count, max((best(train(22), 3) - best(train(2), 3)) / 20, 1e-2)))
    return [Chart("Seeds, at once", "seeds of 2-8-8-1, batch 10", "ms an epoch of all", {"": points})]


CHARTS: Final[Mapping[str, Callable[[], list[Chart]]]] = {
    "width": width, "depth": depth, "runs": runs, "seeds": seeds,
}  # fmt: skip


def main() -> int:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", action="store_true")
    made.add_argument("--epochs", type=int, default=100_000)
    made.add_argument("--only", nargs="+", choices=("epochs", *CHARTS), default=["epochs", *CHARTS])
    made.add_argument("--svg", type=Path)
    options = made.parse_args()
    torch.set_num_threads(1)
    charts = [
        chart for name in options.only for chart in (epochs(options.epochs) if name == "epochs" else CHARTS[name]())
    ]
    if options.svg:
        options.svg.write_text(page(charts), encoding="utf-8")
    if options.json:
        print(
            json.dumps({chart.title: {"x": chart.across, "y": chart.up, **chart.curves} for chart in charts}, indent=1)
        )
    else:
        for chart in charts:
            print(f"{chart.title}: {chart.up} by {chart.across}")
            for name, curve in chart.curves.items():
                print(f"  {name:9}", "  ".join(f"{x:g}: {y:.3g}" for x, y in curve))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measures what a keyframe costs the trainer, by part, with everything recorded.

    python -m benchmarks.keyframe [--rounds 15] [--budget 64] [--json]

Trains the network of the scenario "batch normalization" with dropout 0.2 and Adam (digits, 64-100-100-100-10, batch
60, 24 steps per epoch), a keyframe per epoch.  The parts are milliseconds of CPU time of the training thread: `step` is
a step without a keyframe, `measured` what a measured one takes beyond that, `row` what collects the figures and digests
the weights, and `commit` hands it to the thread that writes, or with ``--at-once`` packs and writes the row, and the
evidence where it is due.  `keyframe` is their sum, and `ratio` is that over a step, which depends less on the machine.
`written` is what the other thread takes.  Exits 1 if a keyframe costs more than 1.5 ms.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.report import parser, verdict
from bntui.scenario.gallery import find
from bntui.scenario.load import Scenario, load
from bntui.trainer import run as run_module
from bntui.trainer import step
from bntui.trainer.session import Session

EPOCHS = 20
"""Epochs of a round."""
MILLISECONDS = 1.5


class Parts:
    """Times calls of functions while they run in their ordinary places."""

    def __init__(self) -> None:
        self.took: dict[str, list[float]] = defaultdict(list)

    def time(self, owner: Any, name: str, part: str) -> None:
        """Replace a function or method by one that is timed."""
        work: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.thread_time()
            try:
                return work(*arguments, **named)
            finally:
                self.took[part].append(1e3 * (time.thread_time() - began))

        setattr(owner, name, timed)

    def median(self, part: str) -> float:
        """Milliseconds of a call since the last round."""
        return statistics.median(self.took[part])


def scenario(budget: float) -> Scenario:
    """The run with batch normalization only."""
    settings: dict[str, object] = {
        "training.optimizer": "adam", "training.lr": 1e-3, "training.epochs": 100_000, "network.dropout": 0.2,
        "record.every": "epoch", "record.budget": budget,
    }  # fmt: skip
    whole = load(find("batch-normalization"), list(settings.items()))
    return replace(whole, runs=tuple(run for run in whole.runs if run.name == "batch norm"))


def main() -> int:
    options_of = parser(__doc__, rounds=15)
    options_of.add_argument("--budget", type=float, default=64.0)
    options_of.add_argument("--at-once", action="store_true")
    options = options_of.parse_args()
    torch.set_num_threads(1)
    parts = Parts()
    with tempfile.TemporaryDirectory() as folder:
        session = Session.begin(scenario(options.budget), Path(folder) / "x.bntui")
        if not options.at_once:
            session.write_behind()
        (run,) = session.runs
        parts.time(run.stepper, "bare", "step")
        parts.time(run.stepper, "measured", "whole step")
        parts.time(step, "layer_measures", "layers")
        parts.time(run, "_keyframe", "row")
        parts.time(run_module, "validate", "validation")
        parts.time(run, "_start_epoch", "next epoch")
        parts.time(run, "_record", "record")
        parts.time(session.writer, "commit", "written")
        rounds = []
        for _ in range(options.rounds + 1):
            parts.took.clear()
            for _ in range(EPOCHS):
                session.epoch(lambda: False)
            found = {"step": parts.median("step")}
            found["measured"] = parts.median("whole step") - found["step"]
            found |= {"of it layers": parts.median("layers"), "row": parts.median("row")}
            recorded = sum(parts.took["record"]) - sum(
                sum(parts.took[name]) for name in ("validation", "next epoch", "row")
            )
            found["commit"] = recorded / EPOCHS  # evidence is not due each time
            found["keyframe"] = found["measured"] + found["row"] + found["commit"]
            found["ratio"] = found["keyframe"] / found["step"]
            found["written"] = statistics.mean(parts.took["written"])
            rounds.append(found)
        session.close()
    table = {name: round(statistics.median(one[name] for one in rounds[1:]), 3) for name in rounds[0]}
    if options.json:
        print(json.dumps(table))
    else:
        for name, value in table.items():
            print(f"{name:14}{value:8.3f}{'' if name == 'ratio' else ' ms'}")
    return verdict(table["keyframe"] <= MILLISECONDS, f"a keyframe costs at most {MILLISECONDS} ms of the trainer")


if __name__ == "__main__":
    sys.exit(main())

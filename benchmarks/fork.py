"""Measures the file size of a run of 10,000 epochs, and the time to restore any of its keyframes.

    python -m benchmarks.fork [--rounds 40] [--epochs 10000] [--run plain] [--json]

Trains one run of the scenario "batch normalization" (digits, 24 steps per epoch, a keyframe per epoch) with the default
evidence budget.  Then restores random keyframes, interleaved with the method without evidence: forward from the initial
state, of which one piece is timed and extrapolated.  Exits 1 if the recording is larger than 64 MB of evidence plus
12 kB per keyframe, or if a keyframe takes 5 seconds.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.report import parser, verdict
from bntui.recording.reader import Reader
from bntui.scenario.gallery import find
from bntui.scenario.load import Scenario, load
from bntui.trainer.session import Session

EVIDENCE = 64e6
KEYFRAME = 12e3
SECONDS = 5.0
PIECE = 20
"""Number of epochs timed when training forward from the start."""


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def alone(name: str, epochs: int) -> Scenario:
    """The scenario with one run only, which gets the whole evidence budget."""
    overrides = [("training.epochs", epochs + 1), ("record.every", "epoch")]
    scenario = load(find("batch-normalization"), overrides)
    return replace(scenario, runs=tuple(run for run in scenario.runs if run.name == name))


def main() -> int:
    options_of = parser(__doc__, rounds=40)
    options_of.add_argument("--epochs", type=int, default=10_000)
    options_of.add_argument("--run", default="plain")
    options = options_of.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.bntui"
        session = Session.begin(alone(options.run, options.epochs), path)
        began = time.perf_counter()
        while session.runs[0].epoch < options.epochs:
            session.epoch(lambda: False)
        trained = time.perf_counter() - began
        session.close()
        size = path.stat().st_size
        reader = Reader(path)
        reading = timed(lambda: Reader(path).close())
        kept = len(reader.evidence_rows(0))
        history = reader.history(0)
        session = Session.resume(path)
        past, chance = session._past, random.Random(1)
        takes, ratios = [], []
        for _ in range(options.rounds):
            epoch = chance.randrange(options.epochs // 2, options.epochs)
            step = int(history.step[history.at(epoch)])
            took = timed(lambda: past.reach(0, step))  # noqa: B023
            start = past.reach(0, 0)
            piece = timed(lambda: [start.train_step(None) for _ in range(PIECE * start.steps_per_epoch)])  # noqa: B023
            takes.append(took)
            ratios.append(piece / PIECE * epoch / took)
        forked = timed(lambda: session.fork(0, int(history.step[history.at(options.epochs // 2 + 77)]), []))
        session.close()
    per_keyframe = (size - EVIDENCE) / len(history)
    print(
        {
            "epochs": options.epochs,
            "trained_s": round(trained, 1),
            "file_mb": round(size / 1e6, 1),
            "evidence_kept": kept,
            "kb_per_keyframe_beyond_64_mb": round(per_keyframe / 1e3, 2),
            "open_s": round(reading, 3),
            "reach_median_s": round(statistics.median(takes), 3),
            "reach_worst_s": round(max(takes), 3),
            "fork_s": round(forked, 3),
            "from_the_start_ratio": round(statistics.median(ratios), 1),
        }
    )
    fits = verdict(size <= EVIDENCE + KEYFRAME * len(history), "64 MB of evidence and 12 kB a keyframe")
    return fits | verdict(max(takes) < SECONDS, "any keyframe is reached within 5 seconds")


if __name__ == "__main__":
    sys.exit(main())

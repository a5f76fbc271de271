"""Compares this checkout with another one, such as a worktree of an earlier commit, in the same run.

    git worktree add ../earlier COMMIT
    python -m benchmarks.against ../earlier [--rounds 7] [--json]

Each command is run by both in turn, with the same Python and packages: the gallery until its text is on the screen, a
key press in a replay until the last changed byte (40 keys), training without a screen, and an audit.  Both read the
recording that the other one made, since an earlier version cannot read a later format.  All figures are wall times,
the start of the program included.  A ratio is this checkout's time over the other's, the median over the rounds.  Exits
1 if one is above 1.1.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.report import parser, verdict
from tests.terminal import Terminal

BNTUI = [sys.executable, "-m", "bntui"]
TRAIN = ["run", "batch-normalization", "--headless", "--epochs", "60", "-o"]
KEYS = ("left", "left", "right", "home", "right", "right", "end", "tab") * 5
LIMIT = 1.1


def first_paint(env: Mapping[str, str], _recording: Path) -> float:
    """Seconds from the start of the program until the gallery shows its scenarios."""
    with Terminal(BNTUI, env=env) as terminal:
        took = terminal.until("batch norm")
        terminal.press("q")
        return took


def key_press(env: Mapping[str, str], recording: Path) -> float:
    """The median over the keys that change the screen, in seconds, at 160x48."""
    times = []
    with Terminal([*BNTUI, "replay", str(recording)], env=env) as terminal:
        terminal.until("Gradients")
        terminal.settle(0.5)
        for key in KEYS:
            before, began = terminal.received, time.monotonic()
            terminal.press(key)
            last = terminal.settle()
            if terminal.received > before:
                times.append(last - began)
        terminal.press("q")
    return statistics.median(times)


def wall_time(command: list[str], env: Mapping[str, str]) -> float:
    began = time.monotonic()
    subprocess.run([*BNTUI, *command], env={**os.environ, **env}, check=True, capture_output=True)
    return time.monotonic() - began


def training(env: Mapping[str, str], recording: Path) -> float:
    return wall_time([*TRAIN, str(recording.with_name(f"{time.monotonic_ns()}.bntui"))], env)


def auditing(env: Mapping[str, str], recording: Path) -> float:
    return wall_time(["audit", str(recording)], env)


MEASURED: dict[str, Callable[[Mapping[str, str], Path], float]] = {
    "training": training, "audit": auditing, "first paint": first_paint, "key press": key_press,
}  # fmt: skip


def main() -> int:
    options = parser(__doc__, rounds=7)
    options.add_argument("other", type=Path)
    given = options.parse_args()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in MEASURED}
    with tempfile.TemporaryDirectory() as folder:
        env = {"PYTHONSAFEPATH": "1", "XDG_DATA_HOME": folder}
        this = {**env, "PYTHONPATH": str(Path(__file__).parents[1])}
        other = {**env, "PYTHONPATH": str(given.other.resolve())}
        recording = Path(folder) / "recording.bntui"
        wall_time([*TRAIN, str(recording)], other)
        for round_ in range(given.rounds + 1):
            for name, measure in MEASURED.items():
                if round_ % 2:
                    pair = (measure(this, recording), measure(other, recording))
                else:
                    pair = (measure(other, recording), measure(this, recording))[::-1]
                if round_:  # the first one warms the disk cache
                    taken[name].append(pair)
    ratios = {}
    for name, pairs in taken.items():
        ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratios[name] = statistics.median(a / b for a, b in pairs)
        record = {
            "measured": name,
            "this_s": round(ours, 4),
            "other_s": round(theirs, 4),
            "ratio": round(ratios[name], 3),
        }
        print(json.dumps(record) if given.json else record)
    return verdict(max(ratios.values()) <= LIMIT, f"no ratio above {LIMIT:g}")


if __name__ == "__main__":
    sys.exit(main())

"""Measures the start: the gallery's first paint, and how soon a trained epoch is on the screen.

    python -m benchmarks.start [--rounds 7] [--against CHECKOUT] [--json]

In a pseudo-terminal of 160x48: ``paint`` is the gallery, until its text is on the screen; ``enter`` lasts from Enter,
pressed right after that, until the screen shows a trained epoch; ``run`` lasts from the start of ``bntui run
batch-normalization``.  Beside them, ``empty`` is the first paint of an empty Textual app, and ``torch`` is ``python -c
"import torch"``.  ``--against`` measures another checkout in turn with this one, such as a worktree of an earlier
commit.  All figures are wall times, medians over the rounds.  Exits 1 if a goal is missed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Final

import pyte

from benchmarks.first_paint import EMPTY, paint
from benchmarks.report import parser, verdict
from tests.terminal import Terminal

BNTUI: Final = [sys.executable, "-m", "bntui"]
TRAINED: Final = re.compile(r"epoch [1-9]\d*/").search
"""The header of the laboratory, once an epoch was trained."""
WATCHED: Final = 2.5
"""Seconds for which the terminal is read at a time."""
GOALS: Final = {"run": 1.3, "enter": 0.7}
MOST_PAINT: Final = 1.3
"""The gallery's first paint over that of an empty app."""


def trained(terminal: Terminal, since: float) -> float:
    """Seconds from a moment until a trained epoch is on the screen; ends the training.

    The screen is emulated afterwards, piece by piece, because that would take one of two cores from what is measured.
    """
    screen = pyte.Screen(160, 48)
    stream, start = pyte.ByteStream(screen), 0
    for _ in range(5):
        pieces = [(since, len(terminal.transcript))]
        end = time.monotonic() + WATCHED
        while time.monotonic() < end:
            if terminal.read(0.05):
                pieces.append((time.monotonic(), len(terminal.transcript)))
        for moment, stop in pieces:
            stream.feed(terminal.transcript[start:stop])
            start = stop
            if TRAINED(screen.display[0]):
                for trainer in [child for viewer in terminal.children() for child in terminal.children(viewer)]:
                    os.kill(trainer, signal.SIGKILL)
                return moment - since
    raise AssertionError(f"no epoch was trained; the screen:\n{terminal.text}")


def from_gallery(env: dict[str, str]) -> tuple[float, float]:
    """Seconds to the first paint, and from Enter to the first trained epoch of the first scenario."""
    with Terminal(BNTUI, env=env) as terminal:
        painted = terminal.until("batch norm")
        terminal.press("enter")
        return painted, trained(terminal, time.monotonic())


def from_command(env: dict[str, str]) -> float:
    with Terminal([*BNTUI, "run", "batch-normalization"], env=env) as terminal:
        return trained(terminal, terminal.started)


def torch_alone() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.monotonic() - began


def main() -> int:
    options = parser(__doc__, rounds=7)
    options.add_argument("--against", type=Path)
    given = options.parse_args()
    checkouts = {"": Path(__file__).parents[1], **({"other ": given.against.resolve()} if given.against else {})}
    taken: dict[str, list[float]] = defaultdict(list)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a start is one that finds compiled modules
    for round_ in range(given.rounds + 1):
        found = {"empty": paint([sys.executable, "-c", EMPTY], "ready to paint", {}), "torch": torch_alone()}
        for which, checkout in list(checkouts.items())[:: 1 if round_ % 2 else -1]:
            with tempfile.TemporaryDirectory() as folder:
                env = {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(checkout), "XDG_DATA_HOME": folder}
                found[f"{which}paint"], found[f"{which}enter"] = from_gallery(env)
                found[f"{which}run"] = from_command(env)
        if round_:  # the first one writes bytecode and warms the disk cache
            for name, seconds in found.items():
                taken[name].append(seconds)
    medians = {name: round(statistics.median(times), 3) for name, times in taken.items()}
    ratio = statistics.median(a / b for a, b in zip(taken["paint"], taken["empty"], strict=True))
    record = {**medians, "paint over empty": round(ratio, 2)}
    print(json.dumps(record) if given.json else record)
    kept = ratio <= MOST_PAINT and all(medians[name] <= goal for name, goal in GOALS.items())
    return verdict(kept, f"goals {GOALS}, first paint at most {MOST_PAINT:g} times an empty app's")


if __name__ == "__main__":
    sys.exit(main())

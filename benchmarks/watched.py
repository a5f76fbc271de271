"""Measures what an attached viewer costs an unthrottled trainer, and whether the viewer's memory levels off.

    python -m benchmarks.watched [--rounds 6] [--seconds 8] [--minutes 5] [--json]

Task (c) of ``benchmarks.training`` trains without a pace, which commits many keyframes per second.  Spans with a viewer
in a pseudo-terminal of 160x48 and without one alternate.  The trainer has one core, the viewer and its terminal the
other.  The figures are the steps per second with a viewer over those without, of the processor time of the trainer (its
cost) and of the clock; medians over the rounds.  Then the viewer stays for some minutes; its growth is that of its
resident memory over the last quarter of them, for each keyframe that was recorded meanwhile, whose scalars it
holds.  Exits 1 if a viewer costs more than 2 % of the trainer's processor time, or grows by more than 1 KB a keyframe.
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.long_screen import _resident, _viewer
from benchmarks.report import parser, verdict
from benchmarks.training import TASKS, scenario
from bntui.link.client import IdleTrainer, Trainer
from tests.terminal import Terminal

MOST_COST: Final = 0.02
MOST_GROWTH: Final = 1.0
"""KB for each keyframe."""
SAMPLES: Final = 20
"""Looks at the memory."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Steps of the trainer per second."""

    processor: float
    clock: float


class Watched:
    """A live trainer, and a viewer now and then."""

    def __init__(self, idle: IdleTrainer, recording: Path) -> None:
        self._pid, self._recording = idle.pid, recording
        self._cores = sorted(os.sched_getaffinity(0))
        for task in Path(f"/proc/{idle.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {self._cores[0]})
        os.sched_setaffinity(0, {self._cores[-1]})  # a viewer inherits it

    def viewer(self) -> Terminal:
        """A viewer that shows the newest keyframe."""
        terminal = Terminal([sys.executable, "-m", "bntui", "attach", str(self._recording)])
        terminal.until("linear 1")
        self.speed(1, terminal)
        return terminal

    def speed(self, seconds: float, terminal: Terminal | None) -> Speed:
        """Steps per second over a span."""
        began, steps, processor = time.monotonic(), self._steps(), self._processor()
        while (left := began + seconds - time.monotonic()) > 0:
            if terminal is None:
                time.sleep(left)
            elif terminal.read(left):
                terminal.raw = terminal.transcript = b""
        done = self._steps() - steps
        return Speed(done / (self._processor() - processor), done / (time.monotonic() - began))

    def keyframes(self) -> int:
        """Keyframes recorded so far."""
        return self._number("SELECT max(id) FROM keyframe")

    def _steps(self) -> int:
        return self._number("SELECT max(step) FROM keyframe")

    def _number(self, query: str) -> int:
        with closing(sqlite3.connect(f"{self._recording.as_uri()}?mode=ro", uri=True)) as database:
            return int(database.execute(query).fetchone()[0])

    def _processor(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def costs(watched: Watched, rounds: int, seconds: float) -> dict[str, float]:
    """The part of the trainer's speed that a viewer takes."""
    pairs: list[tuple[Speed, Speed]] = []
    for _round in range(rounds):
        alone = watched.speed(seconds, None)
        with watched.viewer() as terminal:
            pairs.append((alone, watched.speed(seconds, terminal)))
    return {
        "processor": round(1 - statistics.median(seen.processor / alone.processor for alone, seen in pairs), 3),
        "clock": round(1 - statistics.median(seen.clock / alone.clock for alone, seen in pairs), 3),
        "steps_per_s": round(statistics.median(alone.clock for alone, _seen in pairs)),
    }


def memory(watched: Watched, minutes: float) -> dict[str, Any]:
    """Resident memory of a viewer in MB, at equal distances, and its growth."""
    with watched.viewer() as terminal:
        found = [(_resident(_viewer(terminal)), watched.keyframes())]
        for _sample in range(SAMPLES):
            watched.speed(minutes * 60 / SAMPLES, terminal)
            found.append((_resident(_viewer(terminal)), watched.keyframes()))
    (first, before), (last, after) = found[3 * len(found) // 4], found[-1]
    growth = {"kb_per_keyframe": round(1024 * (last - first) / max(after - before, 1), 2)}
    return {"mb": [round(each, 1) for each, _keyframes in found], "keyframes": after, **growth}


def main() -> int:
    made = parser(__doc__, rounds=6)
    made.add_argument("--seconds", type=float, default=8)
    made.add_argument("--minutes", type=float, default=5)
    options = made.parse_args()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        toml, overrides = scenario(TASKS["c"], folder, "explicit")
        (folder / "c.toml").write_text(toml, encoding="utf-8")
        idle = IdleTrainer.start()
        recording = idle.open(folder / "c.toml", folder / "c.bntui", [*overrides, ("training.epochs", 1_000_000)])
        before = os.getloadavg()[0]
        try:
            watched = Watched(idle, recording)
            found: dict[str, Any] = costs(watched, options.rounds, options.seconds) if options.rounds else {}
            found |= memory(watched, options.minutes) if options.minutes else {}
        finally:
            trainer = Trainer.connect(recording)
            if trainer is not None:
                trainer.send("stop")
                while trainer.receive() is not None:
                    pass
        found["load"] = f"{before:.1f} before, {os.getloadavg()[0]:.1f} after"
    print(json.dumps(found) if options.json else "\n".join(f"{name}: {value}" for name, value in found.items()))
    fulfilled = found.get("processor", 0) <= MOST_COST and found.get("kb_per_keyframe", 0) <= MOST_GROWTH
    return verdict(fulfilled, f"a viewer costs at most {MOST_COST:.0%}, and grows by {MOST_GROWTH:g} KB a keyframe")


if __name__ == "__main__":
    sys.exit(main())

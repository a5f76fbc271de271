"""Measures how quickly keys are answered over a slow line, and how far the screen lags behind the recording.

    python -m benchmarks.slow_line [--rates 4 8 25 100] [--rounds 3] [--silent | --serial] [--json]

The program trains in a pseudo-terminal, first at 10 epochs per second and then unthrottled.  Its bytes reach the remote
screen at a given rate in kB/s, with 75 ms latency each way, through an unbounded buffer.  A key's figure is the time
from typing it at the remote end until its effect is on the remote screen.

``--silent``: the terminal answers no queries.  ``--serial``: it answers none, and writes block because there is no
buffer.  Exits 1 if a key takes more than 1 s at 8 kB/s, or 0.5 s at 25 kB/s and above, or if the screen lags by more
than 1 s.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.report import parser, verdict
from bntui.errors import RecordingError
from bntui.recording.reader import Reader
from tests.slow_terminal import SlowTerminal

LATENCY = 0.075
BEHIND = 1.0
"""Maximum lag of the screen behind the recording, in seconds."""
WATCHED = 6.0
"""Duration of the lag measurement in seconds."""
NEVER = 60.0

Seen = Callable[[SlowTerminal], object]


def limit(rate: float) -> float:
    """Maximum seconds to answer a key; there is no promise below 8 kB/s."""
    return NEVER if rate < 8 else 1.0 if rate < 25 else 0.5


@dataclass(frozen=True)
class Figures:
    """Results for one line."""

    rate: float
    """kB/s."""
    pace: str
    keys: dict[str, float]
    """The slowest answer to each key, in seconds."""
    median: float
    worst: float
    behind: float
    """Median lag behind the recording in seconds."""
    most_behind: float
    queued: int
    """Maximum number of bytes in transit to the remote end."""

    @property
    def kept(self) -> bool:
        return self.worst <= limit(self.rate) and self.most_behind <= BEHIND


class Head:
    """Remembers when each epoch was recorded."""

    def __init__(self, recording: Path) -> None:
        self._times: list[tuple[float, float]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(recording,), daemon=True)
        self._thread.start()

    def _watch(self, recording: Path) -> None:
        reader = Reader(recording)
        while not self._ended.wait(0.05):
            try:
                reader.refresh()
            except RecordingError:
                continue
            history = reader.history(0)
            if len(history) and (not self._times or history.epoch[-1] > self._times[-1][1]):
                self._times.append((time.monotonic(), float(history.epoch[-1])))
        reader.close()

    def behind(self, shown: float) -> float:
        """Seconds since an epoch newer than the shown one was recorded."""
        now = time.monotonic()
        newer = next((at for at, epoch in self._times if epoch > shown), now)
        return now - newer

    def close(self) -> None:
        self._ended.set()
        self._thread.join()


def epoch(far: SlowTerminal) -> float:
    """The epoch in the header; -1 if there is none."""
    found = re.search(r"epoch\s+([\d,.]+)/", far.row(0))
    return float(found[1].replace(",", "")) if found else -1.0


def header(words: str) -> Seen:
    return lambda far: words in far.row(0)


def helped(far: SlowTerminal) -> bool:
    """True if the help page is shown."""
    return any("What it answers" in far.row(y) for y in range(12))


def zoomed(far: SlowTerminal) -> bool:
    return "4 Dropout" in far.row(1)


def logarithmic(far: SlowTerminal) -> bool:
    return "log loss" in far.row(1)


def second(far: SlowTerminal) -> bool:
    """True if the second run is selected."""
    place = far.row(0).find("batch norm   ")
    return place >= 0 and bool(far.screen.buffer[0][place].bold)


def keys_of(far: SlowTerminal) -> Iterator[tuple[str, float]]:
    """Keys pressed during training, with the seconds until their effect was visible."""

    def answered(key: str, seen: Seen) -> float:
        pressed = far.press(key)
        try:
            return far.until(seen, NEVER) - pressed
        except AssertionError:
            return NEVER

    for key, seen in (
        ("?", helped),
        ("escape", lambda far: not helped(far)),
        ("enter", zoomed),
        ("escape", lambda far: not zoomed(far)),
        ("l", lambda far: not logarithmic(far)),
        ("l", logarithmic),
        ("tab", second),
        ("tab", lambda far: not second(far)),
        ("space", header("paused")),
    ):
        yield key, answered(key, seen)
        time.sleep(0.8)
    with far.lock:
        stood = epoch(far)
    yield "left", answered("left", lambda far: 0 <= epoch(far) < stood)
    yield "end", answered("end", lambda far: epoch(far) == stood)
    yield "space", answered("space", header("running"))
    time.sleep(0.8)


def lags(far: SlowTerminal, head: Head) -> list[float]:
    """Lags behind the recording in seconds, sampled ten times per second.

    After half a frame, which a terminal would not draw, there may be no epoch to read.
    """
    found, unread = [], 0
    end = time.monotonic() + WATCHED
    while time.monotonic() < end:
        time.sleep(0.1)
        with far.lock:
            shown = epoch(far)
        if shown < 0:
            unread += 1
        else:
            found.append(head.behind(shown))
    assert unread < len(found) / 2, "no epoch stands in the header"
    return found


def measured(rate: float, rounds: int, *, silent: bool, serial: bool) -> Iterator[Figures]:
    """Measure one line."""
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "slow.bntui"
        command = [sys.executable, "-m", "bntui", "run", "batch-normalization", "--epochs", "200000"]
        with SlowTerminal(
            [*command, "-o", str(recording)], rate * 1000, LATENCY, answers=not (silent or serial), block=serial
        ) as far:
            far.until(header("running"))
            time.sleep(3)
            for pace in ("10/s", "unthrottled"):
                if pace == "unthrottled":
                    for _ in range(8):
                        far.press("+")
                        try:
                            far.until(header("unthrottled"), 2)
                            break
                        except AssertionError:
                            continue
                head = Head(recording)
                behind = lags(far, head)
                head.close()  # frees time for the emulator
                times: dict[str, list[float]] = {}
                for _ in range(rounds):
                    for key, took in keys_of(far):
                        times.setdefault(key, []).append(took)
                every = [took for each in times.values() for took in each]
                yield Figures(
                    rate, pace, {key: round(max(each), 3) for key, each in times.items()}, statistics.median(every),
                    max(every), statistics.median(behind), max(behind), far.most_waiting,
                )  # fmt: skip
            far.press("q")
            try:
                far.process.wait(NEVER)
            except subprocess.TimeoutExpired:
                print("it did not end", file=sys.stderr)


def table_row(figures: Figures) -> str:
    keys = "  ".join(f"{key} {took:.2f}" for key, took in figures.keys.items())
    return (
        f"{figures.rate:5g} kB/s  {figures.pace:11}  keys {figures.median:5.2f} s, worst {figures.worst:5.2f} s   "
        f"behind {figures.behind:5.2f} s, at most {figures.most_behind:5.2f} s   queued {figures.queued:7,} B   {keys}"
    )


def main() -> int:
    options = parser(__doc__, rounds=3)
    options.add_argument("--rates", type=float, nargs="+", default=[4, 8, 25, 100])
    options.add_argument("--silent", action="store_true")
    options.add_argument("--serial", action="store_true")
    chosen = options.parse_args()
    kept = True
    for rate in chosen.rates:
        for figures in measured(rate, chosen.rounds, silent=chosen.silent, serial=chosen.serial):
            kept &= figures.kept
            print(json.dumps(asdict(figures)) if chosen.json else table_row(figures), flush=True)
    return verdict(kept, "a key within 1 s at 8 kB/s and 0.5 s at 25 kB/s, and the screen 1 s behind at most")


if __name__ == "__main__":
    sys.exit(main())

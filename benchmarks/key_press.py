"""Measures the time from a key press in replay to the last changed byte, at 160x48 with 1,000 keyframes.

    python -m benchmarks.key_press [--rounds 60] [--json]

Keys are typed into a pseudo-terminal one after the other; each gets a time and the number of bytes sent.  Exits 1 if
the median is above 50 ms.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import arguments, verdict
from tests.terminal import Terminal

KEYS = ("left", "left", "left", "right", "\x1b[1;2D", "\x1b[1;2D", "\x1b[1;2C", "home", "right", "right", "end", "tab")
LIMIT_MS = 50.0


def main() -> int:
    options = arguments(__doc__, rounds=60)
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "thousand.bntui"
        bntui = [sys.executable, "-m", "bntui"]
        subprocess.run(
            [*bntui, "run", "batch-normalization", "--headless", "--epochs", "500", "-o", str(recording)],
            check=True, capture_output=True,
        )  # fmt: skip
        times, sizes = [], []
        with Terminal([*bntui, "replay", str(recording)]) as terminal:
            terminal.until("Gradients")
            terminal.settle(0.5)
            for number in range(options.rounds):
                before = terminal.received
                began = time.monotonic()
                terminal.press(KEYS[number % len(KEYS)])
                last = terminal.settle()
                if terminal.received > before:
                    times.append((last - began) * 1000)
                    sizes.append(terminal.received - before)
            terminal.press("q")
    times.sort()
    record = {
        "keys": len(times),
        "median_ms": statistics.median(times),
        "p95_ms": times[int(0.95 * len(times))],
        "max_ms": times[-1],
        "median_bytes": statistics.median(sizes),
        "max_bytes": max(sizes),
    }
    print(json.dumps(record) if options.json else f"{record}")
    return verdict(record["median_ms"] <= LIMIT_MS, f"a key press is on the screen within {LIMIT_MS:g} ms")


if __name__ == "__main__":
    sys.exit(main())

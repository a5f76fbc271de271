"""Measures the time until the gallery is on the screen, compared with an empty Textual app in the same run.

    python -m benchmarks.first_paint [--rounds 15] [--json]

Both are started alternately in a pseudo-terminal of 160x48; the figure is the time from process start until its text is
on the screen.  Exits 1 if the median ratio is above 2.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile

from benchmarks.report import arguments, verdict
from tests.terminal import Terminal

EMPTY = """
from textual.app import App
from textual.widgets import Static
class Empty(App):
    def compose(self):
        yield Static("ready to paint")
Empty().run()
"""
LIMIT = 2.0


def paint(command: list[str], wanted: str, env: dict[str, str]) -> float:
    with Terminal(command, env=env) as terminal:
        took = terminal.until(wanted)
        terminal.press("q")
        return took


def loads_torch() -> bool:
    script = (
        "import sys; import bntui.cli, bntui.viewer.app, bntui.viewer.screens.gallery; print('torch' in sys.modules)"
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "True\n"


def main() -> int:
    options = arguments(__doc__, rounds=15)
    ours, empty = [], []
    with tempfile.TemporaryDirectory() as folder:
        env = {"XDG_DATA_HOME": folder}
        for round_ in range(options.rounds + 1):
            pair = (
                paint([sys.executable, "-c", EMPTY], "ready to paint", env),
                paint([sys.executable, "-m", "bntui"], "batch norm", env),
            )
            if round_:  # the first one warms the disk cache
                empty.append(pair[0])
                ours.append(pair[1])
    ratio = statistics.median(a / b for a, b in zip(ours, empty, strict=True))
    record = {
        "bntui_s": statistics.median(ours),
        "empty_app_s": statistics.median(empty),
        "ratio": ratio,
        "torch_loaded": loads_torch(),
    }
    print(json.dumps(record) if options.json else f"{record}")
    return verdict(ratio <= LIMIT and not record["torch_loaded"], f"first paint at most {LIMIT:g} times an empty app's")


if __name__ == "__main__":
    sys.exit(main())

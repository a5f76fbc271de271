"""Makes the README's pictures with the program itself: trains a scenario, opens its recording, saves SVGs.

    python -m docs.make_pictures

The scenario is the built-in one with dropout and early stopping switched on, so that every panel has
something to show; what is seen was really trained.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from bntui.viewer.app import LabApp

HERE = Path(__file__).parent
SIZES = {"160x48": (160, 48), "120x36": (120, 36), "80x24": (80, 24)}
OVERRIDES = (
    "network.dropout=0.2",
    "training.early_stopping.patience=15",
    "training.early_stopping.restore_best_weights=true",
)


async def picture(recording: Path, name: str, size: tuple[int, int], keys: tuple[str, ...]) -> None:
    app = LabApp(recording)
    async with app.run_test(size=size) as pilot:
        for key in keys:
            await pilot.press(key)
        await pilot.pause()
        svg = app.export_screenshot(title="bntui", simplify=True)
    # the export numbers its classes at random: the same screen is to give the same file
    marks = dict.fromkeys(re.findall(r"terminal-\d+", svg))
    for number, mark in enumerate(marks):
        svg = svg.replace(mark, f"terminal-{number}")
    (HERE / f"{name}.svg").write_text(svg, encoding="utf-8")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "batch-normalization.bntui"
        settings = [part for override in OVERRIDES for part in ("--set", override)]
        command = [sys.executable, "-m", "bntui", "run", "batch-normalization", "--headless", *settings]
        subprocess.run([*command, "-o", str(recording)], check=True, stdout=subprocess.DEVNULL)
        for name, size in SIZES.items():
            back = ("shift+left",) * 4
            asyncio.run(picture(recording, f"screen-{name}", size, back))


if __name__ == "__main__":
    main()

"""Generates the README's pictures: trains a scenario, opens its recording, and saves the screen as SVG.

    python -m tools.make_pictures

The scenarios are built-in and actually trained; the main screen's enables dropout and early stopping so that every
panel has something to show.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from unittest import mock

from bntui.pictures.svg import svg
from bntui.text.language import LANGUAGES, use
from bntui.viewer.app import LabApp
from tools import takes_no_options
from tools.screen import TERMINAL, picture_of

DOCS = Path(__file__).parents[1] / "docs"
SIZES = {"160x48": (160, 48), "120x36": (120, 36), "80x24": (80, 24)}
OVERRIDES = (
    "network.dropout=0.2",
    "training.early_stopping.patience=15",
    "training.early_stopping.restore_best_weights=true",
)
CLOSE = (120, 36)
"""Size of the pictures of single panels."""
CLOSE_UPS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "batch-normalization": {
        "microscope": ("tab", "shift+left", "shift+left", "m"),
        "drift": ("8", "enter"),
        "distributions": ("9", "enter"),
    },
    "early-stopping": {"data": ("7", "enter"), "stopping-rules": ("tab", "tab", "tab", "0", "enter")},
    "vanishing-gradients": {
        "fork-form": ("home", *("right",) * 8, "f", "down", "right"),
        "runs": ("tab", "r"),
        "compare": ("tab", "p", "p", "c", "enter"),
    },
}
"""Scenario, picture, and the keys that open it."""
FORK = ("vanishing-gradients", "8 hidden layers", "8", "network.norm=batch")
"""Scenario, run, epoch, and change of the fork shown."""


async def picture(recording: Path, name: str, size: tuple[int, int], keys: Sequence[str]) -> None:
    app = LabApp(recording, theme="dark")
    async with app.run_test(size=size) as pilot:
        for key in keys:
            await pilot.press(key)
        await pilot.pause()
        drawn = svg(picture_of(app, f"bntui: {name}"))
    (DOCS / f"{name}.svg").write_text(drawn, encoding="utf-8")


def trained(folder: Path, scenario: str, overrides: Sequence[str] = ()) -> Path:
    """Record a scenario by running the program as a user would."""
    recording = folder / f"{scenario}.bntui"
    settings = [part for override in overrides for part in ("--set", override)]
    command = [sys.executable, "-m", "bntui", "run", scenario, "--headless", *settings, "-o", str(recording)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return recording


def forked(recording: Path) -> None:
    """Add a fork to a recording."""
    _, run, epoch, change = FORK
    places = ["--run", run, "--epoch", epoch, "--set", change]
    command = [sys.executable, "-m", "bntui", "fork", str(recording), *places, "--headless"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    with tempfile.TemporaryDirectory() as name, mock.patch.dict(os.environ, TERMINAL):
        folder = Path(name)
        recording = trained(folder, "batch-normalization", OVERRIDES)
        for size_name, size in SIZES.items():
            asyncio.run(picture(recording, f"screen-{size_name}", size, ("shift+left",) * 4))
        with_fork = trained(folder, FORK[0])
        forked(with_fork)
        asyncio.run(picture(with_fork, "fork", SIZES["160x48"], ("tab", "p", "p")))
        for language in LANGUAGES:
            use(language)
            for scenario, parts in CLOSE_UPS.items():
                recorded = folder / f"{scenario}.bntui"
                close_up = recorded if recorded.exists() else trained(folder, scenario)
                for part, keys in parts.items():
                    asyncio.run(picture(close_up, f"{part}-{language}", CLOSE, keys))


if __name__ == "__main__":
    takes_no_options(__doc__)
    main()

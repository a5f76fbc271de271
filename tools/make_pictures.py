"""Generates the README's pictures: trains a scenario, opens its recording, and saves the screen as SVG.

    python -m tools.make_pictures

The scenarios are built-in and actually trained; the main screen's enables dropout and early stopping so that every
panel has something to show.  Blocks and braille are drawn as shapes, and words are positioned one by one, because
browser fonts would not keep terminal columns aligned.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from rich.cells import cell_len
from textual.strip import Strip

from bntui.text.language import LANGUAGES, use
from bntui.viewer.app import LabApp
from bntui.viewer.draw.theme import DARK

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
        "fork-form": ("tab", "tab", "home", *("right",) * 8, "f", "down", "right"),
        "runs": ("tab", "tab", "tab", "r"),
        "compare": ("tab", "tab", "tab", "p", "p", "c", "enter"),
    },
}
"""Scenario, picture, and the keys that open it."""
FORK = ("vanishing-gradients", "8 hidden layers", "8", "network.norm=batch")
"""Scenario, run, epoch, and change of the fork shown."""
WIDTH, HEIGHT = 8, 17
"""Size of a cell in pixels."""
LOWER = "▁▂▃▄▅▆▇█"
DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of each bit of a braille character."""


def shapes(char: str, x: float, y: float) -> str | None:
    """A block or braille character as SVG shapes; None for other characters."""
    if char in LOWER:
        tall = HEIGHT * (LOWER.index(char) + 1) / 8
        return f'<path d="M{x} {y + HEIGHT - tall:.2f}h{WIDTH}v{tall:.2f}h-{WIDTH}z"/>'
    if char == "▀":
        return f'<path d="M{x} {y}h{WIDTH}v{HEIGHT / 2}h-{WIDTH}z"/>'
    if "\u2800" <= char <= "\u28ff":
        bits = ord(char) - 0x2800
        places = [place for bit, place in enumerate(DOTS) if bits >> bit & 1]
        return "".join(
            f'<circle cx="{x + WIDTH * (1 + 2 * column) / 4:g}" cy="{y + HEIGHT * (1 + 2 * row) / 8:.2f}" r="1.3"/>'
            for column, row in places
        )
    return None


def pieces(text: str) -> Iterator[tuple[int, str]]:
    """Words, and single other characters including combining accents, each with its first cell."""
    for match in re.finditer("(?:[!-~][\u0300-\u036f]*)+|[^ ][\u0300-\u036f]*", text):
        yield cell_len(text[: match.start()]), match[0]


def svg(strips: Sequence[Strip]) -> str:
    """The screen as an SVG picture."""
    wide, tall = max(strip.cell_length for strip in strips) * WIDTH, len(strips) * HEIGHT
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 -8 {wide + 16} {tall + 16}" font-size="13.3" '
        f'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" shape-rendering="crispEdges">',
        f'<rect x="-8" y="-8" width="100%" height="100%" rx="8" fill="{DARK.ground}"/>',
    ]
    for row, strip in enumerate(strips):
        cell, y = 0, row * HEIGHT
        for segment in strip:
            style = segment.style
            colour = style.color.get_truecolor().hex if style is not None and style.color is not None else DARK.text
            weight = ' font-weight="bold"' if style is not None and style.bold else ""
            drawn = []
            for at, word in pieces(segment.text):
                x = (cell + at) * WIDTH
                length = f' textLength="{cell_len(word) * WIDTH}"' if len(word) > 1 else ""
                drawn.append(shapes(word, x, y) or f'<text x="{x}" y="{y + 13}"{length}>{escape(word)}</text>')
            if drawn:
                out.append(f'<g fill="{colour}"{weight}>{"".join(drawn)}</g>')
            cell += segment.cell_length
    return "\n".join([*out, "</svg>\n"])


async def picture(recording: Path, name: str, size: tuple[int, int], keys: Sequence[str]) -> None:
    app = LabApp(recording)
    async with app.run_test(size=size) as pilot:
        for key in keys:
            await pilot.press(key)
        await pilot.pause()
        strips = app.screen._compositor.render_strips()
    (DOCS / f"{name}.svg").write_text(svg(strips), encoding="utf-8")


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
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recording = trained(folder, "batch-normalization", OVERRIDES)
        for size_name, size in SIZES.items():
            asyncio.run(picture(recording, f"screen-{size_name}", size, ("shift+left",) * 4))
        with_fork = trained(folder, FORK[0])
        forked(with_fork)
        asyncio.run(picture(with_fork, "fork", SIZES["160x48"], ("tab", "tab", "tab", "p", "p")))
        for language in LANGUAGES:
            use(language)
            for scenario, parts in CLOSE_UPS.items():
                recorded = folder / f"{scenario}.bntui"
                close_up = recorded if recorded.exists() else trained(folder, scenario)
                for part, keys in parts.items():
                    asyncio.run(picture(close_up, f"{part}-{language}", CLOSE, keys))


if __name__ == "__main__":
    main()

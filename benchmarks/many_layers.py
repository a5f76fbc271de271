"""Measures what a key press costs on the screen of a recording with 200 layers, beside one with 8.

    python -m benchmarks.many_layers [--against CHECKOUT] [--only VIEW]

Both are perceptrons with dropout that ``bntui.watch`` records for a few steps; a comparison shows two of each.  A
figure is the median of the processor's time from the key until the screen stands, without a terminal, in interleaved
rounds.
With another checkout, the same keys are pressed in both in turn, and its figures and the ratio stand beside.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

import bntui
from bntui.viewer.app import LabApp
from bntui.viewer.panels import PANELS

SIZE = (160, 48)
BLOCK = 5
ROUNDS, PRESSES = 2, 8
STEPS = 12


def recorded(layers: int, path: Path, seed: int = 0) -> Path:
    """Watch a perceptron of blocks of layers with normalization, activation and dropout."""
    torch.manual_seed(seed)

    def layer() -> nn.Sequential:
        return nn.Sequential(nn.Linear(24, 24), nn.LayerNorm(24), nn.ReLU(), nn.Dropout(0.1))

    blocks = [nn.Sequential(*(layer() for _ in range(min(BLOCK, layers - at)))) for at in range(0, layers, BLOCK)]
    model = nn.Sequential(*blocks)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with bntui.watch(model, optimizer, path, every=1, steps_per_epoch=STEPS, quiet=True) as recorder:
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(torch.randn(16, 24)), torch.arange(16))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            recorder.step(loss=loss.detach())
    return path


async def pressed(recording: Sequence[Path], opened: Sequence[str], keys: Sequence[str]) -> list[float]:
    """Milliseconds of the processor for each press of the keys, after those that open the view."""
    app = LabApp(recording[0] if len(recording) == 1 else recording, theme="dark")
    found = []
    async with app.run_test(size=SIZE) as pilot:
        for key in (*opened, *keys):
            await pilot.press(key)
        for number in range(PRESSES):
            began = time.process_time()
            await pilot.press(keys[number % len(keys)])
            found.append(1000 * (time.process_time() - began))
    return found


Views = dict[str, tuple[Sequence[str], Sequence[str]]]
"""The keys that open a view, and those that are measured, by its name."""


def views() -> Views:
    found: Views = {"main screen": ((), ("left", "right"))}
    for panel in PANELS:
        if panel.worst:
            found[f"{panel.name}: keyframe"] = ((panel.key, "enter"), ("left", "right"))
            found[f"{panel.name}: ]"] = ((panel.key, "enter"), ("right_square_bracket",))
            found[f"{panel.name}: w"] = ((panel.key, "enter"), ("w",))
            found[f"{panel.name}: o"] = ((panel.key, "enter"), ("o",))
    found["microscope: tab"] = (("m",), ("tab",))
    return found


class Checkout:
    """A process that presses keys with the code of a checkout; what is asked and answered is a line of JSON."""

    def __init__(self, folder: Path) -> None:
        env = {**os.environ, "PYTHONPATH": str(folder.resolve()), "PYTHONSAFEPATH": "1"}
        command = [sys.executable, str(Path(__file__).resolve()), "--answer"]
        self._process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def pressed(self, recording: Sequence[Path], opened: Sequence[str], keys: Sequence[str]) -> list[float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([list(map(str, recording)), opened, keys]) + "\n")
        self._process.stdin.flush()
        found: list[float] = json.loads(self._process.stdout.readline())
        return found

    def close(self) -> None:
        self._process.communicate()


def answer() -> None:
    for line in sys.stdin:
        files, opened, keys = json.loads(line)
        print(json.dumps(asyncio.run(pressed(list(map(Path, files)), opened, keys))), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.answer:
        answer()
        return
    folders = [Path(__file__).parents[1], *([given.against] if given.against else [])]
    checkouts = [Checkout(folder) for folder in folders]
    with tempfile.TemporaryDirectory() as folder:
        files = [
            [recorded(layers, Path(folder) / f"{layers}-{seed}.bntui", seed) for seed in (0, 1)] for layers in (8, 200)
        ]
        heading = "".join(f"  {layers:>10}" for _checkout in checkouts for layers in ("8 layers", "200 layers"))
        print(f"{'ms of the processor, p50':28}{heading}{'  ratios' if given.against else ''}")
        for name, (opened, keys) in views().items():
            if not name.startswith(given.only):
                continue
            shown = slice(None) if name.startswith("compare") else slice(1)
            taken: dict[tuple[int, int], list[float]] = {}
            for round_ in range(ROUNDS):
                order = list(enumerate(checkouts))
                for many, both in enumerate(files):
                    for at, checkout in order if round_ % 2 else order[::-1]:
                        taken.setdefault((at, many), []).extend(checkout.pressed(both[shown], opened, keys))
            middle = [[statistics.median(taken[at, many]) for many in (0, 1)] for at in range(len(checkouts))]
            line = "".join(f"  {figure:10.1f}" for pair in middle for figure in pair)
            if given.against:
                line += "".join(f"  {ours / theirs:.2f}" for ours, theirs in zip(*middle, strict=True))
            print(f"{name:28}{line}", flush=True)
    for checkout in checkouts:
        checkout.close()


if __name__ == "__main__":
    main()

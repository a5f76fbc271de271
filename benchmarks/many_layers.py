"""Measures what a key press costs on the screen of a recording with 200 layers, beside one with 8.

    python -m benchmarks.many_layers

Both are perceptrons with dropout that ``bntui.watch`` records for a few steps.  A figure is the median of the
processor's time from the key until the screen stands, without a terminal, in interleaved rounds.
"""

from __future__ import annotations

import asyncio
import statistics
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


def recorded(layers: int, path: Path) -> Path:
    """Watch a perceptron of blocks of layers with normalization, activation and dropout."""
    torch.manual_seed(0)

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


async def pressed(recording: Path, opened: Sequence[str], keys: Sequence[str]) -> list[float]:
    """Milliseconds of the processor for each press of the keys, after those that open the view."""
    app = LabApp(recording, theme="dark")
    found = []
    async with app.run_test(size=SIZE) as pilot:
        for key in (*opened, *keys):
            await pilot.press(key)
        for number in range(PRESSES):
            began = time.process_time()
            await pilot.press(keys[number % len(keys)])
            found.append(1000 * (time.process_time() - began))
    return found


def main() -> None:
    views: dict[str, tuple[Sequence[str], Sequence[str]]] = {"main screen": ((), ("left", "right"))}
    for panel in PANELS:
        if panel.worst:
            views[f"{panel.name}: keyframe"] = ((panel.key, "enter"), ("left", "right"))
            views[f"{panel.name}: ]"] = ((panel.key, "enter"), ("right_square_bracket",))
            views[f"{panel.name}: w"] = ((panel.key, "enter"), ("w",))
            views[f"{panel.name}: o"] = ((panel.key, "enter"), ("o",))
    views["microscope: tab"] = (("m",), ("tab",))
    with tempfile.TemporaryDirectory() as folder:
        files = [recorded(layers, Path(folder) / f"{layers}.bntui") for layers in (8, 200)]
        print(f"{'ms of the processor, p50':28}  8 layers  200 layers")
        for name, (opened, keys) in views.items():
            taken: list[list[float]] = [[], []]
            for _ in range(ROUNDS):
                for of_file, file in zip(taken, files, strict=True):
                    of_file += asyncio.run(pressed(file, opened, keys))
            few, many = map(statistics.median, taken)
            print(f"{name:28}  {few:8.1f}  {many:10.1f}", flush=True)


if __name__ == "__main__":
    main()

"""Compares epochs per second with recording to an ordinary training loop without it, in the same run.

    python -m benchmarks.training [--rounds 15] [--device cpu] [--json]

Both train the two networks of the scenario "batch normalization" with Adam on the same samples and validate after each
epoch.  The ordinary loop uses nn.Sequential, DataLoader, and .item() and measures nothing else; bntui also measures and
records a keyframe per epoch and run.  Rounds are interleaved.  Exits 1 if bntui is slower.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.report import arguments, verdict
from bntui.scenario.gallery import find
from bntui.scenario.load import load
from bntui.trainer.samples import DeviceSamples
from bntui.trainer.session import Session


def usual_loop(data: DeviceSamples, *, norm: bool) -> Callable[[], None]:
    """The training loop found in tutorials; one call runs one epoch with validation."""
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, units in ((64, 100), (100, 100), (100, 100)):
        layers += [nn.Linear(inputs, units), *([nn.BatchNorm1d(units)] if norm else []), nn.Sigmoid()]
    model = nn.Sequential(*layers, nn.Linear(100, 10)).to(data.x.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loss_of = nn.CrossEntropyLoss()
    training = DataLoader(TensorDataset(data.x, data.y), batch_size=60, shuffle=True)
    validation = DataLoader(TensorDataset(data.x_val, data.y_val), batch_size=60)

    def epoch() -> None:
        model.train()
        total = 0.0
        for x, y in training:
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)
        model.eval()
        right = 0
        with torch.no_grad():
            for x, y in validation:
                output = model(x)
                total += loss_of(output, y).item()
                right += (output.argmax(1) == y).sum().item()

    return epoch


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> int:
    options = arguments(__doc__, rounds=15)
    overrides = [("training.optimizer", "adam"), ("training.lr", 1e-3), ("training.epochs", 10_000)]
    overrides.append(("record.every", "epoch"))
    with tempfile.TemporaryDirectory() as folder:
        session = Session.begin(load(find("batch-normalization"), overrides), Path(folder) / "x.bntui")
        data = session.runs[0].samples
        theirs = [usual_loop(data, norm=norm) for norm in (False, True)]
        pairs = [
            (timed(lambda: session.epoch(lambda: False)), timed(lambda: [epoch() for epoch in theirs]))
            for _ in range(options.rounds + 2)
        ][2:]  # the first two are warm-ups
        session.close()
    ours, usual = (statistics.median(2 / took for took in column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    print({"epochs_per_s": round(ours, 1), "usual_epochs_per_s": round(usual, 1), "ratio": round(ratio, 2)})
    return verdict(ratio >= 1, "recorded training is at least as fast as the usual loop without recording")


if __name__ == "__main__":
    sys.exit(main())

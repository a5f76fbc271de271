"""Compares recorded training with ordinary loops that record nothing, in the same run.

    python -m benchmarks.training [--tasks a b c] [--rounds 9] [--engine explicit] [--threads 1]
        [--of-peers 1] [--json]

The tasks: (a) digits, 64-100-100-100-10, sigmoid, batch normalization, dropout 0.2, Adam, mini-batches of 60; (b)
60,000 samples of 784 random features, 784-256-128-10, ReLU, Adam, mini-batches of 128; (c) a regression of 500 points,
2-8-8-1, tanh, SGD, mini-batches of 10.  bntui validates after each epoch and records a keyframe with evidence.  Its
peers validate and record nothing: the loop found in tutorials with DataLoader and .item(), and a loop tuned by hand
that keeps the samples in memory, never waits for a loss, and uses fused optimizers.  Rounds are interleaved; a ratio is
the time of a peer over that of bntui, the median over the rounds.  bntui has as many threads as ``--threads`` says, its
peers ``--of-peers``, besides the one that writes large keyframes.  Exits 1 if bntui is slower than the usual loop.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.report import parser, verdict
from bntui.scenario.load import parse
from bntui.trainer.samples import DeviceSamples
from bntui.trainer.session import Session

Work = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Task:
    """A network, its data, and how it is trained."""

    settings: dict[str, Any]
    batch: int
    epochs: int
    """Epochs per round, so that a round takes some tenths of a second."""
    activation: type[nn.Module]
    norm: bool = False
    dropout: float = 0.0
    adam: bool = True


TASKS: Final = {
    "a": Task(
        {"data.source": "digits", "data.scaling": "minmax", "network.hidden": [100, 100, 100],
         "network.activation": "sigmoid", "network.norm": "batch", "network.dropout": 0.2},
        60, 5, nn.Sigmoid, norm=True, dropout=0.2,
    ),
    "b": Task({"network.hidden": [256, 128], "network.activation": "relu"}, 128, 1, nn.ReLU),
    "c": Task({"network.hidden": [8, 8], "network.activation": "tanh"}, 10, 10, nn.Tanh, adam=False),
}  # fmt: skip


def scenario(task: Task, folder: Path, engine: str) -> tuple[str, list[tuple[str, Any]]]:
    """The text of a scenario, and its overrides; writes data that is not built in to ``folder``."""
    random = np.random.default_rng(0)
    settings = {"data.source": str(folder / "data.npz"), **task.settings}
    if task.adam and "data.source" not in task.settings:
        x = random.random((60_000, 784), dtype=np.float32)
        np.savez(folder / "data.npz", x=x, y=(x[:, :10] + x[:, 10:20]).argmax(1))
    elif not task.adam:
        x = random.uniform(-1, 1, (500, 2)).astype(np.float32)
        np.savez(folder / "data.npz", x=x, y=np.sin(3 * x[:, 0]) * x[:, 1])
        settings["data.task"] = "regression"
    settings |= {
        "data.batch_size": task.batch, "training.epochs": 100_000, "training.engine": engine,
        "training.optimizer": "adam" if task.adam else "sgd", "training.lr": 1e-3 if task.adam else 0.05,
    }  # fmt: skip
    return 'title = "Speed"\n[data]\nsource = "digits"\n', list(settings.items())


def model_of(task: Task, data: DeviceSamples) -> nn.Sequential:
    """The network of a task, by PyTorch's modules."""
    layers: list[nn.Module] = [nn.Flatten()]
    inputs = data.x[0].numel()
    for units in task.settings["network.hidden"]:
        layers += [nn.Linear(inputs, units), *([nn.BatchNorm1d(units)] if task.norm else []), task.activation()]
        layers += [nn.Dropout(task.dropout)] if task.dropout else []
        inputs = units
    return nn.Sequential(*layers, nn.Linear(inputs, data.outputs)).to(data.x.device)


def loss_of(data: DeviceSamples) -> nn.Module:
    return nn.CrossEntropyLoss() if data.task == "classification" else nn.MSELoss()


def figure(data: DeviceSamples, output: Tensor, y: Tensor) -> Tensor:
    """Right answers, or squared errors."""
    return (output.argmax(1) == y).sum() if data.task == "classification" else ((output - y) ** 2).sum()


def optimizer_of(task: Task, *, fused: bool) -> Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]:
    """Makes the optimizer of a task."""
    chosen = fused or None  # None: torch's default
    if task.adam:
        return lambda parameters: torch.optim.Adam(parameters, lr=1e-3, fused=chosen)
    return lambda parameters: torch.optim.SGD(parameters, lr=0.05, fused=chosen)


def usual_loop(task: Task, data: DeviceSamples, *, validate: bool = True, model: nn.Sequential | None = None) -> Work:
    """The training loop found in tutorials; one call runs one epoch, with validation unless told otherwise."""
    model, loss_function = model or model_of(task, data), loss_of(data)
    optimizer = optimizer_of(task, fused=False)(model.parameters())
    training = DataLoader(TensorDataset(data.x, data.y), batch_size=task.batch, shuffle=True)
    validation = DataLoader(TensorDataset(data.x_val, data.y_val), batch_size=task.batch)

    def epoch() -> None:
        model.train()
        total = right = 0.0
        for x, y in training:
            optimizer.zero_grad()
            loss = loss_function(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)
        if not validate:
            return
        model.eval()
        with torch.no_grad():
            for x, y in validation:
                output = model(x)
                total += loss_function(output, y).item()
                right += figure(data, output, y).item()

    return epoch


def tuned_loop(task: Task, data: DeviceSamples) -> Work:
    """The fastest loop that autograd allows without compiling; one call runs one epoch with validation."""
    model, loss_function = model_of(task, data), loss_of(data)
    optimizer = optimizer_of(task, fused=True)(model.parameters())

    def epoch() -> None:
        order = torch.randperm(len(data.x))
        model.train()
        losses = []
        for start in range(0, len(order), task.batch):
            at = order[start : start + task.batch]
            optimizer.zero_grad()
            loss = loss_function(model(data.x[at]), data.y[at])
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        model.eval()
        with torch.inference_mode():
            output = model(data.x_val)
            _figures = torch.stack(losses).mean().item(), loss_function(output, data.y_val).item()
            _right = figure(data, output, data.y_val).item()

    return epoch


def seconds(work: Work, times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times


def compared(task: Task, rounds: int, engine: str, threads: int, of_peers: int) -> dict[str, float]:
    """Steps per second of bntui, and the ratios of its peers."""
    with tempfile.TemporaryDirectory() as folder:
        text, overrides = scenario(task, Path(folder), engine)
        overrides.append(("training.threads", threads))
        session = Session.begin(
            parse(text, file="speed.toml", overrides=overrides), Path(folder) / "x.bntui", overrides
        )
        with closing(session):
            session.write_behind()
            torch.set_num_threads(of_peers)
            run = session.runs[0]
            works: Sequence[Work] = (
                lambda: session.epoch(lambda: False), usual_loop(task, run.samples), tuned_loop(task, run.samples),
            )  # fmt: skip
            took = [[seconds(work, task.epochs) for work in works] for _ in range(rounds + 1)][1:]
            steps = run.steps_per_epoch
    ours, *_ = (statistics.median(column) for column in zip(*took, strict=True))
    usual, tuned = (statistics.median(row[peer] / row[0] for row in took) for peer in (1, 2))
    return {"steps_per_s": round(steps / ours), "usual": round(usual, 2), "tuned": round(tuned, 2)}


def main() -> int:
    made = parser(__doc__, rounds=9)
    made.add_argument("--tasks", nargs="+", choices=tuple(TASKS), default=list(TASKS))
    made.add_argument("--engine", choices=("explicit", "autograd"), default="explicit")
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--of-peers", type=int, default=1)
    options = made.parse_args()
    found = {
        name: compared(TASKS[name], options.rounds, options.engine, options.threads, options.of_peers)
        for name in options.tasks
    }
    print(json.dumps(found) if options.json else "\n".join(f"({name}) {row}" for name, row in found.items()))
    fulfilled = all(row["usual"] >= 1 for row in found.values())
    return verdict(fulfilled, "recorded training is at least as fast as the usual loop without recording")


if __name__ == "__main__":
    sys.exit(main())

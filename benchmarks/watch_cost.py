"""Measures what ``bntui.watch`` costs, beside TensorBoard's histograms and ``wandb.watch`` at the same rate.

    python -m benchmarks.watch_cost [--rounds 7] [--steps 100] [--only resnet]

The loops take turns in one process, with one thread: in each round, each of them does as many steps, and its time is
divided by that of the bare loop in the same round.  Printed are medians over the rounds, of the processor's time and of
the clock, which also has what a loop waits for.  What processes that a tool has started took of the processor's time
meanwhile is printed beside it, in the same unit: it is taken from another core, if there is one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

import bntui


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        out = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        return functional.relu(x + self.bn2(self.conv2(out)))


def perceptron() -> tuple[nn.Module, Tensor]:
    """Three hidden layers of 100 units, batch 64."""
    sides = (100, 100, 100, 100)
    hidden = [part for one, other in pairwise(sides) for part in (nn.Linear(one, other), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(100, 10)), torch.randn(64, 100)


def resnet() -> tuple[nn.Module, Tensor]:
    """Seven convolutions of 16 channels, images of 16 × 16, batch 32."""
    blocks = [Residual(16) for _ in range(3)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)]
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), *blocks, *head), torch.randn(
        32, 3, 16, 16
    )


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(64, 4, 256, 0.1, batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.body(x).mean(1))
        return out


def transformer() -> tuple[nn.Module, Tensor]:
    """Three layers of 64, 32 tokens, batch 16."""
    return Transformer(), torch.randn(16, 32, 64)


class Time(NamedTuple):
    """What steps took, in seconds."""

    processor: float
    clock: float


Hook = Callable[[nn.Module, int, Tensor], None]


class Loop:
    """One training loop, and what is done after its steps."""

    def __init__(self, make: Callable[[], tuple[nn.Module, Tensor]]) -> None:
        torch.manual_seed(0)
        self.model, self.x = make()
        self.y = torch.randint(0, 10, (len(self.x),))
        self.optimizer = torch.optim.Adam(self.model.parameters())
        self.before: Hook | None = None
        self.after: Hook | None = None
        self.done = 0
        self.helpers: frozenset[int] = frozenset()
        """Processes that its tool has started."""

    def run(self, steps: int) -> Time:
        began, clock = time.process_time(), time.perf_counter()
        for _ in range(steps):
            loss = functional.cross_entropy(self.model(self.x), self.y)
            loss.backward()  # type: ignore[no-untyped-call]
            if self.before is not None:
                self.before(self.model, self.done, loss)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.done += 1
            if self.after is not None:
                self.after(self.model, self.done, loss)
        return Time(time.process_time() - began, time.perf_counter() - clock)


def watched(loop: Loop, folder: Path, every: int, stack: ExitStack) -> None:
    """``bntui.watch``."""
    path = folder / f"every-{every}.bntui"
    recorder: Any = stack.enter_context(bntui.watch(loop.model, loop.optimizer, path, every=every, quiet=True))
    loop.after = lambda model, step, loss: recorder.step(loss=loss)  # noqa: ARG005


def tensorboard(loop: Loop, folder: Path, every: int, stack: ExitStack) -> None:
    """Histograms of weights and gradients by ``SummaryWriter.add_histogram``."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"))
    stack.callback(writer.close)

    def write(model: nn.Module, step: int, loss: Tensor) -> None:  # noqa: ARG001
        if step % every == 0:
            for name, one in model.named_parameters():
                writer.add_histogram(name, one, step)
                writer.add_histogram(f"{name}.grad", one.grad, step)

    loop.before = write


def wandb(loop: Loop, folder: Path, every: int, stack: ExitStack) -> None:
    """``wandb.watch(log="all")``, offline."""
    import wandb as library

    os.environ["WANDB_SILENT"] = "true"
    run: Any = library.init(mode="offline", dir=str(folder), settings=library.Settings(console="off"))
    stack.callback(run.finish)
    run.watch(loop.model, log="all", log_freq=every)
    loop.after = lambda model, step, loss: run.log({"loss": loss.detach()}) if step % every == 0 else None  # noqa: ARG005


def helpers() -> dict[int, float]:
    """The processor's time of each process that this one has started, directly or not."""
    found = {}
    parents: dict[int, int] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = file.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            pid = int(file.parent.name)
            parents[pid] = int(fields[1])
            found[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ours(pid: int) -> bool:
        return pid in parents and (parents[pid] == os.getpid() or ours(parents[pid]))

    return {pid: seconds for pid, seconds in found.items() if ours(pid)}


Tool = Callable[[Loop, Path, int, ExitStack], None]
TOOLS: dict[str, tuple[Tool, int]] = {
    "bntui.watch(every=100)": (watched, 100),
    "bntui.watch(every=10)": (watched, 10),
    "TensorBoard histograms, every 100": (tensorboard, 100),
    "wandb.watch(log='all', log_freq=100)": (wandb, 100),
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--steps", type=int, default=100)
    options.add_argument("--only", default="", help="name of the one model to measure")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    print(f"{'':<38}{'bare':>10}{'slower':>10}{'by clock':>10}{'elsewhere':>11}   lowest to highest")
    for make in (perceptron, resnet, transformer):
        if chosen.only not in ("", make.__name__):
            continue
        print(make.__name__ + ": " + (make.__doc__ or ""), flush=True)
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            loops = {"bare": Loop(make)}
            for name, (tool, every) in TOOLS.items():
                loop, before = Loop(make), helpers()
                with suppress(ImportError):
                    tool(loop, Path(folder), every, stack)
                    loop.helpers = frozenset(helpers().keys() - before.keys())
                    loops[name] = loop
            for loop in loops.values():
                loop.run(20)
            time.sleep(1.0)  # other processes have begun
            before = helpers()
            times = [{name: loop.run(chosen.steps) for name, loop in loops.items()} for _ in range(chosen.rounds)]
            time.sleep(1.0)  # and have done what they were told
            after = helpers()
            bare = statistics.median(one["bare"].processor for one in times)
            for name, loop in list(loops.items())[1:]:
                slower = sorted(one[name].processor / one["bare"].processor - 1 for one in times)
                clock = statistics.median(one[name].clock / one["bare"].clock - 1 for one in times)
                spent = sum(after.get(pid, 0.0) - before.get(pid, 0.0) for pid in loop.helpers) / chosen.rounds
                print(
                    f"  {name:<36}{1e3 * bare / chosen.steps:>7.2f} ms{statistics.median(slower):>+9.1%}{clock:>+10.1%}"
                    f"{spent / bare:>+11.1%}   {slower[0]:+.1%} to {slower[-1]:+.1%}"
                )


if __name__ == "__main__":
    main()

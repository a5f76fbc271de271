"""A small sweep for tests, and workers for it in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bntui.study.journal import JournalEntry
from bntui.study.order import Delivery, TrialOrder
from bntui.study.search import ListSearch, Search
from bntui.study.sweep import Sweep
from bntui.study.sweep_plan import SweepPlan, combinations, head_of
from bntui.study.worker import carried_out

SCENARIO = """
title = "Sweep"
[data]
source = "moons"
samples = 60
batch_size = 10
[network]
hidden = [4]
[training]
lr = 0.1
epochs = 2
[[run]]
name = "plain"
[[run]]
name = "deep"
set = { network.hidden = [4, 4] }
"""
OVER = ("training.lr=0.05,0.1,1.0", "network.norm=none,batch")


def plan(folder: Path, **changed: object) -> SweepPlan:
    """The plan of a small sweep, whose scenario is in a folder."""
    path = folder / "small.toml"
    if not path.exists():
        path.write_text(SCENARIO)
    given: dict[str, object] = {
        "scenario": str(path), "text": path.read_text(), "run": "deep", "base": (), "over": OVER, "seeds": 2,
        "goal": "val_loss", "larger": False,
    }  # fmt: skip
    return SweepPlan(**(given | changed))  # type: ignore[arg-type]


class Here:
    """Workers in this process; ``stop`` ends the sweep before an order as Ctrl+C would."""

    def __init__(self, work: Callable[[TrialOrder], Delivery] = carried_out, stop: int | None = None) -> None:
        self.trained: list[TrialOrder] = []
        self._work, self._stop = work, stop

    def deliveries(self, orders: Iterable[TrialOrder]) -> Iterator[tuple[TrialOrder, Delivery]]:
        for order in orders:
            if len(self.trained) == self._stop:
                raise KeyboardInterrupt
            self.trained.append(order)
            yield order, self._work(order)

    def close(self) -> None:
        pass


def swept(
    made: SweepPlan, folder: Path, crew: Here, search: Search | None = None, *, again: bool = False
) -> list[JournalEntry]:
    """Train what a folder lacks of a sweep, with ``again`` also what failed."""
    sweep = Sweep(made, head_of(made), folder, search or ListSearch(combinations(made)), again=again)
    try:
        sweep.train(crew)
        return list(sweep.entries)
    finally:
        sweep.close()


def pretended(order: TrialOrder) -> Delivery:
    """What a worker delivers, without training."""
    figures = {name: float(order.number) for name in order.quantities}
    return Delivery({**figures, "diverged": 0.0}, 1.0, b"recording", "here:1")

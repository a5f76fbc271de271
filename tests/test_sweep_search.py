"""Tests searches with Optuna: they find what is good, are resumed with what they knew, and train nothing twice."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bntui.study.axes import Settings
from bntui.study.journal import JournalEntry
from bntui.study.order import Delivery, TrialOrder
from bntui.study.search import Optuna, search
from bntui.study.sweep_plan import SAMPLERS, SweepPlan, combinations
from tests.sweeping import Here, plan, swept

pytest.importorskip("optuna", reason="needs bntui[search]")


def bowl(order: TrialOrder) -> Delivery:
    """A loss that is smallest at a learning rate of 0.1 with batch normalization."""
    told = dict(word.split("=", 1) for word in order.text.splitlines()[0].strip('"').split() if "=" in word[1:])
    rate = float(told["training.lr"])
    loss = (math.log10(rate) + 1) ** 2 + (told["network.norm"] != "batch")
    return Delivery({**dict.fromkeys(order.quantities, loss), "diverged": 0.0}, 1.0, b"recording", "here")


def made(folder: Path, **changed: object) -> SweepPlan:
    over = ("training.lr=1e-4..10.0:log", "network.norm=none,batch,layer")
    return plan(folder, **({"search": "optuna", "sampler": "tpe", "trials": 30, "over": over} | changed))


def test_a_search_comes_near_the_best_and_trains_each_combination_once(tmp_path: Path) -> None:
    one = made(tmp_path)
    crew = Here(bowl)
    entries = swept(one, tmp_path / "sweep", crew, Optuna(one))
    assert len(entries) == 60
    assert len({entry.key for entry in entries}) == 60
    best = min(entries, key=lambda entry: entry.figures["val_loss"])
    assert dict(best.settings)["network.norm"] == "batch"
    assert abs(math.log10(dict(best.settings)["training.lr"]) + 1) < 0.3  # type: ignore[arg-type]
    losses = [entry.figures["val_loss"] for entry in entries]
    assert sum(losses[-20:]) < sum(losses[:20])  # it has learned


def test_a_search_is_resumed_with_what_it_knew(tmp_path: Path) -> None:
    one = made(tmp_path, seeds=2)
    with pytest.raises(KeyboardInterrupt):
        swept(one, tmp_path / "sweep", Here(bowl, stop=31), Optuna(one))
    again = Optuna(one)
    entries = swept(one, tmp_path / "sweep", Here(bowl), again)
    assert len(entries) == len({entry.key for entry in entries}) == 60
    assert [trial.value for trial in again._study.trials].count(None) == 0
    assert len(again._study.trials) >= 30


def test_a_space_that_is_exhausted_ends_the_search_and_failures_are_told(tmp_path: Path) -> None:
    def work(order: TrialOrder) -> Delivery:
        return Delivery(failure="no") if "=none" in order.text else bowl(order)

    over = ("training.lr=0.01..1.0:log:3", "network.norm=none,batch")
    one = plan(tmp_path, search="optuna", sampler="tpe", trials=50, over=over, seeds=1)
    found = search(one, combinations(one))
    assert found.total == 6
    entries = swept(one, tmp_path / "sweep", Here(work), found)
    assert len(entries) <= 6
    assert {entry.state for entry in entries} == {"done", "failed"}
    assert sum(entry.state == "done" for entry in entries) == 3


def test_a_search_goes_on_until_the_sampler_repeats_itself_many_times_in_a_row(tmp_path: Path) -> None:
    """A sampler that often draws again what is good still finds the rest of a small space."""

    class Repeating(Optuna):
        drawn, new = 0, 60

        def _drawn(self) -> Settings | None:
            self.drawn += 1
            return None if self.drawn % self.new else super()._drawn()

    one = made(tmp_path, sampler="random", trials=5, seeds=1)
    assert len(list(Repeating(one).combinations())) == 5
    poor = Repeating(one)
    poor.new = 1000
    assert list(poor.combinations()) == []
    assert poor.drawn == 100


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_draws_as_many_combinations_as_it_is_asked_for(sampler: str, tmp_path: Path) -> None:
    one = made(tmp_path, sampler=sampler, trials=5, seeds=1)
    assert len(swept(one, tmp_path / "sweep", Here(bowl), Optuna(one))) == 5


def test_a_search_is_told_that_what_diverged_is_bad_and_the_mean_that_ranks(tmp_path: Path) -> None:
    for goal, figures, larger, told in (
        ("val_accuracy", {"val_accuracy": 0.9, "diverged": 1.0}, True, -math.inf),
        ("val_accuracy", {"val_accuracy": 0.9, "diverged": 0.0}, True, 0.9),
        ("diverged", {"diverged": 1.0}, False, 1.0),
        ("gradient_ratio", {"gradient_ratio": 1e-3, "diverged": 0.0}, False, -3.0),
    ):
        asked = Optuna(made(tmp_path, goal=goal, larger=larger, seeds=1))
        (settings,) = [next(asked.combinations())]
        asked.tell(JournalEntry(settings, 0, "done", figures=figures))
        (trial,) = asked._study.get_trials()
        assert trial.value == pytest.approx(told)

"""Trains every run of a scenario with many seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bntui.scenario.load import Scenario
from bntui.study import cache
from bntui.study.pool import outcomes
from bntui.study.trial import Outcome, Trial


@dataclass(frozen=True, slots=True)
class Failure:
    """A trial that could not be trained."""

    run: str
    seed: int
    reason: str


@dataclass(slots=True)
class Measured:
    """The figures of a scenario's runs over seeds."""

    seeds: dict[int, dict[str, dict[str, float]]] = field(default_factory=dict)
    """By seed, run, and quantity; what failed is missing."""
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0
    """Processor time that the training took, whenever it was done."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the outcome of a trial belongs."""

    scenario: int
    run: str
    seed: int


def trials_of(scenario: Scenario, quantities: Sequence[str], seeds: int) -> list[tuple[str, int, Trial]]:
    """A trial for each run and each seed from 0."""
    folder = scenario.path.parent if scenario.path else Path.cwd()
    return [
        (run.name, seed, Trial(run.config.model_copy(update={"seed": seed}), folder.absolute(), tuple(quantities)))
        for seed in range(seeds)
        for run in scenario.runs
    ]


def measured(
    wanted: Sequence[tuple[Scenario, Sequence[str]]],
    seeds: int,
    jobs: int,
    *,
    fresh: bool = False,
    progress: Callable[[int, int], object] = lambda _done, _total: None,
) -> list[Measured]:
    """Train scenarios with seeds from 0, reading what the cache has.

    Args:
        wanted: scenarios, and the quantities to read from each run.
        fresh: train also what the cache has.
        progress: called with the number of trials done and that of all, first before any is trained.
    """
    results = [Measured() for _scenario in wanted]
    left: list[tuple[Place, Trial, str]] = []
    for number, (scenario, quantities) in enumerate(wanted):
        for run, seed, trial in trials_of(scenario, quantities, seeds):
            place, key = Place(number, run, seed), trial.key()
            results[number].seeds.setdefault(seed, {})
            kept = None if fresh else cache.known(trial, key)
            if kept is None:
                left.append((place, trial, key))
            else:
                _put(results, place, kept)
    left.sort(key=lambda one: -one[1].cost)  # so that no core waits for a long one at the end
    progress(0, len(left))
    for done, (number, outcome) in enumerate(outcomes([trial for _place, trial, _key in left], jobs), 1):
        place, _trial, key = left[number]
        if not outcome.failure:
            cache.keep(key, outcome)
        _put(results, place, outcome)
        progress(done, len(left))
    return results


def _put(results: Sequence[Measured], place: Place, outcome: Outcome) -> None:
    into = results[place.scenario]
    into.seconds += outcome.seconds
    if outcome.failure:
        into.failures.append(Failure(place.run, place.seed, outcome.failure))
    else:
        into.seeds[place.seed][place.run] = dict(outcome.figures)

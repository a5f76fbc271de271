"""Trains every run of a scenario with many seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bntui.scenario.load import Scenario
from bntui.study import cache
from bntui.study.pool import answers
from bntui.study.shares import shares
from bntui.study.trial import Outcome, Over, Read, SeedsJob, Trial, data_changed
from bntui.text.language import _


@dataclass(frozen=True, slots=True)
class FailedTrial:
    """A trial that could not be trained."""

    run: str
    seed: int
    reason: str


@dataclass(slots=True)
class SeedFigures:
    """The figures of a scenario's runs over seeds."""

    seeds: dict[int, dict[str, dict[str, float]]] = field(default_factory=dict)
    """By seed, run, and quantity; what failed is missing."""
    failures: list[FailedTrial] = field(default_factory=list)
    seconds: float = 0.0
    """Processor time that the training took, whenever it was done."""


@dataclass(frozen=True, slots=True)
class _Left:
    """A trial that the cache lacks, and where its outcome belongs."""

    scenario: int
    run: str
    seed: int
    trial: Trial
    key: str


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
) -> list[SeedFigures]:
    """Train scenarios with seeds from 0, reading what the cache has.

    Args:
        wanted: scenarios, and the quantities to read from each run.
        fresh: train also what the cache has.
        progress: called with the number of trials done and that of all, first before any is trained.
    """
    results = [SeedFigures() for _scenario in wanted]
    left: list[_Left] = []
    for number, (scenario, quantities) in enumerate(wanted):
        for run, seed, trial in trials_of(scenario, quantities, seeds):
            one = _Left(number, run, seed, trial, trial.key())
            results[number].seeds.setdefault(seed, {})
            kept = None if fresh else cache.known(trial, one.key)
            if kept is None:
                left.append(one)
            else:
                _put(results, one, kept)
    progress(0, len(left))
    for done, (one, outcome) in enumerate(_outcomes(left, jobs), 1):
        if not outcome.failure:
            outcome = _of_its_data(one, outcome)
        if not outcome.failure:
            cache.keep(one.key, outcome)
        _put(results, one, outcome)
        progress(done, len(left))
    return results


def _outcomes(left: Sequence[_Left], jobs: int) -> Iterator[tuple[_Left, Outcome]]:
    """Train in worker processes, and yield each outcome as it is known."""
    parts = shares(left, lambda one: (one.scenario, one.run), jobs)
    parts.sort(key=lambda part: -sum(one.trial.cost for one in part))  # so that no core waits for a long one at the end
    work = [
        SeedsJob(tuple(one.trial.config for one in part), part[0].trial.folder, quantities=part[0].trial.quantities)
        for part in parts
    ]
    waiting = [dict(enumerate(part)) for part in parts]
    for number, told in answers(work, jobs):
        if isinstance(told, Read):
            yield waiting[number].pop(told.number), told.outcome
        elif isinstance(told, Over):
            for one in waiting[number].values():  # its worker died
                yield one, Outcome({}, failure=told.failure)


def _of_its_data(one: _Left, outcome: Outcome) -> Outcome:
    """The outcome, or a failure if it may be that of other samples."""
    changed = data_changed(one.trial.config, one.trial.folder)
    if changed is None:
        return outcome
    reason = _("{path} has changed while the seeds were trained").format(path=changed)
    return Outcome({}, outcome.seconds, reason)


def _put(results: Sequence[SeedFigures], place: _Left, outcome: Outcome) -> None:
    into = results[place.scenario]
    into.seconds += outcome.seconds
    if outcome.failure:
        into.failures.append(FailedTrial(place.run, place.seed, outcome.failure))
    else:
        into.seeds[place.seed][place.run] = dict(outcome.figures)

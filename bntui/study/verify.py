"""Verifies the claims of scenarios: trains their runs over seeds and judges every claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bntui.insight.claims import Seeds, columns, judged, spread
from bntui.insight.statistics import Interval, Judgement
from bntui.scenario.claim import Claim
from bntui.scenario.figures import Comparison, Quantity
from bntui.scenario.load import Scenario
from bntui.study.seeds import SeedFigures
from bntui.study.seeds import measured as train


@dataclass(frozen=True, slots=True)
class Verified:
    """A claim, its figures in every seed, and what they say."""

    claim: Claim
    seeds: Seeds
    judgement: Judgement

    @property
    def comparison(self) -> Comparison:
        """What is compared."""
        return self.claim.comparison


@dataclass(frozen=True, slots=True)
class VerifiedScenario:
    """The claims of a scenario over seeds."""

    scenario: Scenario
    seeds: int
    columns: tuple[Quantity, ...]
    """The quantities that any claim names, without their runs; each is measured of every run."""
    measured: SeedFigures
    claims: tuple[Verified, ...]

    @property
    def refuted(self) -> bool:
        """A claim does not hold."""
        return any(one.judgement.verdict == "does not hold" for one in self.claims)


def verified(
    scenarios: Sequence[Scenario], seeds: int, jobs: int, *, fresh: bool = False,
    progress: Callable[[int, int], object] = lambda _done, _total: None,
) -> list[VerifiedScenario]:  # fmt: skip
    """Train all runs of the scenarios with seeds from 0, as far as the cache lacks them, and judge their claims."""
    used = [columns([claim.comparison for claim in scenario.claims]) for scenario in scenarios]
    wanted = [(scenario, [str(one) for one in ones]) for scenario, ones in zip(scenarios, used, strict=True)]
    results = train(wanted, seeds, jobs, fresh=fresh, progress=progress)
    return [
        VerifiedScenario(
            scenario, seeds, ones, found, tuple(_verified(claim, scenario, found) for claim in scenario.claims)
        )
        for scenario, ones, found in zip(scenarios, used, results, strict=True)
    ]


def _verified(claim: Claim, scenario: Scenario, found: SeedFigures) -> Verified:
    compared = claim.comparison
    seeds = {seed: _of_runs(compared, scenario, runs) for seed, runs in found.seeds.items()}
    return Verified(claim, seeds, judged(compared, seeds))


def _of_runs(compared: Comparison, scenario: Scenario, runs: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The quantities of a claim in one seed; what failed is missing."""
    figures = {}
    for used in compared.quantities:
        of_run = runs.get(used.run or scenario.runs[0].name, {})
        if used.column in of_run:
            figures[str(used)] = of_run[used.column]
    return figures


def record(study: VerifiedScenario, name: str) -> dict[str, Any]:
    """A study as a JSON object, without what is not finite."""
    return {
        "scenario": name,
        "title": study.scenario.title,
        "seeds": study.seeds,
        "seconds": study.measured.seconds,
        "claims": [_claim(one) for one in study.claims],
        "runs": [
            {"run": run.name, "figures": {str(used): _of_run(study, run.name, used) for used in study.columns}}
            for run in study.scenario.runs
        ],
        "failed": [
            {"run": one.run, "seed": one.seed, "reason": one.reason} for one in study.measured.failures
        ],
    }  # fmt: skip


def _claim(one: Verified) -> dict[str, Any]:
    found = one.judgement
    return {
        "text": one.claim.text,
        "holds": one.claim.holds,
        "verdict": found.verdict,
        "method": found.method,
        "effect": _interval(found.effect, log10=one.comparison.left.known.decades),
        "true_in": found.favorable,
        "false_in": found.adverse,
        "figures": {
            str(used): _interval(spread(used, one.seeds), log10=used.known.decades)
            for used in one.comparison.quantities
        },
    }  # fmt: skip


def _of_run(study: VerifiedScenario, run: str, used: Quantity) -> dict[str, Any]:
    seeds = {
        seed: {str(used): runs[run][str(used)]} if run in runs else {} for seed, runs in study.measured.seeds.items()
    }  # fmt: skip
    return _interval(spread(used, seeds), log10=used.known.decades)


def _interval(found: Interval, *, log10: bool) -> dict[str, Any]:
    return {"mean": found.mean, "low": found.low, "high": found.high, "seeds": found.count, "log10": log10}

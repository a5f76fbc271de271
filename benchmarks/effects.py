"""Tests whether each scenario's effect is real: trains all scenarios with several seeds and writes the results.

    python -m benchmarks.effects [SCENARIO …] [--seeds 10] [--jobs N] [--write docs/effects.md]

Each core trains one scenario at a time.  Results are appended to ``build/effects.jsonl`` immediately, so an interrupted
measurement can be continued.  A scenario is measured again if its runs change, but not if its texts change.  Scenarios
whose data files are missing are skipped and listed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import Progress
from scipy import stats

from benchmarks.figures import FIGURES, Figure, Trained
from bntui.errors import DataError
from bntui.recording.reader import Reader
from bntui.scenario.gallery import find, scenarios
from bntui.scenario.load import Scenario, load

CACHE = Path(__file__).parent.parent / "build" / "effects.jsonl"


@dataclass(frozen=True, slots=True)
class Measurement:
    """Result of one seed of a scenario."""

    scenario: str
    key: str
    """Checksum of the runs' configurations, on which the figures depend."""
    seed: int
    seconds: float
    figures: dict[str, dict[str, float]]
    """By run and heading."""
    missing: str = ""
    """Why it could not be trained; empty if it was."""


def key_of(scenario: Scenario) -> str:
    """Checksum of what is trained, excluding texts and seed."""
    runs = [[run.name, {**run.config.model_dump(mode="json"), "seed": None}] for run in scenario.runs]
    return hashlib.blake2b(json.dumps(runs, sort_keys=True).encode(), digest_size=8).hexdigest()


def measure(name: str, seed: int) -> Measurement:
    """Train all runs of a scenario with one seed and compute their figures."""
    from bntui.trainer.session import Session

    # evidence is not used here and does not affect training
    key = key_of(load(find(name)))
    scenario = load(find(name), [("seed", seed), ("record.budget", 0)])
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.bntui"
        try:
            session = Session.begin(scenario, path)
        except DataError as error:
            return Measurement(name, key, seed, 0.0, {}, str(error))
        while not session.over:
            session.epoch(lambda: False)
        session.close()
        reader = Reader(path)
        runs = [Trained(run, reader.history(run.index), reader.events(run.index)) for run in reader.runs]
        figures = {run.info.name: {figure.heading: figure.of(run) for figure in FIGURES[name]} for run in runs}
        reader.close()
    return Measurement(name, key, seed, time.perf_counter() - started, figures)


def _known() -> Iterator[Measurement]:
    if CACHE.exists():
        for line in CACHE.read_text(encoding="utf-8").splitlines():
            yield Measurement(**json.loads(line))


def complete(names: Sequence[str], seeds: int, jobs: int) -> dict[str, list[Measurement]]:
    """All measurements of these scenarios; missing ones are made now."""
    keys = {name: key_of(load(find(name))) for name in names}
    wanted = {(name, seed) for name in names for seed in range(seeds)}
    found: dict[tuple[str, int], Measurement] = {}
    for known in _known():
        place = known.scenario, known.seed
        headings = {figure.heading for figure in FIGURES.get(known.scenario, ())}
        fits = known.key == keys.get(known.scenario) and all(headings <= of.keys() for of in known.figures.values())
        if place in wanted and fits and not known.missing:
            found[place] = known
    CACHE.parent.mkdir(exist_ok=True)
    context = multiprocessing.get_context("spawn")
    with Progress() as progress, CACHE.open("a", encoding="utf-8") as cache:
        task = progress.add_task("seeds", total=len(wanted), completed=len(found))
        with ProcessPoolExecutor(jobs, mp_context=context) as pool:
            pending = [pool.submit(measure, name, seed) for name, seed in sorted(wanted - found.keys())]
            for future in as_completed(pending):
                done = future.result()
                found[done.scenario, done.seed] = done
                fields = {name: getattr(done, name) for name in Measurement.__slots__}
                cache.write(json.dumps(fields, ensure_ascii=False) + "\n")
                cache.flush()
                progress.advance(task)
    return {name: [found[name, seed] for seed in range(seeds)] for name in names}


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width of its 95 % confidence interval (Student's t) over the seeds that have a value."""
    sample = np.array([value for value in values if math.isfinite(value)])
    if not sample.size:
        return math.nan, math.nan
    if sample.size == 1:
        return float(sample[0]), math.nan
    half = stats.t.ppf(0.975, sample.size - 1) * sample.std(ddof=1) / math.sqrt(sample.size)
    return float(sample.mean()), float(half)


def _cell(values: Sequence[float], decimals: int) -> str:
    mean, half = interval(values)
    if math.isnan(mean):
        return "never"
    there = sum(map(math.isfinite, values))
    written = f"{mean:.{decimals}f}" + ("" if math.isnan(half) else f" ± {half:.{decimals}f}")
    written = written.replace("-", "−")
    return written if there == len(values) else f"{written} ({there} of {len(values)})"


def table(title: str, figures: Sequence[Figure], measured: Sequence[Measurement]) -> Iterator[str]:
    """Markdown of one scenario: a row per run, last the first figure's paired difference from the first run."""
    name = measured[0].scenario
    yield f"## {title}"
    yield ""
    if measured[0].missing:
        yield f"`{name}` was left out: its data files are not on the machine that measured."
        yield ""
        return
    runs = list(measured[0].figures)
    yield f"`{name}`, {np.median([one.seconds for one in measured]):.1f} s a seed."
    yield ""
    lead = figures[0]
    yield " | ".join(["| run", *(figure.heading for figure in figures), f"{lead.heading}: difference from the first |"])
    yield "|---" * (len(figures) + 2) + "|"
    for run in runs:
        cells = [_cell([one.figures[run][figure.heading] for one in measured], figure.decimals) for figure in figures]
        pairs = [one.figures[run][lead.heading] - one.figures[runs[0]][lead.heading] for one in measured]
        yield " | ".join([f"| {run}", *cells, ("" if run == runs[0] else _cell(pairs, lead.decimals)) + " |"])
    yield ""


def report(measured: dict[str, list[Measurement]], seeds: int) -> str:
    """The whole page."""
    seconds = sum(one.seconds for several in measured.values() for one in several)
    lines = [
        "# What the scenarios show, measured",
        "",
        f"Mean and 95 % interval (Student's t) over {seeds} seeds (0 to {seeds - 1}); differences are paired by seed.",
        "The seed decides the weights at the start, the split, the order of samples, every mask, and generated data.",
        "What is said in log₁₀ is averaged in log₁₀. Seeds in brackets: how many of them have the figure at all.",
        "",
        f"Repeat it by `python -m benchmarks.effects --write docs/effects.md`: {seconds / 60:.0f} minutes of one core,",
        f"here on {os.cpu_count()} cores; it uses all cores and goes on where it was interrupted.",
        "The definitions stand in [benchmarks/figures.py](../benchmarks/figures.py).",
        "",
    ]
    for name, several in measured.items():
        lines += table(load(find(name)).title, FIGURES[name], several)
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("scenario", nargs="*", help="names of built-in scenarios; all by default")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", type=Path, help="write the page there instead of printing it")
    given = parser.parse_args()
    names = given.scenario or [card.name for card in scenarios()]
    page = report(complete(names, given.seeds, given.jobs), given.seeds)
    if given.write:
        given.write.write_text(page, encoding="utf-8")
    else:
        print(page)


if __name__ == "__main__":
    main()

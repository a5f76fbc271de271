"""Carries out ``bntui sweep``: makes its plan, trains what is missing, and prints the best combinations."""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import typer

from bntui.commands.headless import starting
from bntui.commands.overrides import from_here
from bntui.commands.progress_bar import bar
from bntui.commands.scenario_file import scenario_file
from bntui.errors import UsageError
from bntui.insight.claim_words import heading, units
from bntui.recording.as_json import plain
from bntui.recording.names import recordings_folder
from bntui.scenario.checks import DataFacts
from bntui.scenario.claim_expression import quantity
from bntui.scenario.figures import Quantity
from bntui.scenario.gallery import builtin_names, find
from bntui.scenario.load import load
from bntui.scenario.merge import key_path
from bntui.scenario.schema import RunConfig
from bntui.scenario.sources import PATHS, kind_of
from bntui.scenario.written import settings_text, spelled
from bntui.study import journal
from bntui.study.axes import Axis, Settings, axes
from bntui.study.crews import crew
from bntui.study.pruning import PRUNERS, RULES, figure_of
from bntui.study.search import search
from bntui.study.sweep import Sweep, refuse_foreign_files
from bntui.study.sweep_plan import (
    BETTER_HIGH,
    SAMPLERS,
    FactsOf,
    Search,
    SweepPlan,
    checked,
    combinations,
    goal_of,
    head_of,
    plan_of,
    versions,
    wanted_run,
)
from bntui.study.sweep_table import RankedCombination, standings, write
from bntui.text.figures import brief
from bntui.text.language import _, ngettext
from bntui.text.output import json_text, say, screen_cells
from bntui.text.table import Column, text_lines

DEFAULT_SAMPLER: Final = next(iter(SAMPLERS))
MOST_SHOWN: Final = 20
"""Combinations in the table at the end; the summary has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """Which combinations a sweep trains, as on the command line: all of a grid, unless an option says otherwise."""

    random: int | None = None
    """``--random``: number of combinations to draw."""
    search: str | None = None
    """``--search``: ``optuna`` or ``optuna:SAMPLER``, which chooses them."""
    trials: int | None = None
    """``--trials``: number of combinations that a search tries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOptions:
    """How a sweep trains and ranks its combinations, as on the command line."""

    run: str | None = None
    """The run that is trained; by default the first."""
    seeds: int = 3
    goal: str = "val_loss"
    larger: bool | None = None
    """Larger values of the goal are better; None: as for its figure."""
    combinations: SearchOptions = SearchOptions()
    evidence: bool = False
    """Trials keep their evidence."""
    prune: str | None = None
    """The pruner, or ``rules``."""


def plan_from(scenario: str, over: Sequence[str], base: Settings, options: SweepOptions) -> SweepPlan:
    """The plan of a command line.

    Raises:
        UsageError, ScenarioError: it is not valid.
    """
    if not over:
        raise UsageError(_("name what to vary: --over {example}").format(example="training.lr=1e-3..1:log:7"))
    method, sampler = _search_of(options.combinations)
    path = scenario_file(scenario)
    loaded = load(path, base)
    goal = goal_of(options.goal)
    _refuse_pruner(options.prune, goal)
    found = axes(over)
    given = {key_path(path) for path, _value in base}
    set_twice = [one.path for one in found if key_path(one.path) in given]
    if set_twice:
        raise UsageError(_("{path} has an axis; leave out --set").format(path=", ".join(set_twice)))
    builtin = path.stem in builtin_names() and find(path.stem) == path
    return SweepPlan(
        scenario=path.stem if builtin else str(path.absolute()),
        text=loaded.text,
        run=wanted_run(loaded, options.run),
        base=base,
        over=tuple(_from_here(one) for one in found),
        seeds=options.seeds,
        goal=str(goal),
        larger=_larger_is_better(goal) if options.larger is None else options.larger,
        search=method,
        sampler=sampler,
        trials=options.combinations.random or options.combinations.trials or 0,
        evidence=options.evidence,
        prune=options.prune or "",
    )


def _search_of(options: SearchOptions) -> tuple[Search, str]:
    """The search that the options ask for, and its sampler; raises UsageError if they do not belong together."""
    if options.random is not None and options.search is not None:
        raise UsageError(_("--random and --search exclude each other"))
    if (options.search is None) != (options.trials is None):
        raise UsageError(_("--search and --trials belong together: --search optuna --trials 50"))
    if options.search is None:
        return "grid" if options.random is None else "random", ""
    engine, _colon, sampler = (options.search or "optuna").partition(":")
    sampler = sampler or DEFAULT_SAMPLER
    if engine != "optuna" or sampler not in SAMPLERS:
        names = ", ".join(("optuna", *(f"optuna:{name}" for name in SAMPLERS)))
        raise UsageError(_("--search {name}: allowed: {names}").format(name=options.search, names=names))
    return "optuna", sampler


def _larger_is_better(goal: Quantity) -> bool:
    """True if larger values of a quantity are better."""
    return goal.figure in BETTER_HIGH and goal.over != "epochs_to"


def _refuse_pruner(prune: str | None, goal: Quantity) -> None:
    """Raise UsageError if a pruner is not one, cannot judge the goal, or is not installed."""
    if prune is None or prune == RULES:
        return
    if prune not in PRUNERS:
        raise UsageError(_("--prune {name}: allowed: {names}").format(name=prune, names=", ".join(PRUNERS)))
    if not figure_of(goal):
        sentence = _("--prune {name}: --goal {goal} has no value in every epoch, as val_loss has; or use --prune rules")
        raise UsageError(sentence.format(name=prune, goal=goal))
    if find_spec("optuna") is None:
        sentence = _("--prune {name} needs Optuna, which is not installed; install it with: pip install {package}")
        raise UsageError(sentence.format(name=prune, package="'bntui[search]'"))


def _from_here(one: Axis) -> str:
    """An axis as written, with paths of data files resolved against the current folder."""
    if one.path not in PATHS:
        return one.text
    return f"{one.path}={','.join(spelled(from_here(value)) for value in one.values)}"


def default_folder(plan: SweepPlan) -> Path:
    """The folder of a plan without ``-o``: the same one for the same plan, so that the same command resumes it."""
    told = json.dumps(plan.as_json(), sort_keys=True) + json.dumps(versions(plan.prune), sort_keys=True)
    name = re.sub(r"[^\w-]+", "-", plan.path.stem).strip("-") or "sweep"
    return recordings_folder() / "sweeps" / f"{name}-{hashlib.blake2b(told.encode(), digest_size=4).hexdigest()}"


def resumed_plan(folder: Path) -> SweepPlan:
    """The plan of a folder."""
    head, _entries = journal.read(folder)
    return plan_of(head)


def train(plan: SweepPlan, folder: Path, *, jobs: int, cluster: str | None, as_json: bool, again: bool = False) -> None:
    """Train what the folder lacks, write the summary, and print the best; exit 1 if a trial failed.

    Args:
        again: train also what has failed there.
    """
    refuse_foreign_files(folder)
    found = combinations(plan)
    checked(plan, found, _facts_of(plan.path.parent))
    if len(names := [run.name for run in plan.loaded().runs]) > 1:
        say(
            _("training the run {run!r}; choose with --run: {names}").format(run=plan.run, names=", ".join(names)),
            sys.stderr,
        )
    chosen = search(plan, found)
    with closing(Sweep(plan, head_of(plan), folder, chosen, again=again)) as sweep:
        kept = len(sweep.entries)
        if kept:
            sentence = ngettext("{count} trial is in {folder} already", "{count} trials are in {folder} already", kept)
            say(sentence.format(count=kept, folder=folder), sys.stderr)
        if sweep.missing > 0:
            _trained(sweep, sweep.missing, jobs, cluster)
        entries = list(sweep.entries)
    files = write(plan, entries, folder)
    ranked = standings(plan, entries)
    if as_json:
        say(json_text(plain(record(plan, folder, ranked)), indent=2))
    else:
        for line in as_text(plan, ranked, screen_cells()):
            say(line)
        say(_("summary: {files}").format(files=", ".join(map(str, files))))
        say(_("see it on the screen: {command}").format(command=shlex.join(["bntui", "replay", str(folder)])))
    if any(entry.state == "failed" for entry in entries):
        raise typer.Exit(1)


def _trained(sweep: Sweep, missing: int, jobs: int, cluster: str | None) -> None:
    with starting(), bar(_("runs trained")) as progress:
        workers = crew(min(jobs, missing), cluster, sweep.plan.prune)
        try:
            sweep.train(workers, progress)
        except BaseException:
            # the interruption may have come between a line of the journal and the list of those that are there
            write(sweep.plan, journal.read(sweep.folder)[1], sweep.folder)
            say(_("continue with: bntui sweep --resume {folder}").format(folder=sweep.folder), sys.stderr)
            raise
        finally:
            workers.close()


def _facts_of(folder: Path) -> FactsOf:
    """Reads data files, each once, for what their names do not tell."""
    known: dict[str, DataFacts] = {}

    def facts_of(config: RunConfig) -> DataFacts | None:
        if kind_of(config.data.source) == "built-in":
            return None
        key = config.data.model_dump_json(exclude={"batch_size", "last_batch", "scaling", "sequence", "validation"})
        if key not in known:
            from bntui.trainer.data.dataset import load_data

            data = load_data(config.data, folder, config.seed)
            known[key] = DataFacts(len(data), data.task, data.x.shape[1:], len(data.classes) or data.y.shape[1])
        return known[key]

    return facts_of


def as_text(plan: SweepPlan, ranked: Sequence[RankedCombination], width: int | None) -> list[str]:
    """The best combinations as a table, and the trials that failed."""
    used = quantity(plan.goal)
    columns = [
        *(Column(axis.path) for axis in plan.axes),
        Column(heading(used), right=True),
        Column("± 95 %", right=True),
        Column(_("seeds"), right=True, goes=1),
    ]
    rows = [
        (
            *(spelled(value) for _path, value in one.settings),
            _figure(one.goal.mean * units(used)),
            _figure(one.goal.half * units(used)),
            f"{one.goal.count}/{len(one.entries)}",
        )
        for one in ranked[:MOST_SHOWN]
    ]
    lines = list(text_lines(columns, rows, width))
    if len(ranked) > MOST_SHOWN:
        rest = len(ranked) - MOST_SHOWN
        lines.append(ngettext("… and {count} more", "… and {count} more", rest).format(count=f"{rest:,}"))
    finite = [one for one in ranked if one.goal.count]
    if best := next((entry for one in finite for entry in one.entries if entry.state == "done"), None):
        lines += ["", _("best: {command}").format(command=plan.command(best.settings, best.seed))]
    else:
        lines += ["", _("no trial has a finite {goal}").format(goal=plan.goal)]
    if wild := sum(entry.diverged for one in ranked for entry in one.entries):
        sentence = ngettext(
            "{count} trial diverged; its combination comes after those without",
            "{count} trials diverged; their combinations come after those without",
            wild,
        )
        lines.append(sentence.format(count=f"{wild:,}"))
    if pruned := sum(entry.state == "pruned" for one in ranked for entry in one.entries):
        sentence = ngettext("{count} trial was pruned", "{count} trials were pruned", pruned)
        lines.append(sentence.format(count=f"{pruned:,}"))
    for one in ranked:
        for entry in one.entries:
            if entry.state == "failed":
                sentence = _("failed: {settings} seed={seed}: {reason}")
                told = {"settings": settings_text(entry.settings), "seed": entry.seed, "reason": entry.reason}
                lines.append(sentence.format(**told))
    return lines


def _figure(value: float) -> str:
    return brief(value) if math.isfinite(value) else "–"


def record(plan: SweepPlan, folder: Path, ranked: Sequence[RankedCombination]) -> dict[str, Any]:
    """A sweep as a JSON object."""
    return {"folder": str(folder), "plan": plan.as_json(), "combinations": [_standing(plan, one) for one in ranked]}


def _standing(plan: SweepPlan, one: RankedCombination) -> dict[str, Any]:
    return {
        "settings": dict(one.settings),
        "goal": {
            "mean": one.goal.mean, "low": one.goal.low, "high": one.goal.high, "seeds": one.goal.count,
            "log10": quantity(plan.goal).known.decades,
        },
        "trials": [
            {"seed": entry.seed, "state": entry.state, "figures": dict(entry.figures), "file": entry.file,
             "reason": entry.reason, "command": plan.command(entry.settings, entry.seed, entry.epochs)}
            for entry in one.entries
        ],
    }  # fmt: skip

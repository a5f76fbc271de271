"""Says what a sweep trains, and checks every combination before any is trained."""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Literal, get_args

import bntui
from bntui.errors import Problem, RecordingError, ScenarioError, UsageError
from bntui.scenario.checks import DataFacts, problems
from bntui.scenario.claim_expression import quantity
from bntui.scenario.figures import Quantity
from bntui.scenario.gallery import builtin_folder
from bntui.scenario.load import Scenario, parse
from bntui.scenario.merge import frozen
from bntui.scenario.presentation import NamedRun, misfits_of
from bntui.scenario.schema import RunConfig
from bntui.scenario.sources import PATHS
from bntui.scenario.written import settings_text, spelled
from bntui.study import axes as axis_module
from bntui.study.axes import Axis, Settings
from bntui.study.journal import MOST_TRIALS
from bntui.study.pruning import PRUNERS
from bntui.study.trial import data_digests, library_versions
from bntui.text.language import _, ngettext
from bntui.text.output import clean, shortened

ALWAYS: Final = ("val_loss", "val_accuracy", "train_loss", "train_accuracy", "epoch", "diverged")
"""What is read from every trial, beside the goal."""
BETTER_HIGH: Final = ("val_accuracy", "train_accuracy")
"""Figures whose higher values are better; of all others, lower ones."""
_LONGEST_NAME: Final = 120
_LONGEST_TITLE: Final = 300
EPOCHS: Final = "training.epochs"
Search = Literal["grid", "random", "optuna"]
SAMPLERS: Final = {"tpe": "TPESampler", "qmc": "QMCSampler", "random": "RandomSampler"}
"""Samplers of a search, with their names in Optuna; the first is the default."""
FactsOf = Callable[[RunConfig], DataFacts | None]
"""The properties of the data of a run, if reading its file tells more than its name."""


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep trains.  The same plan gives the same trials."""

    scenario: str
    """Its name or path, as the reproducing command gives it."""
    text: str
    """The scenario file as it was."""
    run: str
    """The run that is trained."""
    base: Settings
    """Settings of all trials."""
    over: tuple[str, ...]
    """The axes, as written."""
    seeds: int
    """Seeds from 0."""
    goal: str
    """The quantity by which combinations are ranked."""
    larger: bool
    """Larger values of the goal are better."""
    search: Search = "grid"
    sampler: str = ""
    """The sampler of a search; empty without one."""
    trials: int = 0
    """Combinations to draw, or to search; 0 in a grid."""
    evidence: bool = False
    """Trials keep the evidence that the scenario asks for."""
    prune: str = ""
    """What ends trials early; empty if nothing does."""

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """The parsed axes."""
        return axis_module.axes(self.over)

    @property
    def path(self) -> Path:
        """The scenario file."""
        given = Path(self.scenario)
        return given if given.suffix else builtin_folder() / f"{self.scenario}.toml"

    @property
    def quantities(self) -> tuple[str, ...]:
        """What is read from every trial, the goal first."""
        return tuple(dict.fromkeys((self.goal, *ALWAYS)))

    @property
    def overrides(self) -> Settings:
        """Settings of all trials, with the budget of their recordings."""
        return self.base if self.evidence else (*self.base, ("record.budget", 0))

    def loaded(self, settings: Settings = ()) -> Scenario:
        """The scenario with these settings.

        Raises:
            ScenarioError: it is not valid.
        """
        overrides = [*self.overrides, *settings]
        return parse(self.text, file=str(self.path), path=self.path, overrides=overrides)

    def run_of(self, scenario: Scenario) -> NamedRun:
        """The run that is trained."""
        return next(run for run in scenario.runs if run.name == self.run)

    @property
    def threads(self) -> int:
        """Threads of a trial, unless its own settings say otherwise."""
        return self.run_of(self.loaded()).config.training.threads

    def command(self, settings: Settings, seed: int, epochs: int | None = None) -> str:
        """The command that trains the same run again, bit for bit, and keeps the scenario's evidence.

        Args:
            epochs: those after which the trial was pruned.
        """
        told = dict((*self.base, *settings, *(() if epochs is None else ((EPOCHS, epochs),))))
        sets = [word for path, value in told.items() for word in ("--set", f"{path}={spelled(value)}")]
        return shlex.join(["bntui", "run", self.scenario, *sets, "--seed", str(seed), "--headless"])

    def as_json(self) -> dict[str, Any]:
        """As an object of JSON."""
        told: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        if not self.prune:
            del told["prune"]  # as in the journals of sweeps from before there were pruners
        return told


def head_of(plan: SweepPlan) -> dict[str, Any]:
    """What a journal begins with: the plan, the versions, and the checksums of the data files, also of an axis."""
    config = plan.run_of(plan.loaded()).config
    digests = data_digests(config, plan.path.parent)
    for one in plan.axes:
        if one.path in PATHS:
            for value in filter(lambda value: isinstance(value, str), one.values):
                data = config.data.model_copy(update={one.path.removeprefix("data."): value})
                digests += data_digests(config.model_copy(update={"data": data}), plan.path.parent)
    return {"plan": plan.as_json(), **versions(plan.prune), "data": list(dict.fromkeys(digests))}


def versions(prune: str = "") -> dict[str, str]:
    """What may change a figure: bntui and the libraries that train; with a pruner of Optuna's, also where a trial ends.

    Args:
        prune: what ends trials early.
    """
    found = {"bntui": bntui.__version__, **library_versions()}
    if PRUNERS.get(prune):
        with suppress(PackageNotFoundError):
            found["optuna"] = version("optuna")
    return found


def plan_of(head: Mapping[str, Any]) -> SweepPlan:
    """The plan of a journal.

    Raises:
        RecordingError: it is not one.
    """
    try:
        told = dict(head["plan"])
        told["base"] = tuple((str(path), frozen(value)) for path, value in told["base"])
        told["over"] = tuple(map(str, told["over"]))
        plan = SweepPlan(**told)
        texts = (plan.scenario, plan.text, plan.run, plan.goal)
        if not all(isinstance(text, str) for text in texts) or plan.search not in get_args(Search):
            raise TypeError
        if plan.sampler not in ("", *SAMPLERS) or (plan.search == "optuna") != bool(plan.sampler):
            raise TypeError
        if plan.prune not in ("", *PRUNERS):
            raise TypeError
        if not all(type(number) is int and number >= 0 for number in (plan.seeds, plan.trials)):
            raise TypeError
        quantity(plan.goal)
        if not plan.axes:  # raises if they are not valid
            raise ValueError(_("name what to vary: --over {example}").format(example="training.lr=1e-3..1:log:7"))
    except (LookupError, TypeError, ValueError, UsageError, RecursionError) as error:
        raise RecordingError(_("the journal does not say what is swept: {reason}").format(reason=error)) from error
    return plan


def refuse_others(plan: SweepPlan, trials: Iterable[tuple[Settings, int]]) -> None:
    """Raise RecordingError if a trial, by its settings and seed, is none of this plan."""
    paths = [one.path for one in plan.axes]
    allowed = [{_written(value) for value in one.values} for one in plan.axes]
    for settings, seed in trials:
        fits = [path for path, _value in settings] == paths and seed < plan.seeds
        for (_path, value), values in zip(settings, allowed, strict=False):
            fits = fits and (_written(value) in values if values else type(value) in (int, float))
        if not fits:
            told = shortened(clean(f"{settings_text(settings)} seed={seed}"), _LONGEST_NAME)
            raise RecordingError(_("the journal has a trial that is not of this sweep: {trial}").format(trial=told))


def _written(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)


# --- trials ---


def combinations(plan: SweepPlan) -> list[Settings]:
    """The combinations of a grid or of a random search; of a search that goes on by itself, those at its corners.

    Raises:
        UsageError: there are too many, or a range lacks its number of values.
    """
    axes = plan.axes
    size = plan.trials if plan.search == "random" else math.prod(len(one.ends) for one in axes)
    if max(size, plan.trials) * plan.seeds > MOST_TRIALS:
        sentence = _("{count} combinations with {seeds} seeds are more than {most} trials; use --random N")
        if plan.search != "grid":
            sentence = _("{count} combinations with {seeds} seeds are more than {most} trials")
        told = f"{max(size, plan.trials):,}"
        raise UsageError(sentence.format(count=told, seeds=plan.seeds, most=f"{MOST_TRIALS:,}"))
    if plan.search == "random":
        return axis_module.at_random(axes, plan.trials)
    if plan.search == "grid":
        return axis_module.grid(axes)
    return [tuple(zip((one.path for one in axes), v, strict=True)) for v in axis_module.combinations(axes)]


def checked(plan: SweepPlan, found: Sequence[Settings], facts_of: FactsOf = lambda _config: None) -> list[NamedRun]:
    """The runs of all combinations, in order.

    Raises:
        ScenarioError: combinations are not valid; every problem is named once, with the combinations that have it.
    """
    faults: dict[Problem, list[int]] = {}
    runs: list[NamedRun] = []
    goal = quantity(plan.goal)
    for number, settings in enumerate(found):
        try:
            runs.append(_checked(plan, settings, goal, facts_of))
        except ScenarioError as error:
            for problem in error.problems:
                faults.setdefault(problem, []).append(number)
    if faults:
        raise ScenarioError([_in_combinations(problem, found, at) for problem, at in faults.items()])
    return runs


def checked_one(plan: SweepPlan, settings: Settings) -> NamedRun:
    """The run of one combination.

    Raises:
        ScenarioError: it is not valid.
    """
    return _checked(plan, settings, quantity(plan.goal), lambda _config: None)


def _checked(plan: SweepPlan, settings: Settings, goal: Quantity, facts_of: FactsOf) -> NamedRun:
    run = plan.run_of(plan.loaded(settings))
    named = replace(goal, run=run.name)
    wrong = [
        Problem("--goal", misfit.message, value=plan.goal, nearest=misfit.nearest)
        for misfit in misfits_of((), named, [run.name], {run.name: run.config})
    ]
    if plan.prune and run.config.training.schedule.kind == "cosine":
        message = _("a trial that is ended early could not be trained again: cosine depends on the number of epochs")
        wrong.append(Problem("--prune", message, value=plan.prune))
    if facts := facts_of(run.config):
        wrong += problems(run.config, facts)
    if wrong:
        raise ScenarioError(wrong)
    return run


def _in_combinations(problem: Problem, found: Sequence[Settings], at: Sequence[int]) -> Problem:
    """A problem with the combinations that have it, unless all have it."""
    if len(at) == len(found):
        return problem
    words = ngettext(
        "{message}; in {count} of {all} combinations: {first}",
        "{message}; in {count} of {all} combinations, such as {first}",
        len(at),
    )
    first = settings_text(found[at[0]])
    return replace(problem, message=words.format(message=problem.message, count=len(at), all=len(found), first=first))


def title_of(scenario: Scenario, settings: Settings, seed: int) -> str:
    """The title of a trial's recording."""
    return shortened(f"{scenario.title} · {settings_text(settings)} seed={seed}", _LONGEST_TITLE)


def file_name(settings: Settings, seed: int) -> str:
    """The name of a trial's recording: its settings and seed, made unique where they cannot be spelled in a name."""
    lasts = [path.rpartition(".")[2] for path, _value in settings]
    names = lasts if len(set(lasts)) == len(lasts) else [path for path, _value in settings]
    whole = ",".join(f"{name}={spelled(value)}" for name, (_path, value) in zip(names, settings, strict=True))
    plain = re.sub(r"[^\w.+=,-]+", "_", whole, flags=re.ASCII)[:_LONGEST_NAME].strip(".")
    if plain != whole:
        plain += "~" + hashlib.blake2b(json.dumps(settings).encode(), digest_size=4).hexdigest()
    return f"{plain},seed={seed}.bntui"


def wanted_run(scenario: Scenario, asked: str | None) -> str:
    """The name of the run that is asked for by name or number; by default the first.

    Raises:
        UsageError: there is no such run.
    """
    names = [run.name for run in scenario.runs]
    if asked is None:
        return names[0]
    if asked in names:
        return asked
    if asked.isdecimal() and int(asked) < len(names):
        return names[int(asked)]
    sentence = _("no run {run!r}; the runs are {names}")
    raise UsageError(sentence.format(run=asked, names=", ".join(names)))


def goal_of(text: str) -> Quantity:
    """The quantity of ``--goal``.

    Raises:
        UsageError: it is not one.
    """
    try:
        found = quantity(text)
    except ValueError as error:
        raise UsageError(f"--goal {text}: {error}") from error
    if found.run is not None:
        raise UsageError(_("--goal {text}: leave out 'of {run}'; use --run {run}").format(text=text, run=found.run))
    return found

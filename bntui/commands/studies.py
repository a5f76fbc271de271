"""Implements the commands that train many runs: verify and sweep."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bntui.commands import complete
from bntui.commands.base import Json, Run, command
from bntui.cpu import cores
from bntui.text.language import _, use
from bntui.text.output import json_text, say, screen_cells


@command()
def verify(
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SCENARIO…",
            help="Scenario files, or names of built-in ones.",
            autocompletion=complete.scenarios,
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All built-in scenarios whose data is there.")] = False,
    seeds: Annotated[int, typer.Option(metavar="N", min=2, max=1000, help="Seeds from 0 to N - 1. Default: 10.")] = 10,
    jobs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Worker processes. Default: the number of cores.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train also what was trained before.")] = False,
    as_json: Json = False,
) -> None:
    """Train the runs of scenarios with many seeds, and test what they claim; exit 1 if a claim does not hold."""
    from bntui.commands.check import checked
    from bntui.commands.headless import starting
    from bntui.commands.progress_bar import bar
    from bntui.commands.scenario_file import scenario_file
    from bntui.commands.verify import WIDEST, as_text, legend
    from bntui.errors import DataError, UsageError
    from bntui.link.training_packages import need_training
    from bntui.recording.as_json import plain
    from bntui.scenario.gallery import scenarios as cards
    from bntui.scenario.load import load
    from bntui.study.verify import record, verified
    from bntui.text.widths import wrap

    if bool(scenarios) == every:
        raise UsageError(_("name scenarios, or use --all for all built-in ones"))
    need_training()
    if as_json:
        use("en")  # what programs read is bound to no language
    names = [card.name for card in cards()] if every else list(dict.fromkeys(scenarios or ()))
    left = []
    for name in names:
        scenario = load(scenario_file(name))
        if not scenario.claims:
            say(_("{name}: has no [[claim]], nothing to verify").format(name=name), sys.stderr)
            continue
        try:
            list(checked(name, read=True))
        except DataError as error:
            if not every:
                raise
            say(_("{name}: left out: {reason}").format(name=name, reason=error), sys.stderr)
            continue
        left.append((name, scenario))
    with starting(), bar(_("runs trained")) as progress:
        studies = verified(
            [scenario for _name, scenario in left], seeds, jobs or cores(), fresh=fresh, progress=progress
        )  # fmt: skip
    found = list(zip((name for name, _scenario in left), studies, strict=True))
    if as_json:
        say(json_text(plain([record(study, name) for name, study in found]), indent=2))
    else:
        for name, study in found:
            for line in as_text(study, name, screen_cells()):
                say(line)
        if found:
            say("\n".join(wrap(legend(), screen_cells() or WIDEST)))
    if any(study.refuted or study.measured.failures for study in studies):
        raise typer.Exit(1)


@command()
def sweep(
    scenario: Annotated[
        str | None,
        typer.Argument(
            metavar="SCENARIO",
            help="A scenario file, or the name of a built-in one.",
            autocompletion=complete.scenarios,
        ),
    ] = None,
    over: Annotated[
        list[str] | None,
        typer.Option(
            "--over", metavar="PATH=VALUES", help="What to vary: a,b,c or LOW..HIGH:N or LOW..HIGH:log:N; repeatable."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Change a key in every trial; repeatable.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=1000, help="Seeds from 0 to N - 1. Default: 3.")
    ] = None,
    run: Run = None,
    goal: Annotated[
        str | None,
        typer.Option(metavar="QUANTITY", help="What ranks the combinations, as in a claim. Default: val_loss."),
    ] = None,
    larger: Annotated[
        bool | None,
        typer.Option("--maximize/--minimize", help="Whether larger values are better. Default: for an accuracy, yes."),
    ] = None,
    random: Annotated[
        int | None, typer.Option("--random", metavar="N", min=1, help="Train N combinations at random, not all.")
    ] = None,
    search: Annotated[
        str | None, typer.Option("--search", metavar="optuna[:SAMPLER]", help="Let Optuna choose the combinations.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option("--trials", metavar="N", min=1, help="Combinations that a search tries.")
    ] = None,
    prune: Annotated[
        str | None,
        typer.Option(metavar="median|hyperband|rules", help="End trials early that earlier ones, or rules, give up."),
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="DIR", help="Folder of the trials.")] = None,
    evidence: Annotated[
        bool, typer.Option("--evidence", help="Keep the evidence that the scenario asks for, not measures only.")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Worker processes. Default: the number of cores.")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Train on a Dask cluster, tcp://HOST:PORT, or on Ray, ray://HOST:PORT."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", metavar="DIR", help="Train what the sweep in this folder lacks, and what failed."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a scenario with many settings and seeds, and rank them; exit 1 if a trial failed."""
    from bntui.commands import sweeps
    from bntui.commands.overrides import overrides_of
    from bntui.errors import UsageError
    from bntui.link.training_packages import need_training

    if as_json:
        use("en")
    if (scenario is None) == (resume is None):
        raise UsageError(_("name a scenario, or a folder with --resume"))
    need_training()  # the versions of its packages are part of a sweep
    if resume is not None:
        given = {
            "--over": over, "--set": settings, "--seeds": seeds, "--run": run, "--goal": goal, "--random": random,
            "--search": search, "--trials": trials, "--prune": prune, "--evidence": evidence or None, "-o": output,
            "--maximize" if larger else "--minimize": larger,
        }  # fmt: skip
        if unused := [name for name, value in given.items() if value is not None and value != []]:
            sentence = _("--resume takes everything from the folder; leave out {options}")
            raise UsageError(sentence.format(options=", ".join(unused)))
        plan, folder = sweeps.resumed_plan(resume), resume
    else:
        assert scenario is not None
        options = sweeps.SweepOptions(
            run=run, seeds=seeds or 3, goal=goal or "val_loss", larger=larger, evidence=evidence, prune=prune,
            combinations=sweeps.SearchOptions(random=random, search=search, trials=trials),
        )  # fmt: skip
        plan = sweeps.plan_from(scenario, over or (), overrides_of(settings or ()), options)
        folder = output or sweeps.default_folder(plan)
    jobs = jobs or max(1, cores() // plan.threads)
    sweeps.train(plan, folder, jobs=jobs, cluster=cluster, as_json=as_json, again=resume is not None)

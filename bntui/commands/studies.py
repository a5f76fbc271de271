"""Implements the commands that train many runs: verify."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from bntui.commands import complete
from bntui.commands.base import Json, command
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
    seeds: Annotated[int, typer.Option(metavar="N", min=2, max=1000, help="Seeds from 0 to N - 1.")] = 10,
    jobs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Worker processes. Default: the number of cores.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train also what was trained before.")] = False,
    as_json: Json = False,
) -> None:
    """Train the runs of scenarios with many seeds, and test what they claim; exit 1 if a claim does not hold."""
    from bntui.commands.check import checked
    from bntui.commands.show import plain
    from bntui.commands.study_progress import bar
    from bntui.commands.verify import WIDEST, as_text, legend
    from bntui.errors import DataError, UsageError
    from bntui.scenario.gallery import find
    from bntui.scenario.gallery import scenarios as cards
    from bntui.scenario.load import load
    from bntui.study.verify import record, verified
    from bntui.text.widths import wrap

    if bool(scenarios) == every:
        raise UsageError(_("name scenarios, or use --all for all built-in ones"))
    if as_json:
        use("en")  # what programs read is bound to no language
    names = [card.name for card in cards()] if every else list(dict.fromkeys(scenarios or ()))
    left = []
    for name in names:
        scenario = load(find(name))
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
    with bar() as progress:
        studies = verified(
            [scenario for _name, scenario in left], seeds, jobs or os.cpu_count() or 1, fresh=fresh, progress=progress
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

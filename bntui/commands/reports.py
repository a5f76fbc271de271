"""Defines the commands that report on recordings, scenarios, and this machine."""

from __future__ import annotations

import math
import os
import shutil
import sys
from typing import Annotated, Any

import typer
from rich.cells import cell_len

from bntui.commands import complete
from bntui.commands.base import Epoch, Json, PrintedTheme, Recording, Run, app, command
from bntui.commands.usage import WIDEST, Command
from bntui.errors import UsageError
from bntui.text.language import _, use
from bntui.text.output import json_text, say, screen_cells
from bntui.text.widths import ljust


@command()
def show(
    recording: Recording,
    run: Run = None,
    epoch: Epoch = None,
    as_json: Json = False,
    panel: Annotated[
        str | None,
        typer.Option(
            "--panel",
            metavar="PANEL",
            help="Print a panel as the screen shows it, by name or key; or screen, or microscope.",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="WxH", help="Columns and rows of the panel. Default: the terminal's width."),
    ] = None,
    color: Annotated[
        str, typer.Option("--color", metavar="WHEN", help="Colors: always, never, or auto (on a terminal).")
    ] = "auto",
    theme: PrintedTheme = None,
) -> None:
    """Print a keyframe as text or JSON, or a panel as the screen shows it."""
    if panel is not None:
        if as_json:
            raise UsageError(_("--panel prints what the screen shows; leave out --json, or --panel"))
        from bntui.commands.panel import PanelOptions, lines

        options = PanelOptions(panel, run, epoch, size, color, theme)
        sys.stdout.writelines(f"{row}\n" for row in lines(recording, options))
        return
    if size is not None:
        raise UsageError(_("--size needs --panel"))
    from bntui.commands.show import as_json as json_of
    from bntui.commands.show import as_text, find_keyframe, find_run
    from bntui.recording.recorded import opened

    reader = opened(recording)
    frame = find_keyframe(reader, find_run(reader, run), epoch)
    say(json_of(reader, frame) if as_json else as_text(reader, frame, screen_cells()))
    reader.close()


class _WithTolerances(Command):
    """The audit's help: its page, and the table of tolerances."""

    def get_help(self, ctx: Any) -> str:
        from bntui.audit.report import tolerances

        return f"{super().get_help(ctx)}\n\n{tolerances(min(shutil.get_terminal_size().columns, WIDEST))}"


@app.command(cls=_WithTolerances)
def audit(recording: Recording, as_json: Json = False) -> None:
    """Check that a recording is true: verify its digests, and recompute its figures with NumPy in float64."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: a second thread costs five times the time
    from bntui.audit.audit import audit as audited
    from bntui.audit.report import as_json as json_of
    from bntui.audit.report import as_text

    if as_json:
        use("en")  # what programs read is bound to no language
    report = audited(recording)
    say(json_of(report) if as_json else as_text(report, screen_cells()))
    if not report.true:
        raise typer.Exit(1)


@command()
def stops(
    recording: Recording,
    run: Annotated[
        str | None, typer.Option(metavar="R", help="Name of the run, or its number from 0; default all.")
    ] = None,
    patience: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Patience of every rule that has one; default the run's own.")
    ] = None,
    min_delta: Annotated[
        float | None, typer.Option(min=0, metavar="D", help="Smallest improvement that counts; default the run's own.")
    ] = None,
    stopping_threshold: Annotated[
        float | None, typer.Option(metavar="L", help="Lightning: stop once the loss is below this.")
    ] = None,
    divergence_threshold: Annotated[
        float | None, typer.Option(metavar="L", help="Lightning: stop once the loss is above this.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show where other early-stopping rules would have stopped a recorded run."""
    from bntui.commands.show import find_run
    from bntui.commands.stops import as_json as json_of
    from bntui.commands.stops import as_text
    from bntui.insight.jury import Wishes
    from bntui.recording.recorded import recorded

    options = {
        "--min-delta": min_delta,
        "--stopping-threshold": stopping_threshold,
        "--divergence-threshold": divergence_threshold,
    }
    for option, value in options.items():
        if value is not None and not math.isfinite(value):
            raise UsageError(f"{option} = {value:g}: {_('must be a finite number')}")
    reader = recorded(recording)
    runs = [info.index for info in reader.runs] if run is None else [find_run(reader, run)]
    wishes = Wishes(patience, min_delta, stopping_threshold, divergence_threshold)
    say(json_of(reader, runs, wishes) if as_json else as_text(reader, runs, wishes, screen_cells()))
    reader.close()


@command()
def check(
    scenarios: Annotated[
        list[str],
        typer.Argument(
            metavar="SCENARIO…",
            help="Scenario files, or names of built-in ones.",
            autocompletion=complete.scenarios,
        ),
    ],
    data: Annotated[
        bool, typer.Option("--data/--no-data", help="Do not read the data files that run would read.")
    ] = True,
) -> None:
    """Validate scenario files and the data that they name; every error with file, line and key."""
    from bntui.commands.check import checked
    from bntui.errors import BntuiError, Problem, ScenarioError

    problems: list[Problem] = []
    for name in scenarios:
        try:
            for line in checked(name, read=data):
                say(line)
        except ScenarioError as error:
            problems += error.problems
        except BntuiError as error:
            problems += [Problem("", line) for line in str(error).split("\n")]
    if problems:
        raise ScenarioError(problems)


@command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from bntui.scenario.schema import json_schema

    print(json_text(json_schema(), indent=2))


@command()
def doctor(as_json: Json = False) -> None:
    """Check whether this terminal and device are suitable."""
    from bntui.commands.doctor import as_record, examine

    if as_json:
        use("en")  # what programs read is bound to no language
    findings = examine()
    width = max(cell_len(_(finding.name)) for finding in findings)
    if as_json:
        print(json_text(as_record(findings)))
    else:
        for finding in findings:
            print(f"{'✓' if finding.fine else '✗'} {ljust(_(finding.name), width)}  {finding.value}")
            if not finding.fine:
                print(f"  {finding.advice}")
    if not all(finding.fine for finding in findings):
        raise typer.Exit(1)

"""What can be asked on the command line.  Everything heavy is imported where it is needed."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bntui import __version__
from bntui.errors import TrainerError, UsageError
from bntui.screen import need_terminal, open_screen

if TYPE_CHECKING:
    from bntui.link import Status

app = typer.Typer(
    name="bntui",
    help="A terminal laboratory for neural-network training. Without a command: the gallery.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PATHS = ("data.source", "data.labels")
"""Keys that name files: on the command line relative to where one stands, in a scenario to its own folder."""

Recording = Annotated[Path, typer.Argument(help="A recording (.bntui).", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"bntui {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def gallery(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A terminal laboratory for neural-network training. Without a command: the gallery."""
    if context.invoked_subcommand is None:
        need_terminal("bntui list lists scenarios and recordings as text")
        open_screen()


@app.command()
def run(
    scenario: Annotated[
        str, typer.Argument(help="A scenario file, or the name of a built-in one.", show_default=False)
    ],
    headless: Annotated[bool, typer.Option("--headless", help="No screen: a progress bar.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Epochs to train.", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything that is drawn.", show_default=False)] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps.", show_default=False)] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Change any key, in every run; repeatable.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Record into this file.", show_default=False)
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Start training and return; bntui attach comes back.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Headless: JSON lines to stdout, one per epoch and run.")
    ] = False,
) -> None:
    """Train a scenario: on the screen, or headless."""
    from bntui.link import INTERACTIVE_PACE
    from bntui.scenario.gallery import find
    from bntui.scenario.load import load, parse_override
    from bntui.viewer.client import IdleTrainer

    without_screen = headless or detach or as_json
    if not without_screen:
        need_terminal("add --headless to train without a screen")
    given = [("training.epochs", epochs), ("seed", seed), ("device", device)]
    overrides = [*map(parse_override, settings or ()), *((key, value) for key, value in given if value is not None)]
    overrides = [(key, _from_here(value) if key in PATHS else value) for key, value in overrides]
    path = find(scenario)
    trainer = IdleTrainer.start()  # imports torch while the scenario is checked
    try:
        text = load(path, overrides).text
    except BaseException:
        trainer.discard()
        raise
    start = partial(trainer.open, path, output, overrides, text=text)
    if not without_screen:
        open_screen(opening=lambda: start(pace=INTERACTIVE_PACE), cancel=trainer.discard, starting=path.stem)
        return
    recording = start()
    if detach:
        print(json.dumps({"recording": str(recording)}) if as_json else recording)
        return
    from bntui.headless import follow

    follow(recording, as_json=as_json)
    if not as_json:
        print(recording)


def _from_here(value: object) -> object:
    """The absolute path of a file that is named from here; any other value as it is."""
    named = Path(value).expanduser() if isinstance(value, str) else None
    return str(named.absolute()) if named is not None and named.is_file() else value


@app.command()
def replay(recording: Recording) -> None:
    """Open a recording, finished or growing."""
    from bntui.recording.reader import Reader

    Reader(recording).close()  # a file that is none is said before the screen opens
    need_terminal("bntui show prints a keyframe as text")
    open_screen(recording)


@app.command()
def attach(recording: Recording) -> None:
    """Come back to a recording whose trainer is live."""
    from bntui.recording.library import is_live
    from bntui.recording.reader import Reader

    Reader(recording).close()
    if not is_live(recording):
        raise UsageError(f"{recording} has no live trainer: bntui replay {recording} opens it")
    replay(recording)


@app.command()
def stop(recording: Recording) -> None:
    """End a recording's trainer after the step under way, everything saved."""
    from bntui.link import OVER
    from bntui.recording.reader import Reader
    from bntui.viewer.client import Trainer

    trainer = Trainer.connect(recording)
    if trainer is None:
        Reader(recording).close()  # says so, if there is no such recording
        raise UsageError(f"{recording} has no live trainer")
    trainer.send("stop")
    last: Status | None = None
    while (status := trainer.receive()) is not None:
        last = status
    trainer.close()
    if last is None or last.state == "failed" or last.state not in OVER:
        message = last.message if last is not None else ""
        raise TrainerError(message or f"the trainer of {recording} ended unexpectedly; what it recorded is intact")
    print(f"stopped: {recording}", file=sys.stderr)


@app.command()
def show(
    recording: Recording,
    run: Annotated[str | None, typer.Option(help="Name or number of the run; default the first.")] = None,
    epoch: Annotated[
        float | None, typer.Option(help="Last keyframe at or before this epoch; default the last.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print a keyframe as text or JSON."""
    from bntui.recording.reader import Reader
    from bntui.show import as_json as json_of
    from bntui.show import as_text, find_keyframe, find_run

    reader = Reader(recording)
    frame = find_keyframe(reader, find_run(reader, run), epoch)
    print(json_of(reader, frame) if as_json else as_text(reader, frame))
    reader.close()


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List scenarios and recordings."""
    from bntui.recording.library import recordings
    from bntui.scenario.gallery import scenarios

    cards, entries = scenarios(), recordings()
    if as_json:
        record = {
            "scenarios": [{"name": c.name, "path": str(c.path), "title": c.title, "runs": c.runs} for c in cards],
            "recordings": [
                {
                    "path": str(e.path), "title": e.title, "runs": e.runs, "epochs": e.epochs,
                    "when": e.when.isoformat(timespec="seconds"), "size": e.size, "live": e.live, "problem": e.problem,
                }
                for e in entries
            ],
        }  # fmt: skip
        print(json.dumps(record, ensure_ascii=False))
        return
    width = max((len(card.name) for card in cards), default=0)
    print("Scenarios")
    for card in cards:
        print(f"  {card.name:{width}}  {card.problem or card.title}  ({', '.join(card.runs)})")
    print("Recordings" if entries else "No recordings yet: bntui run SCENARIO makes one")
    for entry in entries:
        what = entry.problem or f"{entry.title}  ({', '.join(entry.runs)}; {entry.epochs:g} epochs)"
        live = "● live  " if entry.live else ""
        print(f"  {entry.path}  {entry.when:%Y-%m-%d %H:%M}  {entry.size / 1e6:.1f} MB  {live}{what}")


@app.command()
def check(
    scenarios: Annotated[list[str], typer.Argument(help="Scenario files.", show_default=False)],
) -> None:
    """Validate scenario files; every error with file, line and key."""
    from bntui.errors import Problem, ScenarioError
    from bntui.scenario.gallery import find
    from bntui.scenario.load import load

    problems: list[Problem] = []
    for name in scenarios:
        try:
            found = load(find(name))
        except UsageError as error:
            problems.append(Problem("", str(error)))
        except ScenarioError as error:
            problems += error.problems
        else:
            print(f"{name}: valid, {len(found.runs)} run{'s' * (len(found.runs) != 1)}")
    if problems:
        raise ScenarioError(problems)


@app.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from bntui.scenario.schema import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Is this terminal and device fit?"""
    from bntui.doctor import as_record, examine

    findings = examine()
    if as_json:
        print(json.dumps(as_record(findings), ensure_ascii=False))
    else:
        for finding in findings:
            print(f"{'✓' if finding.fine else '✗'} {finding.name:13} {finding.value}")
            if not finding.fine:
                print(f"  {finding.advice}")
    if not all(finding.fine for finding in findings):
        raise typer.Exit(1)

"""What can be asked on the command line.  Everything heavy is imported where it is needed."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.cells import cell_len

from bntui import __version__
from bntui.errors import TrainerError, UsageError
from bntui.language import _, ngettext, use
from bntui.preference import OPTION, preferred
from bntui.screen import need_terminal, open_screen
from bntui.usage import LANGUAGE_HELP, LANGUAGE_VALUES, WIDEST, Command, Group, refused
from bntui.viewer.rows import ljust

if TYPE_CHECKING:
    from bntui.again import Place
    from bntui.link import Status

app = typer.Typer(
    name="bntui",
    cls=Group,
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PATHS = ("data.source", "data.labels")
"""Keys that name files: on the command line relative to where one stands, in a scenario to its own folder."""

Recording = Annotated[Path, typer.Argument(metavar="FILE", help="A recording (.bntui).")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]


MISUSED: type[Exception] = typer.BadParameter.__mro__[1]
"""The base of what Typer raises for a command line that it does not understand: click's class, or its own copy."""

command = partial(app.command, cls=Command)


def obey(arguments: Sequence[str]) -> None:
    """Do what a command line asks for; raises SystemExit with the exit code.

    Raises:
        BntuiError: why it cannot be done.
    """
    try:
        code = app(list(arguments), prog_name="bntui", standalone_mode=False)
    except MISUSED as error:
        context = getattr(error, "ctx", None)
        raise refused(error.format_message(), context.command_path if context else "bntui") from error  # type: ignore[attr-defined]
    sys.exit(code)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"bntui {__version__}")
        raise typer.Exit


def _speak(asked: str | None) -> None:
    if asked is not None:
        use(preferred(asked))


@app.callback(invoke_without_command=True)
def gallery(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    language: Annotated[  # noqa: ARG001
        str | None,
        typer.Option(OPTION, metavar=LANGUAGE_VALUES, callback=_speak, is_eager=True, help=LANGUAGE_HELP),
    ] = None,
) -> None:
    """A terminal laboratory for neural-network training. Without a command: the gallery."""
    if context.invoked_subcommand is None:
        need_terminal(_("bntui list lists scenarios and recordings as text"))
        open_screen()


@command()
def run(
    scenario: Annotated[
        str, typer.Argument(metavar="SCENARIO", help="A scenario file, or the name of a built-in one.")
    ],
    headless: Annotated[bool, typer.Option("--headless", help="No screen: a progress bar.")] = False,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Epochs to train.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of everything that is drawn.")] = None,
    device: Annotated[str | None, typer.Option(metavar="D", help="auto, cpu, cuda, cuda:N or mps.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Change any key, in every run; repeatable.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Record into this file.")
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
        need_terminal(_("add --headless to train without a screen"))
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
    """The absolute path of a file that is named from here, there or not; the name of built-in data as it is."""
    from bntui.scenario.schema import BUILTIN_DATA, DATA_SUFFIXES

    if not isinstance(value, str) or value in BUILTIN_DATA or not value.endswith(DATA_SUFFIXES):
        return value
    return str(Path(value).expanduser().absolute())


@command()
def replay(recording: Recording) -> None:
    """Open a recording, finished or growing."""
    from bntui.recording.reader import Reader

    Reader(recording).close()  # a file that is none is said before the screen opens
    need_terminal(_("bntui show prints a keyframe as text"))
    open_screen(recording)


@command()
def compare(
    recordings: Annotated[list[Path], typer.Argument(metavar="FILE FILE…", help="Two recordings or more.")],
) -> None:
    """Open recordings side by side, under one cursor."""
    from bntui.recording.joined import Joined

    Joined(recordings).close()  # what cannot be compared is said before the screen opens
    need_terminal(_("bntui show prints a keyframe as text"))
    open_screen(recordings)


@command()
def resume(
    recording: Recording,
    headless: Annotated[bool, typer.Option("--headless", help="No screen: a progress bar.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Headless: JSON lines to stdout, one per epoch and run.")
    ] = False,
) -> None:
    """Go on with a recording that was interrupted, bit for bit as if it had not been."""
    from bntui import again
    from bntui.link import INTERACTIVE_PACE

    without_screen = headless or as_json
    if not without_screen:
        need_terminal(_("add --headless to train without a screen"))
    here = _own(recording)
    pace = None if without_screen else INTERACTIVE_PACE
    _watch(again.resume(here, pace=pace), without_screen=without_screen, as_json=as_json)


@command()
def fork(
    recording: Recording,
    run: Annotated[str | None, typer.Option(metavar="R", help="Name or number of the run; default the first.")] = None,
    epoch: Annotated[
        float | None, typer.Option(metavar="N", help="Last keyframe at or before this epoch; default the last.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Change a setting; repeatable.")
    ] = None,
    headless: Annotated[bool, typer.Option("--headless", help="No screen: a progress bar.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing, and see whether the same bits come out; exit 1 if not.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Headless: JSON lines to stdout, one per epoch and run.")
    ] = False,
) -> None:
    """Begin a new run from a keyframe of another, with something changed."""
    from bntui import again
    from bntui.link import INTERACTIVE_PACE
    from bntui.scenario.load import parse_override

    there = again.place(recording, run, epoch)
    if check:
        _check_fork(recording, there)
        return
    without_screen = headless or as_json
    if not without_screen:
        need_terminal(_("add --headless to train without a screen"))
    changes = list(map(parse_override, settings or ()))
    pace = None if without_screen else INTERACTIVE_PACE
    _watch(again.fork(_own(recording), there, changes, pace=pace), without_screen=without_screen, as_json=as_json)


def _own(recording: Path) -> Path:
    """The recording, or a copy of it where it cannot be written."""
    from bntui.again import on_own_ground

    here = on_own_ground(recording)
    if here != recording:
        print(_("{recording} is read-only: going on in {copy}").format(recording=recording, copy=here), file=sys.stderr)
    return here


def _watch(recording: Path, *, without_screen: bool, as_json: bool) -> None:
    """Follow a training to its end, or look at it."""
    if not without_screen:
        open_screen(recording)
        return
    from bntui.headless import follow

    follow(recording, as_json=as_json)
    if not as_json:
        print(recording)


def _check_fork(recording: Path, there: Place) -> None:
    from bntui.trainer.selfcheck import no_change_fork

    found = no_change_fork(recording, there.run, there.step)
    if found.departed is not None:
        sentence = _("the fork departs from its parent at step {step}: {figures}")
        print(sentence.format(step=found.departed, figures=", ".join(found.figures)))
        raise typer.Exit(1)
    count = len(found.steps)
    same = ngettext(
        "forked at epoch {epoch:g}, nothing changed: the same bits at {count} keyframe",
        "forked at epoch {epoch:g}, nothing changed: the same bits at {count} keyframes",
        count,
    )
    print(same.format(epoch=there.epoch, count=count))


@command()
def attach(recording: Recording) -> None:
    """Come back to a recording whose trainer is live."""
    from bntui.recording.library import is_live
    from bntui.recording.reader import Reader

    Reader(recording).close()
    if not is_live(recording):
        sentence = _("{recording} has no live trainer: bntui replay {recording} opens it")
        raise UsageError(sentence.format(recording=recording))
    replay(recording)


@command()
def stop(recording: Recording) -> None:
    """End a recording's trainer after the step under way, everything saved."""
    from bntui.headless import lost
    from bntui.link import OVER
    from bntui.recording.reader import Reader
    from bntui.viewer.client import Trainer

    trainer = Trainer.connect(recording)
    if trainer is None:
        Reader(recording).close()  # says so, if there is no such recording
        raise UsageError(_("{recording} has no live trainer").format(recording=recording))
    trainer.send("stop")
    last: Status | None = None
    while (status := trainer.receive()) is not None:
        last = status
    trainer.close()
    if last is None or last.state == "failed" or last.state not in OVER:
        message = last.message if last is not None else ""
        raise TrainerError(message or lost(recording))
    print(_("stopped: {recording}").format(recording=recording), file=sys.stderr)


@command()
def show(
    recording: Recording,
    run: Annotated[str | None, typer.Option(metavar="R", help="Name or number of the run; default the first.")] = None,
    epoch: Annotated[
        float | None, typer.Option(metavar="N", help="Last keyframe at or before this epoch; default the last.")
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


class _WithTolerances(Command):
    """The audit's help: its page, and the table of tolerances."""

    def get_help(self, ctx: Any) -> str:
        from bntui.audit.report import tolerances

        return f"{super().get_help(ctx)}\n\n{tolerances(min(shutil.get_terminal_size().columns, WIDEST))}"


@app.command(cls=_WithTolerances)
def audit(recording: Recording, as_json: Json = False) -> None:
    """Is every recorded number true? Checks digests, and recomputes the rest with plain NumPy in float64."""
    from bntui.audit.audit import audit as audited
    from bntui.audit.report import as_json as json_of
    from bntui.audit.report import as_text

    if as_json:
        use("en")  # what programs read is bound to no language
    report = audited(recording)
    print(json_of(report) if as_json else as_text(report))
    if not report.true:
        raise typer.Exit(1)


@command()
def stops(
    recording: Recording,
    run: Annotated[str | None, typer.Option(metavar="R", help="Name or number of the run; default all.")] = None,
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
    """What would other stopping rules have done with a recording?"""
    from bntui.insight.jury import Wishes
    from bntui.recording.reader import Reader
    from bntui.show import find_run
    from bntui.stops import as_json as json_of
    from bntui.stops import as_text

    reader = Reader(recording)
    runs = [info.index for info in reader.runs] if run is None else [find_run(reader, run)]
    wishes = Wishes(patience, min_delta, stopping_threshold, divergence_threshold)
    print(json_of(reader, runs, wishes) if as_json else as_text(reader, runs, wishes))
    reader.close()


@command("list")
def list_(as_json: Json = False) -> None:
    """List scenarios and recordings."""
    from bntui.recording.library import recordings
    from bntui.scenario.gallery import scenarios

    if as_json:
        use("en")  # what programs read is bound to no language
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
    width = max((cell_len(card.name) for card in cards), default=0)
    print(_("Scenarios"))
    for card in cards:
        print(f"  {ljust(card.name, width)}  {card.problem or card.title}  ({', '.join(card.runs)})")
    print(_("Recordings") if entries else _("No recordings yet: bntui run SCENARIO makes one"))
    for entry in entries:
        epochs = ngettext("{epochs:g} epoch", "{epochs:g} epochs", math.ceil(entry.epochs)).format(epochs=entry.epochs)
        what = entry.problem or f"{entry.title}  ({', '.join(entry.runs)}; {epochs})"
        size = f"{entry.size / 1e6:.1f} MB"
        live = f"● {_('live')}  " if entry.live else ""
        print(f"  {entry.path}  {entry.when:%Y-%m-%d %H:%M}  {size}  {live}{what}")


@command()
def check(
    scenarios: Annotated[list[str], typer.Argument(metavar="SCENARIO…", help="Scenario files.")],
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
            count = len(found.runs)
            valid = ngettext("{name}: valid, {count} run", "{name}: valid, {count} runs", count)
            print(valid.format(name=name, count=count))
    if problems:
        raise ScenarioError(problems)


@command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from bntui.scenario.schema import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))


@command()
def doctor(as_json: Json = False) -> None:
    """Is this terminal and device fit?"""
    from bntui.doctor import as_record, examine

    if as_json:
        use("en")  # what programs read is bound to no language
    findings = examine()
    width = max(cell_len(_(finding.name)) for finding in findings)
    if as_json:
        print(json.dumps(as_record(findings), ensure_ascii=False))
    else:
        for finding in findings:
            print(f"{'✓' if finding.fine else '✗'} {ljust(_(finding.name), width)}  {finding.value}")
            if not finding.fine:
                print(f"  {finding.advice}")
    if not all(finding.fine for finding in findings):
        raise typer.Exit(1)

"""Implements the commands that train: run, resume, fork, and stop."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bntui.commands import complete
from bntui.commands.base import Epoch, Headless, JsonLines, Recording, Run, Theme, command
from bntui.commands.open_screen import announce, need_terminal, open_screen, unannounce
from bntui.commands.preference import asked_pace, watching
from bntui.errors import TrainerError, UsageError
from bntui.keyframe import MOST_SEEDS
from bntui.scenario.pace import PacingOptions
from bntui.text.language import _, ngettext
from bntui.text.output import json_text, say

if TYPE_CHECKING:
    from bntui.commands.again import ForkPoint
    from bntui.link import Status

PaceOption = Annotated[
    str | None,
    typer.Option(
        "--pace", metavar="N|max", help="Epochs per second. Default on the screen: the longest run takes 30 seconds."
    ),
]


@command()
def run(
    scenario: Annotated[
        str,
        typer.Argument(
            metavar="SCENARIO",
            help="A scenario file, or the name of a built-in one.",
            autocompletion=complete.scenarios,
        ),
    ],
    headless: Headless = False,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Epochs to train.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of all random numbers.")] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=MOST_SEEDS, help="Train every run with N seeds, for a band behind its curve."
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(metavar="D", help="auto, cpu, cuda, cuda:N, or mps.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Change a key in every run; repeatable.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="File to record to.")] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Start training and return; reattach with bntui attach.")
    ] = False,
    as_json: JsonLines = False,
    pace: PaceOption = None,
    paused: Annotated[bool, typer.Option("--paused", help="Wait for a key before training.")] = False,
    theme: Theme = None,
) -> None:
    """Train a scenario, on the screen or without it."""
    from bntui.commands.scenario_file import scenario_file
    from bntui.link.client import IdleTrainer
    from bntui.link.training_packages import need_training

    need_training()
    without_screen = headless or detach or as_json
    if not without_screen:
        need_terminal(_("add --headless to train without a screen"))
    elif paused:
        raise UsageError(_("--paused needs the screen; leave out --headless, --detach, or --json"))
    if without_screen:  # a pace that is preferred for the screen does not slow it down
        watched = None if pace is None else PacingOptions(asked_pace(pace), paused=False)
    else:
        watched = watching(pace, paused=paused)
    path = scenario_file(scenario)
    if output is not None and output.exists():  # fails early; the trainer claims the name
        from bntui.recording.draft import name_taken

        raise name_taken(output)
    if output is not None and not output.parent.is_dir():  # a mistyped path
        raise UsageError(_("{path}: no folder {folder}; create it first").format(path=output, folder=output.parent))
    given = [("training.epochs", epochs), ("seed", seed), ("device", device)]
    trainer = IdleTrainer.start()  # imports torch while the scenario is checked, and what checks it imported
    if not without_screen:
        announce(path.stem)
    try:
        from bntui.commands.overrides import overrides_of
        from bntui.scenario.load import load

        overrides = [*overrides_of(settings or ()), *((key, value) for key, value in given if value is not None)]
        text = load(path, overrides).text
    except BaseException:
        trainer.discard()
        if not without_screen:
            unannounce()
        raise
    start = partial(trainer.open, path, output, overrides, text=text, seeds=seeds)
    if not without_screen:
        from bntui.viewer.opening import Beginning

        beginning = Beginning(partial(start, watching=watched), trainer.discard, path.stem)
        open_screen(beginning=beginning, watching=watched, theme=theme)
        return
    from bntui.commands.headless import follow, starting

    with starting():
        recording = start(watching=watched)
        if detach:
            say(json_text({"recording": str(recording)}) if as_json else recording)
            return
        recording = follow(recording, as_json=as_json)
    if not as_json:
        say(recording)


@command()
def resume(
    recording: Recording,
    headless: Headless = False,
    as_json: JsonLines = False,
    theme: Theme = None,
) -> None:
    """Resume an interrupted recording; the result is bit for bit the same as without the interruption."""
    from bntui.commands import again
    from bntui.link.training_packages import need_training

    without_screen = headless or as_json
    again.refuse_what_is_over(recording)
    if not without_screen:
        need_terminal(_("add --headless to train without a screen"))
    need_training()
    here = _own(recording)
    if without_screen:
        _follow(here, partial(again.resume, here), as_json=as_json)
    else:
        open_screen(again.resume(here, watching()), theme=theme)


@command()
def fork(
    recording: Recording,
    run: Run = None,
    epoch: Epoch = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Change a setting; repeatable.")
    ] = None,
    headless: Headless = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Change nothing, and compare the results bit for bit; exit 1 if they differ."),
    ] = False,
    as_json: JsonLines = False,
    theme: Theme = None,
) -> None:
    """Start a new run from a keyframe of another run, with changed settings."""
    from bntui.commands import again
    from bntui.link.live import is_live
    from bntui.link.training_packages import need_training
    from bntui.scenario.load import parse_override

    there = again.place(recording, run, epoch, first=check)
    if check:
        if settings or headless or as_json:
            raise UsageError(
                _(
                    "--check cannot be combined with --set, --headless, or --json: it changes nothing and trains in a"
                    " copy"
                )
            )
        need_training()
        _check_fork(recording, there)
        return
    without_screen = headless or as_json
    if not without_screen:
        need_terminal(_("add --headless to train without a screen"))
    changes = list(map(parse_override, settings or ()))
    if not is_live(recording):  # otherwise its own trainer creates the fork
        need_training()
    here = _own(recording)
    start = partial(again.fork, here, there, changes, None if without_screen else watching())
    if without_screen:
        _follow(here, start, as_json=as_json, until_paused=True)
    else:
        open_screen(start(), theme=theme)


def _own(recording: Path) -> Path:
    """The recording, or a copy of it if it is not writable."""
    from bntui.commands.again import on_own_ground

    here = on_own_ground(recording)
    if here != recording:
        say(
            _("{recording} is read-only; continuing in a copy: {copy}").format(recording=recording, copy=here),
            sys.stderr,
        )
    return here


def _follow(recording: Path, start: Callable[[], Path], *, as_json: bool, until_paused: bool = False) -> None:
    """Follow a training without a screen, to its end or until all runs are paused."""
    from bntui.commands.headless import Known, follow, starting

    known = Known.of(recording)
    with starting():
        recording = follow(start(), as_json=as_json, known=known, until_paused=until_paused)
    if not as_json:
        say(recording)


def _check_fork(recording: Path, there: ForkPoint) -> None:
    from bntui.trainer.selfcheck import no_change_fork

    found = no_change_fork(recording, there.run, there.step)
    if found.departed is not None:
        sentence = _("the fork differs from its parent at step {step}: {figures}")
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
def stop(recording: Recording) -> None:
    """Stop a recording's trainer after the current step; everything is saved."""
    from bntui.commands.again import no_trainer
    from bntui.commands.headless import why_failed
    from bntui.link import OVER
    from bntui.link.client import Trainer
    from bntui.recording.guard import refuse_no_file

    refuse_no_file(recording)
    trainer = Trainer.connect(recording)
    if trainer is None:
        raise no_trainer(recording)
    last: Status | None = None
    with closing(trainer):
        with suppress(TrainerError):  # it is ending: what it said last can still be read
            trainer.send("stop")
        while (status := trainer.receive()) is not None:
            last = status
    if last is None:
        raise no_trainer(recording)  # it ended before it answered
    if last.state == "failed" or last.state not in OVER:
        raise TrainerError(why_failed(last, recording))
    say(_("stopped: {recording}").format(recording=recording), sys.stderr)

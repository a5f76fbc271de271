"""Defines what all commands share: the Typer application, and common arguments and options."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bntui.commands.usage import Command, Group

app = typer.Typer(
    name="bntui",
    cls=Group,
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

command = partial(app.command, cls=Command)

Recording = Annotated[Path, typer.Argument(metavar="FILE", help="A recording (.bntui).")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]
Run = Annotated[
    str | None, typer.Option("--run", metavar="R", help="Name of the run, or its number from 0. Default: the first.")
]
Epoch = Annotated[
    float | None,
    typer.Option("--epoch", metavar="N", help="Last keyframe at or before this epoch. Default: the last."),
]
Headless = Annotated[bool, typer.Option("--headless", help="Train without a screen, with a progress bar.")]
JsonLines = Annotated[
    bool, typer.Option("--json", help="Train without a screen, with JSON lines on stdout, one per epoch and run.")
]

"""Defines what all commands share: the Typer application, and common arguments and options.

A recording on the command line is found here, by path or by name, for every command that takes one.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import _completion_shared as completion

from bntui.commands import complete
from bntui.commands.preference import known_theme
from bntui.commands.usage import Command, CommandGroup

app = typer.Typer(
    name="bntui",
    cls=CommandGroup,
    no_args_is_help=False,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

command = partial(app.command, cls=Command)

# zsh loads the file at the first tab of a shell; Typer's only defines the function then, and completes nothing
completion._completion_scripts["zsh"] += """
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  %(complete_func)s "$@"
fi
"""


def _recording(name: str) -> Path:
    """The recording that an argument names; the library is imported only if there is one."""
    from bntui.link.library import find

    return find(name)


def recording_argument(metavar: str, text: str) -> Any:
    """A positional argument that names a recording, with its help."""
    return typer.Argument(metavar=metavar, help=text, parser=_recording, autocompletion=complete.recordings)


Recording = Annotated[Path, recording_argument("FILE", "A recording: its name, or the path of a .bntui file.")]
Recordings = Annotated[list[Path], recording_argument("FILE…", "Recordings: their names or paths.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]
Run = Annotated[
    str | None, typer.Option("--run", metavar="R", help="Name of the run, or its number from 0. Default: the first.")
]
Epoch = Annotated[
    float | None,
    typer.Option("--epoch", metavar="N", help="Last keyframe at or before this epoch. Default: the last."),
]
Headless = Annotated[bool, typer.Option("--headless", help="Train without a screen, with a progress bar.")]


def _known(theme: str | None) -> str | None:
    return None if theme is None else known_theme(theme, "--theme")


Theme = Annotated[
    str | None,
    typer.Option(
        "--theme",
        metavar="THEME",
        callback=_known,
        help="dark, light, terminal, or projector. Default: the configuration's, otherwise the terminal background's.",
    ),
]
PrintedTheme = Annotated[
    str | None,
    typer.Option(
        "--theme",
        metavar="THEME",
        callback=_known,
        help="dark, light, terminal, or projector. Default: the configuration's, otherwise terminal.",
    ),
]
JsonLines = Annotated[
    bool, typer.Option("--json", help="Train without a screen, with JSON lines on stdout, one per epoch and run.")
]

"""What can be asked on the command line.  Everything heavy is imported where it is needed."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

# in the order in which the help lists their commands
from bntui.commands import training, screens, reports  # noqa: F401  # isort: skip
from bntui.commands.base import app as app
from bntui.commands.usage import refused

MISUSED: type[Exception] = typer.BadParameter.__mro__[1]
"""The base of what Typer raises for a command line that it does not understand: click's class, or its own copy."""


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

"""Parses and runs a command line; heavy modules are imported only where they are needed."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

# in the order of the commands in the help
from bntui.commands import training, screens, reports, manage  # noqa: F401  # isort: skip
from bntui.commands.base import app as app
from bntui.commands.usage import refused

MISUSED: type[Exception] = typer.BadParameter.__mro__[1]
"""Base class of Typer's errors for an invalid command line: click's class, or Typer's own copy of it."""


def obey(arguments: Sequence[str]) -> None:
    """Run a command line; raises SystemExit with the exit code.

    Raises:
        BntuiError: the command failed.
    """
    try:
        code = app(list(arguments), prog_name="bntui", standalone_mode=False)
    except MISUSED as error:
        context = getattr(error, "ctx", None)
        raise refused(error.format_message(), context.command_path if context else "bntui") from error  # type: ignore[attr-defined]
    sys.exit(code)

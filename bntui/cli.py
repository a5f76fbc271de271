"""Parses and runs a command line; heavy modules are imported only where they are needed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer._completion_shared import install

# in the order of the commands in the help
from bntui.commands import training, screens, reports, export, import_, studies, manage  # noqa: F401  # isort: skip
from bntui.commands.base import app as app
from bntui.commands.complete import asked
from bntui.commands.usage import refused
from bntui.text.language import _
from bntui.text.output import say

MISUSED: type[Exception] = typer.BadParameter.__mro__[1]
"""Base class of Typer's errors for an invalid command line: click's class, or Typer's own copy of it."""


def obey(arguments: Sequence[str]) -> None:
    """Run a command line; raises SystemExit with the exit code.

    Raises:
        BntuiError: the command failed.
    """
    if asked():
        app(list(arguments), prog_name="bntui")
    group = typer.main.get_command(app)
    for option in group.params:
        if option.name == "install_completion":
            option.callback = _installed
    code = 0
    try:
        # not app(): it ends with 1 if stdout is closed, and 1 means something else in some commands
        with group.make_context("bntui", list(arguments)) as context:
            group.invoke(context)
    except typer.Exit as end:
        code = end.exit_code
    except MISUSED as error:
        where = getattr(error, "ctx", None)
        raise refused(error.format_message(), where.command_path if where else "bntui") from error  # type: ignore[attr-defined]
    sys.exit(code)


def _installed(context: Any, _option: Any, asked_for: Any) -> Any:
    """Install completion as Typer does, and say so in the language in use."""
    if asked_for and not context.resilient_parsing:
        shell, path = install(shell=asked_for if isinstance(asked_for, str) else None)
        say(_("completion for {shell} is installed in {path}").format(shell=shell, path=path))
        say(_("it works in shells that are started from now on"))
        raise typer.Exit
    return asked_for

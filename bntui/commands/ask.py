"""Asks the user before anything is deleted."""

from __future__ import annotations

import sys
from typing import Annotated, Final

import typer

from bntui.errors import UsageError
from bntui.text.language import _
from bntui.text.output import say

Yes = Annotated[bool, typer.Option("-y", "--yes", help="Delete without asking.")]
AGREED: Final = ("y", "yes", "예", "네", "ㅛ")
"""Answers that mean yes; the last is what the key ``y`` types on a Korean keyboard."""


def confirm(question: str, *, yes: bool) -> None:
    """Ask a question once; returns if the answer is yes.

    Raises:
        UsageError: there is no terminal to ask on, and ``yes`` was not given.
        typer.Exit: the answer is anything else; the exit code is 1.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(_("there is no terminal to ask on; add -y to delete without being asked"))
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):  # ctrl+d leaves the cursor after the question
        print(file=sys.stderr)
    if answer.strip().casefold() not in AGREED:
        say(_("nothing was deleted"), sys.stderr)
        raise typer.Exit(1)

"""Tests that the help of a command says what can be left out, and how to turn off what is on by default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from bntui.cli import app
from tests.commands import bntui

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def of_kind(kind: str) -> Iterator[tuple[str, Any]]:
    for name, command in COMMANDS.items():
        yield from ((name, param) for param in command.params if param.param_type_name == kind)


def test_switches_that_are_on_are_listed_by_the_name_that_turns_them_off() -> None:
    on = [(name, param) for name, param in of_kind("option") if param.is_flag and param.default is True]
    assert [(name, param.secondary_opts) for name, param in on] == [("check", ["--no-data"])]
    page = bntui("check", "--help").stdout
    assert "  --no-data   " in page
    assert "  --data" not in page


def by_name(argument: tuple[str, Any]) -> tuple[str, str]:
    command, param = argument
    return command, param.name


ARGUMENTS = sorted(of_kind("argument"), key=by_name)
"""Sorted: which module of commands is imported first differs between the processes that run tests."""


@pytest.mark.parametrize(("name", "param"), ARGUMENTS)
def test_only_an_optional_argument_stands_in_brackets(name: str, param: Any) -> None:
    usage = bntui(name, "--help").stdout.splitlines()[0]
    assert (f" [{param.metavar}] " in usage) == (not param.required)
    assert param.metavar in usage


def test_the_words_of_list_are_optional() -> None:
    assert bntui("list", "--help").stdout.startswith("Usage: bntui list [WORD…] [OPTIONS]\n")

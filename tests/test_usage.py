"""Tests that the help of a command says what can be left out, and how to turn off what is on by default."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer

from bntui.cli import app
from bntui.export.scene import MICROSCOPE, SCREEN, SIZE, USUAL_SIZE
from tests.commands import bntui
from tests.test_session import DIGITS, train

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


def test_switches_without_a_default_are_listed_by_both_names() -> None:
    undecided = [(name, param) for name, param in of_kind("option") if param.secondary_opts and param.default is None]
    assert [(name, [*param.opts, *param.secondary_opts]) for name, param in undecided] == [
        ("sweep", ["--maximize", "--minimize"])
    ]
    assert "  --maximize, --minimize  " in bntui("sweep", "--help").stdout


def test_the_help_states_the_defaults_that_there_are() -> None:
    stated = {
        ("verify", "--seeds"): 10,
        ("serve", "--port"): 8000,
    }
    for name, param in of_kind("option"):
        if isinstance(param.default, int) and not param.is_flag:
            assert param.default == stated.pop((name, param.opts[0]))
            assert f"Default: {param.default}." in param.help
    assert stated == {}
    assert "Default: 100x30; screen, microscope: 120x36." in " ".join(bntui("export", "--help").stdout.split())
    assert (USUAL_SIZE, SIZE) == ((100, 30), {SCREEN: (120, 36), MICROSCOPE: (120, 36)})


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


def test_a_scenario_or_a_recording_in_the_place_of_a_command_is_told_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(train(tmp_path, DIGITS)) as reader:
        shutil.copy(reader.path, "my net.bntui")
    Path("my.toml").write_text(DIGITS, encoding="utf-8")
    Path("notes.txt").touch()
    for word, command in (
        ("vanishing-gradients", "bntui run vanishing-gradients"), ("my.toml", "bntui run my.toml"),
        ("my net.bntui", "bntui replay 'my net.bntui'"), ("my net", "bntui replay 'my net'"), ("help", "bntui --help"),
    ):  # fmt: skip
        done = bntui(word)
        assert (done.returncode, done.stderr) == (2, f"bntui: '{word}' is no command; did you mean: {command}\n")
    for word in ("notes.txt", "nothing", "", "x" * 5000):
        assert "No such command" in bntui(word).stderr
    korean = bntui("--lang", "ko", "replya")
    assert "'replay'" in korean.stderr
    assert "No such command" not in korean.stderr


def test_show_says_that_there_is_no_best_value_before_the_first_epoch(tmp_path: Path) -> None:
    with closing(train(tmp_path, DIGITS, ("training.early_stopping.patience", 2), ("training.epochs", 1))) as reader:
        path = reader.path
    assert "val_loss no best value yet   wait 0/2" in bntui("show", path, "--epoch", 0).stdout
    told = bntui("show", path).stdout
    assert re.search(r"val_loss best \d\.\d+ at epoch 1   wait 0/2", told)

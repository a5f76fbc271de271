"""Tests that output which cannot be written ends a command with a sentence or quietly, never with a traceback."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bntui.__main__ import main
from tests.test_manage import made, put

__all__ = ["made"]

COMMANDS = (
    "list", "list --json", "show a", "show a --json", "audit a", "audit a --json", "stops a", "schema",
    "check batch-normalization", "doctor", "doctor --json", "--help", "list --help", "--version",
)  # fmt: skip


Ended = Callable[..., tuple[object, str]]


@pytest.fixture(params=[False, True], ids=["buffered", "unbuffered"])
def ended(request: pytest.FixtureRequest) -> Ended:
    """Runs a command with a file as one of its streams; gives its exit code and what it says on stderr."""

    def run(command: str, file: int, name: str = "stdout") -> tuple[object, str]:
        raw = os.fdopen(file, "wb", buffering=0)
        stream = io.TextIOWrapper(
            raw if request.param else io.BufferedWriter(raw), "utf-8", write_through=request.param
        )
        errors = io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["bntui", *command.split()])
            patch.setattr(sys, "stderr", errors)
            patch.setattr(sys, name, stream)
            with pytest.raises(SystemExit) as end:
                main()
            stream.close()  # as Python does at its end: fails if there is still something to write
        return end.value.code, errors.getvalue()

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_a_sentence_and_a_closed_pipe_is_quiet(command: str, made: Path, ended: Ended) -> None:
    put(made, "a.bntui")
    full = os.open("/dev/full", os.O_WRONLY)
    assert ended(command, full) == (1, "bntui: cannot write to stdout: No space left on device\n")
    reading, writing = os.pipe()
    os.close(reading)
    assert ended(command, writing) == (141, "")


def test_an_error_that_stderr_cannot_take_keeps_its_exit_code(ended: Ended) -> None:
    assert ended("show nothing-like-it", os.open("/dev/full", os.O_WRONLY), "stderr") == (2, "")


def test_streams_that_the_shell_has_closed_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)  # as Python sets them for >&- and 2>&-
    monkeypatch.setattr(sys, "argv", ["bntui", "show", "nothing-like-it"])
    with pytest.raises(SystemExit, match="2"):
        main()
    for stream in (sys.stdout, sys.stderr):
        stream.close()


def test_an_error_of_a_file_is_no_error_of_stdout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(_arguments: object) -> None:
        raise OSError(28, "No space left on device", "/somewhere")

    monkeypatch.setattr("bntui.cli.obey", failing)
    monkeypatch.setattr(sys, "argv", ["bntui", "list"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "bntui: /somewhere: No space left on device\n"

"""Tests terminals and pipes that are not UTF-8: output is ASCII of the same width, and no command fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from bntui.text.characters import Replacements, charset, never_fail, replacement, speaks
from tests.spread import spread
from tests.terminal import Terminal
from tests.test_session import DIGITS, train

BNTUI = [sys.executable, "-m", "bntui"]
EACH = """
import json, os, sys
from pathlib import Path
import bntui.audit.audit, bntui.cli, bntui.commands.headless, bntui.insight.jury, bntui.link.client
import bntui.recording.recorded, bntui.scenario.load
from bntui.__main__ import main

folder, lines = Path(sys.argv[1]), json.loads(sys.argv[2])
for number, arguments in enumerate(lines):  # each in a process of its own, forked here, where all is imported
    if not os.fork():
        for fd, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(folder / f"{number}.{name}", os.O_WRONLY | os.O_CREAT), fd)
        sys.argv[1:] = arguments
        try:
            main()
        except SystemExit as end:
            sys.stdout.flush()
            os._exit(end.code or 0)
        os._exit(9)  # no command ends without a code
    (folder / f"{number}.code").write_text(str(os.waitstatus_to_exitcode(os.wait()[1])))
"""
"""Runs commands with the streams that Python opened for this environment."""
NO_UTF8 = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LOCALES = [{"LC_ALL": "C"}, {"LC_ALL": "C", **NO_UTF8}, {"LC_ALL": "en_US.ISO-8859-1"}]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "utf-8"),
        ({"LC_CTYPE": "C.UTF-8"}, "utf-8"),  # Python's own doing where nothing is set
        ({"LANG": "ko_KR.UTF-8"}, "utf-8"),
        ({"LANG": "en_US.utf8"}, "utf-8"),
        ({"LC_ALL": "C.UTF-8", "LANG": "C"}, "utf-8"),
        ({"LC_ALL": "C"}, "ascii"),
        ({"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, "ascii"),
        ({"LANG": "C"}, "ascii"),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, "ascii"),  # Python's own doing
        ({"LANG": "C", "LC_CTYPE": "en_US.UTF-8"}, "utf-8"),
        ({"LC_ALL": "C", "PYTHONUTF8": "1"}, "utf-8"),
        ({"LC_ALL": "en_US.ISO-8859-1"}, "iso8859-1"),
        ({"LC_ALL": "de_DE.ISO-8859-15@euro"}, "iso8859-15"),
        ({"LANG": "ko_KR.eucKR"}, "euc_kr"),
        ({"LANG": "xx_XX.no-such-charset"}, "ascii"),
    ],
)
def test_the_locale_says_what_a_terminal_can_show(environment: Mapping[str, str], expected: str) -> None:
    assert charset(environment) == expected


def test_a_stream_that_cannot_encode_decides_as_well() -> None:
    assert charset({"LANG": "en_US.UTF-8"}, TextIOWrapper(BytesIO(), "latin-1")) == "iso8859-1"


@given(st.characters())
def test_what_stands_for_a_character_is_ascii_of_its_width(char: str) -> None:
    alike = replacement(char)
    assert alike.isascii()
    assert char.isascii() or len(alike) == cell_len(char)


def test_all_of_unicode_keeps_its_columns() -> None:
    numbers = [*range(0x80, 0x3000), *spread(range(0x3000, 0x30000), 7)]
    replaced = {char: replacement(char) for char in map(chr, numbers)}
    assert [char for char, alike in replaced.items() if len(alike) != cell_len(char)] == []
    assert all(alike.isprintable() for alike in set(replaced.values()))


def test_the_marks_of_runs_are_told_apart() -> None:
    from bntui.viewer.marks import RUN_MARKS

    assert len({replacement(mark) for mark in RUN_MARKS}) == len(RUN_MARKS)


def test_braille_is_drawn_by_its_density() -> None:
    assert "".join(map(replacement, "⠀⠁⠃⠇⡇⣇⣧⣷⣿")) == " ..::**##"


def test_letters_that_the_encoding_has_stay() -> None:
    assert "Müller −0.5 한글".translate(Replacements("iso8859-1")) == "Müller -0.5 ????"
    assert "학습 ─ 0.5".translate(Replacements("euc_kr")) == "학습 - 0.5"
    assert not speaks("ko", "ascii")
    assert speaks("ko", "euc_kr")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@given(words=st.text(st.characters(exclude_categories=())))
def test_a_stream_never_refuses_a_character(encoding: str, words: str) -> None:
    raw = BytesIO()
    stream = TextIOWrapper(raw, encoding, newline="")
    never_fail(stream)
    stream.write(words)
    stream.flush()
    if encoding == "utf-8" and all(not 0xD800 <= ord(char) <= 0xDFFF for char in words):
        assert raw.getvalue().decode() == words


def test_a_name_that_is_not_text_reaches_a_pipe_as_it_is() -> None:
    raw = BytesIO()
    stream = TextIOWrapper(raw, "utf-8")
    never_fail(stream)
    stream.write(os.fsdecode(b"run-\xff.bntui"))
    stream.flush()
    assert raw.getvalue() == b"run-\xff.bntui"


@pytest.mark.parametrize("locale", [*LOCALES, {"PYTHONIOENCODING": "latin-1"}], ids=str)
def test_no_command_fails_for_a_character(locale: dict[str, str], tmp_path: Path) -> None:
    recording = train(tmp_path, DIGITS.replace('title = "', 'title = "한글 − ')).path
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(DIGITS.replace("sigmoid", "한글"), encoding="utf-8")
    commands: list[tuple[list[str], int]] = [
        (["--help"], 0),
        (["list"], 0),
        (["show", str(recording)], 0),
        (["show", str(recording), "--json"], 0),
        (["stops", str(recording)], 0),
        (["audit", str(recording)], 0),
        (["check", str(wrong)], 2),
        (["run", str(wrong), "--headless"], 2),
    ]
    turns = ("en", "ko"), ("ko", "en")  # one language each, in turns; or both
    both = [
        (["--lang", language, *arguments], code)
        for number, (arguments, code) in enumerate(commands)
        for language in turns[number % 2]
    ]
    tried = spread(both, 2)
    lines = json.dumps([arguments for arguments, _code in tried])
    subprocess.run([sys.executable, "-c", EACH, tmp_path, lines], env={**os.environ, **locale}, check=True)
    for number, (arguments, code) in enumerate(tried):
        output, errors, ended = ((tmp_path / f"{number}.{what}").read_bytes() for what in ("out", "err", "code"))
        assert int(ended) == code, errors
        assert b"Traceback" not in errors
        if "--json" in arguments:
            assert json.loads(output)


SCREENS = [(LOCALES[0], "en"), (LOCALES[1], "en"), (LOCALES[1], "ko"), (LOCALES[2], "en")]


@pytest.mark.parametrize(("locale", "language"), spread(SCREENS, 2), ids=str)
def test_a_screen_without_utf8_is_drawn_in_ascii(locale: dict[str, str], language: str, tmp_path: Path) -> None:
    recording = train(tmp_path, DIGITS).path
    command = [*BNTUI, "--lang", language, "replay", str(recording)]
    with Terminal(command, env=locale) as plain, Terminal(command[:2] + command[2:3] + command[5:]) as full:
        for terminal in (plain, full):
            terminal.until("Gradients")
            for key in ("2", "enter", "escape", "3", "?", "escape"):
                terminal.turn(key)
        table = Replacements("ascii")

        def alike(screen: str) -> bool:
            full.settle()
            full.emulate()
            return screen.splitlines()[1:-1] == [line.translate(table) for line in full.text.splitlines()[1:-1]]

        plain.until(alike)
        for terminal in (plain, full):
            terminal.press("q")
            assert terminal.exit_code() == 0
        assert plain.transcript.isascii()
        assert b"\\u" not in plain.transcript
        assert b"+-" in plain.transcript

"""Tests the choice of language, on the command line and in the trainer."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from pathlib import Path

import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from typer.main import get_command

from bntui.cli import app, obey
from bntui.commands import preference
from bntui.commands.preference import by_locale, extract_language, preferred
from bntui.errors import BntuiError, TrainerError, UsageError
from bntui.link.client import IdleTrainer
from bntui.scenario.schema import json_schema
from bntui.text.language import LANGUAGES, _, spoken, use
from tests.commands import bntui
from tests.gallery import GALLERY
from tests.korean import korean, said
from tests.terminal import Terminal
from tests.test_process import scenario
from tests.test_session import DIGITS

COMMANDS = ("", "run", "replay", "attach", "stop", "show", "stops", "list", "check", "schema", "doctor",
            "rename", "delete", "clean")  # fmt: skip


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "en"),
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "ko"}, "ko"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "fr_FR.UTF-8"}, "en"),
        ({"LANG": "kok_IN.UTF-8"}, "en"),  # Konkani, not Korean
        ({"LANG": "C"}, "en"),
        ({"LANG": ""}, "en"),
        ({"LC_ALL": "ko_KR.UTF-8", "LANG": "en_US.UTF-8"}, "ko"),
        ({"LC_ALL": "C.UTF-8", "LANG": "ko_KR.UTF-8"}, "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "ko_KR.UTF-8", "LANG": "en_US.UTF-8"}, "ko"),
        ({"LC_MESSAGES": "en_US.UTF-8", "LANG": "ko_KR.UTF-8"}, "en"),
        ({"LANGUAGE": "ko:en", "LANG": "en_US.UTF-8"}, "ko"),
        ({"LANGUAGE": "fr:ko", "LANG": "en_US.UTF-8"}, "ko"),
        ({"LANGUAGE": "en", "LANG": "ko_KR.UTF-8"}, "en"),
        ({"LANGUAGE": "ko", "LANG": "C"}, "en"),  # as gettext has it
        ({"LANG": "ko_KR.eucKR@dict"}, "ko"),
    ],
)
def test_the_locale_is_read_as_gettext_reads_it(variables: dict[str, str], expected: str) -> None:
    assert by_locale(variables) == expected


def test_what_was_asked_for_goes_before_the_configuration_and_that_before_the_locale() -> None:
    korea = {"LANG": "ko_KR.UTF-8"}
    assert preferred(None, korea) == "ko"
    configure('language = "en"\n')
    assert preferred(None, korea) == "en"
    assert preferred("ko", {}) == "ko"
    configure("# nothing is said of it\n")
    assert preferred(None, korea) == "ko"


@pytest.mark.parametrize(
    ("text", "said_of_it"),
    [
        ('language = "fr"\n', "language = 'fr': choose en or ko"),
        ("language = 3\n", "language = 3: choose en or ko"),
        (
            '# mine\nlangauge = "ko"\n',
            "config.toml:2: langauge: unknown key; allowed: language, theme, pace, paused (did you mean 'language'?)",
        ),
        ('language = "ko"\n\n[colors]\nx = 1\n', "config.toml:3: colors: unknown key; allowed: language"),
        ("# mine\npace = 0\nlangauge = 1\n", "config.toml:2: pace = 0: give epochs per second"),
        ("pace = 0\nlangauge = 1\n", "config.toml:2: langauge: unknown key"),
        ("language = [\n", "config.toml:2: not valid TOML: Invalid value"),
        ('\nlanguage = "ko\n', "config.toml:2: not valid TOML: Illegal character '\\n'"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_place(text: str, said_of_it: str) -> None:
    configure(text)
    with pytest.raises(UsageError, match=re.escape(said_of_it)) as wrong:
        preferred(None, {})
    assert str(preference.configuration_path()) in str(wrong.value)
    assert preferred("ko", {}) == "ko"  # who says it need not read it


@pytest.mark.parametrize("variable", [None, "", "  ", "/somewhere"])
def test_the_configuration_lies_where_platformdirs_says(variable: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if variable is None:
        monkeypatch.delenv("XDG_CONFIG_HOME")
    else:
        monkeypatch.setenv("XDG_CONFIG_HOME", variable)
    assert preference.configuration_path() == platformdirs.user_config_path("bntui") / "config.toml"


@pytest.mark.parametrize("command", ["--version", "--help", "schema", "list", "check batch-normalization", "doctor"])
def test_a_mistake_in_the_configuration_is_told_and_stops_no_command_that_needs_no_preference(command: str) -> None:
    configure('langauge = "ko"\n')
    done = bntui(*command.split())
    assert done.stdout
    assert done.returncode == (1 if command == "doctor" else 0)
    assert done.stderr.endswith("(did you mean 'language'?)\n")
    assert done.stderr.count("config.toml:1: langauge: unknown key") == 1
    if command == "doctor":
        assert "✗ configuration" in done.stdout


def test_what_opens_the_screen_refuses_a_mistake_in_the_configuration() -> None:
    configure('langauge = "ko"\n')
    with pytest.raises(UsageError, match="langauge: unknown key"):
        preference.watching()
    assert bntui("--lang", "xx", "list").returncode == 2  # the command line is wrong, too


def configure(text: str) -> None:
    path = preference.configuration_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("words", [["--lang", "ko"], ["--lang=ko"], ["--lang", "en", "--lang=ko"]])
@given(rest=st.lists(st.sampled_from(["run", "x", "--headless", "-o", "list"]), max_size=4), at=st.integers(0, 4))
def test_lang_is_taken_from_anywhere_in_a_command_line(words: list[str], rest: list[str], at: int) -> None:
    assert extract_language([*rest[:at], *words, *rest[at:]]) == (rest, "ko")


def test_after_two_dashes_lang_is_a_name() -> None:
    assert extract_language(["check", "--", "--lang", "ko"]) == (["check", "--", "--lang", "ko"], None)


def test_a_wrong_language_is_refused_with_a_sentence() -> None:
    for arguments in (["--lang", "xx", "list"], ["list", "--lang=xx"]):
        done = said(*arguments)
        assert (done.returncode, done.stderr) == (2, "bntui: --lang = 'xx': choose en or ko\n")
    done = said("list", "--lang")
    assert (done.returncode, done.stderr) == (2, "bntui: --lang needs a language: en or ko\n")
    with pytest.raises(UsageError, match="choose en or ko"):  # without the look ahead: the option itself
        obey(["--lang", "xx", "list"])


def test_the_language_is_chosen_by_option_configuration_and_locale() -> None:
    assert korean(said("--lang", "ko", "--help").stdout)
    assert korean(said("list", "--lang=ko").stdout)
    assert korean(said("list", LC_ALL="ko_KR.UTF-8").stdout)
    assert not korean(said("list", "--lang", "en", LC_ALL="ko_KR.UTF-8").stdout)
    configure('language = "ko"\n')
    assert korean(said("list").stdout)


def test_the_gallery_opens_in_korean() -> None:
    with Terminal([*GALLERY, "--lang", "ko"]) as terminal:
        terminal.until("시나리오")
        terminal.press("q")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("columns", [60, 80])
def test_every_help_page_is_korean_and_fits(
    command: str, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    use("ko")
    with pytest.raises(SystemExit):
        obey([*command.split(), "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("사용법: bntui")
    assert max(map(cell_len, lines)) <= columns
    rows = [line for line in lines if re.match(r"  (-|[a-z]+ {2,})", line)]
    assert rows
    assert all(korean(row) or "auto, cpu" in row for row in rows)
    if not command:
        assert {row.split()[0] for row in rows} >= set(COMMANDS[1:])


def test_every_option_has_a_help_and_every_value_a_name() -> None:
    top = get_command(app)
    for command in (top, *top.commands.values()):  # type: ignore[attr-defined]
        assert command.help
        for parameter in command.params:
            assert parameter.help, parameter.name
            assert parameter.metavar or parameter.is_flag, parameter.name


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["nothing"],
        ["run", "x", "--epoch", "3"],
        ["run", "x", "--nothing"],
        ["run", "x", "--epochs"],
        ["run", "x", "--epochs", "many"],
        ["show", "x", "--epoch", "many"],
        ["run", "x", "--json=3"],
        ["schema", "more"],
    ],
)
def test_typers_own_refusals_are_translated(arguments: list[str]) -> None:
    with pytest.raises(UsageError) as english:
        obey(arguments)
    use("ko")
    with pytest.raises(UsageError) as translated:
        obey(arguments)
    first, last = str(translated.value).splitlines()
    assert korean(first)
    assert not re.search("[A-Za-z]{2,} [a-z]{2,}", first), first
    assert "--help" in last
    assert not korean(str(english.value))


def test_doctor_speaks_korean_and_its_json_english() -> None:
    assert "터미널" in said("doctor", "--lang", "ko").stdout
    names = [finding["name"] for finding in json.loads(said("doctor", "--json", "--lang", "ko").stdout)]
    assert "terminal" in names


def test_what_programs_read_is_bound_to_no_language() -> None:
    for arguments in (["list", "--json"], ["show", "--help"]):
        english, other = (said(*arguments, "--lang", language).stdout for language in LANGUAGES)
        assert (english == other) == ("--json" in arguments)


def test_the_json_schema_describes_itself_in_korean() -> None:
    def descriptions(node: object) -> list[str]:
        if isinstance(node, list):
            return [text for value in node for text in descriptions(value)]
        if not isinstance(node, dict):
            return []
        own = [node["description"]] if isinstance(node.get("description"), str) else []
        return own + descriptions(list(node.values()))

    english = descriptions(json_schema())
    use("ko")
    schema = json_schema()
    translated = descriptions(schema)
    assert len(translated) == len(english)
    assert [text for text in translated if not korean(text)] == []
    tables = (schema, *schema["$defs"].values())
    assert all("description" in key for table in tables for key in table["properties"].values())


def test_a_trainer_speaks_the_language_of_who_started_it(tmp_path: Path) -> None:
    use("ko")
    text = DIGITS.replace('"digits"', '"missing.csv"').replace("samples = 400\n", "")
    with pytest.raises(TrainerError, match="파일이나 폴더가 없습니다"):
        IdleTrainer.start().open(scenario(tmp_path, text), tmp_path / "x.bntui")


def test_a_headless_training_is_told_in_korean_and_recorded_in_english(tmp_path: Path) -> None:
    recording = tmp_path / "x.bntui"
    path = scenario(tmp_path, DIGITS + "[training.early_stopping]\nmin_delta = 100.0\n")
    done = said("run", path, "--headless", "-o", recording, "--lang", "ko")
    assert done.returncode == 0, done.stderr
    assert "손실" in done.stderr
    assert "멈춤" in done.stderr
    shown = said("show", recording, "--lang", "ko").stdout
    assert "학습률" in shown
    assert "조기 종료" in shown
    with sqlite3.connect(recording) as database:
        assert not any(korean(message) for (message,) in database.execute("SELECT message FROM event"))
    lines = said("run", path, "--json", "-o", tmp_path / "y.bntui", "--lang", "ko").stdout
    assert not korean(lines)


def test_the_suite_begins_in_english() -> None:
    assert spoken() == "en"
    assert _("Usage:") == "Usage:"
    assert said("list").stdout.startswith("Scenarios")
    assert issubclass(UsageError, BntuiError)
    assert sys.modules.get("babel") is None or "tools.translate" in sys.modules

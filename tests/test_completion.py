"""Tests that the shell completes names, without loading what takes long."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer._completion_shared import get_completion_script

import bntui.commands.base  # noqa: F401 - it completes Typer's script
from tests.commands import bntui as obeyed
from tests.korean import BNTUI
from tests.terminal import Terminal
from tests.test_manage import made, put

__all__ = ["made"]


@pytest.mark.parametrize("words", ["attach ", "show de", "delete deep-001 ", "compare deep-001 deep"])
def test_the_shell_completes_names_of_recordings(made: Path, words: str) -> None:
    put(made, "deep-001.bntui")
    put(made, "needs quotes.bntui")
    put(made, "evil\x1b[2J.bntui")
    assert completed(words) == ["deep-001"]


def completed(words: str) -> list[str]:
    """What bash offers."""
    line = f"bntui {words}"
    environment = {"_BNTUI_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    heavy = "{'numpy', 'textual', 'torch'} & {*sys.modules}"
    code = f"import sys\nfrom bntui.__main__ import main\ntry: main()\nfinally: print(*{heavy})"
    done = run_python(code, environment)
    *lines, loaded = done.splitlines()
    assert loaded == ""
    return lines


def run_python(code: str, environment: dict[str, str]) -> str:
    """What a program prints, with more variables."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    return done.stdout


def test_the_shell_completes_scenarios_and_commands_whatever_the_configuration_says() -> None:
    configuration = Path(os.environ["XDG_CONFIG_HOME"]) / "bntui" / "config.toml"
    configuration.parent.mkdir(parents=True)
    configuration.write_text("nonsense = [")
    assert completed("run van") == ["vanishing-gradients"]
    assert completed("check early") == ["early-stopping"]
    assert completed("att") == ["attach"]


def in_path(tmp_path: Path) -> Path:
    """A folder with the program under its name."""
    program = tmp_path / "bin" / "bntui"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {BNTUI[0]} -m bntui "$@"\n')
    program.chmod(0o755)
    return program.parent


def test_bash_itself_completes_by_the_script_that_is_shown(made: Path, tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    put(made, "deep-001.bntui")
    folder = in_path(tmp_path)
    script = run_python("from bntui.__main__ import main; main()", {"_BNTUI_COMPLETE": "source_bash"})
    typed = "COMP_WORDS=(bntui replay de)\nCOMP_CWORD=2\n_bntui_completion bntui\n"
    test = f"{script}\n{typed}printf '%s\\n' \"${{COMPREPLY[@]}}\""
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run([bash, "-c", test], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["deep-001"]


def test_zsh_itself_completes_at_the_first_tab(made: Path, tmp_path: Path) -> None:
    zsh = shutil.which("zsh")
    if zsh is None:
        pytest.skip("no zsh")
    put(made, "deep-001.bntui")
    home = tmp_path / "home"
    (home / ".zfunc").mkdir(parents=True)
    script = get_completion_script(prog_name="bntui", complete_var="_BNTUI_COMPLETE", shell="zsh")
    (home / ".zfunc" / "_bntui").write_text(script)
    (home / ".zshrc").write_text("fpath+=~/.zfunc\nautoload -Uz compinit\ncompinit -u\nPS1='ready> '\n")
    environment = {"HOME": str(home), "ZDOTDIR": str(home), "PATH": f"{in_path(tmp_path)}:{os.environ['PATH']}"}
    with Terminal([zsh, "-i"], env=environment) as terminal:
        terminal.until("ready>")
        terminal.press("bntui replay de\t")
        terminal.until("deep-001")
        terminal.press("\x03")


@pytest.mark.parametrize("language", ["en", "ko"])
def test_what_is_installed_is_said_in_the_language_in_use(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("typer._completion_shared._get_shell_name", lambda: "bash")
    done = obeyed("--install-completion", "--lang", language, HOME=str(tmp_path))
    path = tmp_path / ".bash_completions" / "bntui.sh"
    assert (done.returncode, done.stderr) == (0, "")
    assert path.read_text() == get_completion_script(prog_name="bntui", complete_var="_BNTUI_COMPLETE", shell="bash")
    assert str(path) in (tmp_path / ".bashrc").read_text()
    assert done.stdout.count(str(path)) == 1
    words = done.stdout.replace(str(path), "")
    assert ("bash" in words, "installed" in words) == (True, language == "en")
    assert any("가" <= letter <= "힣" for letter in words) == (language == "ko")

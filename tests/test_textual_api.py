"""Textual's private API: used in one file, declared there, and present in every Textual that may be installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib.metadata import distributions, version
from pathlib import Path

import pytest
from textual.app import App

from tools import textual_api
from tools.textual_api import Names, Use, uses

ROOT = Path(__file__).parents[1]
KNOWN: Names = frozenset({"_exit", "_display", "_compositor"})


def test_names_come_from_the_class_and_from_what_its_methods_set() -> None:
    class Ours(App[None]):
        _own = 1

    names = textual_api.inherited(Ours)
    assert {"_display", "_exit", "_running"} <= names  # a method, an attribute, and one of a base class
    assert not {"_own", "run", "__init__"} & names


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from textual._parser import ParseError", "textual._parser.ParseError"),
        ("import textual._compositor", "textual._compositor"),
        ("from textual import _compositor", "textual._compositor"),
        ("from rich._export_format import CONSOLE_SVG_FORMAT", "rich._export_format.CONSOLE_SVG_FORMAT"),
        ("def f(app): return app._exit", "_exit"),
        ("def f(self): self.screen.app._exit = True", "_exit"),
        ("def f(app): return getattr(app, '_exit')", "_exit"),
        ("class Ours:\n    def f(self): return self._display()", "_display"),
        ("class Ours:\n    def f(self): return super()._display()", "_display"),
        ("class Ours:\n    def f(self):\n        def g(): self._display = 1", "_display"),
        ("class Ours:\n    def _display(self): pass", "_display"),
        ("class Ours:\n    async def _display(self): pass", "_display"),
        ("class Ours:\n    _display = 1", "_display"),
        ("class Ours:\n    _display: int = 1", "_display"),
    ],
)
def test_a_use_is_found(source: str, found: str) -> None:
    last = len(source.splitlines())
    assert uses(source, {"Ours": frozenset({"_display"})}, KNOWN) == [Use(last, found)]


@pytest.mark.parametrize(
    "source",
    [
        "from textual.app import App",
        "from bntui._private import thing",
        "import os\nos._exit(1)",
        "class Other:\n    def _display(self): return self._exit",  # not Textual's class
        "class Ours:\n    def f(self): return self._own",
        "def f(place): return place._replace(x=1)",
    ],
)
def test_what_is_not_private_to_textual_is_no_use(source: str) -> None:
    assert uses(source, {"Ours": frozenset({"_display"})}, KNOWN) == []


def allowed() -> str:
    """The requirement of pyproject.toml."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    (textual,) = [requirement for requirement in listed if requirement.startswith("textual")]
    return str(textual)


def oldest() -> str:
    return allowed().split(",")[0].replace(">=", "==")


def checked(*folders: Path) -> str:
    """What the check says where modules are looked for in these folders first."""
    path = os.pathsep.join(map(str, (*folders, ROOT)))
    command = [sys.executable, "-m", "tools.textual_api"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_one_file_uses_and_declares_private_names_and_the_installed_textual_has_them() -> None:
    assert "nothing is missing" in checked()


@pytest.mark.parametrize("requirement", [oldest(), allowed()])
def test_the_oldest_and_the_newest_textual_have_it_too(requirement: str, tmp_path: Path) -> None:
    """Only Textual is exchanged; what it needs is installed already."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    options = ["--no-deps", "--no-compile", "--retries", "1", "--timeout", "10", "--target", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
    command = [*pip, *options, requirement]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{requirement} cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
    (installed,) = distributions(name="textual", path=[str(tmp_path)])
    if installed.version != version("textual"):  # else it has been checked above
        assert checked(tmp_path) == f"textual {installed.version}: nothing is missing\n"


def test_a_name_that_is_gone_or_changed_is_missing() -> None:
    """In a process of its own: Textual's driver takes signals."""
    script = """
import asyncio
from bntui.viewer.terminal.textual_private import Needed
from tools.textual_api import missing
app = "textual.app.App"
print("|".join(asyncio.run(missing([
    Needed(app, "_gone", "bool"), Needed(app, "_exit", "str"), Needed(app, "_display", "(self)"),
    Needed("textual._parser", "ParseError", "class ()"), Needed(app, "_running", "bool"),
]))))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().split("|") == [
        "textual.app.App has no _gone",
        "textual.app.App._exit is bool, not str",
        "textual.app.App._display is (self, screen, renderable), not (self)",
    ]

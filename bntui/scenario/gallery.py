"""Which scenarios come with bntui, and which file does a name mean?

Read with tomllib alone: the gallery is the first thing on the screen, and validation can wait.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import bntui
from bntui.errors import UsageError

SUFFIX: Final = ".toml"
_FOLDER: Final = "scenarios"


@dataclass(frozen=True, slots=True)
class Card:
    """A scenario as the gallery shows it."""

    path: Path
    name: str
    """The file's name without its suffix: what `bntui run` takes."""
    title: str
    look_for: tuple[str, ...]
    runs: tuple[str, ...]
    """Names of the runs."""
    description: str
    reference: str
    problem: str | None
    """Why the file cannot be shown; None if it can.  `bntui check` says more."""


def builtin_folder() -> Path:
    """Where the scenarios lie: inside the installed package, or at the top of the source tree."""
    package = Path(bntui.__file__).parent
    inside = package / _FOLDER
    return inside if inside.is_dir() else package.parent / _FOLDER


def scenarios() -> tuple[Card, ...]:
    """The built-in scenarios, by name."""
    return tuple(card(path) for path in _builtin().values())


def card(path: Path) -> Card:
    """The card of a scenario file; never raises, a file that cannot be read says so on its card."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        title = document.get("title")
        problem = None if isinstance(title, str) else "the scenario has no title"
    except (OSError, ValueError, RecursionError) as error:
        document, title, problem = {}, None, str(error)
    return Card(
        path=path,
        name=path.stem,
        title=title if isinstance(title, str) else path.stem,
        look_for=_texts(document.get("look_for", [])),
        runs=_run_names(document),
        description=_text(document.get("description")),
        reference=_text(document.get("reference")),
        problem=problem,
    )


def find(name_or_path: str) -> Path:
    """The file that is meant: one that exists, or a built-in by name or as ``scenarios/name.toml``."""
    given = Path(name_or_path)
    if given.is_file():
        return given
    builtin = _builtin()
    stem = given.name.removesuffix(SUFFIX)
    if str(given.parent) in (".", _FOLDER) and stem in builtin:
        return builtin[stem]
    if given.is_dir():
        raise UsageError(f"{name_or_path}: is a folder; name the scenario's {SUFFIX} file in it")
    if given.exists():  # a pipe, such as a shell's <(…)
        return given
    near = get_close_matches(stem, builtin, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise UsageError(f"{name_or_path}: no such file, and no built-in scenario{hint}; there are: {', '.join(builtin)}")


def _builtin() -> dict[str, Path]:
    return {path.stem: path for path in sorted(builtin_folder().glob(f"*{SUFFIX}"))}


def _run_names(document: Mapping[str, Any]) -> tuple[str, ...]:
    runs = document.get("run")
    tables = [run for run in runs if isinstance(run, dict)] if isinstance(runs, list) else []
    return tuple(_text(run.get("name")) for run in tables) or ("run",)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()

"""Lists the built-in scenarios and finds scenario files by name.

Files are read with tomllib only: the gallery is the first screen, and validation can wait.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import bntui
from bntui.errors import UsageError, did_you_mean
from bntui.files import read_regular
from bntui.scenario.claim_texts import ClaimText, claims_in
from bntui.scenario.measured import quoted
from bntui.text.language import N_, _, spoken
from bntui.text.library_messages import in_toml, reason
from bntui.text.search import mentions

SUFFIX: Final = ".toml"
_FOLDER: Final = "scenarios"
# here, not in the scenario files: a chapter's name is then declared and translated once, and its scenarios adjoin
CHAPTERS: Final = (
    (1, N_("Normalization and standardization")),
    (2, N_("Vanishing and exploding gradients")),
    (5, N_("Batch normalization")),
    (8, N_("Batch normalization: limits and alternatives")),
    (13, N_("Dropout")),
    (16, N_("Early stopping")),
    (18, N_("Architectures and depth")),
)
"""Chapters of the course, each with the position of its first scenario."""
OWN: Final = N_("Own scenarios")
"""The chapter of scenarios without a position."""


@dataclass(frozen=True, slots=True)
class Card:
    """A scenario as shown in the gallery, with its texts in the language in use if it has them."""

    path: Path
    name: str
    """The file's name without its suffix, as `bntui run` accepts it."""
    title: str
    look_for: tuple[str, ...]
    runs: tuple[str, ...]
    """Names of the runs."""
    description: str
    reference: str
    problem: str | None
    """Why the file cannot be shown; None if it can.  `bntui check` gives details."""
    lesson: int | None = None
    """Position in the lesson."""
    original: str = ""
    """Title in English: recordings of the scenario have the same."""
    claims: tuple[ClaimText, ...] = ()

    @property
    def chapter(self) -> str:
        """Its chapter of the course."""
        return chapter(self.lesson)

    def matches(self, query: str) -> bool:
        """True if its name, title, description, and runs contain all words of a query."""
        return mentions(query, self.name, self.title, self.description, *self.runs)


def chapter(lesson: int | None) -> str:
    """The chapter that a position in the lesson belongs to, in the language in use."""
    begun = [title for first, title in CHAPTERS if lesson is not None and first <= lesson]
    return _(begun[-1] if begun else OWN)


def builtin_folder() -> Path:
    """The folder of the scenarios: inside the installed package, or at the top of the source tree."""
    package = Path(bntui.__file__).parent
    inside = package / _FOLDER
    return inside if inside.is_dir() else package.parent / _FOLDER


def scenarios() -> tuple[Card, ...]:
    """The built-in scenarios in the order of the lesson, followed by those without a position."""
    return tuple(sorted(map(card, _builtin().values()), key=lambda card: (card.lesson or math.inf, card.name)))


def builtin_names() -> tuple[str, ...]:
    """Names of the built-in scenarios, in alphabetical order; no file is read."""
    return tuple(_builtin())


def card(path: Path) -> Card:
    """The card of a scenario file; never raises, an unreadable file has a ``problem``."""
    text = ""
    try:
        text = read_regular(path, 1_000_000).decode("utf-8-sig")
        document = tomllib.loads(text)
        title = document.get("title")
        problem = None if isinstance(title, str) else _("the scenario has no title")
    except OSError as error:
        document, title, problem = {}, None, reason(error)
    except RecursionError:
        document, title, problem = {}, None, _("nested too deeply")
    except ValueError as error:
        words, line = in_toml(error, text)
        problem = words if line is None else _("line {line}: {reason}").format(line=line, reason=words)
        document, title = {}, None
    texts = {**document, **{key: text for key, text in _translation(document).items() if text and key != "runs"}}
    return Card(
        path=path,
        name=path.stem,
        title=_text(texts.get("title")) or path.stem,
        look_for=tuple(quoted(hint, path) for hint in _texts(texts.get("look_for", []))),
        runs=_run_names(document),
        description=quoted(_text(texts.get("description")), path),
        reference=_text(texts.get("reference")),
        lesson=lesson if isinstance(lesson := document.get("lesson"), int) else None,
        problem=problem,
        original=_text(document.get("title")),
        claims=claims_in(document, spoken()),
    )


def find(name_or_path: str) -> Path:
    """The file with this path, or the built-in scenario with this name or path ``scenarios/name.toml``."""
    given = Path(name_or_path)
    if given.is_file():
        return given
    builtin = _builtin()
    stem = given.name.removesuffix(SUFFIX)
    if str(given.parent) in (".", _FOLDER) and stem in builtin:
        return builtin[stem]
    if given.is_dir():
        raise UsageError(_("{path}: is a folder; give the scenario's .toml file in it").format(path=name_or_path))
    if given.exists():  # a pipe or a device: loading reports why it is refused
        return given
    near = [str(given.with_name(name)) for name in get_close_matches(f"{stem}{SUFFIX}", _beside(given), n=1)]
    near = near or get_close_matches(stem, builtin, n=1)
    sentence = _("{name}: no such file or built-in scenario{hint}; built-in scenarios: {names}")
    hint = f" {did_you_mean(near[0])}" if near else ""
    raise UsageError(sentence.format(name=name_or_path, hint=hint, names=", ".join(builtin)))


def _beside(path: Path) -> list[str]:
    """Names of the scenario files in the folder of a path."""
    try:
        return sorted(found.name for found in path.parent.glob(f"*{SUFFIX}"))
    except (OSError, ValueError):  # no such folder, or a null character
        return []


def _builtin() -> dict[str, Path]:
    return {path.stem: path for path in sorted(builtin_folder().glob(f"*{SUFFIX}"))}


def _run_names(document: Mapping[str, Any]) -> tuple[str, ...]:
    runs = document.get("run")
    tables = [run for run in runs if isinstance(run, dict)] if isinstance(runs, list) else []
    labels = _table(_translation(document).get("runs"))
    names = [_text(run.get("name")) for run in tables]
    return tuple(_text(labels.get(name)) or name for name in names) or ("run",)


def _translation(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The scenario's texts in the language in use; empty for English or a missing translation."""
    return _table(_table(document.get("translation")).get(spoken()))


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()

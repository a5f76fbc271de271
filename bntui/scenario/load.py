"""Loads a scenario file, resolves its runs, and reports every problem found in it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from bntui.errors import Problem, ScenarioError, UsageError
from bntui.files import UnfitFileError, in_bytes, read_regular
from bntui.scenario.checks import check, memory
from bntui.scenario.claim import Claim
from bntui.scenario.complaints import Complaint, complaints, shown, spell
from bntui.scenario.engine import with_engine
from bntui.scenario.merge import OUTSIDE, RUN, Merged, frozen, key_path
from bntui.scenario.presentation import DEFAULT_RUN, NamedRun, misfits
from bntui.scenario.schema import MAX_RUNS, RunConfig, ScenarioFile
from bntui.scenario.size import LIMIT
from bntui.scenario.sources import kind_of
from bntui.scenario.toml_lines import KeyPath, key_lines
from bntui.scenario.tour import TourStop
from bntui.scenario.view import ViewTable
from bntui.text.language import N_, _, ngettext
from bntui.text.library_messages import in_toml, reason
from bntui.text.output import clean

OUTSIDE_FILE: Final = N_("command line")
"""Used instead of the file's name in problems with command-line options."""
_MAX_BYTES: Final = 1_000_000
_DEEPEST: Final = 32
_MOST_BITS: Final = 256
_MOST_PROBLEMS: Final = 100
_LONGEST_SHOWN: Final = 200
_LONG_KEY: Final = re.compile(r"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){64}""")
_OF_A_RUN: Final = ("data", "network", "training", "record", "device", "deterministic", "seed")
_SHARED: Final = (
    ("seed",),
    ("device",),
    ("deterministic",),
    *(
        ("data", key)
        for key in (
            *("source", "labels", "target", "task", "delimiter", "header", "decimal", "drop", "features"),
            *("samples", "noise", "factor", "sequence", "validation"),
        )
    ),
)
_WHY_SHARED: Final = N_(
    "all runs of a scenario use the same samples in the same order, so that they differ only in what the scenario"
    " says; set it once for all runs, outside [[run]]"
)

Override = tuple[str, object]
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A valid scenario, resolved into its runs."""

    path: Path | None
    """The file; paths of data files are relative to its folder."""
    text: str
    """The TOML source."""
    title: str
    description: str
    look_for: tuple[str, ...]
    reference: str
    runs: tuple[NamedRun, ...]
    translation: Mapping[str, Mapping[str, Any]]
    """Translated texts: fields of ``schema.Translation`` by language."""
    view: ViewTable
    """What the screen shows first."""
    tour: tuple[TourStop, ...]
    """Stops of the guided tour."""
    claims: tuple[Claim, ...] = ()
    """What is claimed about the runs."""
    said: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The sentences of the claims in other languages; none where they are not translated."""
    seeds: int = 1
    """Number of seeds with which each run is trained."""


def load(path: Path, overrides: Sequence[Override] = ()) -> Scenario:
    """Read and validate a scenario file; raises ScenarioError with every problem found."""
    return parse(_read(path), file=clean(str(path)), path=path, overrides=overrides)


def parse(text: str, *, file: str, path: Path | None = None, overrides: Sequence[Override] = ()) -> Scenario:
    """Validate a scenario's text; ``file`` names it in problems.

    ``overrides`` are key paths with values; they are applied last, to every run.
    """
    document = _document(text, file)
    found = _Problems(file, key_lines(text))
    about, sound = _about(document, found)
    runs = _runs(document, found, overrides)
    if sound is not None:
        # a tour of the file's own runs still guides through a shorter training, or another network
        own = _runs(document, _Problems(file, {}), ()) if overrides else runs
        for misfit in misfits(sound, own):
            found.put(*misfit)
    if not found.problems:
        found.add_total(runs)
    if found.problems or about is None:
        raise ScenarioError(found.in_file_order())
    look_for = (about.look_for,) if isinstance(about.look_for, str) else about.look_for
    translation = {str(language): texts.model_dump(exclude={"claim"}) for language, texts in about.translation.items()}
    return Scenario(
        path,
        text,
        about.title,
        about.description,
        look_for,
        about.reference,
        runs,
        translation,
        about.view,
        about.tour,
        about.claim,
        {str(language): texts.claim for language, texts in about.translation.items()},
        about.study.seeds,
    )


def parse_override(text: str) -> Override:
    """Parse ``path=value``; the value is TOML, or else a plain word."""
    path, equals, written = (part.strip() for part in text.partition("="))
    text = clean(text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…")
    if not equals or not path or not written:
        raise UsageError(_("--set {text}: write it as path=value, such as training.lr=0.1").format(text=text))
    try:
        key_path(path)
    except ValueError as error:
        raise UsageError(f"--set {text}: {error}") from None
    try:
        return path, parse_value(written)
    except ValueError as error:
        raise UsageError(f"--set {text}: {error}") from None


def parse_value(written: str) -> object:
    """Parse a value as written on the command line: TOML, or else a plain word.

    Raises:
        ValueError: it begins like a value of TOML, but is not one.
    """
    if re.fullmatch(r"[+-]?(\d+\.|\.\d+)([eE][+-]?\d+)?", written):  # TOML requires a digit on both sides of the point
        return float(written)
    try:
        value = tomllib.loads(f"value = {written}")
        _refuse_extremes(value)
    except (ValueError, RecursionError) as error:
        if written[0] in "\"'[{":
            words = in_toml(error, written)[0] if isinstance(error, ValueError) else _("nested too deeply")
            raise ValueError(_("the value is not valid TOML: {reason}").format(reason=words)) from None
        return written
    return value["value"] if len(value) == 1 else written


class _Problems:
    """The problems of a file, without duplicates, in the order found."""

    def __init__(self, file: str, lines: Mapping[KeyPath, int]) -> None:
        self.file = file
        self.lines = lines
        self.problems: dict[Problem, None] = {}

    def add(self, found: Iterable[Complaint], merged: Merged) -> None:
        """Locate complaints about a run where the offending value was given."""
        for complaint in found:
            there = [path for path in complaint.paths if merged.get(path) is not None] or complaint.paths[:1]
            path = max(there, key=lambda path: merged.origin(path).rank)  # the last one applied is the culprit
            origin = merged.origin(path)
            self.put(origin.path, complaint.message, merged.get(path), complaint.nearest, origin.rank == OUTSIDE)

    def put(
        self, path: KeyPath, message: str, value: object = None, nearest: str | None = None, outside: bool = False
    ) -> None:
        file, line = (_(OUTSIDE_FILE), None) if outside else (self.file, self.line(path))
        self.problems[Problem(spell(path), message, file, line, shown(value), nearest)] = None

    def line(self, path: KeyPath) -> int | None:
        """Line number of the key, or of the table in which it is missing."""
        return next((self.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.lines), None)

    def add_total(self, runs: Iterable[NamedRun]) -> None:
        """Check the memory of all runs, which are loaded together."""
        needed = sum(memory(run.config) for run in runs)
        if needed > LIMIT:
            message = _("the runs need {needed} of memory together; the limit for a scenario is {limit}")
            self.put(("run",), message.format(needed=in_bytes(needed), limit=in_bytes(LIMIT)))

    def in_file_order(self) -> list[Problem]:
        """The first hundred, and the number of the rest."""
        found = sorted(self.problems, key=lambda problem: (problem.file != self.file, problem.line or 0))
        if len(found) <= _MOST_PROBLEMS:
            return found
        hidden = len(found) - _MOST_PROBLEMS
        rest = ngettext("… and {count} more", "… and {count} more", hidden).format(count=f"{hidden:,}")
        return [*found[:_MOST_PROBLEMS], Problem("", rest, self.file)]


def _read(path: Path) -> str:
    try:
        raw = read_regular(path, _MAX_BYTES)
    except FileNotFoundError:
        sentence = _("{path}: no such file; use bntui list to see the built-in scenarios")
        raise UsageError(sentence.format(path=clean(str(path)))) from None
    except IsADirectoryError:
        sentence = _("{path}: is a folder; give the scenario's .toml file in it")
        raise UsageError(sentence.format(path=clean(str(path)))) from None
    except UnfitFileError as error:
        sentence = _("not a scenario file: {reason}").format(reason=reason(error)) + _instead(path.name)
        raise ScenarioError([Problem("", sentence, clean(str(path)))]) from None
    except OSError as error:
        sentence = _("{path}: cannot be read: {reason}")
        raise UsageError(sentence.format(path=clean(str(path)), reason=reason(error))) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = _("is not UTF-8 text: byte 0x{byte:02x}; save the file as UTF-8").format(byte=raw[error.start])
        message = message if not (instead := _instead(path.name)) else _("not a scenario file") + instead
        raise ScenarioError([Problem("", message, clean(str(path)), line)]) from None


def _instead(file: str) -> str:
    """What to do with a file that is no scenario, by its name; empty if the name says nothing."""
    if file.lower().endswith(".bntui"):
        return f"; {_('to open a recording, use bntui replay or bntui show')}"
    if kind_of(file) in ("table", "npz", "idx"):
        return f"; {_('to train with a data file, name it in a scenario file as data.source')}"
    return ""


def _document(text: str, file: str) -> dict[str, Any]:
    try:
        if _LONG_KEY.search(text):  # tomllib takes time quadratic in the number of a key's parts
            raise RecursionError
        parsed = tomllib.loads(text)
        _refuse_extremes(parsed)
        document: dict[str, Any] = frozen(parsed)
    except RecursionError:
        raise ScenarioError(
            [Problem("", _("not valid TOML: {reason}").format(reason=_("nested too deeply")), file)]
        ) from None
    except ValueError as error:
        words, line = in_toml(error, text)
        if words.startswith("Exceeds the limit"):  # Python's limit on digits
            words = _("a number has too many digits")
        message = _("not valid TOML: {reason}").format(reason=words) + _instead(file)
        raise ScenarioError([Problem("", message, file, line)]) from None
    return document


def _refuse_extremes(document: Mapping[str, Any]) -> None:
    """Refuse nesting deeper, or numbers longer, than any scenario needs.

    Later code can then recurse and format any number; Python refuses to format long ones.

    Raises:
        RecursionError, ValueError: as tomllib raises them for what it detects itself.
    """
    level: list[Any] = [document]
    for _depth in range(_DEEPEST):
        inner = [value for node in level for value in (node.values() if isinstance(node, dict) else node)]
        if any(isinstance(value, int) and value.bit_length() > _MOST_BITS for value in inner):
            raise ValueError(_("a number has too many digits"))
        level = [value for value in inner if isinstance(value, dict | list)]
        if not level:
            return
    raise RecursionError


def _validated(model: type[M], data: Mapping[str, Any]) -> tuple[M | None, list[Complaint]]:
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return None, complaints(error, model, data)


def _about(document: Mapping[str, Any], found: _Problems) -> tuple[ScenarioFile | None, ScenarioFile | None]:
    """Validate everything except what the runs inherit, which is validated per run, when it is complete.

    Returns:
        The file's own tables, None if any is not valid; and those that are valid, so that they are checked further.
    """
    own = {key: value for key, value in document.items() if key not in _OF_A_RUN}
    if "data" in document:
        own["data"] = {"source": "digits"}
    about, wrong = _validated(ScenarioFile, own)
    found.add(wrong, Merged(dict(document)))
    if about is not None:
        return about, about
    faulty = {path[0] for complaint in wrong for path in complaint.paths}
    if "run" in faulty:  # nothing is known about the names that the others use
        return None, None
    if faulty & {"tour", "claim"}:  # their translation is compared with them
        faulty.add("translation")
    rest = {key: value for key, value in own.items() if key not in faulty}
    return None, _validated(ScenarioFile, {"title": "-", "data": {"source": "digits"}} | rest)[0]


def _runs(document: Mapping[str, Any], found: _Problems, overrides: Sequence[Override]) -> tuple[NamedRun, ...]:
    base = {"training": {}, "record": {}} | {key: document[key] for key in _OF_A_RUN if key in document}
    runs: list[NamedRun] = []
    for name, index, table in _run_tables(document, found):
        merged = Merged(base)
        if index is not None:
            prefix = ("run", index, "set")
            merged.merge(_without_shared(table, prefix, found), RUN, prefix)
        _override(merged, overrides, found)
        config, wrong = _validated(RunConfig, merged.tables)
        if "data" not in document:  # reported once, for the file
            wrong = [complaint for complaint in wrong if complaint.paths[0][0] != "data"]
        found.add(wrong, merged)
        if config is not None:
            found.add(check(config), merged)
            runs.append(NamedRun(name, with_engine(config)))
    return tuple(runs)


def _run_tables(document: Mapping[str, Any], found: _Problems) -> Iterator[tuple[str, int | None, dict[str, Any]]]:
    """Name, number, and set table of every run; malformed ones are reported elsewhere and skipped."""
    tables = document.get("run", ())
    seen: dict[str, int] = {}
    # if there are too many, they are reported as such and not examined
    for index, table in enumerate(tables[:MAX_RUNS] if isinstance(tables, tuple) else ()):
        name = table.get("name") if isinstance(table, dict) else None
        if isinstance(name, str) and name in seen:
            message = _("run[{number}] already has this name; run names must be unique").format(number=seen[name])
            found.put(("run", index, "name"), message, name)
        seen.setdefault(str(name), index)
        changes = table.get("set", {}) if isinstance(table, dict) else {}
        yield str(name), index, changes if isinstance(changes, dict) else {}
    if not seen:
        yield DEFAULT_RUN, None, {}


def _without_shared(table: Mapping[str, Any], prefix: KeyPath, found: _Problems) -> dict[str, Any]:
    kept = {key: dict(value) if isinstance(value, dict) else value for key, value in table.items()}
    for path in _SHARED:
        holder: Any = kept if len(path) == 1 else kept.get(path[0])
        if isinstance(holder, dict) and path[-1] in holder:
            found.put(prefix + path, _(_WHY_SHARED), holder.pop(path[-1]))
    return kept


def _override(merged: Merged, overrides: Sequence[Override], found: _Problems) -> None:
    for text, value in overrides:
        try:
            merged.assign(key_path(text), frozen(value))
        except ValueError as error:
            found.problems[Problem(text, str(error), _(OUTSIDE_FILE), None, shown(value))] = None

"""Defines what a fork may change: lists a run's settings for the form, and applies changes to a configuration."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from types import NoneType
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from bntui.errors import Problem, ScenarioError
from bntui.scenario.checks import DataFacts, check
from bntui.scenario.complaints import complaints, shown, spell
from bntui.scenario.engine import with_engine
from bntui.scenario.fields import LONGEST_LINE
from bntui.scenario.merge import Merged, frozen, key_path
from bntui.scenario.schema import RunConfig
from bntui.scenario.toml_lines import KeyPath
from bntui.text.language import N_, _
from bntui.text.output import shortened

FIXED: Final = (
    "seed", "device", "deterministic", "data.source", "data.labels", "data.target", "data.task", "data.delimiter",
    "data.header", "data.decimal", "data.drop", "data.features", "data.samples",
    "data.noise", "data.factor", "data.scaling", "data.validation", "data.sequence",
)  # fmt: skip
"""Settings that a fork shares with its parent: seed, samples, split, and device."""
WHY_FIXED: Final = N_("a fork keeps its parent's seed, data, split, and device; otherwise it would be a different run")


_STOPPING: Final = ("training", "early_stopping")
_TOLD_FIRST: Final = (
    "training.lr", "network.norm", "network.dropout", "network.activation", "training.optimizer",
    "training.early_stopping", "training.epochs",
)  # fmt: skip
"""Changes that a fork's name lists first."""


class Change(NamedTuple):
    """A setting of a fork that differs from its parent's; values as in JSON, None if absent."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a run that a fork may change."""

    path: str
    """Key path, such as ``training.lr`` or ``network.layer[0].units``."""
    value: Any
    """As in JSON; None if the key is optional and absent."""
    description: str
    """In the language in use."""
    choices: tuple[str, ...] = ()
    """All allowed values, if they are a list of words."""


def configuration(recorded: Mapping[str, Any]) -> RunConfig:
    """A run's recorded configuration, with defaults for keys newer than the recording.

    Raises:
        ScenarioError: this version cannot train it; it may still be shown.
    """
    try:
        return RunConfig.model_validate(frozen(_complete(recorded)))
    except ValidationError as error:
        found = complaints(error, RunConfig, recorded)
        raise ScenarioError([Problem(spell(wrong.paths[0]), wrong.message) for wrong in found]) from error


def _complete(recorded: Mapping[str, Any]) -> Mapping[str, Any]:
    """With the values of keys whose absence meant something else than today's default."""
    data = {"last_batch": "keep", **recorded.get("data", {})}
    return {**recorded, "data": data, "training": {"engine": "autograd", **recorded.get("training", {})}}


def settings(config: Mapping[str, Any]) -> tuple[Setting, ...]:
    """All settings of a run that a fork may change, in the order of the tables of a scenario file.

    ``training.early_stopping`` is a single setting if the run has no early stopping; otherwise each of its keys is one.
    """
    valid = configuration(config)
    return tuple(setting for setting in _settings(valid, ()) if not _fixed(setting.path))


def forked(
    config: Mapping[str, Any], changes: Sequence[tuple[str, object]], facts: DataFacts | None = None
) -> tuple[RunConfig, tuple[Change, ...]]:
    """The validated configuration of a fork, and what differs from its parent's.

    Args:
        config: the parent's recorded configuration.
        changes: key paths and values; the last one wins, and one without effect is not counted.  The word ``none``
            removes an optional key, such as ``training.early_stopping``.
        facts: about the data, if more is known than its name tells.

    Raises:
        ScenarioError: every problem found.
    """
    merged = Merged(frozen(_complete(config)))
    found: dict[Problem, None] = {}
    for text, value in changes:
        if _fixed(text):
            found[Problem(text, _(WHY_FIXED), value=shown(value))] = None
            continue
        try:
            path = key_path(text)
            if value == "none" and path == (*_STOPPING, "patience"):
                path = _STOPPING  # early stopping requires a patience
            merged.assign(path, None if value == "none" and _may_be_left_out(path) else frozen(value))
        except ValueError as error:
            found[Problem(text, str(error), value=shown(value))] = None
    valid = None
    try:
        valid = with_engine(RunConfig.model_validate(merged.tables))
        wrong = list(check(valid, facts))
    except ValidationError as error:
        wrong = complaints(error, RunConfig, merged.tables)
    for complaint in wrong:
        path = max(complaint.paths, key=lambda path: merged.origin(path).rank)
        value = shown(merged.get(path))
        found[Problem(spell(path), complaint.message, value=value, nearest=complaint.nearest)] = None
    if found or valid is None:
        raise ScenarioError(tuple(found))
    before = configuration(config)
    return valid, tuple(_differences((), before.model_dump(mode="json"), valid.model_dump(mode="json")))


def fork_name(parent: str, changes: Sequence[Change], taken: Collection[str]) -> str:
    """A unique name for a fork: its parent's name and the changes, within the length that a name may have.

    The name of a fork of a fork of a fork grows; the beginning that all of them share is then cut.
    """
    ranks = {path: rank for rank, path in enumerate(_TOLD_FIRST)}
    first = sorted(changes, key=lambda change: ranks.get(change.path, len(ranks)))
    words = ", ".join(map(_words, first[:3])) + (", …" if len(changes) > 3 else "")
    told = shortened(words, LONGEST_LINE // 2) if changes else "again"
    names = (_with_parent(parent, f" · {told}" + (f" ({number})" if number > 1 else "")) for number in count(1))
    return next(name for name in names if name not in taken)


def _with_parent(parent: str, told: str) -> str:
    return shortened(parent, LONGEST_LINE - len(told)) + told


def _words(change: Change) -> str:
    """A short form of a change, such as ``lr 0.1``, ``batch norm``, or ``no dropout``."""
    key, value = change.path.rpartition(".")[2], change.after
    if change.path == "training.early_stopping":
        return "no early stopping" if value is None else f"patience {value['patience']}"
    return f"{key} {'none' if value is None else f'{value:g}' if isinstance(value, float) else value}"


def _fixed(path: str) -> bool:
    return any(path == fixed or path.startswith(f"{fixed}.") for fixed in FIXED)


def _settings(table: BaseModel, path: KeyPath) -> Iterator[Setting]:
    for name, field in type(table).model_fields.items():
        value, here = getattr(table, name), (*path, name)
        if isinstance(value, BaseModel):
            yield from _settings(value, here)
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            for number, entry in enumerate(value):
                yield from _settings(entry, (*here, number))
        else:
            value = list(value) if isinstance(value, tuple) else value
            yield Setting(spell(here), value, _(field.description or ""), _choices(field))


def _choices(field: FieldInfo) -> tuple[str, ...]:
    """The values of a Literal, and ``none`` if the key is optional."""
    kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if get_origin(kind) is Literal]
    words = tuple(word for kind in kinds for word in get_args(kind))
    others = set(get_args(field.annotation)) - set(kinds) - set(words) - {NoneType}
    if not words or others:  # a number is also allowed
        return ()
    return (*words, "none") if NoneType in get_args(field.annotation) else words


def _may_be_left_out(path: KeyPath) -> bool:
    model: Any = RunConfig
    field = None
    for key in path:
        if isinstance(key, int) or model is None or key not in model.model_fields:
            return False
        field = model.model_fields[key]
        kinds = (field.annotation, *get_args(field.annotation))
        model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
    return field is not None and NoneType in get_args(field.annotation)


def _differences(path: KeyPath, before: Any, after: Any) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*before, *after)):
            yield from _differences((*path, key), before.get(key), after.get(key))
    elif before != after:
        yield Change(spell(path), before, after)

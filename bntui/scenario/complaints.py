"""Turns pydantic's validation errors into plain sentences."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bntui.keyframe import LayerKind
from bntui.scenario.fields import REFUSED
from bntui.scenario.schema import RunConfig
from bntui.scenario.toml_lines import KeyPath
from bntui.text.language import N_, _

_SHORT: Final = 60
_MOST: Final = 200
"""Maximum number of errors processed per table; a file can have a hundred thousand."""

_SENTENCES: Final = {
    "missing": N_("required, but missing"),
    "bool_type": N_("must be true or false"),
    "int_type": N_("must be a whole number"),
    "int_from_float": N_("must be a whole number"),
    "float_type": N_("must be a number"),
    "finite_number": N_("must be a finite number"),
    "string_type": N_("must be text in quotes"),
    "tuple_type": N_("must be a list"),
    "dict_type": N_("must be a table"),
    "model_type": N_("must be a table"),
    "model_attributes_type": N_("must be a table"),
    "greater_than_equal": N_("must be at least {ge}"),
    "greater_than": N_("must be above {gt}"),
    "less_than_equal": N_("must be at most {le}"),
    "less_than": N_("must be below {lt}"),
    "too_long": N_("must have at most {max_length} entries"),
}
SYNONYMS: Final = {
    "learning_rate": "lr", "eta": "lr", "eta0": "lr", "step_size": "lr",
    "batch": "batch_size", "bs": "batch_size", "minibatch": "batch_size", "minibatch_size": "batch_size",
    "num_epochs": "epochs", "n_epochs": "epochs", "max_epochs": "epochs", "max_iter": "epochs", "nb_epoch": "epochs",
    "optim": "optimizer", "solver": "optimizer", "algorithm": "optimizer", "optimiser": "optimizer",
    "hidden_layer_sizes": "hidden", "hidden_sizes": "hidden", "layers": "hidden", "units": "hidden",
    "act": "activation", "nonlinearity": "activation",
    "batch_norm": "norm", "batchnorm": "norm", "normalization": "norm", "p_drop": "dropout", "dropout_rate": "dropout",
    "kernel_initializer": "init", "initialization": "init", "initializer": "init",
    "l2": "weight_decay", "weight_decay_rate": "weight_decay", "gradient_clip": "clip_norm", "clipnorm": "clip_norm",
    "clipvalue": "clip_value", "random_state": "seed", "random_seed": "seed",
    "validation_split": "validation", "validation_fraction": "validation", "test_size": "validation",
    "label": "target", "path": "source", "file": "source", "dataset": "source",
    "num_samples": "samples", "n_samples": "samples", "sep": "delimiter",
}  # fmt: skip
"""Names that other libraries give to keys, each with the key here."""
_ALLOWED: Final = N_("allowed: {names}")


@dataclass(frozen=True, slots=True)
class Complaint:
    """A problem in a configuration, not yet located in a file."""

    paths: tuple[KeyPath, ...]
    """The keys that cause it together, the most likely culprit first."""
    message: str
    nearest: str | None = None


def spell(path: KeyPath) -> str:
    """The key path in written form: ``run[1].set.network.norm``."""
    written = ""
    for key in path:
        if isinstance(key, int):
            written += f"[{key}]"
        else:
            short = key if len(key) <= _SHORT else f"{key[: _SHORT - 1]}…"
            written += "." * bool(written) + (key if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", key) else _quoted(short))
    return written


def shown(value: object) -> str | None:
    """The value as written in the file, shortened; None for a table."""
    text = _written(value)
    return text if text is None or len(text) <= _SHORT else text[: _SHORT - 1] + "…"


def _written(value: object) -> str | None:
    if value is None or isinstance(value, dict):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _quoted(value[: 2 * _SHORT])
    if isinstance(value, tuple | list):
        return f"[{', '.join(_written(entry) or '{…}' for entry in value[:_SHORT])}]"
    return str(value)


def _quoted(value: str) -> str:
    # JSON does not escape DEL and C1 control characters, which terminals interpret
    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def nearest(word: object, allowed: Iterable[str]) -> str | None:
    """The allowed spelling closest to ``word``, if any is close; case-insensitive."""
    if not isinstance(word, str) or len(word) > _SHORT:
        return None
    spellings = {name.lower(): name for name in allowed}
    close = get_close_matches(word.lower(), spellings, n=1)
    return spellings[close[0]] if close else None


def complaints(error: ValidationError, model: type[BaseModel], data: Mapping[str, Any]) -> list[Complaint]:
    """All errors that pydantic found when validating ``data`` as ``model``; a union reports a single error."""
    found: dict[tuple[KeyPath, ...], list[Complaint]] = {}
    details = error.errors(include_url=False)[:_MOST]
    located = [_key_path(detail["loc"], data, absent=detail["type"] == "missing") for detail in details]
    for detail, path in zip(details, located, strict=True):
        if detail["type"].endswith("_type") and any(other[:-1][: len(path)] == path for other in located):
            continue  # another member of the union got further into this list or table and reports more
        complaint = _complaint(detail, path, model)
        found.setdefault(complaint.paths, []).append(complaint)
    return [_as_one(members) for members in found.values()]


def _as_one(members: Sequence[Complaint]) -> Complaint:
    if len(members) == 1:
        return members[0]
    head = _(_ALLOWED).partition("{")[0]
    message, *others = dict.fromkeys(member.message.removeprefix(head) for member in members)
    for other in others:
        message = _("{one}, or {other}").format(one=message, other=other)
    hint = next((member.nearest for member in members if member.nearest), None)
    return Complaint(members[0].paths, message, hint)


def _complaint(detail: ErrorDetails, path: KeyPath, model: type[BaseModel]) -> Complaint:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind == "extra_forbidden":
        return _unknown_key(path, _fields(model, detail["loc"][:-1]))
    if kind == REFUSED:
        paths = tuple((*path, key) for key in context["keys"]) or (path,)
        return Complaint(paths, context["text"], nearest(value, context["allowed"]))
    if kind in ("literal_error", "union_tag_invalid", "union_tag_not_found"):
        allowed = re.findall(r"'([^']*)'", context.get("expected") or context.get("expected_tags") or "")
        if kind != "literal_error":
            path, value = (*path, "type"), context.get("tag")
            allowed = allowed or list(get_args(LayerKind))
        message = _allowed(allowed)
        if kind == "union_tag_not_found":
            message = f"{_(_SENTENCES['missing'])}; {message}"
        return Complaint((path,), message, nearest(value, allowed))
    if kind == "tuple_type" and isinstance(value, dict):
        return Complaint((path,), _("must be a list of tables: write [[{key}]]").format(key=spell(path)))
    if kind == "missing" and isinstance(path[-1], int):
        return Complaint((path[:-1],), _("has too few entries"))
    sentence = _SENTENCES.get(kind)
    return Complaint((path,), _(sentence).format(**context) if sentence else detail["msg"])


def _allowed(names: Iterable[str]) -> str:
    return _(_ALLOWED).format(names=", ".join(names))


def _holds(data: Any, key: str | int) -> bool:
    if isinstance(data, tuple):
        return isinstance(key, int) and key < len(data)
    return isinstance(data, dict) and key in data


def _key_path(location: Sequence[str | int], data: Any, *, absent: bool) -> KeyPath:
    """Pydantic's location without the tags and types of union members, which do not occur in the file."""
    path: list[str | int] = []
    for number, key in enumerate(location, 1):
        if _holds(data, key):
            data = data[key]
        elif not (absent and number == len(location)):
            continue
        path.append(key)
    return tuple(path)


def _unknown_key(path: KeyPath, allowed: Sequence[str]) -> Complaint:
    key = str(path[-1])
    message = _("unknown key; allowed: {names}").format(names=", ".join(allowed))
    known = SYNONYMS.get(key.lower(), key)
    if "." in key and key.partition(".")[0] in allowed:  # TOML takes a quoted "training.lr" for one key
        message = _("a key in quotes is not split at its dots; write {key} without quotes").format(key=key)
        return Complaint((path,), message, None)
    if known in allowed:
        return Complaint((path,), message, known)
    return Complaint((path,), message, nearest(key, allowed) or _elsewhere(known))


def _elsewhere(key: str) -> str | None:
    """The table to which a misplaced key belongs."""
    for table, field in RunConfig.model_fields.items():
        for inner in _models(field.annotation):
            if key in inner.model_fields:
                return f"{table}.{key}"
    return None


def _fields(model: type[BaseModel], location: Sequence[str | int]) -> tuple[str, ...]:
    """Keys allowed in the table at pydantic's location."""
    models = [model]
    for key in location:
        fields = [each.model_fields[key] for each in models if isinstance(key, str) and key in each.model_fields]
        if fields:
            models = [inner for field in fields for inner in _models(field.annotation)]
        elif isinstance(key, str):  # a union's tag: continue with that member only
            kinds = {each: each.model_fields.get("type") for each in models}
            models = [each for each, kind in kinds.items() if kind is None or key in get_args(kind.annotation)]
    return tuple(dict.fromkeys(name for each in models for name in each.model_fields))


def _models(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]

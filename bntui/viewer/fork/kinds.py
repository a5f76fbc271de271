"""Defines what may be typed into a setting: any text, or a number and the words allowed instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel

from bntui.scenario.merge import key_path
from bntui.scenario.schema import RunConfig

_BEGUN_NUMBER: Final = re.compile(r"[+-]?[\d_]*(\.\d*)?((?<=[\d.])[eE][+-]?\d*)?").fullmatch
_BEGUN_LIST: Final = re.compile(r"[\d.,eE+\- \[\]]*").fullmatch


class SettingKind(NamedTuple):
    """The values that a setting may have."""

    types: frozenset[type]
    """Types such as int and float; for a list, also those of its entries."""
    words: tuple[str, ...]
    """Words that are allowed instead, including ``none`` if the setting is optional."""

    @property
    def numeric(self) -> bool:
        """True if the value is a number, or one of ``words``."""
        return bool(self.types) and self.types <= {int, float}

    def begins(self, text: str) -> bool:
        """True if a text can be the beginning of an allowed value, regardless of bounds."""
        if self.numeric:
            matches = _BEGUN_NUMBER  # validation reports a fraction where an integer is required
        elif tuple in self.types and self.types <= {int, float, tuple}:
            matches = _BEGUN_LIST
        else:
            return True
        return bool(matches(text)) or any(word.startswith(text) for word in self.words)


def kind_of(path: str) -> SettingKind:
    """The kind of a run's setting, by key path; without types and words if there is no such setting."""
    annotations: list[Any] = [RunConfig]
    for key in key_path(path):
        if isinstance(key, int):
            continue  # the types of entries are included in those of their list
        models = [part for one in annotations for part in _parts(one) if _model(part)]
        annotations = [model.model_fields[key].annotation for model in models if key in model.model_fields]
    parts = [part for one in annotations for part in _parts(one)]
    words = [word for part in parts if get_origin(part) is Literal for word in get_args(part)]
    types = [part for part in parts if isinstance(part, type) and part is not NoneType]
    left_out = ["none"] if NoneType in parts or path.endswith("early_stopping.patience") else []
    return SettingKind(frozenset(types), (*map(str, words), *left_out))


def _model(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)


def _parts(annotation: Any) -> Iterator[Any]:
    """The types that an annotation consists of: the members of a union, the entries of a list."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _parts(get_args(annotation)[0])
    elif origin in (Union, UnionType, tuple):
        if origin is tuple:
            yield tuple
        for one in get_args(annotation):
            yield from _parts(one)
    elif annotation is not ...:
        yield annotation

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
    """What a setting's value is made of."""

    types: frozenset[type]
    """Such as int and float; a list's are with those of its entries."""
    words: tuple[str, ...]
    """Words that may stand there instead, ``none`` where it may be left out."""

    @property
    def numeric(self) -> bool:
        """A number, and no word but the few."""
        return bool(self.types) and self.types <= {int, float}

    def begins(self, text: str) -> bool:
        """Something that may stand there can begin so, whatever its bounds are."""
        if self.numeric:
            matches = _BEGUN_NUMBER  # where it has to be whole, a fraction is told so
        elif tuple in self.types and self.types <= {int, float, tuple}:
            matches = _BEGUN_LIST
        else:
            return True
        return bool(matches(text)) or any(word.startswith(text) for word in self.words)


def kind_of(path: str) -> SettingKind:
    """The kind of a setting of a run, by its key path; of one that there is not, none."""
    annotations: list[Any] = [RunConfig]
    for key in key_path(path):
        if isinstance(key, int):
            continue  # an entry is of the types that its list names
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
    """All that a type is made of: of a union each side, of a list its entries."""
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

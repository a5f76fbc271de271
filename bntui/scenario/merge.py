"""Merges a run's configuration from scenario, ``set`` table, and command line, and remembers the origins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bntui.scenario.toml_lines import KeyPath
from bntui.text.language import _

BASE: Final = 0
RUN: Final = 1
OUTSIDE: Final = 2

_SEGMENT = re.compile(r'(?:([A-Za-z0-9_-]+)|"([^"]*)")((?:\[\d+\])*)(?:\.(?=.)|$)')


@dataclass(frozen=True, slots=True)
class ValueOrigin:
    """Where a value was given."""

    rank: int
    """``BASE``, ``RUN``, or ``OUTSIDE``; a higher rank overrides a lower one."""
    path: KeyPath
    """Its key path there."""


@dataclass
class Merged:
    """A run's configuration being merged, with the origins of values not given in the base."""

    tables: dict[str, Any]
    said: dict[KeyPath, ValueOrigin] = field(default_factory=dict)

    def merge(self, addition: Mapping[str, Any], rank: int, prefix: KeyPath = ()) -> None:
        """Merge tables recursively; replace lists and values."""
        self.tables = self._merged((), self.tables, addition, rank, prefix)

    def assign(self, path: KeyPath, value: object) -> None:
        """Set one value from outside; raises ValueError if the path does not exist."""
        if all(isinstance(key, str) for key in path):
            nested = value
            for key in reversed(path):
                nested = {key: nested}
            assert isinstance(nested, dict)
            self.merge(nested, OUTSIDE)
        else:
            self.tables = _replaced(self.tables, path, value)
            self._say(path, ValueOrigin(OUTSIDE, path))

    def origin(self, path: KeyPath) -> ValueOrigin:
        """The origin of the value at ``path``, or of its table if there is no value."""
        for length in range(len(path), 0, -1):
            if origin := self.said.get(path[:length]):
                return ValueOrigin(origin.rank, origin.path + path[length:])
        return ValueOrigin(BASE, path)

    def get(self, path: KeyPath) -> object:
        """The value at ``path``; None if there is none."""
        value: Any = self.tables
        for key in path:
            if isinstance(key, str):
                value = value.get(key) if isinstance(value, dict) else None
            else:
                value = value[key] if isinstance(value, tuple) and key < len(value) else None
        found: object = value
        return found

    def _merged(
        self, path: KeyPath, table: Mapping[str, Any], addition: Mapping[str, Any], rank: int, prefix: KeyPath
    ) -> dict[str, Any]:
        merged = dict(table)
        for key, value in addition.items():
            here = (*path, key)
            if isinstance(value, dict) and isinstance(merged.get(key), dict):
                merged[key] = self._merged(here, merged[key], value, rank, prefix)
            else:
                merged[key] = value
                self._say(here, ValueOrigin(rank, prefix + here))
        if path == ("network",):  # hidden and layer are two forms of the same setting: the later one replaces the other
            for one, other in (("hidden", "layer"), ("layer", "hidden")):
                if one in addition and other not in addition:
                    merged.pop(other, None)
        return merged

    def _say(self, path: KeyPath, origin: ValueOrigin) -> None:
        for stale in [known for known in self.said if known[: len(path)] == path]:
            del self.said[stale]
        self.said[path] = origin


def _replaced(node: Any, path: KeyPath, value: object) -> Any:
    if not path:
        return value
    key, rest = path[0], path[1:]
    if isinstance(key, int):
        if not isinstance(node, tuple) or key >= len(node):
            raise ValueError(_("the scenario has no entry [{key}]; entries are numbered from 0").format(key=key))
        return (*node[:key], _replaced(node[key], rest, value), *node[key + 1 :])
    if not isinstance(node, dict):
        raise ValueError(_("{key} cannot be set: its parent is not a table").format(key=key))
    return {**node, key: _replaced(node.get(key, {}), rest, value)}


def frozen(value: Any) -> Any:
    """Convert lists to tuples recursively, as the frozen models require."""
    if isinstance(value, Mapping):
        return {key: frozen(inner) for key, inner in value.items()}
    return tuple(map(frozen, value)) if isinstance(value, list | tuple) else value


def key_path(text: str) -> KeyPath:
    """Parse a key path such as ``network.layer[0].units``; raises ValueError if it is invalid."""
    path: list[str | int] = []
    at = 0
    while at < len(text) or not path:
        segment = _SEGMENT.match(text, at)
        if segment is None:
            sentence = _("{text!r} is not a key path; write it like training.lr or network.layer[0].units")
            raise ValueError(sentence.format(text=text))
        path.append(segment[1] or segment[2] or "")
        path += [int(index) for index in re.findall(r"\d+", segment[3])]
        at = segment.end()
    return tuple(path)

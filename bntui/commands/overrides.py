"""Reads the settings of ``--set``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bntui.scenario.load import Override, parse_override
from bntui.scenario.sources import PATHS, kind_of


def overrides_of(settings: Sequence[str]) -> tuple[Override, ...]:
    """Settings as written, with paths of data files resolved against the current folder.

    Raises:
        UsageError: one is not a setting.
    """
    return tuple((key, from_here(value) if key in PATHS else value) for key, value in map(parse_override, settings))


def from_here(value: object) -> object:
    """Resolve a path against the current folder, whether the file exists or not; keep names of built-in data."""
    if not isinstance(value, str) or kind_of(value) in (None, "built-in"):
        return value
    return str(Path(value).expanduser().absolute())

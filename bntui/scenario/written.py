"""Writes values and configurations as TOML: on a command line, and as a scenario with a single run."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from bntui.scenario.load import Override, parse_value
from bntui.scenario.presentation import NamedRun

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_TABLES: Final = ("data", "network", "training", "record")


def spelled(value: object) -> str:
    """A value as :func:`bntui.scenario.load.parse_value` reads it: a word without quotes where that is the same."""
    if isinstance(value, str) and value and value == value.strip() and "," not in value:
        try:
            if parse_value(value) == value:
                return value
        except ValueError:
            pass
    return toml(value)


def settings_text(settings: tuple[Override, ...]) -> str:
    """Key paths with their values, in one line."""
    return " ".join(f"{path}={spelled(value)}" for path, value in settings)


def toml(value: object) -> str:
    """A value of TOML, in one line; what has no value there (None) is left out of tables."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(key)} = {toml(inner)}" for key, inner in value.items() if inner is not None)
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def scenario_text(title: str, run: NamedRun) -> str:
    """A scenario with this run alone; loading it gives the same configuration."""
    told: dict[str, Any] = run.config.model_dump(mode="json", exclude_defaults=True)
    told.setdefault("data", {})["source"] = run.config.data.source
    lines = [f"title = {toml(title)}", f"seed = {run.config.seed}"]
    lines += [f"{key} = {toml(told[key])}" for key in told if key not in (*_TABLES, "seed")]
    for table in _TABLES:
        if table in told:
            lines += ["", f"[{table}]"]
            lines += [f"{_key(key)} = {toml(value)}" for key, value in told[table].items() if value is not None]
    return "\n".join([*lines, "", "[[run]]", f"name = {toml(run.name)}", ""])


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else toml(name)

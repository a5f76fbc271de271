"""Reads what was last measured of the claims of a built-in scenario; ``python -m tools.measure_claims`` writes it.

The gallery shows it, so only the standard library is imported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

FOLDER: Final = "measured"
"""Beside the built-in scenarios; a file for each, named as the scenario."""
SEEDS: Final = "seeds"
"""The placeholder for the number of seeds."""
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Finding:
    """What the seeds said about a claim."""

    verdict: str
    """``holds``, ``does not hold`` or ``undecided``."""
    said: Mapping[str, str]
    """The measured figures in words, by language."""
    seeds: int


@dataclass(frozen=True, slots=True)
class Findings:
    """What was last measured of a scenario."""

    claims: Mapping[str, Finding] = field(default_factory=dict)
    """By what the claim says holds."""
    quotes: Mapping[str, str] = field(default_factory=dict)
    """What stands for each placeholder of the scenario's texts."""


def placeholders(text: str) -> Iterator[str]:
    """What stands in braces: ``seeds``, or a quantity as in a claim."""
    yield from map(_name, _PLACEHOLDER.finditer(text))


def _name(found: re.Match[str]) -> str:
    return " ".join(found[1].split())  # lines of a text may end within it


def path_of(scenario: Path) -> Path:
    """Where the findings about a scenario file are kept."""
    return scenario.parent / FOLDER / f"{scenario.stem}.json"


@lru_cache(64)
def findings(scenario: Path) -> Findings:
    """The findings about a scenario file; none if it was never measured."""
    try:
        found: Any = json.loads(path_of(scenario).read_text(encoding="utf-8"))
        claims = {one["holds"]: Finding(one["verdict"], one["said"], found["seeds"]) for one in found["claims"]}
        return Findings(claims, dict(found["quotes"]))
    except (OSError, ValueError, LookupError, TypeError):
        return Findings()


def quoted(text: str, scenario: Path) -> str:
    """A text with the last measured figures in place of its placeholders; one that was not measured stays as it is."""
    return _PLACEHOLDER.sub(lambda found: findings(scenario).quotes.get(_name(found), found[0]), text)

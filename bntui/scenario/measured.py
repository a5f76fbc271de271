"""Reads what was last measured of the claims of a built-in scenario; ``python -m tools.measure_claims`` writes it.

The gallery shows it, so only the standard library is imported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

FOLDER: Final = "measured"
"""Beside the built-in scenarios; a file for each, named as the scenario."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What the seeds said about a claim."""

    verdict: str
    """``holds``, ``does not hold`` or ``undecided``."""
    said: Mapping[str, str]
    """The measured figures in words, by language."""
    seeds: int


def path_of(scenario: Path) -> Path:
    """Where the findings about a scenario file are kept."""
    return scenario.parent / FOLDER / f"{scenario.stem}.json"


@lru_cache(64)
def findings(scenario: Path) -> Mapping[str, Finding]:
    """The findings about a scenario file, by what the claim says holds; none if it was never measured."""
    try:
        found: Any = json.loads(path_of(scenario).read_text(encoding="utf-8"))
        return {one["holds"]: Finding(one["verdict"], one["said"], found["seeds"]) for one in found["claims"]}
    except (OSError, ValueError, LookupError, TypeError):
        return {}

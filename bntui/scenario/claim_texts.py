"""Reads what a scenario claims from its text, without validating the rest: for pages that show many scenarios."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from bntui.text.output import clean

MAX_CLAIMS: Final = 40
MOST_TEXT: Final = 200_000
"""Characters of a scenario; a longer one in a recording claims nothing that is shown."""
MOST_HOLDS: Final = 300
"""Characters of a comparison."""


@dataclass(frozen=True, slots=True)
class ClaimText:
    """One claim, as it is written."""

    text: str
    """The sentence, in the user's language if it is translated."""
    holds: str
    """The same as a comparison, which may not be valid."""


def claims_in(document: Mapping[str, Any], language: str) -> tuple[ClaimText, ...]:
    """The claims of a parsed scenario; what is no claim is left out."""
    found = document.get("claim")
    tables = [claim for claim in found if isinstance(claim, dict)] if isinstance(found, list) else []
    own = tuple(_text(claim.get("text")) for claim in tables)
    translation = _table(_table(document.get("translation")).get(language)).get("claim")
    said = tuple(map(_text, translation)) if isinstance(translation, list) else ()
    texts = said if len(said) == len(own) else own
    return tuple(
        ClaimText(clean(text), clean(_text(claim.get("holds")))) for text, claim in zip(texts, tables, strict=True)
    )


@lru_cache(maxsize=8)
def claims_of(text: str, language: str) -> tuple[ClaimText, ...]:
    """The claims in a scenario's text, at most as many as a scenario may have; none if it cannot be read.

    Args:
        text: as a recording keeps it, which may be a stranger's.
    """
    if len(text) > MOST_TEXT or "claim" not in text:
        return ()
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError):
        return ()
    return tuple(claim for claim in claims_in(document, language) if len(claim.holds) <= MOST_HOLDS)[:MAX_CLAIMS]


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""

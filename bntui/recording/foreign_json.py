"""Parses JSON from an untrusted file, with bounded size and depth, and sanitizes its text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from bntui.recording.kinds import Kind, hold
from bntui.text.language import _
from bntui.text.output import clean

LONGEST: Final = 4_000_000
"""Maximum length in characters."""
DEEPEST: Final = 16
"""Maximum nesting depth of lists and tables."""


def parsed(text: str, kind: Kind, place: str, longest: int = LONGEST, cleaned: Callable[[str], str] = clean) -> Any:
    """The value of a JSON text.

    Args:
        kind: what the value must be.
        place: where the text comes from, for messages.
        longest: maximum length in characters.
        cleaned: applied to every string, including keys.

    Raises:
        ValueError: the text is not JSON, is too long or nested too deeply, or its value is not of that kind.
    """
    if type(text) is not str or len(text) > longest:
        raise ValueError(_("{place}: must be JSON of at most {longest} characters").format(
            place=place, longest=longest))  # fmt: skip
    try:
        value = _clean(json.loads(text), DEEPEST, cleaned)
    except RecursionError:
        raise ValueError(_("{place}: nested too deeply").format(place=place)) from None
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
    hold(kind, value, place)
    return value


def _clean(value: Any, depth: int, cleaned: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return cleaned(value)
    if isinstance(value, list | dict):
        if not depth:
            raise RecursionError
        if isinstance(value, list):
            return [_clean(entry, depth - 1, cleaned) for entry in value]
        return {cleaned(key): _clean(entry, depth - 1, cleaned) for key, entry in value.items()}
    return value

"""Defines what all tables of a scenario file share: their base class, kinds of text, and errors."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from bntui import lessons
from bntui.text.language import _

LONGEST_LINE: Final = 1000
LONGEST_PROSE: Final = 20_000
"""Maximum length of a name or path, and of a text, in characters."""
MOST: Final = 1_000_000_000
"""Largest count of anything; libraries and files hold no whole number beyond 64 bits."""
LARGEST: Final = 1e38
"""Largest number that float32, in which networks are trained, can hold."""
REFUSED: Final = "refused"
"""Type of the errors raised here; their context holds ``text``, ``allowed`` and ``keys``."""


def refusal(text: str, *, allowed: Sequence[str] = (), keys: Sequence[str] = ()) -> PydanticCustomError:
    """An error that carries the allowed spellings and the keys of the table that cause it together."""
    return PydanticCustomError(REFUSED, "{text}", {"text": text, "allowed": tuple(allowed), "keys": tuple(keys)})


def _prints(char: str) -> bool:
    """False for characters that affect a terminal: controls, line separators, bidirectional formatting."""
    return unicodedata.category(char) not in ("Cc", "Zl", "Zp", "Cs") and not (
        "\u202a" <= char <= "\u202e" or "\u2066" <= char <= "\u2069"
    )


def single_line(value: str) -> str:
    """Check a name or path."""
    if not value.strip():
        raise refusal(_("must not be empty"))
    if len(value) > LONGEST_LINE:
        raise refusal(_("must have at most {limit} characters").format(limit=f"{LONGEST_LINE:,}"))
    if not all(map(_prints, value)):
        raise refusal(_("must be one line of text without control characters"))
    return value


def _prose(value: str) -> str:
    if len(value) > LONGEST_PROSE:
        raise refusal(_("must have at most {limit} characters").format(limit=f"{LONGEST_PROSE:,}"))
    if not all(char in "\n\t" or _prints(char) for char in value):
        raise refusal(_("must be text without control characters"))
    return value


def _panel(value: str) -> str:
    allowed = lessons.panels()
    if value in allowed:
        return value
    raise refusal(_("allowed: {names}").format(names=", ".join(allowed)), allowed=allowed)


Line = Annotated[str, AfterValidator(single_line)]
Prose = Annotated[str, AfterValidator(_prose)]
Panel = Annotated[str, AfterValidator(_panel)]
"""Name of a panel."""
Rate = Annotated[float, Field(ge=0, lt=1)]


class Table(BaseModel):
    """A TOML table: unknown keys are errors, values are what they are, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)

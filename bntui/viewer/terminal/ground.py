"""Finds out whether the terminal's background is dark: asks the terminal, and reads ``COLORFGBG``.

Terminals answer ``OSC 11`` with the color of their background; those that do not know it say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

QUESTION: Final = "\x1b]11;?\x1b\\"
PATIENCE: Final = 0.12
"""Seconds that the first frame waits for the answer; one that comes later is still used."""
ANSWER: Final = re.compile(r"\x1b\]11;([^\x07\x1b]{0,64})(?:\x07|\x1b\\)")
BEGUN: Final = re.compile(r"\x1b\](?:1(?:1(?:;(?:[0-9A-Za-z:/]{0,40}\x1b?)?)?)?)?\Z")
"""The beginning of an answer at the end of what was read."""
CERTAIN: Final = "\x1b]11;"
"""What begins so is an answer, however late its end comes."""
REST: Final = r"\]11;rgb"
"""The beginning of an answer whose escape was read before."""
VARIABLE: Final = "COLORFGBG"
_COLOUR: Final = re.compile(r"rgba?:([0-9A-Fa-f]{1,4})/([0-9A-Fa-f]{1,4})/([0-9A-Fa-f]{1,4})(?:/[0-9A-Fa-f]{1,4})?")
_EVEN: Final = 0.179
"""Luminance of a background on which black and white text have the same contrast: √(1.05 · 0.05) − 0.05."""


def is_dark(color: str) -> bool | None:
    """Whether white text has more contrast than black text on a color as X11 writes it; None if it is not one.

    ``rgb:RRRR/GGGG/BBBB``, with one to four hexadecimal digits each.
    """
    found = _COLOUR.fullmatch(color)
    if found is None:
        return None
    red, green, blue = (_linear(int(part, 16) / (16 ** len(part) - 1)) for part in found.groups())
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue < _EVEN


def _linear(channel: float) -> float:
    """Light of a channel of sRGB; both from 0 to 1."""
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)


def dark_by_variable(environment: Mapping[str, str]) -> bool:
    """Whether ``COLORFGBG`` (``15;0``: text and background among the 16 colors) says dark; True where it says nothing.

    As Vim reads it: 7 and 9 to 15 are light.
    """
    last = environment.get(VARIABLE, "").rpartition(";")[2]
    return not last.isdecimal() or not (int(last) == 7 or 9 <= int(last) <= 15)


def continued(begun: str, data: str) -> str:
    """What was read together with what was held before it; without the beginning of an answer that never ends."""
    whole = begun + data
    if begun.startswith(CERTAIN) and not ANSWER.match(whole) and not BEGUN.match(whole):
        return "\x1b" * begun.endswith("\x1b") + data
    return whole

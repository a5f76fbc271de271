"""Defines the room for the texts of a tour on a small screen."""

from __future__ import annotations

import re
from typing import Final

from bntui.text.widths import wrap

COLUMNS: Final = 80
LINES: Final = 2
"""A question or an answer takes at most so many lines on a screen of so many columns."""
LINE: Final = COLUMNS - 9
"""Cells of a line: beside it stand the number of the stop, such as 12/20, and a margin."""
FIGURE: Final = 7
"""Cells of a figure, as it is counted in an answer."""
_PLACEHOLDER: Final = re.compile(r"\{[^{}]*\}")


def lines(text: str) -> int:
    """Lines of a question or an answer on a screen of ``COLUMNS``; a wide character takes two cells."""
    return len(wrap(_PLACEHOLDER.sub("0" * FIGURE, text), LINE))


def fits(text: str) -> bool:
    """A question or an answer can be read in whole on a small screen."""
    return lines(text) <= LINES

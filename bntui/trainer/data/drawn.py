"""Reads tables with drawn lines: Markdown, and what database clients print.

The rule below the header and the borders are left out; the first and last ``|`` of a row are no delimiters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

_RULE: Final = re.compile(r"\|?(\s*:?-+:?\s*\|)*\s*:?-+:?\s*\|?").fullmatch
"""The second row of a Markdown table."""
_BORDER: Final = re.compile(r"\+?([-=]+\+)+[-=]*").fullmatch
"""A line that databases draw, which no row of cells looks like: ``+---+---+``, ``---+---``."""


def is_drawn(sample: Sequence[str]) -> bool:
    """True if the first lines of a file are those of a table with drawn lines."""
    lines = [line.strip() for line in sample[:2]]
    if len(lines) < 2:
        return False
    return _BORDER(lines[0]) is not None or _is_rule(lines[1]) or ("|" in lines[0] and _BORDER(lines[1]) is not None)


def _is_rule(line: str) -> bool:
    return "|" in line and "-" in line and _RULE(line) is not None


def without_lines(lines: Iterable[str], left_out: Callable[[], None]) -> Iterator[str]:
    """The rows without what is drawn around them; ``left_out`` is called for each line that holds no cells."""
    for number, line in enumerate(lines):
        bare = line.strip()
        if _BORDER(bare) or (number == 1 and _is_rule(bare)):  # below, hyphens are missing values
            left_out()
        else:
            yield bare.removeprefix("|").removesuffix("|") + "\n"

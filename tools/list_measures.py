"""Generates the list of all measures in docs/measures.md from the table of measures.

python -m tools.list_measures
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bntui.keyframe import MEASURES, QUANTITIES
from bntui.measures import Measure
from tools import takes_no_options

PAGE: Final = Path(__file__).parents[1] / "docs" / "measures.md"
START: Final = "| figure | shape | since format | in the recording |"
PLACES: Final = {
    "row": "`keyframe`",
    "layers": "`keyframe.layers`",
    "block": "`measures`: `{array}`",
    "run": "`run`",
}


def lines() -> Iterator[str]:
    """The list as a Markdown table; figures common to all quantities are listed once."""
    yield START
    yield "|---|---|---|---|"
    for name, kept in {_name(one): one.declared.kept for one in MEASURES}.items():
        if kept.place != "group":
            yield f"| `{name}` | {kept.shape} | {kept.since} | {PLACES[kept.place].format(array=kept.array)} |"


def _name(one: Measure) -> str:
    """The key path, with brackets for layers; figures common to all quantities share one path."""
    path = one.json.replace("layers.", "layers[].", 1)
    return re.sub(rf"\b({'|'.join(QUANTITIES)})\.", "{quantity}.", path)


def written(page: str) -> str:
    """The page with an updated list."""
    before, _start, rest = page.partition(START)
    _old, end, after = rest.partition("\n\n")
    return before + "\n".join(lines()) + end + after


if __name__ == "__main__":
    takes_no_options(__doc__)
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

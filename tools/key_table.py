"""Generates the README's table of keys from their declaration.

python -m tools.key_table
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from bntui.viewer.lab_keys import EVERYTHING, useful
from tools import takes_no_options

README: Final = Path(__file__).parents[1] / "README.md"
BEGIN: Final = "<!-- keys: written by tools.key_table -->\n"
END: Final = "<!-- end of keys -->\n"


def table() -> str:
    """All keys of the laboratory during training as a Markdown table, two per row."""
    here = replace(EVERYTHING, live=True)
    cells = [f" {' '.join(f'`{key}`' for key in one.shown)} | {one.help(here)} |" for one in useful(here)]
    half = (len(cells) + 1) // 2
    rows = [f"|{left}{right}" for left, right in zip(cells[:half], [*cells[half:], " | |"], strict=False)]
    return "\n".join(["| key | does | key | does |", "|---|---|---|---|", *rows]) + "\n"


def with_table(page: str) -> str:
    """Replace the table between the marks of a page.

    Raises:
        ValueError: the page has no marks.
    """
    before, rest = page.split(BEGIN)
    _old, after = rest.split(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


if __name__ == "__main__":
    takes_no_options(__doc__)
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")

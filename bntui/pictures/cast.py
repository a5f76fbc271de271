"""Writes pictures one after the other as a recording of a terminal, as asciinema plays it (asciicast v2)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from rich.color import ColorSystem

from bntui.pictures.ansi import ansi
from bntui.pictures.picture import Line, Picture

HOLD = 2.0
"""Seconds for which the last picture stands."""
BEGIN = "\x1b[?25l\x1b[2J"
"""Hides the cursor and clears the screen."""


def cast(frames: Iterable[tuple[float, Picture]]) -> Iterator[str]:
    """The lines of the file: what the terminal has, then what changes at which second.

    Args:
        frames: pictures of one size, and when each appears.
    """
    before: tuple[Line, ...] = ()
    at = 0.0
    for at, picture in frames:
        if not before:
            yield _json({
                "version": 2, "width": picture.columns, "height": len(picture.lines), "title": picture.title,
                "env": {"TERM": "xterm-256color"},
            })  # fmt: skip
        lines = tuple(picture.lines)
        changed = "".join(
            f"\x1b[{number + 1};1H{ansi(line, ColorSystem.TRUECOLOR)}"
            for number, line in enumerate(lines)
            if number >= len(before) or line != before[number]
        )
        if changed:
            yield _json([round(at, 3), "o", changed if before else BEGIN + changed])
        before = lines
    yield _json([round(at + HOLD, 3), "o", ""])


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"

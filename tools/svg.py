"""Draws a Textual screen as SVG: words as text, blocks and braille as shapes.

Browser fonts would not keep terminal columns aligned, so words are positioned one by one.  All dots of one color are
one stroked path with round caps, which takes a fifth of the room of circles.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Any

from rich.cells import cell_len
from textual.app import App
from textual.strip import Strip

from bntui.viewer.draw.theme import DARK

WIDTH, HEIGHT = 8, 17
"""Size of a cell in pixels."""
MARGIN = 8
LOWER = "▁▂▃▄▅▆▇█"
DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of each bit of a braille character."""
PIECE = re.compile("(?:[!-~][\u0300-\u036f]*)+|([▀-█\u2800-\u28ff])|(([^ ])\\3*[\u0300-\u036f]*)")
"""A word, a single block or braille character, or a run of another character; combining accents belong to it."""
FONT = "DejaVu Sans Mono, Menlo, Consolas, monospace"
TERMINAL = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
"""Environment of a terminal that shows every color."""
DOT_STYLE = ".d{fill:none;stroke-width:2.6;stroke-linecap:round}"


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """Something drawn in one or more cells of a row; a space stands for the background of a cell."""

    row: int
    cell: int
    text: str
    color: str
    bold: bool = False

    @property
    def is_ground(self) -> bool:
        return self.text.isspace()


def screen_of(app: App[Any]) -> list[Strip]:
    """What the app shows."""
    return app.screen._compositor.render_strips()


def marks(strips: Sequence[Strip]) -> Iterator[Mark]:
    """Everything on a screen, row by row."""
    for row, strip in enumerate(strips):
        cell = 0
        for text, style, _control in strip:
            color, ground, bold = DARK.text, DARK.ground, False
            if style is not None:
                color = style.color.get_truecolor().hex if style.color else color
                ground = style.bgcolor.get_truecolor().hex if style.bgcolor else ground
                bold = bool(style.bold)
                if style.reverse:
                    color, ground = ground, color
            if ground != DARK.ground:
                yield Mark(row, cell, " " * cell_len(text), ground)
            for match in PIECE.finditer(text):
                yield Mark(row, cell + cell_len(text[: match.start()]), match[0], color, bold)
            cell += cell_len(text)


def drawn(found: Iterable[Mark]) -> str:
    """Marks as SVG: one group for each color and weight."""

    def ink(mark: Mark) -> tuple[str, bool]:
        return mark.color, mark.bold

    return "".join(_group(*key, sorted(group)) for key, group in groupby(sorted(found, key=ink), key=ink))


def _group(color: str, bold: bool, found: Sequence[Mark]) -> str:
    """Marks of one color and weight: words, then one path of all blocks, then one of all dots."""
    words, blocks, dots = [], [], []
    for mark in found:
        x, y = mark.cell * WIDTH, mark.row * HEIGHT
        if mark.is_ground:
            blocks.append(_box(x, y, len(mark.text) * WIDTH, HEIGHT))
        elif mark.text in LOWER:
            tall = HEIGHT * (LOWER.index(mark.text) + 1) / 8
            blocks.append(_box(x, y + HEIGHT - tall, WIDTH, tall))
        elif mark.text == "▀":
            blocks.append(_box(x, y, WIDTH, HEIGHT / 2))
        elif "\u2800" <= mark.text <= "\u28ff":
            bits = ord(mark.text) - 0x2800
            dots += [
                (y + HEIGHT * (1 + 2 * r) / 8, x + 2 + 4 * c) for bit, (c, r) in enumerate(DOTS) if bits >> bit & 1
            ]
        else:
            wide = cell_len(mark.text)
            length = f' textLength="{wide * WIDTH}"' if len(mark.text) > 1 else ""
            words.append(f'<text x="{x}" y="{y + 13}"{length}>{escape(mark.text)}</text>')
    out = "".join(words)
    if blocks:
        out += f'<path d="{"".join(blocks)}"/>'
    if out:
        weight = ' font-weight="bold"' if bold else ""
        out = f'<g fill="{color}"{weight}>{out}</g>'
    return out + (f'<path class="d" stroke="{color}" d="{_dotted(dots)}"/>' if dots else "")


def _box(x: float, y: float, wide: float, tall: float) -> str:
    return f"M{x:g} {y:g}h{wide:g}v{tall:g}h-{wide:g}z"


def _dotted(dots: Iterable[tuple[float, float]]) -> str:
    """A path that touches every dot: lines of no length, each with its distance from the one before."""
    steps, at = [], (0.0, 0.0)
    for y, x in sorted(dots):
        right, down = x - at[1], y - at[0]
        steps.append(f"m{right:g}{'' if down < 0 else ' '}{down:g}h0")
        at = y, x
    return "".join(steps)


def opened(columns: int, rows: int, *, below: int = 0, style: str = "") -> str:
    """The beginning of a picture of that many cells, with that many pixels below."""
    wide, tall = columns * WIDTH + 2 * MARGIN, rows * HEIGHT + 2 * MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-{MARGIN} -{MARGIN} {wide} {tall + below}" font-size="13.3" '
        f'font-family="{FONT}" shape-rendering="crispEdges">\n<style>{DOT_STYLE}{style}</style>\n'
        f'<rect x="-{MARGIN}" y="-{MARGIN}" width="{wide}" height="{tall}" rx="8" fill="{DARK.ground}"/>\n'
    )


def svg(strips: Sequence[Strip]) -> str:
    """The screen as an SVG picture."""
    by_row = groupby(marks(strips), key=lambda mark: (mark.row, not mark.is_ground))
    rows = [drawn(row) for _, row in sorted((key, list(row)) for key, row in by_row)]
    return opened(max(strip.cell_length for strip in strips), len(strips)) + "\n".join([*rows, "</svg>\n"])

"""Writes a picture as SVG: words as text, blocks, lines and braille as shapes.

A font would not keep the columns of a terminal aligned, so each word has its own place and length.  Within a row, all
shapes of one color and kind are one path.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import groupby
from typing import Final, Literal, NamedTuple

from rich.cells import cell_len

from bntui.pictures.picture import Look, Picture
from bntui.pictures.shapes import DOT, DRAWN, HEAVY, HEIGHT, LIGHT, WIDTH, Ink, shapes

MARGIN: Final = 8
SIZE: Final = 13.3
"""Of the font."""
WIDE_SIZE: Final = 14.6
"""Of characters of two cells."""
BASELINE: Final = 13
FONT: Final = (
    "'DejaVu Sans Mono',Menlo,Consolas,'Noto Sans Mono CJK KR','Noto Sans CJK KR','Apple SD Gothic Neo',"
    "'Malgun Gothic',monospace"
)
_ACCENTS: Final = "[\u0300-\u036f]*"
_WORD: Final = f"(?:[!-~]{_ACCENTS})+|[\uac00-\ud7a3]+|([^ ])\\2*{_ACCENTS}"
PIECE: Final = re.compile(f"─+|━+|[{DRAWN}]|(?P<word>{_WORD})")
"""A line, another character that is drawn, or a word; combining accents belong to it."""
STYLE: Final = (
    f"path{{fill:none}}.l{{stroke-width:{LIGHT}}}.h{{stroke-width:{HEAVY}}}"
    f".d{{stroke-width:{DOT};stroke-linecap:round}}"
    "text{white-space:pre}.b{font-weight:bold}.u{text-decoration:underline}"
    f".w{{font-size:{WIDE_SIZE}px}}"
)
_CLASSES: Final[dict[Ink, str]] = {"light": "l", "heavy": "h", "dot": "d"}


class Mark(NamedTuple):
    """What is drawn in one or more cells of a row: a word, a character that is drawn as shapes, or a background."""

    row: int
    cell: int
    text: str
    kind: Literal["word", "shape", "ground"]
    look: Look
    """The background's color is its color."""


def svg(picture: Picture) -> str:
    """The picture as an SVG document."""
    rows = (drawn(row) for _number, row in groupby(marks(picture), key=lambda mark: mark.row))
    return "\n".join([head(picture), *rows, "</svg>\n"])


def head(picture: Picture, *, below: int = 0, style: str = "") -> str:
    """The beginning of the document, with the picture's background.

    Args:
        below: height of what is drawn below the background, in pixels.
        style: more rules.
    """
    wide, tall = picture.columns * WIDTH + 2 * MARGIN, len(picture.lines) * HEIGHT + 2 * MARGIN
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{tall + below}" '
        f'viewBox="-{MARGIN} -{MARGIN} {wide} {tall + below}" font-size="{SIZE}" font-family="{FONT}" '
        f'xml:lang="{picture.language}" role="img">',
        f"<title>{escape(picture.title)}</title>",
        f"<style>{STYLE}{style}</style>",
        f'<rect x="-{MARGIN}" y="-{MARGIN}" width="{wide}" height="{tall}" rx="8" fill="{picture.ground}"/>',
    ])  # fmt: skip


def marks(picture: Picture) -> Iterator[Mark]:
    """Everything in a picture, row by row."""
    for row, line in enumerate(picture.lines):
        cell = 0
        for text, style, _control in line:
            look, cells = picture.look(style), cell_len(text)
            if look.ground != picture.ground:
                yield Mark(row, cell, " " * cells, "ground", Look(look.ground, ""))
            ink = look._replace(ground="")
            for found in PIECE.finditer(text if not look.underline else text.replace(" ", "\u00a0")):
                kind: Literal["word", "shape"] = "word" if found["word"] else "shape"
                yield Mark(row, cell + cell_len(text[: found.start()]), found[0], kind, ink)
            cell += cells


def drawn(found: Iterable[Mark]) -> str:
    """Marks as SVG: backgrounds, then everything of one look after the other."""
    grounds: defaultdict[str, str] = defaultdict(str)
    looks: defaultdict[Look, list[Mark]] = defaultdict(list)
    for mark in found:
        if mark.kind == "ground":
            wide = len(mark.text) * WIDTH
            grounds[mark.look.color] += f"M{mark.cell * WIDTH} {mark.row * HEIGHT}h{wide}v{HEIGHT}h-{wide}z"
        else:
            looks[mark.look].append(mark)
    painted = [f'<path style="fill:{color}" shape-rendering="crispEdges" d="{d}"/>' for color, d in grounds.items()]
    return "".join([*painted, *(_inked(look, inked) for look, inked in looks.items())])


def _inked(look: Look, inked: Sequence[Mark]) -> str:
    """Everything of one look: its shapes, then its words."""
    paths: defaultdict[tuple[Ink, float], str] = defaultdict(str)
    for mark in inked:
        for shape in shapes(mark.text) if mark.kind == "shape" else ():
            paths[shape.ink, shape.opacity] += f"M{mark.cell * WIDTH} {mark.row * HEIGHT}{shape.path}"
    kinds = " ".join(name for name, wanted in (("b", look.bold), ("u", look.underline)) if wanted)
    classes = f' class="{kinds}"' if kinds else ""
    shaped = "".join(_path(*kind, look.color, path) for kind, path in paths.items())
    written = "".join(_text(mark) for mark in inked if mark.kind == "word")
    return shaped + (f'<g fill="{look.color}"{classes}>{written}</g>' if written else "")


def _path(ink: Ink, opacity: float, color: str, path: str) -> str:
    faint = f' fill-opacity="{opacity:g}"' if opacity < 1 else ""
    if ink == "fill":
        return f'<path style="fill:{color}" shape-rendering="crispEdges"{faint} d="{path}"/>'
    return f'<path class="{_CLASSES[ink]}" stroke="{color}" d="{path}"/>'


def _text(word: Mark) -> str:
    text, x, base = word.text, word.cell * WIDTH, word.row * HEIGHT + BASELINE
    cells = cell_len(text)
    if cells >= 2 * len(text):  # not every program knows textLength, and wide fonts differ in their widths
        parts = "".join(f'<tspan x="{x + 2 * WIDTH * at}">{char}</tspan>' for at, char in enumerate(text))
        return f'<text class="w" y="{base}">{parts}</text>'
    length = f' textLength="{cells * WIDTH}"' if len(text) > 1 else ""
    return f'<text x="{x}" y="{base}"{length}>{escape(text)}</text>'

"""Writes a picture as SVG: words as text, blocks, lines and braille as shapes.

A font would not keep the columns of a terminal aligned, so each word has its own place and length.  Within a row, all
shapes of one color and kind are one path.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final, NamedTuple

from rich.cells import cell_len

from bntui.pictures.picture import Line, Look, Picture
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


class Word(NamedTuple):
    """Text at a cell."""

    cell: int
    text: str


def svg(picture: Picture) -> str:
    """The picture as an SVG document."""
    wide, tall = picture.columns * WIDTH + 2 * MARGIN, len(picture.lines) * HEIGHT + 2 * MARGIN
    rows = (_row(picture, line, number * HEIGHT) for number, line in enumerate(picture.lines))
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{tall}" '
        f'viewBox="-{MARGIN} -{MARGIN} {wide} {tall}" font-size="{SIZE}" font-family="{FONT}" '
        f'xml:lang="{picture.language}" role="img">',
        f"<title>{escape(picture.title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect x="-{MARGIN}" y="-{MARGIN}" width="{wide}" height="{tall}" rx="8" fill="{picture.ground}"/>',
        *filter(None, rows),
        "</svg>\n",
    ])  # fmt: skip


def _row(picture: Picture, line: Line, y: int) -> str:
    """One row: backgrounds, then everything of one look after the other."""
    grounds: defaultdict[str, str] = defaultdict(str)
    looks: defaultdict[Look, list[tuple[int, re.Match[str]]]] = defaultdict(list)
    cell = 0
    for text, style, _control in line:
        look, cells = picture.look(style), cell_len(text)
        if look.ground != picture.ground:
            grounds[look.ground] += f"M{cell * WIDTH} {y}h{cells * WIDTH}v{HEIGHT}h-{cells * WIDTH}z"
        found = PIECE.finditer(text if not look.underline else text.replace(" ", "\u00a0"))
        looks[look._replace(ground="")] += [(cell + cell_len(text[: one.start()]), one) for one in found]
        cell += cells
    painted = [f'<path style="fill:{color}" shape-rendering="crispEdges" d="{d}"/>' for color, d in grounds.items()]
    return "".join([*painted, *(_inked(look, pieces, y) for look, pieces in looks.items() if pieces)])


def _inked(look: Look, pieces: Sequence[tuple[int, re.Match[str]]], y: int) -> str:
    """Everything in one color: its shapes, then its words."""
    paths: defaultdict[tuple[Ink, float], str] = defaultdict(str)
    words = []
    for cell, found in pieces:
        if found["word"]:
            words.append(Word(cell, found["word"]))
            continue
        for shape in shapes(found[0]):
            paths[shape.ink, shape.opacity] += f"M{cell * WIDTH} {y}{shape.path}"
    kinds = " ".join(name for name, wanted in (("b", look.bold), ("u", look.underline)) if wanted)
    classes = f' class="{kinds}"' if kinds else ""
    drawn = "".join(_path(*kind, look.color, path) for kind, path in paths.items())
    written = "".join(_texts(words, y))
    return drawn + (f'<g fill="{look.color}"{classes}>{written}</g>' if written else "")


def _path(ink: Ink, opacity: float, color: str, path: str) -> str:
    faint = f' fill-opacity="{opacity:g}"' if opacity < 1 else ""
    if ink == "fill":
        return f'<path style="fill:{color}" shape-rendering="crispEdges"{faint} d="{path}"/>'
    return f'<path class="{_CLASSES[ink]}" stroke="{color}" d="{path}"/>'


def _texts(words: Iterable[Word], y: int) -> Iterator[str]:
    for cell, text in words:
        cells, x, base = cell_len(text), cell * WIDTH, y + BASELINE
        if cells >= 2 * len(text):  # not every program knows textLength, and wide fonts differ in their widths
            parts = "".join(f'<tspan x="{x + 2 * WIDTH * at}">{char}</tspan>' for at, char in enumerate(text))
            yield f'<text class="w" y="{base}">{parts}</text>'
        else:
            length = f' textLength="{cells * WIDTH}"' if len(text) > 1 else ""
            yield f'<text x="{x}" y="{base}"{length}>{escape(text)}</text>'

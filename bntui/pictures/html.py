"""Writes a picture as a web page that needs nothing else; its text can be selected and searched."""

from __future__ import annotations

import re
from html import escape
from typing import Final

from rich.cells import cell_len

from bntui.pictures.picture import Line, Look, Picture
from bntui.pictures.svg import FONT

PIECE: Final = re.compile("[ -~]+|[^ -~][\u0300-\u036f]*")
"""Text that any font of equal widths aligns, or another character, which gets a box of its cells."""


def html(picture: Picture) -> str:
    """The picture as an HTML document."""
    rows = "\n".join(_row(picture, line) for line in picture.lines)
    title = escape(picture.title)
    return f"""<!DOCTYPE html>
<html lang="{picture.language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ margin: 0; background: {picture.ground}; color: {picture.color}; }}
pre {{ margin: 1em; font: 14px/17px {FONT}; font-variant-ligatures: none; }}
b, u, span {{ display: inline-block; height: 17px; }}
.c {{ width: 1ch; overflow: visible; }}
.w {{ width: 2ch; overflow: visible; }}
</style>
</head>
<body>
<pre role="img" aria-label="{title}">{rows}
</pre>
</body>
</html>
"""


def _row(picture: Picture, line: Line) -> str:
    return "".join(_piece(picture, picture.look(style), text) for text, style, _control in line)


def _piece(picture: Picture, look: Look, text: str) -> str:
    inside = "".join(_boxed(found[0]) for found in PIECE.finditer(text))
    css = "" if look.color == picture.color else f"color:{look.color};"
    css += "" if look.ground == picture.ground else f"background:{look.ground};"
    css += "font-weight:bold;" if look.bold else ""
    css += "text-decoration:underline;" if look.underline else ""
    return f'<span style="{css}">{inside}</span>' if css else inside


def _boxed(text: str) -> str:
    """Text, in a box if a font may not give it the width that it has in a terminal."""
    if text[0] < "\x7f":
        return escape(text)
    return f'<span class="{"w" if cell_len(text) == 2 else "c"}">{escape(text)}</span>'

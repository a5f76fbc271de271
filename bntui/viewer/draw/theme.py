"""Maps style names to colors: on a dark background, in 16 colors, and without any.

Panels name styles (``run0``, ``bold warn``); what they look like is decided here and nowhere else.  The
colours of the runs are after Okabe and Ito's palette for all kinds of colour vision, lightened for a dark
background, and fall on different colours of a 256-colour terminal.  The first six, whose marks are filled,
do so on a 16-colour terminal too; the other six are lighter and darker shades of them, with open marks.
Under ``NO_COLOR`` weight, underline and reverse carry what they can; the runs' marks carry the rest.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from rich.style import Style
from textual.theme import Theme

BACKGROUND: Final = "#101218"
SURFACE: Final = "#171a22"
ACCENT: Final = "#7aa2f7"
TEXT: Final = "#d5d9e3"
MUTED: Final = "#838999"
FRAME: Final = "#42454d"

COLOURS: Final = {
    "run0": "#56b4e9",
    "run1": "#e69f00",
    "run2": "#10c080",
    "run3": "#e274c2",
    "run4": "#f5ee58",
    "run5": "#a9a4f7",
    "run6": "#b5e1fb",
    "run7": "#b5752e",
    "run8": "#a9ecd0",
    "run9": "#ffc4ea",
    "run10": "#a8a23a",
    "run11": "#7f78e6",
    "text": TEXT,
    "muted": MUTED,
    "frame": FRAME,
    "focus": ACCENT,
    "accent": ACCENT,
    "title": TEXT,
    "key": ACCENT,
    "good": "#4fc47f",
    "warn": "#ff9e64",
    "bad": "#f7566e",
    "kept": "#9aa5c4",
    "dropped": "#2f3136",
}
"""Foreground of each style, as truecolor; Rich finds the nearest in smaller palettes."""

ATTRIBUTES: Final = {"bold": "bold", "title": "bold", "key": "bold", "bad": "bold", "cursor": "reverse"}
"""What a style is besides its colour."""

PLAIN: Final = {
    "muted": "dim",
    "frame": "dim",
    "dropped": "dim",
    "focus": "bold",
    "accent": "bold",
    "title": "bold",
    "key": "bold",
    "warn": "bold underline",
    "bad": "bold reverse",
    "bold": "bold",
    "cursor": "reverse",
}
"""What carries a style without colour."""

NAMES: Final = frozenset(COLOURS) | frozenset(ATTRIBUTES)

THEME: Final = Theme(
    name="bntui",
    primary=ACCENT,
    secondary=COLOURS["run1"],
    accent=ACCENT,
    warning=COLOURS["warn"],
    error=COLOURS["bad"],
    success=COLOURS["good"],
    foreground=TEXT,
    background=BACKGROUND,
    surface=SURFACE,
    panel=SURFACE,
    dark=True,
    variables={"border": FRAME, "block-cursor-foreground": BACKGROUND},
)


@lru_cache(256)
def style(name: str, plain: bool = False) -> Style:
    """The look of a style: one name or several (``bold run0``); what has no name here looks like text.

    Args:
        plain: without colours, as ``NO_COLOR`` asks.
    """
    parts = [part for part in name.split() if part in NAMES]
    if plain:
        return Style.parse(" ".join(PLAIN[part] for part in parts if part in PLAIN) or "none")
    colour = next((COLOURS[part] for part in parts if part in COLOURS), TEXT)
    return Style.parse(" ".join([*(ATTRIBUTES[part] for part in parts if part in ATTRIBUTES), colour]))

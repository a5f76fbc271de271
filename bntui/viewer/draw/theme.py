"""Maps style names to colors: one palette for each theme, on dark and light backgrounds, in 16 colors, and without any.

Panels name styles (``run0``, ``bold warn``); what they look like is decided here and nowhere else.  Each palette paints
its own background, so that its contrasts hold on any terminal; only ``terminal`` leaves the terminal's.

The runs' colors were searched for by computation: as far apart in OKLab as they can be for normal color vision,
protanopia and deuteranopia alike, at a contrast of 4.5:1, near the hues of Okabe and Ito's palette.  OKLab is used
because its Euclidean distance is what its authors fitted to perceived differences, also of large ones, for which
CIEDE2000 was not made.  The first six, whose marks are filled, are told apart in 16 colors too; there the other six,
with open marks, have their colors again.  Under ``NO_COLOR`` weight, underline and reverse carry what they can; the
runs' marks carry the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from rich.color import Color, blend_rgb
from rich.style import Style

if TYPE_CHECKING:
    from textual.theme import Theme


@dataclass(frozen=True, slots=True, eq=False)
class Palette:
    """How the styles look in one theme on one kind of terminal; compared by identity."""

    name: str
    """The theme's."""
    dark: bool
    """Light text on a dark background."""
    colors: Mapping[str, str]
    """Foreground of each style; Rich finds the nearest one where the terminal has fewer colors."""
    ground: str = ""
    """The background that is painted; empty: the terminal's own."""
    surface: str = ""
    """The background of pages over the screen."""
    heavy: bool = False
    """Seen from the last row of a lecture hall: bold text, thick lines, few panels."""

    @property
    def text(self) -> str:
        return self.colors["text"]

    @property
    def accent(self) -> str:
        return self.colors["accent"]


def _true(runs: str, **others: str) -> dict[str, str]:
    """A palette of truecolor; some styles share a color."""
    shared = {"title": others["text"], "focus": others["accent"], "key": others["accent"]}
    return {f"run{number}": color for number, color in enumerate(runs.split())} | others | shared


DARK: Final = Palette(
    "dark",
    dark=True,
    colors=_true(
        "#5fd7ff #ffaf00 #00ffaf #ff5faf #ffff00 #af5fff #87ffff #ff5f00 #5f8787 #af87d7 #afd787 #5fafff",
        text="#d5d9e3", muted="#838999", frame="#5d616c", accent="#7aa2f7",
        good="#4fc47f", warn="#ff9e64", bad="#f7566e",
    ),
    ground="#101218",
    surface="#171a22",
)  # fmt: skip
LIGHT: Final = Palette(
    "light",
    dark=False,
    colors=_true(
        "#0156b0 #ae5f19 #0f8370 #7e1467 #612f01 #8218f9 #755bc4 #272133 #186314 #7e5279 #152d18 #3b29d3",
        text="#24262b", muted="#5f6573", frame="#8b909c", accent="#2b5fc4",
        good="#1a7f37", warn="#a84300", bad="#c5172f",
    ),
    ground="#fbfbfd",
    surface="#f0f1f5",
)  # fmt: skip
PROJECTOR: Final = Palette(
    "projector",
    dark=False,
    colors={**LIGHT.colors, "text": "#000000", "title": "#000000", "muted": "#3d424d", "frame": "#6b707c"},
    ground="#ffffff",
    surface="#f0f1f5",
    heavy=True,
)

OWN: Final = "terminal"
"""The theme of which the terminal gives every color."""
VGA: Final = (
    "#000000", "#aa0000", "#00aa00", "#aa5500", "#0000aa", "#aa00aa", "#00aaaa", "#aaaaaa",
    "#555555", "#ff5555", "#55ff55", "#ffff55", "#5555ff", "#ff55ff", "#55ffff", "#ffffff",
)  # fmt: skip
"""What Rich takes for exactly the 16 colors of a terminal that has no more."""


def _few(runs: str, **others: int) -> dict[str, int]:
    """Numbers among the 16 colors; the runs with open marks have the colors of those with filled ones again."""
    numbers = [*map(int, runs.split())] * 2
    shared = {"title": others["text"], "focus": others["accent"], "key": others["accent"]}
    return {f"run{number}": color for number, color in enumerate(numbers)} | others | shared


FEW_ON_DARK: Final = _few("14 11 2 13 6 9", text=15, muted=7, frame=7, accent=14, good=10, warn=11, bad=9)
FEW_ON_LIGHT: Final = _few("4 1 5 0 8 12", text=0, muted=8, frame=8, accent=4, good=4, warn=5, bad=1)
"""Numbers of the 16 colors that every terminal has, on a dark and on a light background."""


def _painted(name: str, numbers: Mapping[str, int], ground: int, *, heavy: bool = False) -> Palette:
    colors = {style: VGA[number] for style, number in numbers.items()}
    return Palette(name, ground == 0, colors, VGA[ground], VGA[ground], heavy=heavy)


def _own(numbers: Mapping[str, int], *, dark: bool) -> Palette:
    """In the terminal's own colors, its text and its background included."""
    colors = {style: f"color({number})" for style, number in numbers.items()}
    return Palette(OWN, dark, colors | {"text": "default", "title": "default"})


_OWN: Final = {True: _own(FEW_ON_DARK, dark=True), False: _own(FEW_ON_LIGHT, dark=False)}
_MANY: Final = {palette.name: palette for palette in (DARK, LIGHT, PROJECTOR)}
_FEW: Final = {
    "dark": _painted("dark", FEW_ON_DARK, 0),
    "light": _painted("light", FEW_ON_LIGHT, 15),
    "projector": _painted("projector", FEW_ON_LIGHT, 15, heavy=True),
}
PALETTES: Final = (*_MANY.values(), *_FEW.values(), *_OWN.values())


def palette_of(theme: str, *, dark: bool = True, few: bool = False) -> Palette:
    """The palette of a theme.

    Args:
        dark: the terminal's own background is dark, which matters where it is not painted.
        few: the terminal has 16 colors.
    """
    return _OWN[dark] if theme == OWN else (_FEW if few else _MANY)[theme]


ATTRIBUTES: Final = {"bold": "bold", "title": "bold", "key": "bold", "bad": "bold", "cursor": "reverse"}
"""What a style is besides its color."""
QUIET: Final = frozenset(("muted", "frame"))
"""Styles that are not bold in a heavy palette either."""
PLAIN: Final = {
    "muted": "dim",
    "frame": "dim",
    "faint": "dim",
    "focus": "bold",
    "accent": "bold",
    "title": "bold",
    "key": "bold",
    "warn": "bold underline",
    "bad": "bold reverse",
    "bold": "bold",
    "cursor": "reverse",
}
"""What carries a style without color."""
NAMES: Final = frozenset(DARK.colors) | frozenset(ATTRIBUTES) | {"faint"}
FAINT: Final = 0.5
"""Share of the background in a faint color."""


@lru_cache(1024)
def style(name: str, palette: Palette = DARK, plain: bool = False) -> Style:
    """The look of a style: one name or several (``bold run0``); what has no name here looks like text.

    Args:
        plain: without colors, as ``NO_COLOR`` asks.
    """
    parts = [part for part in name.split() if part in NAMES]
    if plain:
        return Style.parse(" ".join(PLAIN[part] for part in parts if part in PLAIN) or "none")
    color = next((palette.colors[part] for part in parts if part in palette.colors), palette.text)
    attributes = [ATTRIBUTES[part] for part in parts if part in ATTRIBUTES]
    if "faint" in parts:
        if palette is _MANY.get(palette.name):
            own, ground = (Color.parse(one).get_truecolor() for one in (color, palette.ground))
            color = blend_rgb(own, ground, FAINT).hex
        else:
            attributes.append("dim")
    if palette.heavy and not QUIET.intersection(parts):
        attributes.append("bold")
    behind = ["on", palette.ground] if palette.ground else []
    return Style.parse(" ".join([*dict.fromkeys(attributes), color, *behind]))


def textual_theme(palette: Palette) -> Theme:
    """The same palette for Textual's own widgets."""
    from textual.theme import Theme  # which pictures do not need

    def spoken(color: str) -> str:
        """Textual's name of a color."""
        if color == "default":
            return "ansi_default"
        return _ANSI[int(color[6:-1])] if color.startswith("color(") else color

    colors = {name: spoken(color) for name, color in palette.colors.items()}
    ground, surface = spoken(palette.ground or "default"), spoken(palette.surface or "default")
    return Theme(
        name=palette.name,
        primary=colors["accent"],
        secondary=colors["run1"],
        accent=colors["accent"],
        warning=colors["warn"],
        error=colors["bad"],
        success=colors["good"],
        foreground=colors["text"],
        background=ground,
        surface=surface,
        panel=surface,
        dark=palette.dark,
        variables={
            "border": colors["frame"],
            "block-cursor-foreground": ground
            if palette.ground
            else "ansi_black"
            if palette.dark
            else "ansi_bright_white",
        },
    )


_ANSI: Final = tuple(
    f"ansi_{brightness}{color}"
    for brightness in ("", "bright_")
    for color in ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
)

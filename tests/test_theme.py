"""Computes contrasts and distances of all colors, for three kinds of color vision.

The formulas are WCAG 2.2 (contrast), Machado, Oliveira and Fernandes 2009 (severity 1.0), and Ottosson 2020 (OKLab), in
which 0.02 is a difference that is just noticed side by side.
"""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest
from rich.color import Color, ColorSystem
from rich.style import Style

from bntui.scenario.schema import MAX_RUNS
from bntui.text.themes import THEMES
from bntui.viewer.draw import theme
from bntui.viewer.draw.theme import PALETTES, Palette

Vector = npt.NDArray[np.float64]

VISION: Final = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
LMS: Final = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
LAB: Final = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
LINES: Final = ("frame",)
"""Styles that no text has."""
XTERM: Final = (
    "#000000", "#cd0000", "#00cd00", "#cdcd00", "#0000ee", "#cd00cd", "#00cdcd", "#e5e5e5",
    "#7f7f7f", "#ff0000", "#00ff00", "#ffff00", "#5c5cff", "#ff00ff", "#00ffff", "#ffffff",
)  # fmt: skip
OURS: Final = pytest.mark.parametrize("palette", [palette for palette in PALETTES if palette.ground])
"""The palettes whose every color is known."""


def linear(color: str) -> Vector:
    """Light of a color as ``#rrggbb``, from 0 to 1."""
    channels = np.array([int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    dark, light = sorted(float(linear(color) @ [0.2126, 0.7152, 0.0722]) for color in (one, other))
    return (light + 0.05) / (dark + 0.05)


def oklab(color: str, vision: str) -> Vector:
    seen = np.clip(VISION[vision] @ linear(color), 0, 1)
    return np.asarray(LAB @ np.cbrt(LMS @ seen))


def nearest(colors: list[str], vision: str) -> tuple[float, str]:
    """The least distance between two of several colors, and which they are."""
    pairs = itertools.combinations(colors, 2)
    return min((float(np.linalg.norm(oklab(a, vision) - oklab(b, vision))), f"{a} {b}") for a, b in pairs)


def runs(palette: Palette, number: int = MAX_RUNS) -> list[str]:
    return [palette.colors[f"run{n}"] for n in range(number)]


def test_the_formulas_agree_with_published_figures() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # WebAIM's example
    assert oklab("#ffffff", "normal") == pytest.approx([1, 0, 0], abs=1e-4)
    assert oklab("#ff0000", "normal") == pytest.approx([0.628, 0.2249, 0.1258], abs=1e-3)
    for matrix in VISION.values():  # grey stays grey
        assert matrix.sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-5)


@OURS
def test_text_lines_and_marks_stand_out_from_the_background(palette: Palette) -> None:
    for name, color in palette.colors.items():
        least = 3.0 if name in LINES else 4.5
        assert contrast(color, palette.ground) >= least, name
        if palette.surface != palette.ground and name in ("text", "accent"):
            assert contrast(color, palette.surface) >= 4.5, name


@pytest.mark.parametrize("vision", VISION)
@OURS
def test_runs_are_told_apart_by_everybody(palette: Palette, vision: str) -> None:
    few = palette.ground in theme.VGA and palette.colors["run0"] in theme.VGA
    for number, least in ((6, 0.055),) if few else ((6, 0.1), (MAX_RUNS, 0.05)):
        distance, which = nearest(runs(palette, number), vision)
        assert distance >= least, which


@pytest.mark.parametrize("dark", [True, False])
def test_the_terminals_own_colors_are_readable_in_other_palettes_of_sixteen(dark: bool) -> None:
    numbers = theme.FEW_ON_DARK if dark else theme.FEW_ON_LIGHT
    ground = XTERM[0 if dark else 15]
    own = theme.palette_of("terminal", dark=dark)
    assert not own.ground
    assert own.text == "default"
    for name, number in numbers.items():
        assert own.colors[name] in (f"color({number})", "default")
        assert contrast(XTERM[number], ground) >= 3.9, name
    for vision in VISION:
        assert nearest([XTERM[numbers[f"run{n}"]] for n in range(6)], vision)[0] >= 0.055


@pytest.mark.parametrize("palette", [theme.DARK, theme.LIGHT, theme.PROJECTOR], ids=lambda palette: palette.name)
def test_256_colors_are_as_readable_and_runs_differ_there_too(palette: Palette) -> None:
    def shown(color: str) -> str:
        return Color.parse(color).downgrade(ColorSystem.EIGHT_BIT).get_truecolor().hex

    for name, color in palette.colors.items():
        assert contrast(shown(color), shown(palette.ground)) >= (3.0 if name in LINES else 4.5), name
    found = [shown(color) for color in runs(palette)]
    assert len({*found, shown(palette.ground)}) == MAX_RUNS + 1
    for vision in VISION:
        assert nearest(found[:6], vision)[0] >= 0.09


def test_a_terminal_with_16_colors_gets_the_numbers_that_were_meant() -> None:
    """Rich looks for the nearest color: each of ours must be one of them."""
    for name, numbers in (
        ("dark", theme.FEW_ON_DARK),
        ("light", theme.FEW_ON_LIGHT),
        ("projector", theme.FEW_ON_LIGHT),
    ):
        palette = theme.palette_of(name, few=True)
        for style, number in numbers.items():
            assert Color.parse(palette.colors[style]).downgrade(ColorSystem.STANDARD).number == number


def test_every_theme_has_a_palette_with_every_style() -> None:
    assert {palette.name for palette in PALETTES} == set(THEMES)
    for palette in PALETTES:
        assert palette.colors.keys() == theme.DARK.colors.keys()
        assert theme.style("run3", palette).bgcolor == (Color.parse(palette.ground) if palette.ground else None)


def test_the_projectors_strokes_are_heavy() -> None:
    assert theme.style("run3", theme.PROJECTOR).bold
    assert not theme.style("muted", theme.PROJECTOR).bold
    assert theme.style("run3", theme.LIGHT) == Style.parse(f"{theme.LIGHT.colors['run3']} on {theme.LIGHT.ground}")

"""Writes the four steps as formulas, in symbols and with this step's numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from bntui.keyframe import FloatArray
from bntui.text.figures import count, equals, read
from bntui.text.language import N_, _
from bntui.viewer.draw.axes import Limits
from bntui.viewer.draw.cells import tick
from bntui.viewer.draw.extremes import root
from bntui.viewer.microscope.state import Lens
from bntui.viewer.microscope.words import added, figure, variance

NAMES: Final = (
    N_("the values and their mean"),
    N_("variance and standard deviation"),
    N_("normalized"),
    N_("scaled and shifted"),
)
LETTERS: Final = ("a", "b", "c", "d")
FORMULAS: Final = ("μ = 1/m Σ xᵢ", "σ² = 1/m Σ (xᵢ − μ)²", "x̂ᵢ = (xᵢ − μ)/√(σ² + ε)", "yᵢ = γ x̂ᵢ + β")
FORMULA_OF_FEATURES: Final = "yᵢ = γᵢ x̂ᵢ + βᵢ"
"""The last formula for layer and group normalization, in which γ and β differ within a set."""
FORMULA_CELLS: Final = 23
"""Width of the longest formula in cells."""


@dataclass(frozen=True, slots=True)
class FormulaStep:
    """One of the four steps."""

    number: int
    """Number of the step, from 1."""
    formula: str
    numbers: tuple[tuple[str, str], ...]
    """Derivations with their results, the longest wording first; the first one that fits is displayed."""
    values: FloatArray | None
    """All values after this step; None if they were not kept."""
    limits: Limits
    """The axis, which is the same in steps a and b, and in c and d."""
    centre: float
    """Mean of these values."""
    reach: float
    """Standard deviation of these values; NaN in step a, which does not compute it yet."""

    @property
    def title(self) -> str:
        return f"({LETTERS[self.number - 1]}) {_(NAMES[self.number - 1])}"


def steps(lens: Lens) -> tuple[FormulaStep, FormulaStep, FormulaStep, FormulaStep]:
    """The four steps of the normalization."""
    slide, specimen, state = lens.slide, lens.specimen, lens.state
    before = lens.courses.before(slide, state.time, state.chosen)
    after = lens.courses.after(slide, state.chosen)
    x, normalized, y = specimen.x, specimen.normalized, specimen.y
    marked = state.marked
    gamma, beta = specimen.of(marked)[:2]
    mean, var, m = specimen.mean, specimen.var, count(specimen.count)
    spread = variance(specimen.std)
    deviation = f"σ = √σ² {equals(spread, root(read(variance(var))))} {spread}"
    averages: list[tuple[str, str]] = [("", figure(mean))]
    spreads: list[tuple[str, str]] = [("", f"{variance(var)}   {deviation}"), ("", variance(var))]
    divided: list[tuple[str, str]] = [(f"(xᵢ {added(-mean)})/√({variance(var)} + {tick(specimen.eps)})", "")]
    scaled: list[tuple[str, str]] = [(f"{figure(gamma)} x̂ᵢ {added(beta)}", "")]
    if x is not None:
        first, last = float(x[0]), float(x[-1])
        with np.errstate(all="ignore"):
            total, squares = float(x.sum()), float(np.square(x - mean).sum())
            away, far = (first - mean) ** 2, (last - mean) ** 2
        sign = equals(figure(mean), read(figure(total)) / specimen.count)
        averages = [
            (f"({figure(first)} + … {added(last)})/{m} = {figure(total)}/{m} {sign}", figure(mean)),
            (f"{figure(total)}/{m} {sign}", figure(mean)),
            *averages,
        ]
        sign = equals(variance(var), read(figure(squares)) / specimen.count)
        spreads = [
            (
                f"({variance(away)} + … + {variance(far)})/{m} = {figure(squares)}/{m} {sign}",
                f"{variance(var)}   {deviation}",
            ),
            (f"{figure(squares)}/{m} {sign}", f"{variance(var)}   {deviation}"),
            (f"{figure(squares)}/{m} {sign}", variance(var)),
            *spreads,
        ]
    if x is not None and normalized is not None:
        value, became = float(x[marked]), figure(normalized[marked])
        under, divisor = f"√({variance(var)} + {tick(specimen.eps)})", variance(root(var + specimen.eps))
        away_read = read(figure(value)) - read(figure(mean))
        divided = [
            (f"({figure(value)} {added(-mean)})/{words} {equals(became, _quotient(away_read, by))}", became)
            for words, by in ((under, root(read(variance(var)) + specimen.eps)), (divisor, read(divisor)))
        ]
        divided += [
            ("", became),
        ]
        if y is not None:
            out = figure(y[marked])
            sign = equals(out, read(figure(gamma)) * read(became) + read(figure(beta)))
            scaled = [(f"{figure(gamma)} · {became} {added(beta)} {sign}", out), ("", out)]
    known = x is not None or math.isfinite(mean)
    centre = 0.0 if math.isfinite(specimen.spread) else math.nan
    last_formula = FORMULAS[3] if slide.kind == "batch" else FORMULA_OF_FEATURES
    return (
        FormulaStep(1, FORMULAS[0], tuple(averages) if known else (), x, before, mean, math.nan),
        FormulaStep(2, FORMULAS[1], tuple(spreads) if known else (), x, before, mean, specimen.std),
        FormulaStep(3, FORMULAS[2], tuple(divided) if known else (), normalized, after, centre, specimen.spread),
        FormulaStep(
            4,
            last_formula,
            () if math.isnan(gamma) else tuple(scaled),
            y,
            after,
            *_moments(y, centre + beta, gamma * specimen.spread),
        ),
    )


def _quotient(dividend: float, divisor: float) -> float:
    return dividend / divisor if divisor else math.nan


def _moments(y: FloatArray | None, centre: float, spread: float) -> tuple[float, float]:
    """Mean and standard deviation after scale and shift; without the values, derived from β and γ."""
    if y is None:
        return centre, abs(spread)
    with np.errstate(all="ignore"):
        return float(y.mean()), float(y.std())

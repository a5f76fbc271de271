"""Which unit is worth looking at?  All of them in a table, sorted by any of their figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from bntui.text.figures import number, scientific
from bntui.text.language import N_, _
from bntui.text.widths import rjust
from bntui.viewer.draw.rows import Row, Span, fit
from bntui.viewer.microscope.state import Lens, order
from bntui.viewer.microscope.words import short_name

HEADINGS: Final = {
    "mean": "μ",
    "var": "σ²",
    "running_mean": N_("run μ"),
    "running_var": N_("run σ²"),
    "gamma": "γ",
    "beta": "β",
    "gamma_gradient": "∂L/∂γ",
    "beta_gradient": "∂L/∂β",
    "eps_share": "ε %",
    "evaluation": N_("eval."),
}
"""Symbols, and what is shorter than a word."""
MEANINGS: Final = {
    "unit": N_("sorted by number"),
    "mean": N_("sorted by the batch's mean"),
    "var": N_("sorted by the batch's variance"),
    "running_mean": N_("sorted by the running mean"),
    "running_var": N_("sorted by the running variance"),
    "gamma": N_("sorted by γ"),
    "beta": N_("sorted by β"),
    "gamma_gradient": N_("sorted by γ's gradient"),
    "beta_gradient": N_("sorted by β's gradient"),
    "eps_share": N_("sorted by ε's share of σ² + ε"),
    "evaluation": N_("sorted by how far evaluation mode is off (root mean square)"),
}
NAME: Final = 6
LEAST, MOST = 7, 10
"""Cells of a figure with the gap before it."""


def table(lens: Lens, width: int, height: int) -> list[Row]:
    """Heading and as many sets as fit around the chosen one, in exactly ``height`` rows of ``width`` cells."""
    slide, state = lens.slide, lens.state
    figures = slide.figures(state.time)
    room = max(min((width - NAME - 1) // max(len(figures), 1), MOST), LEAST)
    shown = _columns(list(figures), state.sort, (width - NAME - 1) // room)
    heading = [Span("#".rjust(NAME + 1), _chosen(state.sort == "unit"))]
    heading += [Span(rjust(_(HEADINGS[name]), room), _chosen(name == state.sort)) for name in shown]
    numbers = order(slide, state)
    lines = max(height - 2, 0)
    first = min(max(numbers.index(state.chosen) - lines // 2, 0), max(len(numbers) - lines, 0)) if numbers else 0
    sort = state.sort if state.sort in figures else "unit"
    words = _("{what} {arrow}, {first} to {last} of {count}").format(
        what=_(MEANINGS[sort]),
        arrow="▾" if (sort == "unit") == state.reverse else "▴",
        first=min(first + 1, len(numbers)),
        last=min(first + lines, len(numbers)),
        count=len(numbers),
    )
    rows: list[Row] = [(Span(f" {words}", "muted"),), tuple(heading)]
    for chosen in numbers[first : first + lines]:
        at = chosen == state.chosen
        row = [Span(("❯" if at else " ") + short_name(slide, chosen).rjust(NAME), "bold accent" if at else "muted")]
        for name in shown:
            value = float(figures[name][chosen])
            style = "bold text" if at else "text" if name == state.sort else "muted"
            row.append(Span(_written(name, value, room), _alarming(name, value, style)))
        rows.append(tuple(row))
    return [fit(row, width) for row in (rows + [()] * height)[:height]]


def _columns(names: Sequence[str], sort: str, most: int) -> list[str]:
    """The first figures that fit, and always that by which is sorted."""
    shown = list(names[: max(most, 1)])
    if sort in names and sort not in shown:
        shown[-1] = sort
    return shown


def _chosen(sorted_by: bool) -> str:
    return "bold accent" if sorted_by else "muted"


def _written(name: str, value: float, cells: int) -> str:
    if name.endswith("_gradient"):
        # one of 7 cells would touch the figure before it
        return (number(value, 6, 3) if cells == LEAST else scientific(value)).rjust(cells)
    if name == "eps_share":
        return number(100 * value, 6, 4).rjust(cells)
    return number(value, 6, 3).rjust(cells)


def _alarming(name: str, value: float, style: str) -> str:
    """No variance, or a share of ε that is no longer small; the figure itself says so too."""
    wrong = (name == "var" and value == 0) or (name == "eps_share" and value > 0.1) or not math.isfinite(value)
    return "warn" if wrong else style

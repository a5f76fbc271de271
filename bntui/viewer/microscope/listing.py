"""Draws a table of all units of a layer, sorted by any of their figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from bntui.keyframe import FloatArray
from bntui.text.figures import magnitude, number
from bntui.text.language import N_, _
from bntui.text.table import Cell, Column, layout
from bntui.text.widths import longest
from bntui.viewer.draw.rows import Row, Span, fit, styled
from bntui.viewer.microscope.state import Lens, order
from bntui.viewer.microscope.words import gate_names, heading, short_name

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
"""Headings of the columns: symbols and abbreviations."""
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
"""Minimum and maximum width of a figure in cells, including the gap before it."""


def table(lens: Lens, width: int, height: int) -> list[Row]:
    """The heading, and as many sets around the chosen one as fit, in exactly ``height`` rows of ``width`` cells."""
    slide, state = lens.slide, lens.state
    figures = slide.figures(state.time)
    names = list(figures)
    room = max(min((width - NAME - 2) // max(len(names), 1), MOST), LEAST)
    numbers = order(slide, state)
    lines = max(height - 2, 0)
    first = min(max(numbers.index(state.chosen) - lines // 2, 0), max(len(numbers) - lines, 0)) if numbers else 0
    sort = state.sort if state.sort in figures else "unit"
    words = _("{what} {arrow}, {first} to {last} of {count}")
    said = {
        "arrow": "▾" if (sort == "unit") == state.reverse else "▴",
        "first": min(first + 1, len(numbers)),
        "last": min(first + lines, len(numbers)),
        "count": len(numbers),
    }
    sorted_by = (_(MEANINGS[sort]), "#" if sort == "unit" else _(HEADINGS[sort]))
    gates = gate_names(slide)
    wordings = [words.format(what=what, **said) for what in sorted_by]
    words = longest(width - 1, *([f"{wordings[0]} · {gates}"] if gates else []), *wordings)
    shown = numbers[first : first + lines]
    cells = [_row(lens, figures, chosen, room) for chosen in shown]
    form = layout(_columns(heading(slide), names, state.sort, room), cells, width - 1)
    table = [*form.heading("muted"), *(line for row in cells for line in form.row(row))]
    rows: list[Row] = [(Span(f" {words}", "muted"),), *((Span(" "), *styled(line)) for line in table)]
    return [fit(row, width) for row in (rows + [()] * height)[:height]]


def _columns(which: str, names: Sequence[str], sort: str, room: int) -> tuple[Column, ...]:
    """The marker, the number, and all figures: the last ones go first, that by which is sorted at the end."""
    figures = (
        Column(
            ((_(HEADINGS[name]), _chosen(name == sort)),),
            right=True, least=room - 1, goes=len(names) if name == sort else len(names) - at, gap=1,
        )
        for at, name in enumerate(names, 1)
    )  # fmt: skip
    number = Column(((which, _chosen(sort == "unit")),), right=True, least=NAME, gap=0)
    return Column(), number, *figures


def _row(lens: Lens, figures: Mapping[str, FloatArray], chosen: int, room: int) -> tuple[Cell, ...]:
    state = lens.state
    at = chosen == state.chosen
    mark = "bold accent" if at else "muted"
    row: list[Cell] = [(("❯" if at else " ", mark),), ((short_name(lens.slide, chosen), mark),)]
    for name, values in figures.items():
        value = float(values[chosen])
        style = "bold text" if at else "text" if name == state.sort else "muted"
        row.append(((_written(name, value, room), _alarming(name, value, style)),))
    return tuple(row)


def _chosen(sorted_by: bool) -> str:
    return "bold accent" if sorted_by else "muted"


def _written(name: str, value: float, cells: int) -> str:
    if name.endswith("_gradient"):
        # one of 7 cells would touch the figure before it
        return number(value, 6, 3) if cells == LEAST else magnitude(value)
    return number(100 * value, 6, 4) if name == "eps_share" else number(value, 6, 3)


def _alarming(name: str, value: float, style: str) -> str:
    """The style of a figure: a warning if the variance is 0, ε's share is large, or the value is not finite."""
    wrong = (name == "var" and value == 0) or (name == "eps_share" and value > 0.1) or not math.isfinite(value)
    return "warn" if wrong else style

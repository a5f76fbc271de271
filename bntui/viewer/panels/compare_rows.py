"""Lays out the rows of a comparison: a figure of both keyframes, their difference, their ratio, and a bar."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from rich.cells import cell_len

from bntui.text import figures
from bntui.text.language import _
from bntui.text.table import Cell, Column, ColumnLayout, Line, layout, wordings
from bntui.viewer.compared import FIGURE, ComparedFigure, FigureSection, written
from bntui.viewer.draw import cells
from bntui.viewer.draw.names import room_for, shortened
from bntui.viewer.draw.rows import FigureReference, Row, Span, styled
from bntui.viewer.view import RunView

LEAST_NAME, MOST_NAME = 8, 22
LEAST_LAYER: Final = 10
"""Cells of a layer's name in the row of a block."""
LEAST_WORD: Final = 4
"""Cells that are left of the figure's name behind it."""
LEAST_BAR, MOST_BAR = 4, 24
NEAR: Final = 0.01
"""Distance below which two figures count as nearly equal."""
FAR: Final = 0.5
"""Distance from which their row is bold."""
SILENT: Final = ("word", "time")
"""Kinds of figures without a bar, because their distance is not a number, or says nothing about the network."""


@dataclass(frozen=True, slots=True)
class Form:
    """The layout of a table."""

    columns: ColumnLayout
    layers: Mapping[str, str] = field(default_factory=dict)
    """Shortened names of the layers that stand before the name of their figure, in the rows of blocks."""
    chosen: str = ""
    """Name of the chosen layer."""


def form_of(
    parts: Sequence[FigureSection], runs: tuple[RunView, RunView], width: int, *, folded: bool = False, chosen: str = ""
) -> Form:
    """The layout of a table: name, both figures, their difference, their ratio, and a bar, as far as they fit.

    Args:
        folded: the figures of layers are rows of blocks; they say which layer they are of, and no difference, because
            those of different figures cannot be compared.
        chosen: name of the chosen layer.
    """
    one, other = runs
    every = {figure.name: figure for part in parts for figure in part.figures}.values()  # of which only names matter
    layers: Mapping[str, str] = {}
    most, least = MOST_NAME, LEAST_NAME
    if folded:
        names = {figure.layer for part in parts for figure in part.figures if figure.layer}
        told = max((cell_len(figure.name) for figure in every if figure.layer), default=0)
        values = 2 * (FIGURE + 1) + LEAST_BAR + 1
        room = max(min(room_for(names, width), width - values - told - 3), LEAST_LAYER)
        layers = shortened(names, room)
        most, least = 2 + room + 1 + told, 2 + room + 1 + min(told, LEAST_WORD)
    figure = Column(right=True, least=FIGURE, most=FIGURE, gap=1)
    columns = (
        Column(least=least, most=most, cut=3, grows=folded, gap=0),
        *(replace(figure, heading=((run.mark, f"bold {run.style}"),)) for run in runs),
        *(() if folded else (replace(figure, heading=f"{one.mark} − {other.mark}", goes=4),)),
        replace(figure, heading=f"{one.mark} : {other.mark}", goes=1),
        Column(
            wordings(_("how far apart"), _("apart"), "", style="muted"),
            least=LEAST_BAR, most=MOST_BAR, cut=0, goes=2, grows=True, gap=1,
        ),
    )  # fmt: skip
    # all columns but the first are as wide whatever their figures are
    rows = [(figure.name, *[""] * (len(columns) - 1)) for figure in every]
    return Form(layout(columns, rows, width), layers, chosen)


def heading(form: Form) -> Row:
    """The names of the columns."""
    return styled(form.columns.heading("muted")[0])


def title(layer: str, form: Form) -> Row:
    """The row above the figures of a layer."""
    if layer == form.chosen:
        return (Span(f"❯ {layer} ", cells.CHOSEN),)
    return (Span(f"{layer} ", "title"),)


def row(figure: ComparedFigure, runs: tuple[RunView, RunView], form: Form) -> Row:
    """The row of a figure."""
    drawn = list(styled(form.columns.row(_cells(figure, runs, form))[0]))
    at = 0
    for run, value in zip(runs, (figure.one, figure.other), strict=True):
        words = written(value, figure.kind).strip()
        at = next((n for n in range(at, len(drawn)) if n and drawn[n].text.strip() == words), len(drawn))
        if at < len(drawn):
            drawn[at] = drawn[at]._replace(tells=FigureReference(run.info.index, figure.field, figure.layer))
        at += 1
    return tuple(drawn)


def _cells(figure: ComparedFigure, runs: tuple[RunView, RunView], form: Form) -> tuple[Cell, ...]:
    apart, one, other = figure.apart, *runs
    loud = _loud(figure)
    near = "muted" if figure.same else "text"
    values = [
        (written(value, figure.kind), "muted" if figure.same else f"{loud}{run.style}")
        for value, run in ((figure.one, one), (figure.other, other))
    ]
    larger = other if figure.difference < 0 else one
    ratio = _ratio(figure)
    if form.layers and not ratio and (figure.same or figure.kind == "share" or math.isnan(figure.difference)):
        ratio = difference(figure)
    return (
        _name(figure, form),
        *((value,) for value in values),
        *(() if form.layers else (((difference(figure), near),),)),
        ((ratio, "muted" if apart < NEAR else f"{loud}text"),),
        "" if figure.kind in SILENT else partial(_bar, min(apart, 1.0), f"{loud}{larger.style}"),
    )


def _name(figure: ComparedFigure, form: Form) -> Line:
    """The name of a figure; in the row of a block, behind that of its layer."""
    style = "muted" if figure.same else f"{_loud(figure)}text"
    name = form.layers.get(figure.layer)
    if name is None:
        return ((figure.name, style),)
    if figure.layer == form.chosen:
        return (("❯ ", cells.CHOSEN), (f"{name} ", cells.CHOSEN), (figure.name, style))
    return ((f"  {name} ", "title"), (figure.name, style))


def _loud(figure: ComparedFigure) -> str:
    return "bold " if figure.apart >= FAR and figure.kind not in SILENT else ""


def _bar(share: float, style: str, room: int) -> Line:
    return ((cells.bar(share, room), style),)


def difference(figure: ComparedFigure) -> str:
    """The difference: ``=`` for bit-identical figures, ``≠`` if it is not a number, ``—`` if one is missing."""
    if figure.same:
        return "="
    if math.isnan(figure.difference):
        return "≠" if figure.one is not None and figure.other is not None else "—"
    words = figures.difference(*(written(value, figure.kind) for value in (figure.one, figure.other)))
    if figure.kind == "share":  # in percentage points: of 90 % and 80 % it is 10, not 10 %
        return (words or figures.percent(figure.difference).replace(" %", "").strip()) + _(" pp")
    # smaller than the last digit of both, or too long: as it is
    return words if 0 < len(words) <= FIGURE else written(figure.difference, figure.kind)


def _ratio(figure: ComparedFigure) -> str:
    """The ratio of two sizes, or the difference of two places in standard deviations."""
    ratio = figure.ratio
    if math.isnan(ratio) or figure.same:
        return ""
    if figure.kind == "place":
        return figures.number(ratio, FIGURE - 2, 2) + " σ"
    return "×" + figures.number(ratio, FIGURE - 1, 3).lstrip()

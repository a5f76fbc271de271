"""Draws mean ± std and histograms of each layer's values before normalization, after it, and after activation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from rich.cells import cell_len

from bntui.keyframe import Distribution
from bntui.text.figures import number
from bntui.text.language import N_, _
from bntui.text.widths import ljust, longest, rjust
from bntui.viewer import worst
from bntui.viewer.draw import cells
from bntui.viewer.draw.names import ROOMY, room_for, shortened
from bntui.viewer.draw.rows import Drawing, FigureReference, Row, Span
from bntui.viewer.panels import Panel
from bntui.viewer.panels.layers_detail import MIN_HISTOGRAM, detailed
from bntui.viewer.panels.layers_rows import (
    RunLayers,
    active,
    fraction,
    fraction_heading,
    layers_of,
    least_fraction,
    mean_of,
    measured,
    plots,
)
from bntui.viewer.quantities import LayerQuantity, apart, calmest, shown_by
from bntui.viewer.strands import around, more_layers, numbers
from bntui.viewer.view import RunView, View

PANEL: Final = Panel(
    "layers",
    "2",
    N_("Layers"),
    short=N_("Layer"),
    quotes={
        "LayerMeasures": "pre_norm normalized output dead_fraction saturated_fraction weight_norm update_ratio",
        "Distribution": "mean std p15 p50 p85 min max counts",
    },
    home=2,
    shows="forward",
    still=True,
    walks=N_("layers"),
    worst="values",
)
TITLE: Final = N_("Layers ── mean ± std of this mini-batch")
TITLE_IN_DETAIL: Final = N_("Layers ── mean ± std of this mini-batch, percentiles, norms")
MEAN, STD = 5, 5
WIDE_MOMENTS, TIGHT_MOMENTS = MEAN + STD + 3, MEAN + STD + 1
SMALL: Final = 0.01
"""Standard deviation below which two decimals are not enough."""
MAX_HISTOGRAM: Final = 40
TALL: Final = (3, 2)
"""Possible heights of tall histograms in rows, the largest first."""
TALLEST: Final = tuple(range(12, 1, -1))
"""The same for a lecture hall."""
_MISSING: Final = {
    "normalized": (N_("— no norm"),),
    "output": (N_("— no activation"), N_("— no act.")),
}
"""What a column says of a layer that has no such quantity, the longest first."""


@dataclass(frozen=True, slots=True)
class TableLayout:
    """The layout of the table: its columns, and the place of the histograms."""

    name: int
    shown: tuple[LayerQuantity, ...]
    column: int
    """Width of a column in cells, including the gap before it."""
    moments: int
    bins: int
    below: int
    """Rows of the histograms below the figures; 0 if they are beside the figures, or left out."""
    fraction: int
    """Cells of the dead or saturated fraction, which ends at the right edge; 0 if it does not fit."""
    ruler: bool
    """The axes have a separate row."""
    blank: bool
    """There is a blank row between two runs."""
    names: Mapping[str, str] = field(default_factory=dict)
    """The layers' names as they fit."""

    @property
    def gap(self) -> int:
        return 2 if self.column >= WIDE_MOMENTS + 3 else 1

    @property
    def marks_axis(self) -> bool:
        """An axis of its own can be stated: below its column's heading, or in a column that such a layer lacks."""
        return any(quantity.field == "output" for quantity in self.shown)


def draw(view: View, width: int, height: int) -> Drawing:
    """The layers of the selected run, then those of the pinned one; with enough room, all figures of every stage."""
    runs = [run for run in view.shown if run.frame is not None and run.frame.layers]
    if not runs:
        sentences = cells.absent(view.shown, _("The first one is measured before the first step."))
        return cells.notice(_(TITLE), sentences, width, height)
    quantities = shown_by(view.runs, runs)
    listed = [RunLayers(run, _rows(view, run)) for run in runs]
    waiting = [cells.waiting(run) for run in view.shown if run.frame is None]
    rows = None if view.heavy else detailed(listed, quantities, width, height - len(waiting), view.layer)
    if rows is not None:
        title = cells.title(width, _(TITLE_IN_DETAIL), _(TITLE))
        return cells.page(title, [*rows, *waiting], width, height)
    table = _table(view, listed, quantities, width, height - len(waiting))
    return cells.page(_(TITLE), [*table, *waiting], width, height)


def _form(
    listed: Sequence[RunLayers],
    quantities: Sequence[LayerQuantity],
    width: int,
    height: int,
    *,
    tall: Sequence[int] = TALL,
    own: bool = False,
) -> TableLayout:
    runs = [of_run.run for of_run in listed]
    names = [name for of_run in listed for name in of_run.names]
    longest = room_for(names, max(width, ROOMY))
    # on a narrow screen, the last of these are left out first
    there = {
        "pre_norm": True,
        "output": any(quantity.field == "output" for quantity in quantities),
        "normalized": any(layer.normalized is not None for run in runs for layer in layers_of(run)),
        "fraction": any(info.activation != "none" for run in runs for info in run.info.layers),
    }
    dear = [key for key, known in there.items() if known]
    # what only runs beside these have keeps its column while there is room, so that no other moves as they come and go
    dear += [quantity.field for quantity in quantities if quantity.field not in dear]
    tight = TIGHT_MOMENTS + 1
    sizes = {"pre_norm": tight, "output": tight, "normalized": tight, "fraction": least_fraction(runs) + 1}
    # names shrink to 6 cells before a column is left out, and to 4 before the first one is
    kept = [
        key
        for i, key in enumerate(dear)
        if 2 + min(longest, 6 if i else 4) + sum(sizes[k] for k in dear[: i + 1]) <= width
    ]
    shown = tuple(quantity for quantity in quantities if quantity.field in kept)
    name = max(min(longest, width - 2 - sum(sizes[key] for key in kept)), 3)
    spare = width - 2 - name - (sizes["fraction"] if "fraction" in kept else 0)
    column = min(spare // len(shown), MAX_HISTOGRAM + 2)
    layers = sum(len(of_run.numbers) for of_run in listed)
    gaps = len(runs) - 1
    height -= gaps if own else 0  # the row between two runs is an axis instead of blank
    gaps = 0 if own else gaps
    below = next((rows for rows in tall if 2 + layers * (1 + rows) + gaps <= height), int(1 + 2 * layers <= height))
    moments = WIDE_MOMENTS if column > WIDE_MOMENTS else TIGHT_MOMENTS
    bins = column - (2 if column >= WIDE_MOMENTS + 3 else 1)
    if not below:
        bins = max(bins - moments - 1, 0)
        bins = bins if bins >= MIN_HISTOGRAM else 0
    free = height - 1 - layers * (1 + below)
    ruler = below > 0 and free > 0
    last = width - 2 - name - column * len(shown) if "fraction" in kept else 0
    return TableLayout(
        name, shown, column, moments, bins, below, last, ruler, not own and free - ruler >= gaps,
        shortened(names, name),
    )  # fmt: skip


def _table(
    view: View, listed: Sequence[RunLayers], quantities: Sequence[Sequence[LayerQuantity]], width: int, height: int
) -> list[Row]:
    runs = [of_run.run for of_run in listed]
    tall = TALLEST if view.heavy else TALL
    own = apart(quantities)
    form = _form(listed, quantities[0], width, height, tall=tall, own=own)
    if own and not (form.bins and form.below):
        # no room for a second axis: use that of the run with the smallest range
        own, quantities = False, (calmest(quantities),) * len(runs)
        form = _form(listed, quantities[0], width, height, tall=tall)
    rows = _header(runs, form, own=own)
    sizes = [len(of_run.numbers) for of_run in listed]
    room = height - len(rows) - (len(runs) - 1 if own else 0)
    hidden = sum(sizes) * (1 + form.below) > room
    given = cells.shares(sizes, room - 1) if hidden else tuple(sizes)
    fields = [quantity.field for quantity in form.shown]
    for number_of_run, (run, layers) in enumerate(zip(runs, given, strict=True)):
        shown = tuple(quantity for quantity in quantities[number_of_run] if quantity.field in fields)
        if number_of_run and form.blank:
            rows.append(())
        if number_of_run and own:
            rows.append(_ruler(run, shown, form))
        of_run, names = listed[number_of_run].numbers, listed[number_of_run].names
        first = view.past % (len(of_run) - layers + 1)
        kept = range(first, first + layers)
        if view.layer in names:
            kept = around(names.index(view.layer), len(names), layers)
        for at in kept:
            rows += _layer(run, of_run[at], replace(form, shown=shown), view.layer, says=at == kept[0])
    if hidden:
        rows.append(more_layers(sum(sizes) - sum(given), width, folded=view.folded))
    return rows


def _rows(view: View, run: RunView) -> list[int]:
    """The numbers of the layers that have rows: all, or the worst of each block."""
    at = numbers(run)
    return [at[name] for name in worst.listed(view, [run], list(at), PANEL.worst)]


def _axes(shown: Sequence[LayerQuantity], form: TableLayout) -> str:
    return "".join(
        " " * form.gap + cells.ruler(quantity.low, quantity.high, form.column - form.gap) for quantity in shown
    )


def _ruler(run: RunView, shown: Sequence[LayerQuantity], form: TableLayout) -> tuple[Span, Span]:
    """The row of axes of one run, if each run has its own."""
    label = longest(form.name, _("own axis"), _("axis"), "")
    return Span(f"{run.mark} ", run.style), Span(ljust(label, form.name) + _axes(shown, form), "muted")


def _header(runs: Sequence[RunView], form: TableLayout, *, own: bool) -> list[Row]:
    """The headings, and the ends of the axes in a separate row, or beside the headings."""
    line = " " * (2 + form.name)
    for quantity in form.shown:
        room = form.column - form.gap
        axis = quantity.axis() if form.bins and not form.ruler else ""
        size = room - cell_len(axis) - 1 if axis else room
        heading = longest(size, quantity.heading, quantity.brief)
        line += " " * form.gap + (f"{ljust(heading, size)} {axis}" if axis else ljust(heading, room))
    if form.fraction:
        line += rjust(fraction_heading(runs), form.fraction)
    if not form.ruler:
        return [(Span(line, "muted"),)]
    mark, ruler = _ruler(runs[0], form.shown, form)
    blank = " " * (cell_len(mark.text) + form.name)
    return [(Span(line, "muted"),), (mark, ruler) if own else (Span(blank + _axes(form.shown, form), "muted"),)]


def _moments(values: Distribution, width: int, told: FigureReference) -> list[Span]:
    """Mean ± std with two decimals, or more precisely if the std is too small for them."""
    mean = mean_of(values) if values.std < SMALL else round(mean_of(values), 2)
    between = " ± " if width == WIDE_MOMENTS else "±"
    finite = math.isfinite(values.mean) and math.isfinite(values.std)
    style = "text" if finite else "warn"
    return [
        Span(number(mean, MEAN, 2), style, tells=told._replace(figure=f"{told.figure}.mean")),
        Span(between, style),
        Span(number(values.std, STD, 2).strip().ljust(STD), style, tells=told._replace(figure=f"{told.figure}.std")),
    ]


def _layer(run: RunView, index: int, form: TableLayout, chosen: str, *, says: bool) -> list[Row]:
    """The figures of a layer, with histograms beside or below them.

    Args:
        says: say why a column is empty.
    """
    layer = layers_of(run)[index]
    acts = active(run, index)
    found = {quantity.field: values for quantity, values in measured(run, index, form.shown)}
    first = [cells.layer_mark(run, layer.name, chosen=layer.name == chosen), Span(form.names[layer.name], run.style)]
    below = [[Span(" " * (2 + form.name))] for _ in range(form.below)]
    room = form.column - form.gap
    gap = Span(" " * form.gap)
    axis = "" if acts or not form.bins or not form.marks_axis else _own_axis(form)
    over = axis if form.below and cell_len(axis) < room - form.moments else ""
    """The axis over the histogram that has it; else it stands beside it, with an arrow to it."""
    beside = f"← {axis}" if axis and not over else ""
    for quantity in form.shown:
        values = found.get(quantity.field)
        if values is None:
            said = _MISSING.get(quantity.field, ()) if says else ()
            words: tuple[str, ...] = (*map(_, said), "—")
            if beside:
                words, beside = (*(f"{word} {beside}" for word in words), beside, *words), ""
            first += [gap, Span(ljust(longest(room, *words), room), "muted")]
            for line in below:
                line += [gap, Span(" " * room, "muted")]
            continue
        ends = quantity.limits(acts or not form.marks_axis)
        # beside the figures one histogram stands on the other, and must not touch it
        rows, top = (form.below, 8 * form.below) if form.below else (1, 7)
        drawn = plots(values, ends, form.bins, rows, top)
        first += [gap, *_moments(values, form.moments, FigureReference(run.info.index, quantity.field, layer.name))]
        if form.below:
            own = over if quantity.field == "pre_norm" else ""
            first.append(Span(rjust(own, room - form.moments), "muted"))
            for line, plot in zip(below, drawn, strict=True):
                line += [gap, *(cells.grounded(plot, run.style) if line is below[-1] else [Span(plot, run.style)])]
        else:
            first.append(Span((" " + drawn[0] if form.bins else "").ljust(room - form.moments), run.style))
    if form.fraction:
        first.append(fraction(run, layer, form.fraction))
    return [tuple(first), *(tuple(line) for line in below)]


def _own_axis(form: TableLayout) -> str:
    """The axis of a layer without activation, if it differs from that of the column."""
    before = next(quantity for quantity in form.shown if quantity.field == "pre_norm")
    axis = before.axis(active=False)
    return _("axis {ends}").format(ends=axis) if axis not in ("", before.axis()) else ""

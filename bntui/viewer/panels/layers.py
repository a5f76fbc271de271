"""Draws mean ± std and histograms of each layer's values before normalization, after it, and after activation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from rich.cells import cell_len, set_cell_size

from bntui.keyframe import Distribution, LayerMeasures
from bntui.text.figures import magnitude, number, percent
from bntui.text.language import N_, _
from bntui.text.widths import ljust, longest, rjust
from bntui.viewer.draw import cells
from bntui.viewer.draw.axes import Limits
from bntui.viewer.draw.names import ROOMY, room_for, shortened
from bntui.viewer.draw.rows import Drawing, Row, Span, Told
from bntui.viewer.figure_names import name_of
from bntui.viewer.panels import Panel
from bntui.viewer.quantities import Quantity, apart, calmest, shown_by
from bntui.viewer.strands import more_layers
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
)
TITLE: Final = N_("Layers ── mean ± std of this mini-batch")
TITLE_IN_DETAIL: Final = N_("Layers ── mean ± std of this mini-batch, percentiles, norms")
WRONG_ABOVE: Final = 0.5
"""Dead or saturated fraction above which it is in the warning color; a convention of this program."""
MEAN, STD = 5, 5
WIDE_MOMENTS, TIGHT_MOMENTS = MEAN + STD + 3, MEAN + STD + 1
FRACTION: Final = 9
SMALL: Final = 0.01
"""Standard deviation below which two decimals are not enough."""
MIN_HISTOGRAM, MAX_HISTOGRAM = 6, 40
TALL: Final = (3, 2)
"""Possible heights of tall histograms in rows, the largest first."""
TALLEST: Final = tuple(range(12, 1, -1))
"""The same for a lecture hall."""
_MISSING: Final = {
    "normalized": (N_("— no norm"),),
    "output": (N_("— no activation"), N_("— no act.")),
}
"""What a column says of a layer that has no such quantity, the longest first."""
EXTRAS: Final = ("weight_norm", "update_ratio")
EXTRA: Final = 15
DETAIL: Final = 8
"""Width of a number in the detailed table."""
DETAILS: Final = (N_("mean"), N_("std"), N_("min"), "p15", "p50", "p85", N_("max"))
"""All statistics in the table of measures, sorted by value after mean and std; their names are those of the fields."""


@dataclass(frozen=True, slots=True)
class TableLayout:
    """The layout of the table: its columns, and the place of the histograms."""

    name: int
    shown: tuple[Quantity, ...]
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
    waiting = [cells.waiting(run) for run in view.shown if run.frame is None]
    detailed = None if view.heavy else _detailed(runs, quantities, width, height - len(waiting))
    if detailed is not None:
        title = cells.title(width, _(TITLE_IN_DETAIL), _(TITLE))
        return cells.page(title, [*detailed, *waiting], width, height)
    table = _table(view, runs, quantities, width, height - len(waiting))
    return cells.page(_(TITLE), [*table, *waiting], width, height)


def _form(
    runs: Sequence[RunView],
    quantities: Sequence[Quantity],
    width: int,
    height: int,
    *,
    tall: Sequence[int] = TALL,
    own: bool = False,
) -> TableLayout:
    names = [layer.name for run in runs for layer in _layers(run)]
    longest = room_for(names, max(width, ROOMY))
    # on a narrow screen, the last of these are left out first
    there = {
        "pre_norm": True,
        "output": any(quantity.field == "output" for quantity in quantities),
        "normalized": any(layer.normalized is not None for run in runs for layer in _layers(run)),
        "fraction": any(info.activation != "none" for run in runs for info in run.info.layers),
    }
    dear = [key for key, known in there.items() if known]
    tight = TIGHT_MOMENTS + 1
    sizes = {"pre_norm": tight, "output": tight, "normalized": tight, "fraction": FRACTION + 1}
    # names shrink to 6 cells before a column is left out, and to 4 before the first one is
    kept = [
        key
        for i, key in enumerate(dear)
        if 2 + min(longest, 6 if i else 4) + sum(sizes[k] for k in dear[: i + 1]) <= width
    ]
    shown = tuple(quantity for quantity in quantities if quantity.field in kept or len(kept) == len(dear))
    name = max(min(longest, width - 2 - sum(sizes[key] for key in kept)), 3)
    spare = width - 2 - name - (FRACTION + 1 if "fraction" in kept else 0)
    column = min(spare // len(shown), MAX_HISTOGRAM + 2)
    layers = sum(len(_layers(run)) for run in runs)
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
    fraction = width - 2 - name - column * len(shown) if "fraction" in kept else 0
    return TableLayout(
        name, shown, column, moments, bins, below, fraction, ruler, not own and free - ruler >= gaps,
        shortened(names, name),
    )  # fmt: skip


def _table(
    view: View, runs: Sequence[RunView], quantities: Sequence[Sequence[Quantity]], width: int, height: int
) -> list[Row]:
    tall = TALLEST if view.heavy else TALL
    own = apart(quantities)
    form = _form(runs, quantities[0], width, height, tall=tall, own=own)
    if own and not (form.bins and form.below):
        # no room for a second axis: use that of the run with the smallest range
        own, quantities = False, (calmest(quantities),) * len(runs)
        form = _form(runs, quantities[0], width, height, tall=tall)
    rows = _header(runs, form, own=own)
    sizes = [len(_layers(run)) for run in runs]
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
        first = view.past % (sizes[number_of_run] - layers + 1)
        for index in range(first, first + layers):
            rows += _layer(run, index, replace(form, shown=shown))
    if hidden:
        rows.append(more_layers(sum(sizes) - sum(given), width))
    return rows


def _layers(run: RunView) -> tuple[LayerMeasures, ...]:
    return run.frame.layers if run.frame is not None else ()


def _axes(shown: Sequence[Quantity], form: TableLayout) -> str:
    return "".join(
        " " * form.gap + cells.ruler(quantity.low, quantity.high, form.column - form.gap) for quantity in shown
    )


def _ruler(run: RunView, shown: Sequence[Quantity], form: TableLayout) -> tuple[Span, Span]:
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
        line += rjust(_fraction_heading(runs), form.fraction)
    if not form.ruler:
        return [(Span(line, "muted"),)]
    mark, ruler = _ruler(runs[0], form.shown, form)
    blank = " " * (cell_len(mark.text) + form.name)
    return [(Span(line, "muted"),), (mark, ruler) if own else (Span(blank + _axes(form.shown, form), "muted"),)]


def _fraction_heading(runs: Sequence[RunView]) -> str:
    layers = [layer for run in runs for layer in _layers(run)]
    dead = any(not math.isnan(layer.dead_fraction) for layer in layers)
    saturated = any(not math.isnan(layer.saturated_fraction) for layer in layers)
    return _("dead/sat.") if dead and saturated else _("dead") if dead else _("saturated")


def _fraction(run: RunView, layer: LayerMeasures, width: int) -> Span:
    dead = not math.isnan(layer.dead_fraction)
    value = layer.dead_fraction if dead else layer.saturated_fraction
    if math.isnan(value) or not math.isfinite(layer.output.mean):  # the fraction means nothing for such values
        return Span("—".rjust(width), "muted")
    told = Told(run.info.index, "dead_fraction" if dead else "saturated_fraction", layer.name)
    return Span(percent(value).rjust(width), "warn" if value > WRONG_ABOVE else "text", tells=told)


def _active(run: RunView, layer: LayerMeasures) -> bool:
    return next((info.activation for info in run.info.layers if info.name == layer.name), "none") != "none"


def _mean(values: Distribution) -> float:
    """The mean, or 0 if it is only rounding noise compared with the spread, as after normalization."""
    return 0.0 if abs(values.mean) < 1e-6 * values.std else values.mean


def _moments(values: Distribution, width: int, told: Told) -> list[Span]:
    """Mean ± std with two decimals, or more precisely if the std is too small for them."""
    mean = _mean(values) if values.std < SMALL else round(_mean(values), 2)
    between = " ± " if width == WIDE_MOMENTS else "±"
    finite = math.isfinite(values.mean) and math.isfinite(values.std)
    style = "text" if finite else "warn"
    return [
        Span(number(mean, MEAN, 2), style, tells=told._replace(figure=f"{told.figure}.mean")),
        Span(between, style),
        Span(number(values.std, STD, 2).strip().ljust(STD), style, tells=told._replace(figure=f"{told.figure}.std")),
    ]


def _layer(run: RunView, index: int, form: TableLayout) -> list[Row]:
    """The figures of a layer, with histograms beside or below them."""
    layer = _layers(run)[index]
    active = _active(run, layer)
    measured = {quantity.field: values for quantity, values in _measured(run, layer, form.shown)}
    first = [cells.layer_mark(run, layer.name), Span(form.names[layer.name], run.style)]
    below = [[Span(" " * (2 + form.name))] for _ in range(form.below)]
    room = form.column - form.gap
    gap = Span(" " * form.gap)
    axis = "" if active or not form.bins or not form.marks_axis else _own_axis(form)
    over = axis if form.below and cell_len(axis) < room - form.moments else ""
    """The axis over the histogram that has it; else it stands beside it, with an arrow to it."""
    beside = f"← {axis}" if axis and not over else ""
    for quantity in form.shown:
        values = measured.get(quantity.field)
        if values is None:
            # only the first layer of a run says why the column is empty
            said = ("—",) if index else _MISSING.get(quantity.field, ())
            words: tuple[str, ...] = (*map(_, said), "—")
            if beside:
                words, beside = (*(f"{word} {beside}" for word in words), beside, *words), ""
            first += [gap, Span(ljust(longest(room, *words), room), "muted")]
            for line in below:
                line += [gap, Span(" " * room, "muted")]
            continue
        ends = quantity.limits(active or not form.marks_axis)
        # beside the figures one histogram stands on the other, and must not touch it
        rows, top = (form.below, 8 * form.below) if form.below else (1, 7)
        plots = cells.histogram(values.counts, Limits(values.min, values.max), ends, form.bins, rows, top)
        first += [gap, *_moments(values, form.moments, Told(run.info.index, quantity.field, layer.name))]
        if form.below:
            own = over if quantity.field == "pre_norm" else ""
            first.append(Span(rjust(own, room - form.moments), "muted"))
            for line, plot in zip(below, plots, strict=True):
                line += [gap, *(cells.grounded(plot, run.style) if line is below[-1] else [Span(plot, run.style)])]
        else:
            first.append(Span((" " + plots[0] if form.bins else "").ljust(room - form.moments), run.style))
    if form.fraction:
        first.append(_fraction(run, layer, form.fraction))
    return [tuple(first), *(tuple(line) for line in below)]


def _measured(
    run: RunView, layer: LayerMeasures, quantities: Sequence[Quantity]
) -> list[tuple[Quantity, Distribution]]:
    """The quantities that a layer has; the output of a layer without activation would repeat the value before it."""
    there = [quantity for quantity in quantities if quantity.field != "output" or _active(run, layer)]
    found = [(quantity, getattr(layer, quantity.field)) for quantity in there]
    return [(quantity, values) for quantity, values in found if values is not None and not values.empty]


def _own_axis(form: TableLayout) -> str:
    """The axis of a layer without activation, if it differs from that of the column."""
    before = next(quantity for quantity in form.shown if quantity.field == "pre_norm")
    axis = before.axis(active=False)
    return _("axis {ends}").format(ends=axis) if axis not in ("", before.axis()) else ""


def _scalars(run: RunView, layer: LayerMeasures) -> list[Span]:
    absent = next((info.absent for info in run.info.layers if info.name == layer.name), ())
    written = (number(layer.weight_norm, DETAIL), magnitude(layer.update_ratio))
    figures = ["—" if field in absent else figure for field, figure in zip(EXTRAS, written, strict=True)]
    tells = (Told(run.info.index, field, layer.name) for field in EXTRAS)
    return [Span(figure.rjust(EXTRA), "text", tells=told) for figure, told in zip(figures, tells, strict=True)]


def _detailed(runs: Sequence[RunView], own: Sequence[Sequence[Quantity]], width: int, height: int) -> list[Row] | None:
    """A table with one row per stage of each layer, or two with tall histograms; None if there is no room."""
    names = [layer.name for run in runs for layer in _layers(run)]
    name = room_for(names, width)
    called = shortened(names, name)
    quantities = own[0]
    stage = max(cell_len(quantity.heading) for quantity in quantities)
    axis = max(cell_len(one.axis(active)) for of_run in own for one in of_run for active in (True, False))
    tail = FRACTION + 1 + len(EXTRAS) * EXTRA
    fixed = 2 + name + 2 + stage + len(DETAILS) * (DETAIL + 1) + 2 + 1 + axis + tail
    bins = min(width - fixed, 40)
    stages = sum(len(_measured(run, layer, quantities)) for run in runs for layer in _layers(run))
    lines = next((n for n in (2, 1) if 1 + n * stages + len(runs) - 1 <= height), 0)
    if bins < MIN_HISTOGRAM or not lines:
        return None
    head = " " * (2 + name) + "  " + " " * stage + "".join(rjust(_(key), DETAIL + 1) for key in DETAILS)
    head += "  " + set_cell_size(_("histogram"), bins + 1 + axis) + rjust(_fraction_heading(runs), FRACTION + 1)
    rows: list[Row] = [(Span(head + "".join(rjust(name_of(field), EXTRA) for field in EXTRAS), "muted"),)]
    for run, of_run in zip(runs, own, strict=True):
        rows += [()] if run is not runs[0] else []
        for layer in _layers(run):
            active = _active(run, layer)
            label = [cells.layer_mark(run, layer.name), Span(called[layer.name], run.style)]
            last = [_fraction(run, layer, FRACTION + 1), *_scalars(run, layer)]
            for quantity, values in _measured(run, layer, of_run):
                figures = [_mean(values), *(getattr(values, key) for key in DETAILS[1:])]
                style = "text" if all(map(math.isfinite, figures)) else "warn"
                tells = (Told(run.info.index, f"{quantity.field}.{key}", layer.name) for key in DETAILS)
                # what stands above one another must not touch
                bounds, ends = Limits(values.min, values.max), quantity.limits(active)
                *upper, lowest = cells.histogram(values.counts, bounds, ends, bins, lines, 8 * lines - 2)
                plots = [*((Span(plot, run.style),) for plot in upper), cells.grounded(lowest, run.style)]
                row = (
                    *label,
                    Span("  " + ljust(quantity.heading, stage), "muted"),
                    *(Span(" " + number(x, DETAIL), style, tells=told) for x, told in zip(figures, tells, strict=True)),
                    Span("  "),
                    *plots[0],
                    Span(" " + quantity.axis(active).ljust(axis), "muted"),
                    *last,
                )
                rows += [row, *((Span(" " * (fixed - tail - axis - 1)), *plot) for plot in plots[1:])]
                label, last = [Span(" " * (2 + name))], []
    return rows

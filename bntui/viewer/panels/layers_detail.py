"""Draws the table of layers with one row for each stage, its percentiles and norms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len, set_cell_size

from bntui.text.figures import magnitude, number
from bntui.text.language import N_, _
from bntui.text.widths import ljust, rjust
from bntui.viewer.draw import cells
from bntui.viewer.draw.names import room_for, shortened
from bntui.viewer.draw.rows import FigureReference, Row, Span
from bntui.viewer.figure_names import name_of
from bntui.viewer.panels.layers_rows import (
    FRACTION,
    RunLayers,
    active,
    fraction,
    fraction_heading,
    layers_of,
    mean_of,
    measured,
    plots,
)
from bntui.viewer.quantities import LayerQuantity
from bntui.viewer.view import RunView

MIN_HISTOGRAM: Final = 6
EXTRAS: Final = ("weight_norm", "update_ratio")
EXTRA: Final = 15
DETAIL: Final = 8
"""Width of a number in the detailed table."""
DETAILS: Final = (N_("mean"), N_("std"), N_("min"), "p15", "p50", "p85", N_("max"))
"""All statistics in the table of measures, sorted by value after mean and std; their names are those of the fields."""


def _scalars(run: RunView, index: int) -> list[Span]:
    layer, absent = layers_of(run)[index], run.info.layers[index].absent
    written = (number(layer.weight_norm, DETAIL), magnitude(layer.update_ratio))
    return [
        Span(
            ("—" if field in absent else figure).rjust(EXTRA),
            "text" if field in absent or math.isfinite(getattr(layer, field)) else "warn",
            tells=FigureReference(run.info.index, field, layer.name),
        )
        for field, figure in zip(EXTRAS, written, strict=True)
    ]


def detailed(
    listed: Sequence[RunLayers], own: Sequence[Sequence[LayerQuantity]], width: int, height: int, chosen: str
) -> list[Row] | None:
    """A table with one row per stage of each layer, or two with tall histograms; None if there is no room."""
    if sum(len(of_run.numbers) for of_run in listed) > height:
        return None
    runs = [of_run.run for of_run in listed]
    names = [name for of_run in listed for name in of_run.names]
    name = room_for(names, width)
    called = shortened(names, name)
    quantities = own[0]
    stage = max(cell_len(quantity.heading) for quantity in quantities)
    axis = max(cell_len(one.axis(own_axis)) for of_run in own for one in of_run for own_axis in (True, False))
    tail = FRACTION + 1 + len(EXTRAS) * EXTRA
    fixed = 2 + name + 2 + stage + len(DETAILS) * (DETAIL + 1) + 2 + 1 + axis + tail
    bins = min(width - fixed, 40)
    stages = sum(len(measured(run, at, quantities)) for run, numbers in listed for at in numbers)
    lines = next((n for n in (2, 1) if 1 + n * stages + len(runs) - 1 <= height), 0)
    if bins < MIN_HISTOGRAM or not lines:
        return None
    head = " " * (2 + name) + "  " + " " * stage + "".join(rjust(_(key), DETAIL + 1) for key in DETAILS)
    head += "  " + set_cell_size(_("histogram"), bins + 1 + axis) + rjust(fraction_heading(runs), FRACTION + 1)
    rows: list[Row] = [(Span(head + "".join(rjust(name_of(field), EXTRA) for field in EXTRAS), "muted"),)]
    for (run, numbers), of_run in zip(listed, own, strict=True):
        rows += [()] if run is not runs[0] else []
        for index in numbers:
            layer, acts = layers_of(run)[index], active(run, index)
            label = [
                cells.layer_mark(run, layer.name, chosen=layer.name == chosen),
                Span(called[layer.name], run.style),
            ]
            last = [fraction(run, layer, FRACTION + 1), *_scalars(run, index)]
            for quantity, values in measured(run, index, of_run):
                figures = [mean_of(values), *(getattr(values, key) for key in DETAILS[1:])]
                style = "text" if all(map(math.isfinite, figures)) else "warn"
                tells = (FigureReference(run.info.index, f"{quantity.field}.{key}", layer.name) for key in DETAILS)
                # what stands above one another must not touch
                *upper, lowest = plots(values, quantity.limits(acts), bins, lines, 8 * lines - 2)
                drawn = [*((Span(plot, run.style),) for plot in upper), cells.grounded(lowest, run.style)]
                row = (
                    *label,
                    Span("  " + ljust(quantity.heading, stage), "muted"),
                    *(Span(" " + number(x, DETAIL), style, tells=told) for x, told in zip(figures, tells, strict=True)),
                    Span("  "),
                    *drawn[0],
                    Span(" " + quantity.axis(acts).ljust(axis), "muted"),
                    *last,
                )
                rows += [row, *((Span(" " * (fixed - tail - axis - 1)), *plot) for plot in drawn[1:])]
                label, last = [Span(" " * (2 + name))], []
    return rows

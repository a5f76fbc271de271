"""Draws the gradient shift of the layers below the bands of Drift."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from bntui.keyframe import COLUMN
from bntui.recording.history import RunHistory
from bntui.recording.kept import Ends, ends_of, folded, remembered, wider
from bntui.text.figures import magnitude
from bntui.text.language import _
from bntui.text.widths import longest
from bntui.viewer import epochs
from bntui.viewer.draw.axes import Limits
from bntui.viewer.draw.bands import DrawnBand, course
from bntui.viewer.draw.rows import Row, Span
from bntui.viewer.moves import Columns
from bntui.viewer.strands import ChartLayout, Strand, block, including, nothing, numbers, overlaid, spread, titled
from bntui.viewer.view import RunView, View
from bntui.viewer.worst import listed

SHIFT: Final = "gradient_shift"
MAX_DECADES: Final = 6
"""Smaller shifts than this below the largest are off the axis."""


def shift_strands(view: View, runs: Sequence[RunView]) -> list[Strand]:
    """The layers whose gradient shift was measured, of no watched run; that of the first is 0 by definition."""
    if all(run.info.watched for run in runs):
        return []
    column = COLUMN[SHIFT]
    strands = []
    places_of = [numbers(run) for run in runs]
    names = dict.fromkeys(info.name for run in runs for info in run.info.layers[1:])
    for name in listed(view, runs, list(names), "moves"):
        places = [of_run.get(name) for of_run in places_of]
        courses = tuple(None if at is None else (at, (column, column, column)) for at in places)
        if any(there(_positive(run.history, at)) for run, at in zip(runs, places, strict=True) if at):
            strands.append(Strand(name, "", courses))
    return strands


def shift_rows(runs: Sequence[RunView], strands: Sequence[Strand], form: ChartLayout, room: int) -> list[Row]:
    """The shift measure of each layer on one log axis, in at most ``room`` rows."""
    times = 1 if form.side else len(runs)
    number = min(len(strands), (room - 1) // times)
    if number < 1:
        return []
    decades = _decades(runs, strands)
    low, high = map(_power, decades)
    tall = min((room - 1) // (number * times), 3)
    words = (
        _("gradient shift ‖G − G′‖₂, log axis {low} to {high}; 0 in the first layer"),
        _("gradient shift ‖G − G′‖₂, log axis {low} to {high}"),
        _("shift ‖G − G′‖₂ {low} to {high}"),
    )
    title = longest(form.head + form.chart, *(sentence.format(low=low, high=high) for sentence in words))
    rows = [titled(title, runs, form, _("median"))]
    chosen = next((at for at, strand in enumerate(strands) if strand.name == form.chosen), None)
    for strand in (strands[at] for at in including(spread(len(strands), number), chosen)):
        pictures, figures = [], []
        for run, found in zip(runs, strand.courses, strict=True):
            if found is None or not there(_positive(run.history, found[0])):
                pictures.append(nothing(form, tall))
                figures.append(Span("—".rjust(form.figure), "muted"))
                continue
            drawn = _course(run.history, *found, decades, form, tall)
            pictures.append(list(overlaid(run, drawn, form.end, form.chart)))
            figures.append(Span(magnitude(_median_shift(run.history, found[0])).rjust(form.figure), "text"))
        ticks = [""] * tall
        if tall > 1:
            ticks[0], ticks[-1] = high, low
        rows += block(runs, strand, form, ticks, pictures, figures)
    return rows


def hint(runs: Sequence[RunView], width: int) -> list[Row]:
    """What would measure the shift, in a quiet line; nothing measures it in a watched run."""
    if all(run.info.watched for run in runs):
        return []
    sentences = (
        _("gradient shift ‖G − G′‖₂ was not measured: set record.shift = true"),
        _("gradient shift not measured: set record.shift = true"),
        _("gradient shift: set record.shift = true"),
    )
    return [(Span(longest(width, *sentences), "muted"),)]


def there(ends: Ends) -> bool:
    """Whether there was any value."""
    return ends[0] <= ends[1]


@folded(wider)
def _positive(history: RunHistory, rows: slice, layer: int) -> Ends:
    """The ends of a layer's shift where it has a logarithm."""
    values = history.layers[rows, layer, COLUMN[SHIFT]]
    return ends_of(values[values > 0])


def _decades(runs: Sequence[RunView], strands: Sequence[Strand]) -> Limits:
    """Whole decades that hold the shift of all layers up to the head, as far as MAX_DECADES below the largest."""
    ends = [
        _positive(run.history, found[0])
        for strand in strands
        for run, found in zip(runs, strand.courses, strict=True)
        if found
    ]
    high = math.ceil(float(np.log10(max(highest for _lowest, highest in ends))))
    low = math.floor(float(np.log10(min(lowest for lowest, _highest in ends))))
    return Limits(max(min(low, high - 1), high - MAX_DECADES), high)


@remembered
def _median_shift(history: RunHistory, layer: int) -> float:
    values = history.layers[:, layer, COLUMN[SHIFT]]
    return float(np.median(values[np.isfinite(values) & (values > 0)]))


@remembered
def _course(
    history: RunHistory, layer: int, columns: Columns, decades: Limits, form: ChartLayout, rows: int
) -> DrawnBand:
    """A line over the epochs on an axis of decades."""
    order, known = epochs.sampled(history, form.end, 2 * form.chart)
    values = history.layers[order, layer, columns[1]]
    sized = known & np.isfinite(values) & (values > 0)
    exponents = np.log10(values, out=np.full(values.shape, np.nan), where=sized)
    # 0, as after an update of nothing, has no decade: a gap, not a failure
    return course((exponents - decades.low) / (decades.high - decades.low), known & ~np.isfinite(values), rows)


def _power(decade: float) -> str:
    return f"1e{decade:g}".replace("-", "−")

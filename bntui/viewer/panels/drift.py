"""Draws how the distributions that enter the activations move during training, and gradient shift."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from rich.cells import cell_len

from bntui.keyframe import COLUMN, UNIT_STATISTICS, FloatArray
from bntui.recording.history import LayerInfo, RunHistory
from bntui.recording.kept import Ends, ends_of, folded, remembered, wider
from bntui.text.language import N_, _
from bntui.viewer import epochs
from bntui.viewer.draw import cells
from bntui.viewer.draw.axes import Limits
from bntui.viewer.draw.bands import DrawnBand, band
from bntui.viewer.draw.charts import put
from bntui.viewer.draw.rows import Drawing, FigureReference, Row, Span
from bntui.viewer.gates import LETTERS
from bntui.viewer.moves import Columns, columns_of, moved
from bntui.viewer.panels import Panel
from bntui.viewer.panels.drift_shift import hint, shift_rows, shift_strands, there
from bntui.viewer.strands import (
    ChartLayout,
    Strand,
    block,
    form_of,
    heading,
    including,
    left_out,
    nothing,
    numbers,
    overlaid,
    ruler,
    spread,
    troubled,
    window,
)
from bntui.viewer.view import RunView, View
from bntui.viewer.worst import listed

PANEL: Final = Panel(
    "drift",
    "8",
    N_("Drift"),
    short=N_("Drift"),
    quotes={
        "LayerMeasures": "pre_norm normalized unit_p15 unit_p50 unit_p85 gradient_shift",
        "Distribution": "p15 p50 p85",
    },
    walks=N_("layers"),
    worst="moves",
)
TITLES: Final = (
    N_("Drift ── what enters the activations: median, 15 and 85 %"),
    N_("Drift ── into the activations: median, 15, 85 %"),
    N_("Drift ── median, 15, 85 %"),
)
"""Longest first."""
MOVES: Final = "moves"
"""The figure beside a band; no reference names it."""
MIN_BAND, MAX_BAND = 3, 8
"""Rows of a band."""
MAX_FIRST: Final = 12
"""Rows of the first one."""
SHIFT_ABOVE: Final = 14
"""Rows from which the shift is shown, or a line says how it would be measured."""
WILD: Final = 1000
"""Times the selected run's extent from which on another run's has no say in the axis."""
SPARE: Final = 3
"""Times the selected run's extent that the axis reaches then: what leaves it is seen to leave."""
MOST_MOVES: Final = 100
"""Widths of a band from which a median's moves are not told apart."""
CAP: Final = 10
"""An axis reaches so many times the extent that half of the keyframes stay within: a run that diverges leaves it."""


def draw(view: View, width: int, height: int) -> Drawing:
    """Bands of one typical unit and of every layer, the shown runs on a common axis, and the shift measure below."""
    runs = [run for run in view.shown if run.frame is not None and run.frame.layers]
    if not runs:
        sentences = cells.absent(view.shown, _("Distributions start at the first mini-batch."))
        return cells.notice(cells.title(width, *map(_, TITLES)), sentences, width, height)
    waiting = [cells.waiting(run) for run in view.shown if run.frame is None]
    height -= len(waiting)
    typical, layers = _typical(runs), _of_layers(view, runs, outputs=True)
    strands = [*typical, *layers]
    shifts = shift_strands(view, runs)
    # of a folded block, another layer is the worst among those with an activation
    active = _of_layers(view, runs, outputs=False) if view.folded else _active(runs, layers)
    form = replace(form_of(runs, [*strands, *active, *shifts], width), chosen=view.layer)
    times = 1 if form.side else len(runs)
    below = []
    if height >= SHIFT_ABOVE:
        below = shift_rows(runs, shifts, form, height // 3) if shifts else hint(runs, width)
    room = height - 2 - len(below)
    number = max(min(len(strands), room // (MIN_BAND * times)), 1)
    chosen = strands
    if number < len(strands):
        chosen = [*typical, *active] or strands
        chosen = [strand for strand in chosen if strand.courses[0] is not None] or chosen
    places = spread(len(chosen), min(number, len(chosen)))
    named = troubled(runs[0])
    wanted = next((at for at, strand in enumerate(chosen) if at and strand.name == named), None)
    # the typical unit, which is the paper's picture, stays
    kept = [chosen[at] for at in (*places[:1], *including(places[1:], wanted))]
    at = next((at for at, one in enumerate(strands) if at >= len(typical) and one.name == view.layer), None)
    if (walked := window(len(strands), number, view.past, at)) is not None:
        kept = [strands[at] for at in walked]
    hidden = int(len(kept) < len(strands))
    tall = min(max((room - hidden) // (len(kept) * times), 1), MAX_BAND)
    rows = [heading(runs, form, _("moves per keyframe, × its spread"), _("moves × spread"), _("moves"))]
    spare = max(room - hidden - tall * len(kept) * times, 0) // times
    for strand in kept:
        # the typical unit, which is the paper's picture, gets what is left over
        rows += _bands(runs, strand, form, tall if strand is not kept[0] else min(tall + spare, MAX_FIRST))
    rows.append(ruler(runs, form))
    if hidden:
        names = [strand.name if strand in layers else f"{strand.name} ({strand.what})" for strand in strands]
        hidden_names = [name for name, strand in zip(names, strands, strict=True) if strand not in kept]
        rows.append(left_out(hidden_names, width, folded=view.folded))
    return cells.page(cells.title(width, *map(_, TITLES)), [*rows, *below, *waiting], width, height + len(waiting))


def _typical(runs: Sequence[RunView]) -> list[Strand]:
    """The typical unit of the last hidden layer, where one was measured."""
    low, median, high = (COLUMN[name] for name in UNIT_STATISTICS)
    hidden = [[at for at, info in enumerate(run.info.layers) if info.activation != "none"] for run in runs]
    measured = [
        (layers[-1], (low, median, high)) if layers and there(_finite(run.history, layers[-1], median)) else None
        for run, layers in zip(runs, hidden, strict=True)
    ]
    first = next((at for at, found in enumerate(measured) if found), None)
    if first is None:
        return []
    found = measured[first]
    assert found is not None
    info = runs[first].info.layers[found[0]]
    name, unit = info.name, _unit(runs[first], info)
    own: tuple[str, ...] = ()
    last = [run.info.layers[layers[-1]] if layers else info for run, layers in zip(runs, hidden, strict=True)]
    units = {_unit(run, layer) for run, layer in zip(runs, last, strict=True)}
    what = unit if len(units) == 1 else _("one unit")
    if len({layer.name for layer in last}) > 1:
        name, own = _("last hidden"), tuple(layer.name for layer in last)
    return [Strand(name, what, tuple(measured), own)]


def _active(runs: Sequence[RunView], strands: Sequence[Strand]) -> list[Strand]:
    """Those of layers that have an activation in any run."""
    names = {info.name for run in runs for info in run.info.layers if info.activation != "none"}
    return [strand for strand in strands if strand.name in names]


def _of_layers(view: View, runs: Sequence[RunView], *, outputs: bool) -> list[Strand]:
    """The layers in order; layers of a name belong together.

    Args:
        outputs: with layers that have no activation, what comes out of them.
    """
    shown = (info for run in runs for info in run.info.layers if outputs or info.activation != "none")
    places_of, every_unit = [numbers(run) for run in runs], _("all units")
    names = listed(view, runs, list(dict.fromkeys(info.name for info in shown)), PANEL.worst)
    strands = []
    for name in names:
        courses = [
            None if (at := places.get(name)) is None else (at, columns_of(run.info, run.info.layers[at]))
            for run, places in zip(runs, places_of, strict=True)
        ]
        strands.append(Strand(name, every_unit, tuple(courses)))
    return strands


def _unit(run: RunView, info: LayerInfo) -> str:
    """The unit or channel that the recording follows, counted from 1."""
    units = info.shape[-1] if info.kind == "recurrent" else info.shape[0]
    number = int(run.info.setting("record", "unit", 0)) % units + 1
    if info.cell in LETTERS:  # the first gate's projection is measured
        return _("gate {letter}, unit {number}").format(letter=LETTERS[info.cell][0], number=number)
    words = _("channel {number}") if info.kind == "conv" else _("unit {number}")
    return words.format(number=number)


@folded(wider)
def _finite(history: RunHistory, rows: slice, layer: int, column: int) -> Ends:
    """The ends of a column's finite values."""
    return ends_of(history.layers[rows, layer, column])


def _bands(runs: Sequence[RunView], strand: Strand, form: ChartLayout, tall: int) -> list[Row]:
    axis = _extent(runs, strand)
    pictures, figures = [], []
    # the last row of a high chart stays free, so that charts do not touch
    lines = tall - 1 if tall > MIN_BAND + 1 else tall
    for run, found in zip(runs, strand.courses, strict=True):
        if found is None:
            pictures.append(nothing(form, tall))
            figures.append(Span("—".rjust(form.figure), "muted"))
            continue
        layer, columns = found
        drawn = _band(run.history, layer, columns, axis, form, lines)
        picture = [*overlaid(run, drawn, form.end, form.chart), (Span(" " * form.chart),)][:tall]
        if form.side and strand.own:
            name = f" {strand.own[len(pictures)]} "
            picture[0] = put(picture[0], max(form.chart - cell_len(name), 0), name, "muted")
        pictures.append(picture)
        times = moved(run.history, layer, columns).movement
        words = "—" if math.isnan(times) else _moves(times)
        told = FigureReference(run.info.index, MOVES, strand.name)
        figures.append(Span(words.rjust(form.figure), "text", tells=told))
    pictures = [[*picture, *[(Span(" " * form.chart),)] * (tall - len(picture))] for picture in pictures]
    return block(runs, strand, form, _ticks(axis, lines, tall), pictures, figures)


def _moves(times: float) -> str:
    """In widths of the band; from 100 on all say the same: the band has nearly no width, or the median jumps."""
    if times >= MOST_MOVES - 0.5:
        return f">×{MOST_MOVES - 1}"
    return f"×{times:.0f}" if times >= 9.95 else f"×{times:.1f}" if times >= 0.995 else f"×{times:.2f}"


def _ticks(axis: Limits, lines: int, tall: int) -> list[str]:
    """Labels of an axis: its ends at its ends, and 0 at its place where that is clear of them."""
    low, high = axis
    ticks = [""] * tall
    ticks[0] = cells.tick(high)
    if lines > 1:
        ticks[lines - 1] = cells.tick(low)
        zero = int(cells.dots([-low / (high - low)], lines)[0]) // 4
        if low < 0 < high and not ticks[zero]:
            ticks[zero] = "0"
    return ticks


def _extent(runs: Sequence[RunView], strand: Strand) -> Limits:
    """An axis that holds the bands of all keyframes up to the head, and 0, so that it stays while the cursor moves.

    It is made for the selected run: one that reaches much further, as it explodes, leaves it.
    """
    reaches = [
        _reach(run.history, *found) for run, found in zip(runs, strand.courses, strict=True) if found is not None
    ]
    extents = [max(-least, most) for least, most in reaches if most > least]
    own = extents[0] if reaches and reaches[0][1] > reaches[0][0] else min(extents, default=0.0)
    low = min((least for least, _most in reaches), default=0.0)
    high = max((most for _least, most in reaches), default=0.0)
    if extents and max(extents) > WILD * own:
        cap = SPARE * own
        low, high = max(low, -cap), min(high, cap)
    low, high = -cells.nice(-low), cells.nice(high)
    return Limits(low, high) if high > low else Limits(-1.0, 1.0)


class _Reach(NamedTuple):
    """The ends of a band, and the larger size of both in each keyframe, ascending."""

    ends: Ends
    sizes: FloatArray


def _further(one: _Reach, other: _Reach) -> _Reach:
    return _Reach(wider(one.ends, other.ends), np.sort(np.concatenate([one.sizes, other.sizes]), kind="stable"))


@folded(_further)
def _reaches(history: RunHistory, rows: slice, layer: int, columns: Columns) -> _Reach:
    low, _median, high = (history.layers[rows, layer, column] for column in columns)
    known = np.isfinite(low) & np.isfinite(high)
    low, high = low[known], high[known]
    ends = float(low.min(initial=np.inf)), float(high.max(initial=-np.inf))
    return _Reach(ends, np.sort(np.maximum(np.abs(low), np.abs(high))))


@remembered
def _reach(history: RunHistory, layer: int, columns: Columns) -> tuple[float, float]:
    """The ends of one band, without what lies far outside of where it is for half of the keyframes."""
    (low, high), sizes = _reaches(history, layer, columns)
    if not len(sizes):
        return 0.0, 0.0
    middle = sizes[(len(sizes) - 1) // 2 : len(sizes) // 2 + 1]
    usual, calm = float(middle.mean()), float(sizes[(len(sizes) - 1) // 4])
    # of a run that diverges at once most keyframes are wild: the others tell where it was, and it leaves them
    cap = SPARE * calm if 0 < WILD * calm < usual else CAP * usual
    return max(low, -cap), min(high, cap)


@remembered
def _band(history: RunHistory, layer: int, columns: Columns, axis: Limits, form: ChartLayout, rows: int) -> DrawnBand:
    """A band over the epochs; it does not depend on the cursor, and is kept."""
    order, known = epochs.sampled(history, form.end, 2 * form.chart)
    low, high = (history.layers[order, layer, COLUMN[f"pre_norm.{end}"]] for end in ("min", "max"))
    known = known & ~(low > high)  # a gap, where the step of a watched loop did not call the layer
    reach = axis.high - axis.low
    courses = [np.where(known, (history.layers[order, layer, column] - axis.low) / reach, np.nan) for column in columns]
    return band(courses[0], courses[1], courses[2], known, rows)

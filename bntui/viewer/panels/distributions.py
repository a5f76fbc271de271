"""Draws the histogram of each quantity of a layer over the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from bntui.keyframe import COLUMN, QUANTITIES, BoolArray, FloatArray
from bntui.recording.histograms import Histograms
from bntui.recording.history import RunHistory
from bntui.recording.kept import remembered
from bntui.text.language import N_, _
from bntui.text.widths import ljust, longest
from bntui.viewer import epochs
from bntui.viewer.draw import cells
from bntui.viewer.draw.axes import Limits
from bntui.viewer.draw.bands import DrawnBand
from bntui.viewer.draw.cells import CHOSEN
from bntui.viewer.draw.heat import marked, on_axis, stippled
from bntui.viewer.draw.names import room_for, shortened
from bntui.viewer.draw.rows import Drawing, Row, Span, fit
from bntui.viewer.panels import Panel
from bntui.viewer.quantities import LayerQuantity, apart, entering, shown_by
from bntui.viewer.strands import including, left_out, overlaid, ruler_below, spread, troubled, window
from bntui.viewer.view import RunView, View
from bntui.viewer.worst import listed

PANEL: Final = Panel(
    "distributions",
    "9",
    N_("Distributions"),
    short=N_("Dist"),
    quotes={
        "LayerMeasures": "input pre_norm normalized output",
        "Distribution": "counts",
    },
    reads=("histograms",),
    walks=N_("layers"),
    worst="values",
)
TITLES: Final = {
    "epoch": N_("Distributions ── histograms by epoch"), "step": N_("Distributions ── histograms by step"),
}  # fmt: skip
MIN_MAP, ROOMY_MAP = 14, 26
"""Cells of a heat map: below the first, quantities go, and then the pinned run; from the second on the input comes."""
MIN_ROWS, MAX_ROWS = 4, 12
"""Rows of a heat map with the blank one below it."""
GAP: Final = 2


class QuantityColumn(NamedTuple):
    """One quantity of one run."""

    run: RunView
    quantity: LayerQuantity
    raw: str = ""
    """The axis of layers without activation in the column before activation, where that is not that column's; else
    empty."""
    normed: bool = False
    """A column of normalized values stands beside that one."""


@dataclass(frozen=True, slots=True)
class MapLayout:
    """Where the columns stand: cells of the names, of a map, and rows of a map and of what is blank below it."""

    name: int
    map: int
    rows: int
    blank: int
    end: float
    """Of the axis of time below each map, which begins at 0."""


def draw(view: View, width: int, height: int) -> Drawing:
    """Heat maps: a row of them for each layer, a column for each quantity of the selected and then the pinned run."""
    runs = [run for run in view.shown if run.frame is not None and run.histograms is not None]
    if not runs:
        sentences = cells.absent(view.shown, _("Histograms start at the first mini-batch."))
        return cells.notice(_(TITLES[view.unit]), sentences, width, height)
    waiting = [cells.waiting(run) for run in view.shown if run.frame is None]
    names = list(dict.fromkeys(info.name for run in runs for info in run.info.layers))
    names = listed(view, runs, names, PANEL.worst)
    name = room_for(names, width)
    columns = _columns(view.runs, runs, width - name)
    runs = [run for run in runs if any(column.run is run for column in columns)]
    size = (width - name - 1 - GAP * (len(columns) - 1)) // len(columns)
    room = height - len(waiting) - 3
    kept = names if MIN_ROWS * len(names) <= room + 1 else _some(runs, names, room, view)
    room -= len(kept) < len(names)
    # the blank row below the last map is not drawn
    blank = int((room + 1) // len(kept) >= MIN_ROWS)
    tall = max((room + blank) // len(kept), 1)
    called = shortened(names, name)
    form = MapLayout(name, max(size, 1), min(tall, MAX_ROWS) - blank, blank, epochs.end(runs))
    rows = _headings(columns, form)
    for layer in kept:
        rows += _maps(columns, layer, Span(called[layer], CHOSEN if layer == view.layer else "text"), form)
    if blank:
        rows.pop()
    gap = Span(" " * GAP)
    marks = [span for column in columns for span in (*ruler_below(column.run, form.end, form.map), gap)]
    rows.append((Span(" " * (name + 1)), *marks[:-1]))
    if len(kept) < len(names):
        rows.append(left_out([layer for layer in names if layer not in kept], width, folded=view.folded))
    return cells.page(_(TITLES[view.unit]), [*rows, *waiting], width, height)


def _columns(every: Sequence[RunView], runs: Sequence[RunView], width: int) -> list[QuantityColumn]:
    """As many quantities of the selected run, and of the pinned one beside it, as fit: what is dear stays longest.

    Beside a run that explodes the other one has axes of its own.
    """
    most = max(width // (MIN_MAP + GAP), 1)
    axes = shown_by(every, runs)
    alone = apart(axes)
    whole = [[one for one in stages if _has(run, one.field)] for run, stages in zip(runs, axes, strict=True)]
    number = sum(map(len, whole))
    if (number + len(runs)) * (ROOMY_MAP + GAP) <= width:
        whole = [[entering([run] if alone else runs), *own] for run, own in zip(runs, whole, strict=True)]
    elif number > most and len(runs) > 1 and most >= 2 * len(runs):
        whole = [_dearest(own, most // len(runs)) for own in whole]
    elif number > most:
        whole = [_dearest(whole[0], most)]
    raws = [_raw_axis(own) for own in whole]
    return [
        QuantityColumn(run, quantity, raw, any(one.field == "normalized" for one in own))
        for run, own, raw in zip(runs, whole, raws, strict=False)
        for quantity in own
    ]


def _raw_axis(quantities: Sequence[LayerQuantity]) -> str:
    """The axis of what a layer without activation gives, where that is not its column's."""
    before = next((quantity for quantity in quantities if quantity.field == "pre_norm"), None)
    return "" if before is None or before.axis(active=False) == before.axis() else before.axis(active=False)


def _has(run: RunView, field: str) -> bool:
    return field != "normalized" or any(info.norm != "none" for info in run.info.layers)


def _dearest(quantities: Sequence[LayerQuantity], number: int) -> list[LayerQuantity]:
    """In their order: what the activation gives, what the normalization gives, what enters both."""
    order = ("output", "normalized", "pre_norm")
    kept = sorted(quantities, key=lambda quantity: order.index(quantity.field))[:number]
    return [quantity for quantity in quantities if quantity in kept]


def _some(runs: Sequence[RunView], names: Sequence[str], room: int, view: View) -> list[str]:
    """The first, the last and some hidden layers of the selected run between, as many as there is height for.

    Among them is the layer that ``!`` names; of one row, it or the last hidden layer.
    """
    number = max(room // MIN_ROWS, 1)
    at = names.index(view.layer) if view.layer in names else None
    if (walked := window(len(names), min(number, len(names)), view.past, at)) is not None:
        return [names[at] for at in walked]
    there = frozenset(names)
    layers = [info for info in runs[0].info.layers if info.name in there]
    own = [info.name for info in layers]
    hidden = [at for at, info in enumerate(layers) if info.activation != "none"] or list(range(len(own)))
    chosen = [hidden[at] for at in spread(len(hidden), min(number, len(hidden)))] if number > 1 else hidden[-1:]
    named = troubled(runs[0])
    return [own[at] for at in including(chosen, own.index(named) if named in own else None)]


def _headings(columns: Sequence[QuantityColumn], form: MapLayout) -> list[Row]:
    """The runs over their first columns, and the quantities with the ends of their axes."""
    gap = Span(" " * GAP)
    first: list[Span] = [Span(" " * (form.name + 1))]
    for run in dict.fromkeys(column.run.info.index for column in columns):
        own = [column for column in columns if column.run.info.index == run]
        of, size = own[0].run, (form.map + GAP) * len(own) - GAP
        name = Span(f"{of.mark} {cells.cut(of.name, size - 2)}", of.style, of.click)
        first += [*fit((name,), size), gap]
    second: list[Span] = [Span(" " * (form.name + 1))]
    for column in columns:
        quantity = column.quantity
        axis = quantity.axis()
        if quantity.field == "input" and quantity.axis(active=False) != axis:
            axis = _("{ends}, first {raw}").format(ends=axis, raw=quantity.axis(active=False))
        wordings = (f"{quantity.heading} ↑ {axis}", f"{quantity.brief} ↑ {axis}", quantity.heading, quantity.brief)
        second += [*fit((Span(longest(form.map, *wordings), "muted"),), form.map), gap]
    return [tuple(first[:-1]), tuple(second[:-1])]


def _maps(columns: Sequence[QuantityColumn], name: str, called: Span, form: MapLayout) -> list[Row]:
    """The maps of one layer side by side, its name as it fits beside the first row of them."""
    pictures = [_picture(column, name, form) for column in columns]
    rows: list[Row] = []
    for y in range(form.rows):
        row = [called if y == 0 else Span(" " * form.name), Span(" ")]
        for picture in pictures:
            row += [Span(" " * GAP)] if picture is not pictures[0] else []
            row += picture[y]
        rows.append(tuple(row))
    return [*rows, *[()] * form.blank]


def _picture(column: QuantityColumn, name: str, form: MapLayout) -> Sequence[Row]:
    """One map; where a layer has no such quantity, why the maps beside it have another axis."""
    run, quantity, raw, normed = column
    layer = next((at for at, info in enumerate(run.info.layers) if info.name == name), None)
    info = None if layer is None else run.info.layers[layer]
    missing = {"output": info is None or info.activation == "none", "normalized": info is None or info.norm == "none"}
    if layer is None or info is None or missing.get(quantity.field, False):
        words = ["—"]
        beside = "normalized" if normed and missing["normalized"] else "output"
        if quantity.field == beside and info is not None and info.activation == "none" and raw:
            words.insert(0, "← " + _("axis {ends}").format(ends=raw))  # of the map to the left
        line = ljust(longest(form.map, *words), form.map)
        return [(Span(line if y == 0 else " " * form.map, "muted"),) for y in range(form.rows)]
    assert run.histograms is not None
    if _unmeasured(run.history, run.histograms, layer, quantity.field).all():
        return [(Span(ljust("—" if y == 0 else "", form.map), "muted"),) for y in range(form.rows)]
    axis = quantity.limits(layer > 0 if quantity.field == "input" else info.activation != "none")
    drawn = _map(run.history, run.histograms, layer, quantity.field, axis, form)
    return overlaid(run, drawn, form.end, form.map, faint="muted")


@remembered
def _tables(history: RunHistory, histograms: Histograms) -> FloatArray:
    """Per-layer scalars of the keyframes that have histograms."""
    return np.asarray(history.layers[histograms.rows])


@remembered
def _unmeasured(history: RunHistory, histograms: Histograms, layer: int, field: str) -> BoolArray:
    """In which of the keyframes nothing was measured, because a loop did not call the layer, or tell of it."""
    least, most = (_tables(history, histograms)[:, layer, COLUMN[f"{field}.{name}"]] for name in ("min", "max"))
    return np.asarray(least > most)


@remembered
def _map(
    history: RunHistory, histograms: Histograms, layer: int, field: str, axis: Limits, form: MapLayout
) -> DrawnBand:
    """The heat map of one quantity; it does not depend on the cursor, and is kept."""
    chosen = histograms.rows
    tables = _tables(history, histograms)
    least, most = (tables[:, layer, COLUMN[f"{field}.{name}"]] for name in ("min", "max"))
    counts = histograms.counts[:, layer, QUANTITIES.index(field)]
    mass, off = on_axis(counts, least, most, axis, 4 * form.rows)
    order = cells.along(history.position[chosen], 2 * form.map, form.end)
    there = order >= 0
    lost = ~(mass.any(axis=1) | _unmeasured(history, histograms, layer, field))
    gone = np.flatnonzero(there & np.asarray(lost)[order])
    # where most values are off the axis its end is not where they are
    beyond = off[order] * there
    drawn = mass[order] * there[:, np.newaxis]
    drawn[beyond < 0, 0] = drawn[beyond > 0, -1] = 0
    glyphs = marked(stippled(drawn), beyond)
    return DrawnBand(
        glyphs, np.zeros(glyphs.shape, np.bool_), (form.rows // 2, int(gone[0]) // 2) if gone.size else None
    )

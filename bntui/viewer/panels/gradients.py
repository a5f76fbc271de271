"""Draws gradient norms per layer on a log axis, their course over time, and a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from rich.cells import cell_len

from bntui.insight.verdicts import EXPLODING_ABOVE, VANISHING_BELOW, measured, verdict_of
from bntui.keyframe import COLUMN, FloatArray
from bntui.recording.history import RunHistory
from bntui.recording.kept import folded, remembered
from bntui.text.figures import magnitude
from bntui.text.language import N_, _
from bntui.text.widths import ljust, longest, rjust
from bntui.viewer import epochs
from bntui.viewer.draw import cells
from bntui.viewer.draw.names import room_for, shortened
from bntui.viewer.draw.rows import Drawing, FigureReference, Row, Span
from bntui.viewer.panels import Panel
from bntui.viewer.panels.gradients_axes import axes, logarithms, power
from bntui.viewer.panels.gradients_blocks import LARGEST, SMALLEST, LayerGroup, block_row, groups_of, has
from bntui.viewer.panels.gradients_layout import VALUE, GradientsLayout, layers_of, value_of
from bntui.viewer.panels.gradients_ratio import chart
from bntui.viewer.strands import around, more_layers
from bntui.viewer.view import RunView, View

PANEL: Final = Panel(
    "gradients",
    "3",
    N_("Gradients"),
    short=N_("Grad"),
    quotes={
        "LayerMeasures": "weight_gradient_norm activation_gradient_norm update_ratio",
        "Keyframe": "gradient_scale",
    },
    home=3,
    shows="backward",
    still=True,
    walks=N_("layers"),
    worst="gradients",
)
TITLE: Final = N_("Gradients ── |∂L/∂W| per layer, log axis")
RATIO: Final = N_("update/weight")
SHORT_RATIO: Final = N_("upd/weight")
COURSES: Final = {"epoch": N_("by epoch"), "step": N_("by step")}
MIN_BAR: Final = 6
MIN_CHART, MAX_CHART = 3, 10
"""Rows of the chart of the first-to-last ratio."""
SIDE: Final = 11
"""Cells of a verdict beside the rows of layers."""


def draw(view: View, width: int, height: int) -> Drawing:
    """Weight gradients with verdicts; below them, if there is room, activation gradients and the chart of the ratio."""
    runs = [run for run in view.shown if run.frame is not None and run.frame.layers]
    if not runs:
        sentences = cells.absent(view.shown, _("Gradients start at the first mini-batch."))
        return cells.notice(_(TITLE), sentences, width, height)
    waiting = [cells.waiting(run) for run in view.shown if run.frame is None]
    tables = [groups_of(view, run) for run in runs]
    layers, gaps = sum(map(len, tables)), len(runs) - 1
    weights = 1 + layers + len(runs) + gaps
    end = epochs.end(runs)
    free = height - len(waiting) - weights
    below = 3 + layers + gaps
    rows = _table(view, runs, tables, "weight_gradient_norm", width, min(height - len(waiting), weights))
    if free >= below:
        rows += [(), (Span(_("|∂L/∂a|: gradient with respect to each layer's activations"), "muted"),)]
        rows += _table(view, runs, tables, "activation_gradient_norm", width, 1 + layers + gaps)
        free -= below
    if free >= 2 + MIN_CHART:
        rows += [(), *chart(runs, width, min(free - 1, 1 + MAX_CHART), end)]
    return cells.page(_titled(runs, width), [*rows, *waiting], width, height)


def _titled(runs: Sequence[RunView], width: int) -> str:
    """The title, with the scale of mixed precision that the gradients are shown without, if there is room."""
    scales = dict.fromkeys(run.frame.gradient_scale for run in runs if run.frame is not None)
    told = ", ".join(f"{scale:,g}" for scale in scales if not math.isnan(scale))
    whole = _("{title} · without the scale {scale}").format(title=_(TITLE), scale=told)
    return whole if told and cell_len(whole) <= width else _(TITLE)


def _layout(names: Sequence[str], width: int, *, side: bool, folded: bool) -> GradientsLayout:
    name = room_for(names, width)
    left = width - 2 - name - 1 - 1 - VALUE
    if side:
        return GradientsLayout(name, left - SIDE - 2, 0, 0, True, names=shortened(names, name))
    if folded:
        heading = max(cell_len(_(SMALLEST)), cell_len(_(LARGEST)), VALUE)
        left -= 2 * (heading + 1) - VALUE - 1
        return GradientsLayout(name, max(left, MIN_BAR), 0, 0, False, names=shortened(names, name), largest=heading)
    headings = (cell_len(_(RATIO)), cell_len(_(SHORT_RATIO)))
    ratio = next((size for size in headings if left >= 2 * size + 10), 0)
    left -= ratio + 1 if ratio else 0
    course = 0 if left < 15 else min(left // 3, 40)
    left -= course + 1 if course else 0
    return GradientsLayout(name, max(left, MIN_BAR), course, ratio, False, names=shortened(names, name))


def _table(
    view: View, runs: Sequence[RunView], tables: Sequence[Sequence[LayerGroup]], column: str, width: int, height: int
) -> list[Row]:
    verdicts = column == "weight_gradient_norm"
    sizes = list(map(len, tables))
    ends = sum(min(size, 2) for size in sizes)
    decades = axes(runs, column)
    below = len(runs) if verdicts else 0
    # an axis for each run, if the ends of all networks stay visible; otherwise that of the selected run for all
    own = len(set(decades)) > 1 and height - len(runs) - below >= ends
    body = height - (len(runs) if own else 1)
    room = body - below
    # place verdicts beside the rows if that keeps all layers, or at least the first and the last one, visible
    all_stay = min(sizes) >= 3 and room < sum(sizes) <= body
    side = verdicts and width >= 44 and min(sizes) >= 2 and (all_stay or room < ends) and not view.folded
    names = [group.name for table in tables for group in table]
    common = replace(_layout(names, width, side=side, folded=view.folded), heavy=view.heavy)
    rows: list[Row] = []
    if side:
        room = body
    hidden = sum(sizes) > room
    counted = hidden and room > ends
    given = cells.shares(sizes, room - 1 if counted else room)
    blank = not own and room - sum(sizes) >= len(runs) - 1
    for at, (run, table, number_of_rows) in enumerate(zip(runs, tables, given, strict=True)):
        low, high = decades[at if own else 0]
        layout = replace(common, low=low, high=high)
        chosen = next((place for place, group in enumerate(table) if has(run, group, view.layer)), None)
        kept = [table[place] for place in _kept(len(table), number_of_rows, view.past, chosen)]
        if at == 0:
            rows.append(_axis(layout, run, ratio=verdicts, own=own))
        elif own:
            rows.append(_axis(replace(layout, course=0, ratio=0), run, ratio=False, own=True))
        elif blank:
            rows.append(())
        if view.folded:
            layers = [block_row(run, group, column, layout, chosen=has(run, group, view.layer)) for group in kept]
        else:
            shown = [group.numbers[0] for group in kept]
            end = epochs.end(runs)
            layers = [
                _layer(run, index, column, layout, _course(run, COLUMN[column], index, layout.course, end), view.layer)
                for index in shown
            ]
        if side:
            layers = [(*row, *note) for row, note in zip(layers, _beside(run, len(layers)), strict=True)]
        rows += layers
        if verdicts and not side:
            rows.append(_verdict(run, width, several=len(runs) > 1))
    if counted:
        rows.append(more_layers(sum(sizes) - sum(given), width, folded=view.folded))
    return rows


def _kept(size: int, rows: int, past: int, chosen: int | None = None) -> Sequence[int]:
    """The layers of a network that there is room for: its ends, between which the ratio is computed, and neighbors.

    Args:
        past: number of layers that the user has walked past.
        chosen: the layer around which they are shown instead, where there is one.
    """
    if rows >= size:
        return range(size)
    if rows < 2:
        return [past % size if chosen is None else chosen][:rows]
    if chosen is not None:
        return around(chosen, size, rows)
    if rows == 2:  # no room between the ends: the walk leads through pairs of neighbors
        at = past % (size - 1)
        return [at, at + 1] if at else [0, size - 1]
    first = 1 + past % (size - rows + 1)
    return [0, *range(first, first + rows - 2), size - 1]


def _axis(layout: GradientsLayout, run: RunView, *, ratio: bool, own: bool) -> Row:
    """The heading with the labelled decades; the last one is above the gap after the bars.

    Args:
        own: the axis is only that of this run.
    """
    line = [" "] * (layout.bar + 1 + VALUE)
    for decade in layout.decades:
        label = power(decade)
        line[layout.place(decade) : layout.place(decade) + len(label)] = label
    label = longest(layout.name, _("own axis"), _("axis"), "") if own else ""
    bars = "".join(line)
    if layout.course:
        # a heading that is longer than the column begins above the figures
        course = _(COURSES[run.history.unit])
        bars = (bars + " " * (1 + layout.course))[: -max(cell_len(course), layout.course)] + ljust(
            course, layout.course
        )
    heading = ljust(label, layout.name + 1) + bars
    words = longest(layout.ratio, _(RATIO), _(SHORT_RATIO))
    heading += rjust(words, layout.ratio + 1) if layout.ratio and ratio else ""
    if layout.largest:
        ends = "".join(rjust(_(words), layout.largest + 1) for words in (SMALLEST, LARGEST))
        heading = ljust(label, layout.name + 1) + "".join(line[: layout.bar]) + ends
    return Span(f"{run.mark} " if own else "  ", run.style), Span(heading, "muted")


def _layer(run: RunView, index: int, column: str, layout: GradientsLayout, course: tuple[str, str], chosen: str) -> Row:
    layer = layers_of(run)[index]
    value = float(getattr(layer, column))
    bar = layout.drawn(value)
    rest = [" "] * (layout.bar + 1)
    for decade in layout.decades[1:]:  # except the last decade, which is in the gap
        rest[layout.place(decade)] = "┊"
    row = [
        cells.layer_mark(run, layer.name, chosen=layer.name == chosen),
        Span(f"{layout.names[layer.name]} ", run.style),
        Span(bar, run.style),
        Span("".join(rest[len(bar) :]), "frame"),
        value_of(run, index, column),
    ]
    if layout.course:
        past, future = course
        row += [Span(" " + past, run.style), Span(future, "muted")]
    if layout.ratio and column == "weight_gradient_norm":
        # the initial state has no update yet, which is not a figure that went wrong
        known = run.frame and run.frame.step and not (layer.uncalled or "update_ratio" in run.info.layers[index].absent)
        ratio = magnitude(layer.update_ratio) if known else "—"
        told = FigureReference(run.info.index, "update_ratio", layer.name)
        style = "warn" if known and not math.isfinite(layer.update_ratio) else "text"
        row.append(Span(ratio.rjust(layout.ratio + 1), style, tells=told))
    return tuple(row)


def _course(run: RunView, column: int, layer: int, width: int, end: float) -> tuple[str, str]:
    """The course of a layer as a line up to the cursor, and the rest of it."""
    line, at = _line(run.history, column, layer, width, end), epochs.past(run, end, width)
    return line[:at], line[at:]


@remembered
def _line(history: RunHistory, column: int, layer: int, width: int, end: float) -> str:
    """The course of a layer on its own log axis; it does not depend on the cursor, and is kept.

    On a common axis, every line would be flat; the bars compare the layers.
    """
    rows, known = epochs.sampled(history, end, 2 * width)
    lows, highs = _extents(history, column)
    low, high = _axis_of_course(float(lows[layer]), float(highs[layer]))
    course = logarithms(history.layers[rows, layer, column])
    return cells.line(np.where(known, (course - low) / (high - low), np.nan))[0]


def _wider(one: tuple[FloatArray, FloatArray], other: tuple[FloatArray, FloatArray]) -> tuple[FloatArray, FloatArray]:
    return np.minimum(one[0], other[0]), np.maximum(one[1], other[1])


@folded(_wider)
def _extents(history: RunHistory, rows: slice, column: int) -> tuple[FloatArray, FloatArray]:
    """The lowest and the highest logarithm of each layer; ∞ and −∞ where a layer has none."""
    decades = logarithms(history.layers[rows, :, column])
    known = np.isfinite(decades)
    return (
        np.where(known, decades, np.inf).min(axis=0, initial=np.inf),
        np.where(known, decades, -np.inf).max(axis=0, initial=-np.inf),
    )


def _axis_of_course(low: float, high: float) -> tuple[float, float]:
    """The ends of a course's axis, at least a decade apart, so that small changes look small."""
    if low > high:
        return 0.0, 1.0
    wider = max(1.0 - (high - low), 0.0) / 2
    return low - wider, high + wider


def _beside(run: RunView, rows: int) -> list[Row]:
    """The verdict in the last cells of a run's rows; without its heading if there are few rows."""
    verdict = verdict_of(layers_of(run), measured(run.info.layers))
    style = "warn" if verdict.bad else "text"
    heading, figure = (_(SHORT_RATIO), verdict.step) if verdict.step_decides else (_("first/last"), verdict.ratio)
    told = None if verdict.step_decides else FigureReference(run.info.index, "gradient_ratio")
    notes = [Span(heading, "muted"), Span(_figure(figure), style, tells=told), Span(_(verdict.name), style)]
    shown = notes[-min(rows, 3) :] if rows else []
    return [(Span("  "), note) for note in shown] + [()] * (rows - len(shown))


def _verdict(run: RunView, width: int, *, several: bool) -> Row:
    """The figure that decides, and the verdict; only a bad verdict is in the warning color."""
    verdict = verdict_of(layers_of(run), measured(run.info.layers))
    style = "warn" if verdict.bad else "text"
    name = _(verdict.name)
    mark = f"{run.mark} " if several else ""
    left = width - len(mark)
    heading, figure = (_(RATIO), verdict.step) if verdict.step_decides else (_("first/last"), verdict.ratio)
    if math.isnan(figure):
        wordings: tuple[str, ...] = (f"{name}: {verdict.sentence}", name)
    else:
        if verdict.step_decides:
            limits = _("limit {limit}").format(limit=f"{verdict.limit:g}")
        elif verdict.bad:
            limits = _("limit {limit}").format(limit=_power(verdict.limit))
        else:
            limits = _("limits {low} and {high}").format(low=_power(VANISHING_BELOW), high=_power(EXPLODING_ABOVE))
        found = f"{heading} {_figure(figure)}  {name}"
        wordings = (f"{found} ({limits})", found, f"{_figure(figure)} {name}")
    words = longest(left, *wordings)
    before, found, after = words.partition(_figure(figure))
    told = None if verdict.step_decides else FigureReference(run.info.index, "gradient_ratio")
    return Span(mark, run.style), Span(before, style), Span(found, style, tells=told), Span(after, style)


def _figure(value: float) -> str:
    return "—" if math.isnan(value) else magnitude(value).strip()


def _power(limit: float) -> str:
    return power(round(math.log10(limit)))

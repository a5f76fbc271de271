"""Draws gradient norms per layer on a common log axis, their course over time, and a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Final

import numpy as np
from rich.cells import cell_len

from bntui.insight.verdicts import EXPLODING_ABOVE, VANISHING_BELOW, verdict_of
from bntui.keyframe import COLUMN, FloatArray, LayerMeasures
from bntui.recording.history import Unit
from bntui.text.figures import magnitude
from bntui.text.language import N_, _
from bntui.text.widths import ljust, longest, rjust
from bntui.viewer import epochs
from bntui.viewer.draw import cells
from bntui.viewer.draw.rows import Drawing, Row, Span, Told
from bntui.viewer.panels import Panel
from bntui.viewer.strands import more_layers
from bntui.viewer.view import RunView, View

PANEL: Final = Panel(
    "gradients",
    "3",
    N_("Gradients"),
    short=N_("Grads"),
    quotes={
        "LayerMeasures": "weight_gradient_norm activation_gradient_norm update_ratio",
    },
    home=3,
    shows="backward",
    still=True,
    walks=N_("layers"),
)
TITLE: Final = N_("Gradients ── |∂L/∂W| per layer, log axis")
MAX_DECADES: Final = 16
"""Maximum length of the axis below the largest gradient; float32 does not resolve larger differences."""
VALUE: Final = 7
RATIO: Final = N_("update/weight")
SHORT_RATIO: Final = N_("upd/weight")
COURSES: Final = {"epoch": N_("by epoch"), "step": N_("by step")}
MIN_BAR: Final = 6
MIN_CHART, MAX_CHART = 3, 10
"""Rows of the chart of the first-to-last ratio."""
LABEL: Final = 5
"""Cells of the chart's axis labels."""
SIDE: Final = 11
"""Cells of a verdict beside the rows of layers."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Widths of the columns of one table in cells, and the decades of its axis."""

    name: int
    bar: int
    course: int
    ratio: int
    """Cells of the update-to-weight ratio; 0 if it does not fit."""
    side: bool
    """Verdicts are beside the rows, because the height does not allow rows of their own."""
    low: int
    high: int
    heavy: bool = False
    """Bars are thick."""

    def share(self, value: float) -> float:
        """Position of a value on the log axis, from 0 to 1; 0 for a value of 0, and NaN for NaN."""
        if not value > 0:
            return math.nan if math.isnan(value) else 0.0
        return min(max((math.log10(value) - self.low) / (self.high - self.low), 0.0), 1.0) if value < math.inf else 1.0

    def place(self, decade: int) -> int:
        """The cell that begins at a decade; for the last decade, it is the gap after the bar."""
        return round(min(max((decade - self.low) / (self.high - self.low), 0.0), 1.0) * self.bar)

    @property
    def decades(self) -> tuple[int, ...]:
        """The labelled decades, evenly spaced from the highest so that labels do not touch."""
        span = self.high - self.low
        size = 1 + max(len(f"1e{decade}") for decade in (self.low, self.high))
        every = next((n for n in range(1, span) if self.bar * n >= size * span), span)
        chosen = tuple(range(self.high, self.low - 1, -every))
        return chosen if chosen[-1] == self.low or self.place(chosen[-1]) < size else (*chosen, self.low)


def draw(view: View, width: int, height: int) -> Drawing:
    """Weight gradients with verdicts; below them, if there is room, activation gradients and the chart of the ratio."""
    runs = [run for run in view.shown if run.frame is not None and run.frame.layers]
    if not runs:
        sentences = cells.absent(view.shown, _("Gradients start at the first mini-batch."))
        return cells.notice(_(TITLE), sentences, width, height)
    waiting = [cells.waiting(run) for run in view.shown if run.frame is None]
    layers, gaps = sum(len(_layers(run)) for run in runs), len(runs) - 1
    weights = 1 + layers + len(runs) + gaps
    end = epochs.end(runs)
    free = height - len(waiting) - weights
    below = 3 + layers + gaps
    rows = _table(view, runs, "weight_gradient_norm", width, min(height - len(waiting), weights))
    if free >= below:
        rows += [(), (Span(_("|∂L/∂a|: gradient with respect to each layer's activations"), "muted"),)]
        rows += _table(view, runs, "activation_gradient_norm", width, 1 + layers + gaps)
        free -= below
    if free >= 2 + MIN_CHART:
        rows += [(), *_chart(runs, width, min(free - 1, 1 + MAX_CHART), end)]
    return cells.page(_(TITLE), [*rows, *waiting], width, height)


def _layers(run: RunView) -> tuple[LayerMeasures, ...]:
    return run.frame.layers if run.frame is not None else ()


def _decades(runs: Sequence[RunView], column: str) -> tuple[int, int]:
    """Whole decades that cover all keyframes, so that the axis does not change while the cursor moves."""
    low, high = math.inf, 0.0
    for run in runs:
        norms = run.history.layers[:, :, COLUMN[column]]
        sized = norms[np.isfinite(norms) & (norms > 0)]
        if sized.size:
            low, high = min(low, float(sized.min())), max(high, float(sized.max()))
    if not high:
        return -6, 0
    top = math.ceil(math.log10(high))
    return max(min(math.floor(math.log10(low)), top - 1), top - MAX_DECADES), top


def _layout(runs: Sequence[RunView], column: str, width: int, *, side: bool) -> Layout:
    full = max(cell_len(layer.name) for run in runs for layer in _layers(run))
    name = min(full, 12 if width >= 44 else 6 if width >= 32 else 3)
    left = width - 2 - name - 1 - 1 - VALUE
    if side:
        return Layout(name, left - SIDE - 2, 0, 0, True, *_decades(runs, column))
    headings = (cell_len(_(RATIO)), cell_len(_(SHORT_RATIO)))
    ratio = next((size for size in headings if left >= 2 * size + 10), 0)
    left -= ratio + 1 if ratio else 0
    course = 0 if left < 15 else min(left // 3, 40)
    left -= course + 1 if course else 0
    return Layout(name, max(left, MIN_BAR), course, ratio, False, *_decades(runs, column))


def _table(view: View, runs: Sequence[RunView], column: str, width: int, height: int) -> list[Row]:
    verdicts = column == "weight_gradient_norm"
    sizes = [len(_layers(run)) for run in runs]
    room = height - 1 - (len(runs) if verdicts else 0)
    ends = sum(min(size, 2) for size in sizes)
    # place verdicts beside the rows if that keeps all layers, or at least the first and the last one, visible
    all_stay = min(sizes) >= 3 and room < sum(sizes) <= height - 1
    side = verdicts and width >= 44 and min(sizes) >= 2 and (all_stay or room < ends)
    layout = replace(_layout(runs, column, width, side=side), heavy=view.heavy)
    rows = [_axis(layout, runs[0].history.unit, ratio=verdicts)]
    if side:
        room = height - 1
    hidden = sum(sizes) > room
    counted = hidden and room > ends
    given = cells.shares(sizes, room - 1 if counted else room)
    blank = room - sum(sizes) >= len(runs) - 1
    for run, number_of_rows in zip(runs, given, strict=True):
        kept = _kept(len(_layers(run)), number_of_rows, view.past)
        courses = _courses(run, column, layout, epochs.end(runs))
        if blank and run is not runs[0]:
            rows.append(())
        layers = [_layer(run, index, column, layout, courses[index]) for index in kept]
        if side:
            layers = [(*row, *note) for row, note in zip(layers, _beside(run, len(layers)), strict=True)]
        rows += layers
        if verdicts and not side:
            rows.append(_verdict(run, width, several=len(runs) > 1))
    if counted:
        rows.append(more_layers(sum(sizes) - sum(given), width))
    return rows


def _kept(size: int, rows: int, past: int) -> Sequence[int]:
    """The layers of a network that there is room for: its ends, between which the ratio is computed, and neighbors.

    Args:
        past: number of layers that the user has walked past.
    """
    if rows >= size:
        return range(size)
    if rows < 2:
        return [past % size][:rows]
    if rows == 2:  # no room between the ends: the walk leads through pairs of neighbors
        at = past % (size - 1)
        return [at, at + 1] if at else [0, size - 1]
    first = 1 + past % (size - rows + 1)
    return [0, *range(first, first + rows - 2), size - 1]


def _axis(layout: Layout, unit: Unit, *, ratio: bool) -> Row:
    """The heading with the labelled decades; the last one is above the gap after the bars."""
    line = [" "] * (layout.bar + 1 + VALUE)
    for decade in layout.decades:
        label = f"1e{decade}".replace("-", "−")
        line[layout.place(decade) : layout.place(decade) + len(label)] = label
    heading = " " * (2 + layout.name + 1) + "".join(line)
    if layout.course:
        # a heading that is longer than the column begins above the figures
        course = _(COURSES[unit])
        heading = (heading + " " * (1 + layout.course))[: -max(cell_len(course), layout.course)]
        heading += ljust(course, layout.course)
    words = longest(layout.ratio, _(RATIO), _(SHORT_RATIO))
    return (Span(heading + (rjust(words, layout.ratio + 1) if layout.ratio and ratio else ""), "muted"),)


def _layer(run: RunView, index: int, column: str, layout: Layout, course: tuple[str, str]) -> Row:
    layer = _layers(run)[index]
    value = float(getattr(layer, column))
    bar = cells.bar(layout.share(value), layout.bar, heavy=layout.heavy)
    rest = [" "] * (layout.bar + 1)
    for decade in layout.decades[1:]:  # except the last decade, which is in the gap
        rest[layout.place(decade)] = "┊"
    row = [
        cells.layer_mark(run, layer.name),
        Span(f"{cells.short(layer.name, layout.name)} ", run.style),
        Span(bar, run.style),
        Span("".join(rest[len(bar) :]), "frame"),
        Span(
            magnitude(value), "text" if math.isfinite(value) else "warn", tells=Told(run.info.index, column, layer.name)
        ),
    ]
    if layout.course:
        past, future = course
        row += [Span(" " + past, run.style), Span(future, "muted")]
    if layout.ratio and column == "weight_gradient_norm":
        # the initial state has no update yet, which is not a figure that went wrong
        ratio = magnitude(layer.update_ratio) if run.frame and run.frame.step else "—"
        told = Told(run.info.index, "update_ratio", layer.name)
        row.append(Span(ratio.rjust(layout.ratio + 1), "text", tells=told))
    return tuple(row)


def _courses(run: RunView, column: str, layout: Layout, end: float) -> list[tuple[str, str]]:
    """The course of each layer as a line up to the cursor, and the rest of it, each on its own log axis.

    On a common axis, every line would be flat; the bars compare the layers.
    """
    rows, known = epochs.sampled(run.history, end, 2 * layout.course)
    course = run.history.layers[:, :, COLUMN[column]]
    at = epochs.past(run, end, layout.course)
    drawn = []
    for index in range(len(_layers(run))):
        low, high = _extent(_logarithms(course[:, index]))
        line = cells.line(np.where(known, (_logarithms(course[rows, index]) - low) / (high - low), np.nan))[0]
        drawn.append((line[:at], line[at:]))
    return drawn


def _logarithms(norms: FloatArray) -> FloatArray:
    """Decimal logarithms of the norms; NaN for norms that are 0 or not finite."""
    sized = np.isfinite(norms) & (norms > 0)
    return np.log10(norms, out=np.full(norms.shape, np.nan), where=sized)


def _extent(decades: FloatArray) -> tuple[float, float]:
    """The ends of a course's axis, at least a decade apart, so that small changes look small."""
    sized = decades[np.isfinite(decades)]
    if not sized.size:
        return 0.0, 1.0
    low, high = float(sized.min()), float(sized.max())
    wider = max(1.0 - (high - low), 0.0) / 2
    return low - wider, high + wider


def _chart(runs: Sequence[RunView], width: int, height: int, end: float) -> list[Row]:
    """A chart of each run's first-to-last ratio over time on a log axis, with the limits of the verdicts."""
    rows = height - 1
    cols = width - LABEL
    limits = [round(math.log10(limit)) for limit in (VANISHING_BELOW, EXPLODING_ABOVE)]
    ratios = [_ratios(run) for run in runs]
    seen = np.concatenate(ratios)
    seen = seen[np.isfinite(seen)]
    low = min(math.floor(seen.min()) if seen.size else 0, limits[0])
    high = max(math.ceil(2 * seen.max()) / 2 if seen.size else 0, 0)
    labels, glyphs, styles = [""] * rows, [[" "] * cols for _ in range(rows)], [["frame"] * cols for _ in range(rows)]
    decades = np.array([*limits, 0, math.floor(high), low])
    for decade, at in zip(decades.tolist(), map(int, cells.dots((decades - low) / (high - low), rows)), strict=True):
        if low <= decade <= high and not labels[at // 4]:
            labels[at // 4] = f"1e{decade}".replace("-", "−")
            if decade in limits:
                glyphs[at // 4] = ["⠁⠂⠄⡀"[at % 4]] * cols
    # draw the selected run last, on top
    for run, course in reversed(list(zip(runs, ratios, strict=True))):
        order, known = epochs.sampled(run.history, end, 2 * cols)
        at = epochs.past(run, end, cols)
        for y, line in enumerate(cells.line(np.where(known, (course[order] - low) / (high - low), np.nan), rows)):
            for x, char in enumerate(line):
                if char != " ":
                    glyphs[y][x], styles[y][x] = char, run.style if x < at else "muted"
    headings = (
        _("first/last by {unit}, 0 to {end}; vanishing below {limit}"),
        _("first/last by {unit}, 0 to {end}; limit {limit}"),
        _("first/last by {unit}, 0 to {end}"),
    )
    limit = _power(VANISHING_BELOW)
    said = {"end": f"{end:g}", "limit": limit, "unit": epochs.name(runs[0].history.unit)}
    heading = longest(width, *(words.format(**said) for words in headings))
    drawn: list[Row] = [(Span(heading, "muted"),)]
    for label, chars, looks in zip(labels, glyphs, styles, strict=True):
        pieces = [
            Span("".join(char for char, _ in group), style)
            for style, group in groupby(zip(chars, looks, strict=True), key=itemgetter(1))
        ]
        drawn.append((Span(label.rjust(LABEL - 1) + "┤", "muted"), *pieces))
    return drawn


def _ratios(run: RunView) -> FloatArray:
    """Decimal logarithms of the first-to-last ratio of every keyframe."""
    norms = run.history.layers[:, :, COLUMN["weight_gradient_norm"]]
    return _logarithms(norms[:, 0]) - _logarithms(norms[:, -1])


def _beside(run: RunView, rows: int) -> list[Row]:
    """The verdict in the last cells of a run's rows; without its heading if there are few rows."""
    verdict = verdict_of(_layers(run))
    ratio = "—" if math.isnan(verdict.ratio) else magnitude(verdict.ratio).strip()
    style = "warn" if verdict.bad else "text"
    told = Told(run.info.index, "gradient_ratio")
    notes = [Span(_("first/last"), "muted"), Span(ratio, style, tells=told), Span(_(verdict.name), style)]
    shown = notes[-min(rows, 3) :] if rows else []
    return [(Span("  "), note) for note in shown] + [()] * (rows - len(shown))


def _verdict(run: RunView, width: int, *, several: bool) -> Row:
    """The ratio and its verdict; only a bad verdict is in the warning color."""
    verdict = verdict_of(_layers(run))
    style = "warn" if verdict.bad else "text"
    name = _(verdict.name)
    mark = f"{run.mark} " if several else ""
    left = width - len(mark)
    ratio = "—" if math.isnan(verdict.ratio) else magnitude(verdict.ratio).strip()
    if math.isnan(verdict.ratio):
        wordings: tuple[str, ...] = (f"{name}: {verdict.sentence}", name)
    else:
        if verdict.bad:
            limits = _("limit {limit}").format(limit=_power(verdict.limit))
        else:
            limits = _("limits {low} and {high}").format(low=_power(VANISHING_BELOW), high=_power(EXPLODING_ABOVE))
        found = _("first/last") + f" {ratio}  {name}"
        wordings = (f"{found} ({limits})", found, f"{ratio} {name}")
    words = longest(left, *wordings)
    before, found, after = words.partition(ratio)
    told = Span(found, style, tells=Told(run.info.index, "gradient_ratio"))
    return Span(mark, run.style), Span(before, style), told, Span(after, style)


def _power(limit: float) -> str:
    return f"1e{round(math.log10(limit))}".replace("-", "−")

"""Does every layer get a gradient: its size per layer on one log axis, its course, and a plain verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from rich.cells import cell_len

from bntui.insight.verdicts import EXPLODING_ABOVE, VANISHING_BELOW, gradient_verdict
from bntui.keyframe import COLUMN, LayerMeasures
from bntui.viewer import cells
from bntui.viewer.figures import scientific
from bntui.viewer.rows import Drawing, Row, Span
from bntui.viewer.view import RunView, View

TITLE: Final = "Gradients ── |∂L/∂W| per layer, log"
MAX_DECADES: Final = 16
"""Smaller gradients than this below the largest are off the axis: float32 resolves no such differences."""
VALUE: Final = 7
RATIO: Final = 9
MIN_BAR: Final = 6


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the columns of one table stand, and the decades of its axis."""

    name: int
    bar: int
    course: int
    ratio: bool
    low: int
    high: int

    def share(self, value: float) -> float:
        """Where a value stands on the log axis, 0 to 1; NaN has no place, 0 stands at the left end."""
        if not value > 0:
            return math.nan if math.isnan(value) else 0.0
        return min(max((math.log10(value) - self.low) / (self.high - self.low), 0.0), 1.0) if value < math.inf else 1.0


def draw(view: View, width: int, height: int) -> Drawing:
    """Weight gradients of the shown runs with their verdicts; where there is room those of the activations below."""
    runs = [run for run in view.shown if run.frame is not None and run.frame.layers]
    if not runs:
        sentences = ("No keyframe here yet.", "Gradients are measured from the first mini-batch on.")
        return cells.notice(TITLE, sentences, width, height)
    waiting = [cells.waiting(run) for run in view.shown if run.frame is None]
    layers = sum(len(_layers(run)) for run in runs)
    weights = 1 + layers + len(runs)
    end = _epoch_end(runs)
    both = weights + 2 + layers + len(waiting) <= height
    room = height - len(waiting) - (layers + 2 if both else 0)
    rows = _table(runs, "weight_gradient_norm", width, min(room, weights), end)
    if both:
        rows.append((Span("|∂L/∂a|: gradient with respect to each layer's activations", "muted"),))
        rows += _table(runs, "activation_gradient_norm", width, 1 + layers, end)
    return cells.page(TITLE, [*rows, *waiting], width, height)


def _layers(run: RunView) -> tuple[LayerMeasures, ...]:
    return run.frame.layers if run.frame is not None else ()


def _epoch_end(runs: Sequence[RunView]) -> float:
    """Right end of the courses' epoch axis: a round number past the head, so that it moves rarely."""
    head = max(float(run.history.epoch[-1]) for run in runs)
    return max(min(cells.nice(max(head, 10.0)), float(max(run.info.epochs for run in runs))), head, 1.0)


def _decades(runs: Sequence[RunView], column: str) -> tuple[int, int]:
    """Whole decades that hold every keyframe up to the head, so that the axis stays while the cursor moves."""
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


def _layout(runs: Sequence[RunView], column: str, width: int) -> Layout:
    full = max(cell_len(layer.name) for run in runs for layer in _layers(run))
    name = min(full, 12 if width >= 60 else 6 if width >= 32 else 3)
    left = width - 2 - name - 1 - 1 - VALUE
    course = 0 if left < 20 else min(left // 3, 24)
    left -= course + 1 if course else 0
    ratio = column == "weight_gradient_norm" and left >= 2 * RATIO + 3
    return Layout(name, max(left - (RATIO + 1 if ratio else 0), MIN_BAR), course, ratio, *_decades(runs, column))


def _table(runs: Sequence[RunView], column: str, width: int, height: int, end: float) -> list[Row]:
    layout = _layout(runs, column, width)
    verdicts = column == "weight_gradient_norm"
    rows = [_axis(layout)]
    sizes = [len(_layers(run)) for run in runs]
    room = height - 1 - (len(runs) if verdicts else 0)
    hidden = sum(sizes) > room
    given = cells.shares(sizes, room - 1 if hidden else room)
    for run, number_of_rows in zip(runs, given, strict=True):
        order = range(len(_layers(run)))
        # where some must go, both ends of the network stay: the ratio is between them
        kept = order if number_of_rows == len(order) else [*order[: number_of_rows - 1], order[-1]][:number_of_rows]
        courses = _courses(run, column, layout, end)
        rows += [_layer(run, index, column, layout, courses[index]) for index in kept]
        if verdicts:
            rows.append(_verdict(run, width, several=len(runs) > 1))
    if hidden:
        more = sum(sizes) - sum(given)
        plural = "layer" if more == 1 else "layers"
        words = cells.longest(width, f"… {more} more {plural} between (enter zooms)", f"… {more} more {plural}")
        rows.append((Span(words, "muted"),))
    return rows


def _axis(layout: Layout) -> Row:
    """Decades at their places, as many as fit without touching; the first and the last always."""
    line = [" "] * layout.bar
    decades = range(layout.low, layout.high + 1)
    for decade in (decades[-1], decades[0], *decades[1:-1]):
        label = f"1e{decade}".replace("-", "−")
        at = min(round(layout.share(10.0**decade) * layout.bar), layout.bar - len(label))
        around = line[max(at - 1, 0) : at + len(label) + 1]
        if at >= 0 and all(char == " " for char in around):
            line[at : at + len(label)] = label
    heading = " " * (2 + layout.name + 1) + "".join(line) + " " * (1 + VALUE)
    if layout.course:
        heading += " " + "by epoch".ljust(layout.course)[: layout.course]
    return (Span(heading + (" " + "|ΔW|/|W|".rjust(RATIO) if layout.ratio else ""), "muted"),)


def _layer(run: RunView, index: int, column: str, layout: Layout, course: tuple[str, str]) -> Row:
    layer = _layers(run)[index]
    value = float(getattr(layer, column))
    style = "text" if math.isfinite(value) else "warn"
    row = [
        Span(f"{run.mark} {cells.short(layer.name, layout.name)} ", run.style),
        Span(cells.bar(layout.share(value), layout.bar), run.style),
        Span(" " + scientific(value), style),
    ]
    if layout.course:
        past, future = course
        row += [Span(" " + past, run.style), Span(future, "muted")]
    if layout.ratio:
        row.append(Span(" " + scientific(layer.update_ratio).rjust(RATIO), "text"))
    return tuple(row)


def _courses(run: RunView, column: str, layout: Layout, end: float) -> list[tuple[str, str]]:
    """The course of each layer up to the cursor, and the rest of it up to the head."""
    frames = np.flatnonzero(run.history.has_frame)
    rows = cells.along(run.history.epoch[frames], layout.course, end)
    sampled = run.history.layers[frames[rows], :, COLUMN[column]] if len(frames) else np.empty((0, len(_layers(run))))
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithms = np.log10(sampled)
    logarithms[sampled == 0] = layout.low
    logarithms[rows[: len(sampled)] < 0] = np.nan
    epoch = run.frame.epoch if run.frame is not None else 0.0
    at = min(int(epoch / end * layout.course) + 1, layout.course)
    lines = [cells.sparkline(course, layout.course, layout.low, layout.high) for course in logarithms.T]
    return [(line[:at], line[at:]) for line in lines]


def _verdict(run: RunView, width: int, *, several: bool) -> Row:
    """The ratio, and what it means; only a bad verdict is in the warning colour."""
    verdict = gradient_verdict([layer.weight_gradient_norm for layer in _layers(run)])
    style = "warn" if verdict.bad else "text"
    mark = f"{run.mark} " if several else ""
    left = width - len(mark)
    ratio = "—" if math.isnan(verdict.ratio) else scientific(verdict.ratio).strip()
    if math.isnan(verdict.ratio):
        wordings: tuple[str, ...] = (f"{verdict.name}: {verdict.sentence}", verdict.name)
    elif verdict.bad:
        wordings = (
            f"first/last {ratio}  {verdict.name} (limit {_power(verdict.limit)})",
            f"first/last {ratio}  {verdict.name}",
            f"{ratio} {verdict.name}",
        )
    else:
        wordings = (
            f"first/last {ratio}  {verdict.name} (limits {_power(VANISHING_BELOW)} and {_power(EXPLODING_ABOVE)})",
            f"first/last {ratio}  {verdict.name}",
            f"{ratio} {verdict.name}",
        )
    return Span(mark, run.style), Span(cells.longest(left, *wordings), style)


def _power(limit: float) -> str:
    return f"1e{round(math.log10(limit))}".replace("-", "−")

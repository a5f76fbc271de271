"""Draws training and validation loss and accuracy of every run."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from rich.cells import cell_len

from bntui.keyframe import BoolArray, FloatArray
from bntui.recording.history import Event, RunHistory
from bntui.recording.kept import folded
from bntui.recording.seeds import SeedCourse
from bntui.recording.sentences import traits
from bntui.text.language import N_, _
from bntui.viewer import epochs
from bntui.viewer.draw.axes import LABEL_CELLS, Axes, Limits, limits
from bntui.viewer.draw.cells import notice
from bntui.viewer.draw.cells import title as cells_title
from bntui.viewer.draw.charts import Chart, Series, is_blank, line_chart, put
from bntui.viewer.draw.rows import Drawing, Row, fit, join
from bntui.viewer.draw.rows import width as row_width
from bntui.viewer.draw.spans import FEW, SPAN, Spans, spans_of, telling
from bntui.viewer.monitor import best_row
from bntui.viewer.panels import Panel, curves_bands, curves_legend
from bntui.viewer.view import SAME, RunView, View

PANEL: Final = Panel(
    "curves",
    "1",
    N_("Curves"),
    short=N_("Curve"),
    quotes={
        "Keyframe": "epoch train_loss val_loss train_accuracy val_accuracy",
    },
    home=1,
)
FORK = "╰"
"""Where a fork begins."""
MARKS_APART = 16
"""Columns between two marks of a curve without color."""
_BESIDE_WIDTH = 100
_BELOW_HEIGHT = 14


def draw(view: View, width: int, height: int) -> Drawing:
    """Charts that do not depend on the cursor (kept), a legend of the values at the cursor, and the cursor's line."""
    linear, logarithmic = (
        (
            _("Curves ── validation, dotted: training · loss, linear axis"),
            _("Curves ── dotted: training · loss, linear axis"),
        ),
        (
            _("Curves ── validation, dotted: training · loss, log axis"),
            _("Curves ── dotted: training · loss, log axis"),
        ),
    )
    title = cells_title(width, *(logarithmic if view.log_axis else linear))
    if not any(len(run.history) for run in view.runs):
        sentence = _("no curves yet: they start at the first keyframe")
        return notice(title, [sentence], width, height)
    legend = curves_legend.legend(view, width, height)
    difference = curves_bands.difference_row(view, width)
    if difference and len(legend) < height // 3 and row_width(difference) <= width:
        legend.append(difference)
    selected = view.runs[view.selected]
    others = [run for run in view.visible if run is not selected]
    # the last one lies on top
    banded = {run.info.index for run in view.shown}
    runs = [run if run.info.index in banded else replace(run, seeds=()) for run in (*others, selected)]
    courses = [_Course(run.history, run.events, run.seeds, run) for run in runs]
    room = max(height - len(legend), 1)
    accuracy = "R²" if view.task == "regression" else _("acc %")
    scales = _Scales(
        _("loss"), accuracy, epochs.name(view.unit), epochs.window(view), view.log_axis, view.heavy, view.colorless
    )
    charts = _charts(tuple(courses), view.task, scales, width, room)
    rows = [*legend]
    for band in charts:
        drawn = [_with_cursor(chart, view.cursor) for chart in band]
        rows += [join(*parts) for parts in zip(*drawn, strict=True)]
    return Drawing(title, tuple(fit(row, width) for row in rows[:height]))


@dataclass(frozen=True, slots=True, eq=False)
class _Course:
    """A run's recorded part, compared by identity: histories never change, a new keyframe makes a new one."""

    history: RunHistory
    events: tuple[Event, ...]
    seeds: tuple[SeedCourse, ...]
    run: RunView

    def __hash__(self) -> int:
        return hash((id(self.history), self.events, self.seeds))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Course) or self.history is not other.history:
            return False
        return self.events == other.events and self.seeds == other.seeds


class _Scales(NamedTuple):
    """What the axes of both charts say, in the reader's language, apart from the limits of the values."""

    loss: str
    accuracy: str
    time: str
    """Epoch or step."""
    window: Limits
    """Of the axis of time."""
    log: bool
    """The axis of the loss is logarithmic."""
    heavy: bool = False
    """Lines are thick."""
    colorless: bool = False
    """Lines have marks, as they have no colors."""

    def axes(self, name: str, values: Limits, *, log: bool = False) -> Axes:
        """The axes of one chart: of the time, and of the values of this name."""
        # of the same width in both, so that their times stand above one another
        labels = max(LABEL_CELLS, cell_len(self.loss), cell_len(self.accuracy))
        return Axes(self.window, values, log, self.time, name, labels)


@lru_cache(maxsize=4)
def _charts(
    courses: tuple[_Course, ...], task: str, scales: _Scales, width: int, height: int
) -> tuple[tuple[Chart, ...], ...]:
    """Bands of charts side by side: loss, and accuracy beside it or below where there is room."""
    runs = [course.run for course in courses]
    if not _told_accuracy(runs):
        return ((_loss(runs, scales, width, height),),)
    if width >= _BESIDE_WIDTH:
        half = width // 2
        return ((_loss(runs, scales, half, height), _accuracy(runs, task, scales, width - half, height)),)
    if height >= _BELOW_HEIGHT - 2:
        half = (height + 1) // 2
        return (
            (_loss(runs, scales, width, half),),
            (_accuracy(runs, task, scales, width, height - half),),
        )
    return ((_loss(runs, scales, width, height),),)


def _told_accuracy(runs: list[RunView]) -> bool:
    """False if only loops were recorded that have told none; training has one at the end of each epoch."""
    if not all(run.info.watched for run in runs):
        return True
    courses = (course for run in runs for course in (run.history.train_accuracy, run.history.val_accuracy))
    return any(np.isfinite(course).any() for course in courses)


def _loss(runs: list[RunView], scales: _Scales, width: int, height: int) -> Chart:
    lines = [
        _Line(run, run.history.train_loss, run.history.val_loss, *_both_spans(run, "train_loss", "val_loss"))
        for run in runs
    ]
    behind = [banded for run in runs for banded in curves_bands.bands(run, "val_loss")]
    bounds = limits([part for one in _windowed(lines, behind) for part in one.within(scales.window)], scales.log)
    axes = scales.axes(scales.loss, bounds, log=scales.log)
    return _chart(lines, behind, axes, scales, (width, height))


def _accuracy(runs: list[RunView], task: str, scales: _Scales, width: int, height: int) -> Chart:
    regression = task == "regression"
    scale = 1.0 if regression else 100.0
    # a network whose loss is no number still picks a class: what comes of that is no accuracy
    lines = [
        _Line(
            run,
            scale * _where_finite(run.history.train_accuracy, run.history.train_loss),
            scale * _where_finite(run.history.val_accuracy, run.history.val_loss),
            *_both_spans(run, "train_accuracy", "val_accuracy"),
        )
        for run in runs
    ]
    behind = [banded for run in runs for banded in curves_bands.bands(run, "val_accuracy", scale)]
    bounds = limits(
        [part for one in _windowed(lines, behind) for part in one.within(scales.window)],
        False,
        step=0.25 if regression else 10.0,
    )
    # R² has no lower bound; far below 0, where the mean would predict better, its size says nothing
    low = min(max(bounds.low, -1.0), 0.75) if regression else min(max(bounds.low, 0.0), 90.0)
    axes = scales.axes(scales.accuracy, Limits(low, scale))
    return _chart(lines, behind, axes, scales, (width, height))


def _windowed(lines: list[_Line], behind: list[curves_bands.Banded]) -> list[_Line | curves_bands.Banded]:
    """All that the limits of a chart depend on."""
    return [*lines, *behind]


def _where_finite(course: FloatArray, loss: FloatArray) -> FloatArray:
    return np.where(np.isfinite(loss), course, np.nan)


def _whole(run: RunView) -> BoolArray:
    """The initial state, a fork's too, and the ends of epochs; every row of a recorded loop that tells of no epoch."""
    if run.info.watched and not run.history.epoch_end.any():
        return np.ones(len(run.history), np.bool_)
    first = run.history.step[:1] if run.info.fork is not None else 0
    whole: BoolArray = run.history.epoch_end | (run.history.step == first)
    return whole


class _Line(NamedTuple):
    """What is drawn of a run: figures of each row of its history."""

    run: RunView
    training: FloatArray
    """Drawn at the ends of epochs: within one it is the mean of a few mini-batches, which jumps."""
    validation: FloatArray
    training_spans: Spans | None = None
    validation_spans: Spans | None = None

    @property
    def series(self) -> tuple[Series, Series]:
        """The lines of training and validation."""
        run, places = self.run, self.run.history.position
        whole = slice(None) if self.training_spans is not None else _whole(run)
        told: slice | BoolArray = slice(None)
        if run.info.watched and self.validation_spans is None:  # within an epoch, a recorded loop does not validate
            told = run.history.epoch_end | np.isfinite(self.validation)
        names = f"{run.name} training", f"{run.name} validation"
        return (
            Series(names[0], places[whole], self.training[whole], run.style, True, self.training_spans),
            Series(names[1], places[told], self.validation[told], f"bold {run.style}", False, self.validation_spans),
        )

    def within(self, window: Limits) -> tuple[FloatArray, FloatArray]:
        """The values that the window shows, and those that the lines at its edges lead to."""
        training, validation = (_near(one, window) for one in self.series)
        return training, validation


@folded(Spans.then)
def _spans(history: RunHistory, rows: slice, course: str) -> Spans:
    return spans_of(getattr(history, course)[rows], rows.start, positive=course.endswith("loss"))


@folded(np.logical_and)
def _of_epochs(history: RunHistory, rows: slice) -> np.bool_:
    """True if all rows but the first one are ends of epochs with losses."""
    there = history.epoch_end[rows] & np.isfinite(history.train_loss[rows]) & np.isfinite(history.val_loss[rows])
    return (there[1:] if rows.start == 0 else there).all()


def _both_spans(run: RunView, *courses: str) -> tuple[Spans | None, ...]:
    """The spans of training and validation; none where the line of training leaves out rows."""
    history = run.history
    if len(history) < FEW * SPAN or not _of_epochs(history):
        return (None,) * len(courses)
    return tuple(_spans(history, course) for course in courses)


def _near(series: Series, window: Limits) -> FloatArray:
    told = telling(series.x, series.spans, window, 1)
    places, course = series.x[told], series.y[told]
    first, last = np.searchsorted(places, (window.low, window.high))
    return course[max(first - 1, 0) : last + 1]


def _chart(
    lines: list[_Line], behind: list[curves_bands.Banded], axes: Axes, scales: _Scales, size: tuple[int, int]
) -> Chart:
    both = [line.series for line in lines]
    series = [training for training, _validation in both] + [validation for _training, validation in both]
    # the selected run's dots are alone in their cells, those of its training too
    series.sort(key=lambda one: one.style.endswith(lines[-1].run.style))
    fills = [fill for banded in behind for fill in banded.fills]
    series = [banded.median for banded in behind] + series
    chart = line_chart(series, axes, *size, heavy=scales.heavy, behind=fills)
    if scales.colorless and len(lines) > 1:
        order = sorted(line.run.info.index for line in lines)
        for line in lines:
            chart = _marked_along(chart, line, order.index(line.run.info.index) / len(order))
    for line in lines:
        chart = _marked(chart, line.run, line.validation)
    return chart


def _marked_along(chart: Chart, line: _Line, share: float) -> Chart:
    """The run's mark at values along its validation curve, as far apart as a legend can be followed.

    Args:
        share: of the distance between two marks, where the first one is, so that those of several runs alternate.
    """
    rows, run = list(chart.rows), line.run
    _training, drawn = line.series
    (there,) = np.nonzero((drawn.y >= chart.axes.y.low) & (drawn.y <= chart.axes.y.high))  # no line leads beyond
    places, values = drawn.x[there], drawn.y[there]
    for column in range(round(share * MARKS_APART), chart.columns, MARKS_APART) if len(places) else ():
        time = chart.axes.x
        wanted = time.low + (time.high - time.low) * column / max(chart.columns - 1, 1)
        at = int(np.argmin(np.abs(places - wanted)))
        if time.low <= places[at] <= time.high:
            row = chart.line(values[at])
            rows[row] = put(rows[row], chart.column(places[at]), run.mark, f"bold {run.style}")
    return replace(chart, rows=tuple(rows))


def _marked(chart: Chart, run: RunView, values: FloatArray) -> Chart:
    """The run's mark at its newest value, where it began if it is a fork, what ended it, and a star at its best epoch.

    What went wrong first stands at its own place, at the last value before it that can be drawn.  What lies beyond the
    window is not drawn, but the run's mark: it stands at the last value within.
    """
    rows = list(chart.rows)
    places, time = run.history.position, chart.axes.x
    least = 0 if chart.axes.log else -math.inf

    def drawable(row: int) -> bool:
        return bool(np.isfinite(values[row]) and values[row] > least)

    def last_until(place: float) -> int:
        """The last row that can be drawn at or before a place; -1 if there is none."""
        end = int(np.searchsorted(places, place, side="right"))
        if end and drawable(end - 1):
            return end - 1
        before = np.flatnonzero(np.isfinite(values[:end]) & (values[:end] > least))
        return int(before[-1]) if len(before) else -1

    def within(row: int) -> bool:
        return drawable(row) and bool(time.low <= places[row] <= time.high)

    last = last_until(time.high)
    if last < 0 or places[last] < time.low:
        return chart
    first = next(row for row in range(len(values)) if drawable(row))
    column, line = chart.column(places[last]), chart.line(values[last])

    def mark(row: int, glyph: str) -> None:
        place = chart.line(values[row])
        rows[place] = put(rows[place], chart.column(places[row]), glyph, f"bold {run.style}")

    best = best_row(run)
    if best is not None and within(best):
        mark(best, "★")
    if run.info.fork is not None and within(first):
        mark(first, FORK)
    mark(last, run.mark)
    for event in run.events:
        kind = traits(event.kind)
        happened = epochs.of_event(event, run.history.unit)
        if not kind.charted or not time.low <= happened <= time.high:
            continue
        style = "bold bad" if kind.wrong else f"bold {run.style}"
        if kind.ends is None:  # at its own place, not at the run's end
            before = last_until(happened + SAME)
            place = chart.line(values[before] if before >= 0 else values[first])
            rows[place] = put(rows[place], chart.column(happened), kind.mark, style)
        else:
            beside = column + 1 if column + 1 < chart.left + chart.columns else column - 1
            rows[line] = put(rows[line], beside, kind.mark, style)
    return replace(chart, rows=tuple(rows))


def _with_cursor(chart: Chart, place: float) -> list[Row]:
    """A thin line behind the curves, in the cursor's column."""
    column = chart.column(place)
    rows = [put(row, column, "│", "accent") if is_blank(row, column) else row for row in chart.rows[: chart.lines]]
    if len(chart.rows) > chart.lines:
        rows.append(put(chart.rows[chart.lines], column, "┼", "accent"))
    return [*rows, *chart.rows[chart.lines + 1 :]]

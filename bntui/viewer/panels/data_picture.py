"""Draws decision boundaries or the fitted curve among the samples.

Predictions between the samples are those recorded on a grid, interpolated linearly.  The axes are derived from the grid
and the samples, so that only the predictions change over time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bntui.keyframe import BoolArray, FloatArray, IntArray, Predictions
from bntui.recording.dataset import RecordedData
from bntui.text import figures
from bntui.text.language import _
from bntui.text.widths import longest
from bntui.viewer.draw import axes, canvas, charts
from bntui.viewer.draw.axes import Axes
from bntui.viewer.draw.charts import Chart
from bntui.viewer.draw.rows import FigureReference, Row, Span, fit, join
from bntui.viewer.draw.rows import width as cells_of
from bntui.viewer.view import RunView

TRAINING: Final = ("•", "▴", "▪", "⬩", "▾", "+")
VALIDATION: Final = ("○", "△", "□", "◇", "▽", "×")
"""Marks of the classes: small and filled for training samples, large and open for validation samples."""
TEXTURES: Final = ("⠂", "⠒", "⠆", "⠢", "⠔", "⠶")
"""Patterns that fill the region of a class, in every second cell if its probability is above the first value of
``SURE``, and in every cell if it is above the second."""
SURE: Final = (0.6, 0.9)
CLASS_STYLES: Final = ("run5", "run4", "run3", "run2", "run1", "run0")
"""Styles from the end of the palette, to differ from those of the first runs."""
MOST_MARKS: Final = 6
"""Minimum number of cells per mark; of more samples, evenly spaced ones are drawn."""
FRAMED: Final = (30, 10)
"""Minimum width and height of a picture with axes."""


class Marks(NamedTuple):
    """Samples to draw, with those on top last, and a mask of the training samples."""

    rows: IntArray
    training: BoolArray


def legend(data: RecordedData, runs: Sequence[RunView], width: int, height: int) -> list[Row]:
    """The meaning of marks, colors and lines, with each run's accuracy or R², in at most ``height`` rows."""
    wordings = (_("small: training, large: validation"), _("training, validation"))
    score = longest(width // 4, _("validation accuracy"), _("accuracy")) if data.classes else "R²"
    lines: list[Row] = []
    for place, run in enumerate(runs):
        value = run.frame.val_accuracy if run.frame is not None else math.nan
        words = figures.percent(value) if data.classes else figures.number(value)
        name = Span(f"{'━━' if place == 0 else '╍╍'} {run.mark} {run.name}", f"bold {run.style}", run.click)
        told = Span(words, "text", tells=FigureReference(run.info.index, "val_accuracy"))
        line: Row = (name, Span(f"  {score} ", "muted"), told)
        if run.info.setting("training", "validation_mode") == "training":
            # the boundary is always drawn in evaluation mode, so the accuracy may not match it
            longer = (*line, Span("  " + _("in training mode"), "warn"))
            line = longer if cells_of(longer) <= width else line
        lines.append(line)
    marks: list[Row] = [
        (Span(f"{TRAINING[at % 6]} {VALIDATION[at % 6]} {name}", CLASS_STYLES[at % 6]),)
        for at, name in enumerate(data.classes[:6])
    ] or [(Span(f"{TRAINING[0]} {VALIDATION[0]}", CLASS_STYLES[1]),)]
    marks.append((Span(longest(width // 2, *wordings), "muted"),))
    if data.classes:
        marks.append((Span(longest(width // 3, _("wrong side of the boundary"), _("wrong side")), "bad"),))
    return [fit(row, width) for row in [*_flowing(lines, width), *_flowing(marks, width)][:height]]


def _flowing(parts: Sequence[Row], width: int) -> list[Row]:
    """Arrange parts in rows, one after the other; parts wider than a row are left out."""
    rows: list[Row] = []
    for part in (part for part in parts if cells_of(part) <= width):
        if rows and cells_of(rows[-1]) + 3 + cells_of(part) <= width:
            rows[-1] = join(rows[-1], [Span("   ")], part)
        else:
            rows.append(part)
    return rows


def drawn(data: RecordedData, runs: Sequence[RunView], sample: int, width: int, height: int) -> list[Row]:
    """The picture, exactly ``height`` rows of ``width`` cells.

    Args:
        runs: the selected run, whose predictions fill the picture, and the pinned one, which is drawn as a line.
        sample: row of the sample to highlight; -1 for none.
    """
    frame = _frame(_axes(data), width, height)
    if frame.lines < 1 or frame.columns < 1:
        return list(frame.rows)
    rows, columns = frame.lines, frame.columns
    answers = [(run, run.frame.predictions) for run in runs if run.frame is not None and run.frame.predictions]
    names = ["frame", *CLASS_STYLES, "bad", "cursor", *(f"bold {run.style}" for run, _ in answers)]
    glyphs = np.full((rows, columns), " ")
    styles = np.zeros((rows, columns), np.int64)
    if data.classes:
        planes = [_at_dots(found, rows, columns) for _, found in answers]
        lines = [_boundary(classes) for classes, _ in planes]
        if planes:
            glyphs = _regions(*planes[0])
    else:
        lines = [_curve(data, found, frame) for _, found in answers]
    marks = _marks(data, rows * columns)
    across, down = _places(data, marks.rows, frame)
    classes = data.y[marks.rows].astype(np.int64) if data.classes else np.zeros(len(marks.rows), np.int64)
    bits = np.zeros((rows, columns), np.int64)
    for place in reversed(range(len(lines))):  # the selected run's line is on top
        here = canvas.braille(lines[place] if place == 0 else lines[place] & _dashes(rows, columns))
        bits |= here
        styles = np.where(here > 0, len(CLASS_STYLES) + 3 + place, styles)
    glyphs = np.where(bits > 0, canvas.characters(bits), glyphs)
    shape = np.where(marks.training, np.array(TRAINING)[classes % 6], np.array(VALIDATION)[classes % 6])
    look = 1 + classes % 6 if data.classes else np.full(len(classes), 2)
    if data.classes and answers:
        wrong = misclassified(data, answers[0][1], marks.rows)
        look = np.where(wrong, len(CLASS_STYLES) + 1, look)
    glyphs[down, across], styles[down, across] = shape, look
    if sample >= 0:
        column, line = (int(at[0]) for at in _places(data, np.array([sample]), frame))
        styles[line, column] = len(CLASS_STYLES) + 2
        if glyphs[line, column] not in (*TRAINING, *VALIDATION):
            glyphs[line, column] = TRAINING[int(data.y[sample]) % 6 if data.classes else 0]
    drawing = canvas.rows_of(glyphs, styles, names)
    axis = [fit(row, frame.left) for row in frame.rows[:rows]]
    return [*(join(*parts) for parts in zip(axis, drawing, strict=True)), *frame.rows[rows:]]


def misclassified(data: RecordedData, answers: Predictions, rows: IntArray) -> BoolArray:
    """Mask of the samples that are on the wrong side of the boundary as it is drawn."""
    x, y = data.x[rows].astype(np.float64).T
    numbers, scores = _scores(answers)
    across, down = (
        canvas.between(_share(values, axis), len(axis)) for values, axis in zip((x, y), data.grid, strict=True)
    )
    below, above = (
        scores[:, at, across.first] * (1 - across.part) + scores[:, at, across.second] * across.part
        for at in (down.first, down.second)
    )
    found: BoolArray = numbers[(below * (1 - down.part) + above * down.part).argmax(0)] != data.y[rows]
    return found


def _share(values: FloatArray, axis: NDArray[np.float32] | FloatArray) -> FloatArray:
    low, high = axes.proper(float(axis[0]), float(axis[-1]))
    return (values - low) / (high - low)


NARROWEST: Final = 2.0**-12
"""Minimum lead of the predicted class: half of a half-precision step at 0.5."""


def _scores(answers: Predictions) -> tuple[IntArray, FloatArray]:
    """The predicted classes on the grid, and a score for each at every point.

    Where a class is predicted, its score is its recorded probability; elsewhere, it is an equal share of the rest.  The
    predicted class always gets the largest score, because its probability, rounded to half precision, cannot tell a
    narrow win from a tie, and the rest may belong to classes that are predicted nowhere.

    Returns:
        Class numbers ``(C,)``, and scores ``(C, rows, columns)``.
    """
    assert answers.classes is not None
    numbers = np.unique(answers.classes).astype(np.int64)
    won = answers.values.astype(np.float64)
    rest = np.minimum((1.0 - won) / max(len(numbers) - 1, 1), won - NARROWEST)
    return numbers, np.where(answers.classes == numbers[:, np.newaxis, np.newaxis], won, rest)


@lru_cache(maxsize=8)
def _dots(dots: int, count: int, upward: bool = False) -> canvas.Between:
    """Positions of evenly spaced dots among ``count`` grid points, from the lowest, or ``upward`` from the highest."""
    shares = np.linspace(0, 1, dots)
    return canvas.between(shares[::-1] if upward else shares, count)


def _at_dots(answers: Predictions, rows: int, columns: int) -> tuple[IntArray, FloatArray]:
    """The predicted class and its score at every braille dot, from the top; shapes ``(4 * rows, 2 * columns)``."""
    numbers, scores = _scores(answers)
    down, across = answers.values.shape
    fine = canvas.interpolated(scores, _dots(4 * rows, down, upward=True), _dots(2 * columns, across))
    top = fine[0].copy()
    winner = np.full(top.shape, numbers[0])
    for number, score in zip(numbers[1:], fine[1:], strict=True):
        better = score > top
        winner[better], top[better] = number, score[better]
    return winner, top


def _boundary(classes: IntArray) -> BoolArray:
    """Mask of the dots whose right or lower neighbor has another class."""
    edge = np.zeros(classes.shape, np.bool_)
    edge[:, :-1] |= classes[:, 1:] != classes[:, :-1]
    edge[:-1] |= classes[1:] != classes[:-1]
    return edge


def _regions(classes: IntArray, score: FloatArray) -> canvas.Glyphs:
    """A texture for each cell, from classes and scores at dots; blank where the score is low."""
    owner, sure = classes[2::4, 1::2], score[2::4, 1::2]
    even = (np.arange(owner.shape[0])[:, np.newaxis] + np.arange(owner.shape[1])) % 2 == 0
    filled = (sure > SURE[1]) | ((sure > SURE[0]) & even)
    return np.where(filled, np.array(TEXTURES)[owner % len(TEXTURES)], " ")


@lru_cache(maxsize=4)
def _dashes(rows: int, columns: int) -> BoolArray:
    """Mask of the dots that a dashed line keeps; the diagonal pattern makes gaps in every direction."""
    pattern: BoolArray = (2 * np.arange(4 * rows)[:, np.newaxis] + np.arange(2 * columns)) % 8 < 4
    return pattern


def _curve(data: RecordedData, answers: Predictions, frame: Chart) -> BoolArray:
    """Mask of the dots of the fitted curve of the first output, without the part beyond the axis."""
    grid = data.grid[0].astype(np.float64)
    shares = _share_of(np.interp(np.linspace(grid[0], grid[-1], 2 * frame.columns), grid, answers.values[:, 0]), frame)
    lit = np.zeros((4 * frame.lines, 2 * frame.columns), np.bool_)
    last = lit.shape[0] - 1
    at = np.rint((1 - shares) * last)
    before = np.concatenate((at[:1], at[:-1]))
    # connect to the previous dot with a vertical line in the new column
    start = np.where(at > before, before + 1, np.where(at < before, before - 1, at))
    level = np.arange(lit.shape[0])[:, np.newaxis]
    lit |= (level >= np.minimum(at, start)) & (level <= np.maximum(at, start))
    return lit


def _share_of(values: FloatArray, frame: Chart) -> FloatArray:
    low, high = frame.axes.y
    return (values - low) / (high - low)


def _marks(data: RecordedData, room: int) -> Marks:
    """Training samples, followed by validation samples on top of them, as many as ``room`` cells can show."""
    most = max(room // MOST_MARKS, 1)
    every = max(math.ceil((len(data.train) + len(data.validation)) / most), 1)
    train, validation = data.train[::every], data.validation[::every]
    rows = np.concatenate((train, validation))
    return Marks(rows, np.arange(len(rows)) < len(train))


def _places(data: RecordedData, rows: IntArray, frame: Chart) -> tuple[IntArray, IntArray]:
    """Column and line of each sample's cell within the canvas."""
    x = data.x[rows].astype(np.float64)
    across = _share(x[:, 0], data.grid[0])
    values = x[:, 1] if data.classes else data.y[rows, 0].astype(np.float64)
    up = _share_of(values, frame)
    columns = np.rint(np.nan_to_num(across.clip(0, 1)) * (2 * frame.columns - 1)).astype(np.int64) // 2
    lines = np.rint((1 - np.nan_to_num(up.clip(0, 1))) * (4 * frame.lines - 1)).astype(np.int64) // 4
    return columns, lines


def _axes(data: RecordedData) -> Axes:
    """Those of the grid; up, in regression, the samples' values with some room for a curve."""
    across = axes.proper(float(data.grid[0][0]), float(data.grid[0][-1]))
    if data.classes:
        up = axes.proper(float(data.grid[1][0]), float(data.grid[1][-1]))
        return Axes(across, up, x_label=data.features[0], y_label=data.features[1])
    low, high = float(data.y[:, 0].min()), float(data.y[:, 0].max())
    margin = 0.1 * (high - low)
    up = axes.limits([np.array([low - margin, high + margin])], log=False)
    return Axes(across, up, x_label=data.features[0], y_label="y")


@lru_cache(maxsize=4)
def _frame(both: Axes, width: int, height: int) -> Chart:
    """The axes, which stay: a chart without a line, or where it is too small for axes nothing at all."""
    if width < FRAMED[0] or height < FRAMED[1]:
        return Chart(tuple(fit((), width) for _ in range(height)), 0, width, height, both)
    return charts.line_chart([], both, width, height)

"""Draws the course of the first-to-last ratio of gradient norms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

import numpy as np

from bntui.insight.verdicts import EXPLODING_ABOVE, VANISHING_BELOW
from bntui.keyframe import COLUMN, FloatArray, IntArray
from bntui.recording.history import RunHistory
from bntui.recording.kept import ends_of, folded, wider
from bntui.text.language import _
from bntui.text.widths import longest
from bntui.viewer import epochs
from bntui.viewer.draw import cells
from bntui.viewer.draw.rows import Row, Span
from bntui.viewer.panels.gradients_axes import logarithms, power
from bntui.viewer.view import RunView

LABEL: Final = 4
"""Least cells of the axis labels, so that the chart does not move with its limits."""


def chart(runs: Sequence[RunView], width: int, height: int, end: float) -> list[Row]:
    """A chart of each run's first-to-last ratio over time on a log axis, with the limits of the verdicts."""
    rows = height - 1
    limits = [round(math.log10(limit)) for limit in (VANISHING_BELOW, EXPLODING_ABOVE)]
    seen = [ends for run in runs if (ends := _ends(run.history))[0] <= ends[1]]
    low = min(math.floor(min(lowest for lowest, _ in seen)) if seen else 0, limits[0])
    high = max(math.ceil(2 * max(highest for _, highest in seen)) / 2 if seen else 0, 0)
    decades = np.array([*limits, 0, math.floor(high), low])
    size = max(LABEL, *(len(power(decade)) for decade in decades.tolist()))
    cols = max(width - size - 1, 1)
    labels, glyphs, styles = [""] * rows, [[" "] * cols for _ in range(rows)], [["frame"] * cols for _ in range(rows)]
    for decade, at in zip(decades.tolist(), map(int, cells.dots((decades - low) / (high - low), rows)), strict=True):
        if low <= decade <= high and not labels[at // 4]:
            labels[at // 4] = power(decade)
            if decade in limits:
                glyphs[at // 4] = ["⠁⠂⠄⡀"[at % 4]] * cols
    # draw the selected run last, on top
    for run in reversed(runs):
        order, known = epochs.sampled(run.history, end, 2 * cols)
        course = _ratios(run.history, order)
        at = epochs.past(run, end, cols)
        for y, line in enumerate(cells.line(np.where(known, (course - low) / (high - low), np.nan), rows)):
            for x, char in enumerate(line):
                if char != " ":
                    glyphs[y][x], styles[y][x] = char, run.style if x < at else "muted"
    headings = (
        _("first/last by {unit}, 0 to {end}; vanishing below {limit}"),
        _("first/last by {unit}, 0 to {end}; limit {limit}"),
        _("first/last by {unit}, 0 to {end}"),
    )
    limit = power(limits[0])
    said = {"end": f"{end:g}", "limit": limit, "unit": epochs.name(runs[0].history.unit)}
    heading = longest(width, *(words.format(**said) for words in headings))
    drawn: list[Row] = [(Span(heading, "muted"),)]
    for label, chars, looks in zip(labels, glyphs, styles, strict=True):
        pieces = [
            Span("".join(char for char, _ in group), style)
            for style, group in groupby(zip(chars, looks, strict=True), key=itemgetter(1))
        ]
        drawn.append((Span(f"{label.rjust(size)}┤", "muted"), *pieces))
    return drawn


def _ratios(history: RunHistory, rows: slice | IntArray) -> FloatArray:
    """Decimal logarithms of the first-to-last ratio of some keyframes."""
    norms = history.layers[rows, :, COLUMN["weight_gradient_norm"]]
    return logarithms(norms[:, 0]) - logarithms(norms[:, -1])


@folded(wider)
def _ends(history: RunHistory, rows: slice) -> tuple[float, float]:
    """The lowest and the highest logarithm; ∞ and −∞ if there is none."""
    return ends_of(_ratios(history, rows))

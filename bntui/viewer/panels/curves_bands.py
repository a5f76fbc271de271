"""Draws the bands of runs over their seeds behind the curves, and says how far two runs differ over seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from bntui.insight.seed_bands import Difference
from bntui.keyframe import FloatArray
from bntui.text import figures
from bntui.text.language import _, ngettext
from bntui.text.widths import longest as longest_fitting
from bntui.viewer.draw.axes import Limits
from bntui.viewer.draw.charts import Series
from bntui.viewer.draw.fills import Fill
from bntui.viewer.draw.rows import Row, Span
from bntui.viewer.draw.rows import width as row_width
from bntui.viewer.seed_bands import apart_of, band_of, difference_of, median_spans, places_of, spread_of
from bntui.viewer.view import RunView, View

FIGURE: Final = "val_loss"
"""The figure that legend and differences tell."""


@dataclass(frozen=True, slots=True)
class Banded:
    """A run's band as it is drawn: the outer one, the inner one on it, and the median."""

    fills: tuple[Fill, Fill]
    median: Series

    def within(self, window: Limits) -> tuple[FloatArray, FloatArray]:
        """The ends of the outer band that the window shows."""
        outer = self.fills[0]
        first, last = np.searchsorted(outer.x, (window.low, window.high))
        rows = slice(max(int(first) - 1, 0), int(last) + 1)
        return outer.low[rows], outer.high[rows]


def bands(run: RunView, figure: str, scale: float = 1.0) -> tuple[Banded, ...]:
    """The band of a run; nothing without other seeds."""
    found = band_of(run, figure)
    if found is None:
        return ()
    places, style = places_of(run, found), f"{run.style} faint"
    outer = Fill(places, scale * found.low, scale * found.high, style, dense=False)
    inner = Fill(places, scale * found.lower, scale * found.upper, style, dense=True)
    median = Series(f"{run.name} median", places, scale * found.median, style, spans=median_spans(run, figure))
    return (Banded((outer, inner), median),)


def spread_span(run: RunView, *, short: bool = False) -> Span | None:
    """The range of the validation loss over the seeds at the keyframe that a run shows; None without other seeds.

    Args:
        short: without a word.
    """
    spread = spread_of(run, FIGURE)
    if spread is None or spread.seeds < 2:
        return None
    words = (
        "({low}…{high}, {count})"
        if short and spread.seeds == spread.all
        else "({low}…{high}, {count}/{all})"
        if short
        else ngettext("({low}…{high}, {count} seed)", "({low}…{high}, {count} seeds)", spread.seeds)
        if spread.seeds == spread.all
        else _("({low}…{high}, {count} of {all} seeds)")
    )
    low, high = (figures.number(value, 6).strip() for value in (spread.low, spread.high))
    return Span(" " + words.format(low=low, high=high, count=spread.seeds, all=spread.all), "muted")


def difference_row(view: View, width: int) -> Row:
    """How far the selected run and the pinned one differ over seeds, if their ranges overlap; else nothing.

    Says less where there is less room.
    """
    if view.pinned is None:
        return ()
    one, other = view.runs[view.selected], view.runs[view.pinned]
    found = difference_of(one, other, FIGURE, view.epoch)
    return () if found is None or not found.overlap else compared_row(one, other, found, width)


def apart_row(one: RunView, other: RunView, epoch: float, width: int) -> Row:
    """How far two runs differ over seeds at an epoch, and from where their ranges are apart; nothing without seeds."""
    found = difference_of(one, other, FIGURE, epoch)
    if found is None:
        return ()
    if found.overlap or (since := apart_of(one, other, FIGURE)) is None:
        return compared_row(one, other, found, width)
    mean, half = (figures.number(value, 6).strip() for value in (found.paired.mean, found.paired.half))
    sentences = (
        _("{count} seeds: ranges apart from epoch {epoch} on (paired difference {difference} ± {half})"),
        _("{count} seeds: ranges apart from epoch {epoch} on"),
        _("apart from epoch {epoch} on"),
    )
    said = [
        sentence.format(count=found.paired.count, epoch=since, difference=mean, half=half) for sentence in sentences
    ]
    runs = _pair(one, other)
    return (*runs, Span(longest_fitting(width - row_width(runs), *said), "text"))


def _pair(one: RunView, other: RunView) -> Row:
    return (
        Span(f"{one.mark} ", f"bold {one.style}"), Span("− ", "muted"), Span(f"{other.mark} ", f"bold {other.style}"),
    )  # fmt: skip


def compared_row(one: RunView, other: RunView, found: Difference, width: int) -> Row:
    """Whether two runs can be distinguished over their seeds."""
    sentences = (
        (
            _("distinguishable over {count} seeds (paired difference {difference} ± {half})"),
            _("distinguishable ({difference} ± {half}, {count} seeds)"),
            _("distinguishable over {count} seeds"),
        )
        if found.distinguishable
        else (
            _("not distinguishable over {count} seeds (paired difference {difference} ± {half})"),
            _("not distinguishable ({difference} ± {half}, {count} seeds)"),
            _("not distinguishable over {count} seeds"),
        )
    )
    paired = found.paired
    mean, half = (figures.number(value, 6).strip() for value in (paired.mean, paired.half))
    said = [sentence.format(count=paired.count, difference=mean, half=half) for sentence in sentences]
    runs = _pair(one, other)
    style = "text" if found.distinguishable else "warn"
    return (*runs, Span(longest_fitting(width - row_width(runs), *said), style))

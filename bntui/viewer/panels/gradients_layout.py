"""Lays out the columns of gradients, and writes a bar and a figure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bntui.keyframe import LayerMeasures
from bntui.text.figures import magnitude
from bntui.viewer.draw import cells
from bntui.viewer.draw.rows import FigureReference, Span
from bntui.viewer.view import RunView

BELOW, ABOVE = "‹", "›"
"""Instead of a bar, and at its end: values that are off the axis."""
VALUE: Final = 7


@dataclass(frozen=True, slots=True)
class GradientsLayout:
    """Widths of the columns of one table in cells, and the decades of its axis."""

    name: int
    bar: int
    course: int
    ratio: int
    """Cells of the update-to-weight ratio; 0 if it does not fit."""
    side: bool
    """Verdicts are beside the rows, because the height does not allow rows of their own."""
    low: int = -1
    high: int = 0
    heavy: bool = False
    """Bars are thick."""
    names: Mapping[str, str] = field(default_factory=dict)
    """The layers' names as they fit."""
    largest: int = 0
    """Cells of a second figure, the largest of a block; 0 where layers are not folded."""

    def drawn(self, value: float) -> str:
        """The bar of a value on the log axis; nothing for 0 and NaN, a mark for a value that is off the axis."""
        if not value > 0:
            return ""
        share = (math.log10(value) - self.low) / (self.high - self.low) if value < math.inf else 1.0
        if share < 0:
            return BELOW
        return cells.bar(share, self.bar, heavy=self.heavy) + (ABOVE if share > 1 else "")

    def place(self, decade: int) -> int:
        """The cell that begins at a decade; for the last decade, it is the gap after the bar."""
        return round(min(max((decade - self.low) / (self.high - self.low), 0.0), 1.0) * self.bar)

    @property
    def decades(self) -> tuple[int, ...]:
        """The labelled decades, evenly spaced from the highest so that labels do not touch; if few, the lowest too."""
        span = self.high - self.low
        size = 1 + max(len(f"1e{decade}") for decade in (self.low, self.high))
        least = next((n for n in range(1, span) if self.bar * n >= size * span), span)
        even = (n for n in range(least, min(2 * least, span // 2) + 1) if span % n == 0)
        chosen = tuple(range(self.high, self.low - 1, -next(even, least)))
        few = len(chosen) < 3 and chosen[-1] != self.low and self.place(chosen[-1]) >= size
        return (*chosen, self.low) if few else chosen


def layers_of(run: RunView) -> tuple[LayerMeasures, ...]:
    return run.frame.layers if run.frame is not None else ()


def value_of(run: RunView, index: int, column: str, width: int = VALUE) -> Span:
    """The figure of a layer; a dash where a watched loop does not report it, or did not call the layer."""
    layer = layers_of(run)[index]
    if column in run.info.layers[index].absent or layer.uncalled:
        return Span("—".rjust(width), "muted")
    value = float(getattr(layer, column))
    style = "text" if math.isfinite(value) else "warn"
    return Span(magnitude(value).rjust(width), style, tells=FigureReference(run.info.index, column, layer.name))

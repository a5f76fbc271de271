"""Gives the figures of layers that the panel of layers and its detailed table both show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from rich.cells import cell_len

from bntui.keyframe import Distribution, LayerMeasures
from bntui.text.figures import percent
from bntui.text.language import _
from bntui.viewer.draw import cells
from bntui.viewer.draw.axes import Limits
from bntui.viewer.draw.rows import FigureReference, Span
from bntui.viewer.identical import Identical
from bntui.viewer.quantities import LayerQuantity
from bntui.viewer.view import RunView

WRONG_ABOVE: Final = 0.5
"""Dead or saturated fraction above which it is in the warning color; a convention of this program."""
FRACTION: Final = 9
SHARE: Final = 7
"""Cells of a share, such as 100.0 %."""


class RunLayers(NamedTuple):
    """A run, and the numbers of its layers that have rows."""

    run: RunView
    numbers: Sequence[int]

    @property
    def names(self) -> list[str]:
        return [self.run.info.layers[at].name for at in self.numbers]


def layers_of(run: RunView) -> tuple[LayerMeasures, ...]:
    return run.frame.layers if run.frame is not None else ()


def fraction_heading(runs: Sequence[RunView]) -> str:
    layers = [layer for run in runs for layer in layers_of(run)]
    dead = any(not math.isnan(layer.dead_fraction) for layer in layers)
    saturated = any(not math.isnan(layer.saturated_fraction) for layer in layers)
    return _("dead/sat.") if dead and saturated else _("dead") if dead else _("saturated")


def least_fraction(runs: Sequence[RunView]) -> int:
    """The cells that the dead or saturated fraction needs, with its heading."""
    return max(cell_len(fraction_heading(runs)), SHARE)


def fraction(run: RunView, layer: LayerMeasures, width: int) -> Span:
    dead = not math.isnan(layer.dead_fraction)
    value = layer.dead_fraction if dead else layer.saturated_fraction
    if math.isnan(value) or not math.isfinite(layer.output.mean):  # the fraction means nothing for such values
        return Span("—".rjust(width), "muted")
    told = FigureReference(run.info.index, "dead_fraction" if dead else "saturated_fraction", layer.name)
    return Span(percent(value).rjust(width), "warn" if value > WRONG_ABOVE else "text", tells=told)


def active(run: RunView, index: int) -> bool:
    return run.info.layers[index].activation != "none"


def mean_of(values: Distribution) -> float:
    """The mean, or 0 if it is only rounding noise compared with the spread, as after normalization."""
    return 0.0 if abs(values.mean) < 1e-6 * values.std else values.mean


def plots(values: Distribution, ends: Limits, bins: int, rows: int, top: int) -> tuple[str, ...]:
    """The histogram of a quantity, top row first; it is kept, because walking through layers shows most of them again.

    Args:
        ends: of the axis.
        top: eighths of a row that the fullest bin is high.
    """
    return _plots(Identical(values), ends, bins, rows, top)


@lru_cache(maxsize=1024)
def _plots(same: Identical[Distribution], ends: Limits, bins: int, rows: int, top: int) -> tuple[str, ...]:
    values = same.value
    return cells.histogram(values.counts, Limits(values.min, values.max), ends, bins, rows, top)


def measured(run: RunView, index: int, quantities: Sequence[LayerQuantity]) -> list[tuple[LayerQuantity, Distribution]]:
    """The quantities that a layer has; the output of a layer without activation would repeat the value before it."""
    there = [quantity for quantity in quantities if quantity.field != "output" or active(run, index)]
    found = [(quantity, getattr(layers_of(run)[index], quantity.field)) for quantity in there]
    return [(quantity, values) for quantity, values in found if values is not None and not values.empty]

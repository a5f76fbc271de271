"""Draws one row of gradients for each block of layers: its smallest and its largest."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from bntui.text.language import N_
from bntui.viewer.blocks import blocks
from bntui.viewer.draw import cells
from bntui.viewer.draw.rows import Row, Span
from bntui.viewer.panels.gradients_layout import GradientsLayout, layers_of, value_of
from bntui.viewer.strands import numbers
from bntui.viewer.view import RunView, View

SMALLEST: Final = N_("smallest")
LARGEST: Final = N_("largest")


class LayerGroup(NamedTuple):
    """A row: a layer, or a block of several."""

    name: str
    numbers: tuple[int, ...]


def groups_of(view: View, run: RunView) -> list[LayerGroup]:
    at = numbers(run)
    if not view.folded:
        return [LayerGroup(name, (number,)) for name, number in at.items()]
    return [LayerGroup(block, tuple(at[name] for name in own)) for block, own in blocks(tuple(at)).items()]


def has(run: RunView, group: LayerGroup, layer: str) -> bool:
    return bool(layer) and any(run.info.layers[at].name == layer for at in group.numbers)


def block_row(run: RunView, group: LayerGroup, column: str, layout: GradientsLayout, *, chosen: bool) -> Row:
    """The smallest and the largest value of a block: the bar is thick up to the first, and thin up to the second."""
    layers = [layers_of(run)[at] for at in group.numbers]
    known = [at for at in group.numbers if column not in run.info.layers[at].absent]
    order = sorted(known, key=lambda at: _size(float(getattr(layers_of(run)[at], column))))
    if chosen:
        mark = cells.layer_mark(run, layers[0].name, chosen=True)
    else:
        marks = [cells.layer_mark(run, layer.name) for layer in layers]
        mark = next((one for one in marks if one.text.startswith("!")), marks[0])
    ends = (order[0], order[-1]) if order else ()
    bars = [layout.drawn(float(getattr(layers_of(run)[at], column)))[: layout.bar] for at in ends] or [""]
    least, most = bars[0], bars[-1]
    rest = [" "] * layout.bar
    for decade in layout.decades[1:]:
        rest[layout.place(decade)] = "┊"
    thin = "─" * (len(most) - len(least))
    figures = [value_of(run, at, column, layout.largest) for at in ends]
    return (
        mark,
        Span(f"{layout.names[group.name]} ", run.style),
        Span(least, run.style),
        Span(thin, run.style),
        Span("".join(rest[len(least) + len(thin) :]), "frame"),
        *(span for figure in figures for span in (Span(" "), figure)),
    )


def _size(value: float) -> float:
    """Sorts what is not finite last."""
    return value if math.isfinite(value) else math.inf

"""What does each layer do to the values: mean ± std and histogram before normalization, after it, after activation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from rich.cells import cell_len

from bntui.keyframe import COLUMN, Distribution, LayerMeasures
from bntui.viewer import cells
from bntui.viewer.figures import number, percent, scientific
from bntui.viewer.rows import Drawing, Row, Span
from bntui.viewer.view import RunView, View

TITLE: Final = "Layers ── mean ± std of this mini-batch"
WRONG_ABOVE: Final = 0.5
"""Dead or saturated fraction from which a layer stands in the warning colour: a convention of this tool."""
BOUNDED: Final = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "softsign": (-1.0, 1.0)}
MAX_ROWS: Final = 1024
"""Keyframes that an axis is computed from; of more, every second, fourth, ... one."""
MEAN, STD = 5, 5
MOMENTS: Final = MEAN + STD + 3
FRACTION: Final = 9
MIN_HISTOGRAM, GOOD_HISTOGRAM, MAX_HISTOGRAM = 4, 8, 16
EXTRAS: Final = {"weight_norm": "weight norm", "update_ratio": "|Δw|/|w|"}
EXTRA: Final = 12
DETAIL: Final = 8
"""Width of a number in the detailed table."""
DETAILS: Final = ("mean", "std", "min", "p15", "p50", "p85", "max")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A column of the table: what it shows, and the axis that all its histograms share."""

    field: str
    heading: str
    brief: str
    low: float
    high: float

    @property
    def axis(self) -> str:
        """Its ends; empty where no run has such values."""
        return f"{_tick(self.low)}…{_tick(self.high)}" if self.plotted else ""

    @property
    def plotted(self) -> bool:
        return self.high > self.low

    def histogram(self, values: Distribution, bins: int) -> str:
        return cells.histogram(values.counts, values.min, values.max, self.low, self.high, bins)


def draw(view: View, width: int, height: int) -> Drawing:
    """The table of the selected run's layers, then the pinned one's; with much room every figure of every stage."""
    runs = [run for run in view.shown if run.frame is not None and run.frame.layers]
    if not runs:
        return cells.notice(
            TITLE, ("No keyframe here yet.", "The first one is measured before the first step."), width, height
        )
    quantities = _quantities(runs)
    waiting = [cells.waiting(run) for run in view.shown if run.frame is None]
    detailed = _detailed(runs, quantities, width)
    if detailed is not None and len(detailed) + len(waiting) <= height:
        return cells.page(f"{TITLE}, percentiles, norms", [*detailed, *waiting], width, height)
    return cells.page(TITLE, [*_table(runs, quantities, width, height - len(waiting)), *waiting], width, height)


def _quantities(runs: Sequence[RunView]) -> tuple[Quantity, ...]:
    """The columns in the order in which values pass through a block, each with its axis."""
    activations = {info.activation for run in runs for info in run.info.layers} - {"none"}
    activation = activations.pop() if len(activations) == 1 else "activation"
    normed = [run for run in runs if any(info.norm != "none" for info in run.info.layers)]
    norm_last = bool(normed) and normed[0].info.config["network"].get("norm_position") == "after_activation"
    before = "norm" if normed and not norm_last else activation
    stages = [
        Quantity("pre_norm", f"before {before}", "before", *_limits(runs, "pre_norm")),
        Quantity("normalized", "after norm", "normed", *_limits(runs, "normalized")),
        Quantity(
            "output", f"after {activation}", "after", *(BOUNDED.get(activation) or _limits(runs, "output", active=True))
        ),
    ]
    return tuple(stages if not norm_last else [stages[0], stages[2], stages[1]])


def _limits(runs: Sequence[RunView], quantity: str, *, active: bool = False) -> tuple[float, float]:
    """An axis that holds all keyframes up to the head, so that it stays put while the cursor moves.

    A run that diverges passes through values that would squeeze everything else into one cell: beyond
    ten times the extent that half of the keyframes stay within, values go to the histogram's outer cells.
    """
    low = high = 0.0
    seen = False
    for run in runs:
        chosen = [i for i, info in enumerate(run.info.layers) if not active or info.activation != "none"]
        course = run.history.layers[:: _stride(len(run.history))]
        least, most = (course[:, chosen, COLUMN[f"{quantity}.{end}"]] for end in ("min", "max"))
        known = np.isfinite(least) & np.isfinite(most)
        if not known.any():
            continue
        seen = True
        extent = np.where(known, np.maximum(np.abs(least), np.abs(most)), 0.0).max(axis=1).clip(max=1e300)
        cap = 10 * float(np.median(extent[known.any(axis=1)]))
        low = min(low, max(float(least[known].min()), -cap))
        high = max(high, min(float(most[known].max()), cap))
    low, high = -cells.nice(-low), cells.nice(high)
    return (low, high) if high > low or not seen else (0.0, 1.0)


def _stride(keyframes: int) -> int:
    """Every so many keyframes are enough for an axis: a power of two, so that it rarely changes as a run grows."""
    return 1 << max((keyframes - 1) // MAX_ROWS, 0).bit_length()


def _tick(value: float) -> str:
    return f"{value:g}".replace("-", "−").replace("e−0", "e−").replace("e+0", "e").replace("e+", "e")


def _table(runs: Sequence[RunView], quantities: Sequence[Quantity], width: int, height: int) -> list[Row]:
    longest_name = max(cell_len(layer.name) for run in runs for layer in _layers(run))
    name = min(longest_name, 12)
    normed = any(layer.normalized is not None for run in runs for layer in _layers(run))
    # what goes first where it is narrow stands last here
    dear = ["pre_norm", "output", "fraction", "normalized"] if not normed else ["pre_norm", "output", "normalized"]
    dear += [] if "fraction" in dear else ["fraction"]
    sizes = {"pre_norm": MOMENTS, "output": MOMENTS, "normalized": MOMENTS, "fraction": FRACTION}
    # a name shrinks to 6 cells before a column is given up, and to 4 before the first one is
    kept = [
        key
        for i, key in enumerate(dear)
        if 2 + min(name, 6 if i else 4) + sum(1 + sizes[k] for k in dear[: i + 1]) <= width
    ]
    shown = [q for q in quantities if q.field in kept]
    used = 2 + sum(1 + sizes[key] for key in kept)
    name = max(min(name, width - used), 3)
    spare = width - used - name
    plots = sum(1 for quantity in shown if quantity.plotted)
    fitting = (spare // plots - 1 if plots else 0) if len(kept) == len(dear) else 0
    number_of_extras = min((spare - plots * (GOOD_HISTOGRAM + 1)) // EXTRA, 2) if fitting > GOOD_HISTOGRAM else 0
    extras = tuple(EXTRAS)[:number_of_extras]
    bins = 0
    if fitting >= MIN_HISTOGRAM:
        bins = min((spare - number_of_extras * EXTRA) // plots - 1, MAX_HISTOGRAM)
    rows = [_header(runs, shown, name, bins, extras, "fraction" in kept)]
    room = height - len(rows)
    sizes_of_runs = [len(_layers(run)) for run in runs]
    hidden = max(sum(sizes_of_runs) - room, 0)
    given = cells.shares(sizes_of_runs, room - 1 if hidden else room)
    for run, number_of_rows in zip(runs, given, strict=True):
        for layer in _layers(run)[:number_of_rows]:
            row = [Span(f"{run.mark} ", run.style), Span(cells.short(layer.name, name), run.style)]
            for quantity in shown:
                row += _block(getattr(layer, quantity.field), quantity, bins, layer, run)
            if "fraction" in kept:
                row.append(_fraction(layer))
            row += _scalars(layer, extras)
            rows.append(tuple(row))
    if hidden:
        more = sum(sizes_of_runs) - sum(given)
        plural = "layer" if more == 1 else "layers"
        words = cells.longest(width, f"… {more} more {plural} (enter zooms)", f"… {more} more {plural}")
        rows.append((Span(words, "muted"),))
    return rows


def _layers(run: RunView) -> tuple[LayerMeasures, ...]:
    return run.frame.layers if run.frame is not None else ()


def _header(
    runs: Sequence[RunView], shown: Sequence[Quantity], name: int, bins: int, extras: Sequence[str], fraction: bool
) -> Row:
    line = " " * (2 + name)
    for quantity in shown:
        block = _block_width(quantity, bins)
        if block > MOMENTS:
            room = block - cell_len(quantity.axis) - 1
            heading = cells.longest(room, quantity.heading, quantity.brief)
            line += " " + heading.ljust(room) + " " + quantity.axis
        else:
            line += " " + cells.longest(block, quantity.heading, quantity.brief).ljust(block)
    if fraction:
        line += " " + _fraction_heading(runs).rjust(FRACTION)
    line += "".join(EXTRAS[key].rjust(EXTRA) for key in extras)
    return (Span(line, "muted"),)


def _fraction_heading(runs: Sequence[RunView]) -> str:
    layers = [layer for run in runs for layer in _layers(run)]
    dead = any(not math.isnan(layer.dead_fraction) for layer in layers)
    saturated = any(not math.isnan(layer.saturated_fraction) for layer in layers)
    return "dead/sat." if dead and saturated else "dead" if dead else "saturated"


def _fraction(layer: LayerMeasures) -> Span:
    dead = not math.isnan(layer.dead_fraction)
    value = layer.dead_fraction if dead else layer.saturated_fraction
    if math.isnan(value):
        return Span("—".rjust(FRACTION + 1), "muted")
    return Span(percent(value).rjust(FRACTION + 1), "warn" if value > WRONG_ABOVE else "text")


def _absent(quantity: Quantity, layer: LayerMeasures, run: RunView) -> str:
    """Why a layer has no such figure; empty where it has one."""
    if quantity.field == "normalized" and layer.normalized is None:
        return "no norm"
    activation = next((info.activation for info in run.info.layers if info.name == layer.name), "")
    return "no activation" if quantity.field == "output" and activation == "none" else ""


def _block_width(quantity: Quantity, bins: int) -> int:
    return MOMENTS + (1 + bins if bins and quantity.plotted else 0)


def _mean(values: Distribution) -> float:
    """The mean; 0 where it is rounding noise against the spread, as it is after normalization."""
    return 0.0 if abs(values.mean) < 1e-6 * values.std else values.mean


def _block(
    values: Distribution | None, quantity: Quantity, bins: int, layer: LayerMeasures, run: RunView
) -> list[Span]:
    block = _block_width(quantity, bins)
    why = _absent(quantity, layer, run)
    if why or values is None:
        return [Span(" " + cells.longest(block, f"— {why}", "—").ljust(block), "muted")]
    finite = math.isfinite(values.mean) and math.isfinite(values.std)
    spread = number(values.std, STD, 2).strip()
    moments = Span(f" {number(_mean(values), MEAN, 2)} ± {spread:<{STD}}", "text" if finite else "warn")
    if block == MOMENTS:
        return [moments]
    return [moments, Span(" " + quantity.histogram(values, bins), run.style)]


def _scalars(layer: LayerMeasures, keys: Sequence[str]) -> list[Span]:
    figures = {"weight_norm": number(layer.weight_norm, DETAIL), "update_ratio": scientific(layer.update_ratio)}
    return [Span(figures[key].rjust(EXTRA), "text") for key in keys]


def _detailed(runs: Sequence[RunView], quantities: Sequence[Quantity], width: int) -> list[Row] | None:
    """Every stage of every layer on a row of its own; None where it is too narrow."""
    name = min(max(cell_len(layer.name) for run in runs for layer in _layers(run)), 16)
    stage = max(cell_len(quantity.heading) for quantity in quantities)
    axis = max(cell_len(quantity.axis) for quantity in quantities)
    tail = FRACTION + 1 + 2 * EXTRA
    fixed = 2 + name + 2 + stage + len(DETAILS) * (DETAIL + 1) + 2 + 1 + axis + tail
    bins = min(width - fixed, 40)
    if bins < MIN_HISTOGRAM:
        return None
    head = " " * (2 + name) + "  " + " " * stage + "".join(key.rjust(DETAIL + 1) for key in DETAILS)
    head += "  " + "histogram".ljust(bins + 1 + axis)[: bins + 1 + axis] + _fraction_heading(runs).rjust(FRACTION + 1)
    rows: list[Row] = [(Span(head + "".join(heading.rjust(EXTRA) for heading in EXTRAS.values()), "muted"),)]
    for run in runs:
        for layer in _layers(run):
            label = [Span(f"{run.mark} ", run.style), Span(cells.short(layer.name, name), run.style)]
            last = [_fraction(layer), *_scalars(layer, tuple(EXTRAS))]
            for quantity in quantities:
                values: Distribution | None = getattr(layer, quantity.field)
                if values is None or _absent(quantity, layer, run):
                    continue
                figures = [_mean(values), *(getattr(values, key) for key in DETAILS[1:])]
                finite = all(map(math.isfinite, figures))
                rows.append(
                    (
                        *label,
                        Span("  " + quantity.heading.ljust(stage), "muted"),
                        Span("".join(" " + number(x, DETAIL) for x in figures), "text" if finite else "warn"),
                        Span("  " + quantity.histogram(values, bins), run.style),
                        Span(" " + quantity.axis.ljust(axis), "muted"),
                        *last,
                    )
                )
                label, last = [Span(" " * (2 + name))], []
    return rows

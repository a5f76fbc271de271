"""Draws numbers as text: bars, sparklines, lines, histograms and masks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.cells import cell_len, set_cell_size

from bntui.keyframe import BoolArray, FloatArray, IntArray
from bntui.recording.sentences import traits
from bntui.text.figures import count, epoch
from bntui.text.language import _
from bntui.text.widths import longest, wrap
from bntui.viewer.draw.axes import Limits
from bntui.viewer.draw.rows import Drawing, Row, Span, fit
from bntui.viewer.view import RunView

BLOCKS: Final = " ▁▂▃▄▅▆▇█"
"""Heights from 0 to 8 eighths of a cell."""
CHOSEN: Final = "bold accent"
"""The style of the chosen layer."""
_HALVES: Final = np.array([" ", "▄", "▀", "█"])
_DOTS: Final = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a braille character's dots: left and right column, each from the top."""
_NICE: Final = np.array([1, 1.5, 2, 3, 4, 5, 6, 8, 10])


def bar(fraction: float, cells: int, *, heavy: bool = False) -> str:
    """A thin horizontal bar of ``fraction`` of ``cells``, in halves of a cell, as long as it is; empty for NaN.

    A heavy one is thick, in whole cells.
    """
    if not fraction > 0 or cells <= 0:
        return ""
    if heavy:
        return "▆" * max(round(min(fraction, 1.0) * cells), 1)
    full, half = divmod(round(min(fraction, 1.0) * cells * 2), 2)
    return "━" * full + "╸" * half


def levels(heights: FloatArray) -> str:
    """One block element for each height from 0 to 8 (rounded); NaN is a space."""
    # so few numbers are quicker without NumPy
    return "".join(
        [BLOCKS[round(min(max(height, 0.0), 8.0))] if height == height else " " for height in heights.tolist()]
    )


def sparkline(values: ArrayLike, cells: int, low: float | None = None, high: float | None = None) -> str:
    """A course as block elements, exactly ``cells`` wide, the lowest value as ▁ and the highest as █.

    More values than cells are averaged in groups; fewer take a cell each, and the rest stays blank.
    What is not finite is a gap.  ``low`` and ``high`` are the axis, by default the values' own range.
    """
    course = np.asarray(values, np.float64).ravel()
    if cells <= 0 or not course.size:
        return " " * max(cells, 0)
    finite = np.isfinite(course)
    if course.size > cells:
        starts = np.arange(cells) * course.size // cells
        number = np.add.reduceat(finite.astype(float), starts)
        total = np.add.reduceat(np.where(finite, course, 0.0), starts)
        course = np.full(cells, np.nan)
        np.divide(total, number, out=course, where=number > 0)
        finite = number > 0
    if not finite.any():
        return " " * cells
    bottom = float(course[finite].min()) if low is None else low
    top = float(course[finite].max()) if high is None else high
    share = (course - bottom) / (top - bottom) if top > bottom else np.full(course.size, 0.5)
    return levels(np.where(finite, 1 + 7 * share.clip(0, 1), np.nan)).ljust(cells)


def along(epochs: FloatArray, cells: int, end: float) -> IntArray:
    """Rows of a course for each cell of an epoch axis from 0 to ``end``: the last at or before the cell's right edge.

    -1 before the first and after the newest keyframe, so that a growing run fills the axis from the left.
    """
    edges = np.linspace(0, end, cells + 1)
    rows = np.searchsorted(epochs, edges[1:], side="right") - 1
    if len(epochs):
        rows[edges[:-1] > epochs[-1]] = -1
    return rows


def dots(shares: ArrayLike, rows: int) -> list[float]:
    """The braille dots, counted from the top of ``rows`` rows, on which shares of the height lie; NaN stays NaN."""
    found: list[float] = np.rint((1 - np.clip(shares, 0.0, 1.0)) * (4 * rows - 1)).tolist()
    return found


def line(shares: FloatArray, rows: int = 1) -> tuple[str, ...]:
    """A thin line in braille, two values a cell, top row first: 0 is the lowest dot, 1 the highest, NaN a gap."""
    canvas = [[0] * (len(shares) // 2) for _ in range(rows)]
    before: float = math.nan
    for column, at in enumerate(dots(shares[: len(shares) // 2 * 2], rows)):
        # a step is joined within the new column, from beside the old dot: no holes, and no thick corners
        if at == at:
            start = before - 1 if at < before else before + 1 if at > before else at
            for lit in range(int(min(at, start)), int(max(at, start)) + 1):
                canvas[lit // 4][column // 2] |= _DOTS[column % 2][lit % 4]
        before = at
    return tuple("".join([chr(0x2800 + bits) if bits else " " for bits in row]) for row in canvas)


def histogram(
    counts: ArrayLike, bounds: Limits, axis: Limits, cells: int, rows: int = 1, top: int = 0
) -> tuple[str, ...]:
    """Equal bins between ``bounds`` drawn on another axis, top row first.

    The fullest cell is ``top`` eighths high, by default as high as all rows.
    Bins are shared among the cells that they overlap; what lies beyond the axis is gathered in its outer cells.
    """
    tally = np.asarray(counts, np.float64)
    (low, high), (axis_low, axis_high) = bounds, axis
    if cells <= 0 or not tally.sum() or not (math.isfinite(high - low) and axis_high > axis_low):
        return (" " * max(cells, 0),) * rows
    if high - low > 1e-12 * (axis_high - axis_low):
        # the cells' edges, counted in bins; what lies beyond the axis belongs to the outer cells
        edges = (axis_low - low + np.arange(cells + 1) * ((axis_high - axis_low) / cells)) * (tally.size / (high - low))
        edges[0], edges[-1] = min(edges[0], 0), max(edges[-1], tally.size)
        below = np.interp(edges, np.arange(tally.size + 1), np.concatenate(([0.0], tally.cumsum())))
        mass = below[1:] - below[:-1]
    else:
        mass = np.zeros(cells)
        share = min(max((low - axis_low) / (axis_high - axis_low), 0.0), 1.0)
        mass[min(int(share * cells), cells - 1)] = 1
    heights = (top or 8 * rows) * mass / mass.max()
    return tuple(levels(heights - 8 * row) for row in range(rows - 1, -1, -1))


def grounded(line: str, style: str) -> tuple[Span, ...]:
    """The lowest row of a histogram on a faint line, so that its axis is seen where nothing lies on it."""
    left, right = len(line) - len(line.lstrip()), len(line.rstrip())
    if right <= left:
        return (Span(line, style),)
    return Span("_" * left, "frame"), Span(line[left:right], style), Span("_" * (len(line) - right), "frame")


def tick(value: float) -> str:
    """A round number as short as it can be: ``−0.5``, ``1e−5``."""
    return f"{value + 0.0:g}".replace("-", "−").replace("e−0", "e−").replace("e+0", "e").replace("e+", "e")


def ruler(low: float, high: float, cells: int) -> str:
    """An axis in words: its ends at its ends, and 0 at its place where that is clear of them; blank without an axis."""
    if not high > low:
        return " " * cells
    left, right = tick(low), tick(high)
    zero = int(-low / (high - low) * cells)
    line = left.ljust(cells - len(right)) + right
    clear = len(left) < zero < cells - len(right) - 1
    return line[:zero] + "0" + line[zero + 1 :] if clear else line


def mask(kept: BoolArray) -> tuple[str, ...]:
    """A mask of shape ``(samples, units)``: one cell a unit, one half of a cell a sample; what is kept is drawn.

    Of an odd number of samples the last half row is blank.
    """
    samples, units = kept.shape
    if not samples or not units:
        return ()
    halves = np.zeros((samples + samples % 2, units), np.int8)
    halves[:samples] = kept
    glyphs: NDArray[Any] = np.ascontiguousarray(_HALVES[2 * halves[0::2] + halves[1::2]])
    return tuple("".join(line) for line in glyphs.tolist())


def nice(size: float) -> float:
    """The next round number at or above ``size``: 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten; 0 for 0."""
    if not size > 1e-300:
        return 0.0
    if size > 1e300:
        return 1e300
    power = math.floor(math.log10(size))
    digits = _NICE[np.searchsorted(_NICE, size / 10.0**power * (1 - 1e-9))]
    return float(f"{digits:g}e{power}")


def shares(sizes: Sequence[int], rows: int) -> tuple[int, ...]:
    """How many rows each of several lists gets when ``rows`` are too few for all: evenly, none more than its size."""
    given = [0] * len(sizes)
    while sum(given) < min(rows, sum(sizes)):
        given[min((i for i in range(len(sizes)) if given[i] < sizes[i]), key=given.__getitem__)] += 1
    return tuple(given)


def title(width: int, *variants: str) -> str:
    """The first of several titles that a panel's upper edge has room for, beside its corners and its key."""
    return longest(width - 7, *variants)


def cut(name: str, cells: int) -> str:
    """A name in at most so many cells, ``…`` where something is missing.

    Of a name in parts (``plain · lr 0.2``: a fork's, or one with its file's name) the last part stays, for it is what
    tells it from the others.
    """
    if cell_len(name) <= cells:
        return name
    head, between, tail = name.rpartition(" · ")
    room = cells - 1 - cell_len(tail)
    if between and room >= 0:
        return set_cell_size(head, room).rstrip() + "…" + tail
    return set_cell_size(tail if between else name, max(cells - 1, 0)).rstrip() + "…"


def page(title: str, rows: Iterable[Row], width: int, height: int) -> Drawing:
    """Rows made into a drawing of exactly this size."""
    fitted = [fit(row, width) for row in rows][:height]
    return Drawing(title, (*fitted, *(fit((), width) for _ in range(height - len(fitted)))))


def notice(title: str, sentences: Iterable[str], width: int, height: int) -> Drawing:
    """The empty state: sentences that say why there is nothing, and what would fill it."""
    lines = [line for sentence in sentences for line in wrap(sentence, width)]
    return page(title, [(Span(line, "muted"),) for line in lines], width, height)


def waiting(run: RunView) -> Row:
    """A run that has no keyframe at the cursor, beside one that has."""
    why = begins(run)
    return Span(f"{run.mark} {run.name}", run.style), Span(f": {why}" if why else _(": no keyframe here yet"), "muted")


def layer_mark(run: RunView, layer: str, *, chosen: bool = False) -> Span:
    """The run's mark before a layer's name; in the keyframe in which it went wrong there first, that.

    The chosen layer has the mark of a choice.
    """
    step = -1 if run.frame is None else run.frame.step
    here = any(traits(e.kind).trouble and e.step == step and e.arguments.get("layer") == layer for e in run.events)
    if chosen:
        return Span("❯!", "bold bad") if here else Span("❯ ", CHOSEN)
    return Span("! ", "bold bad") if here else Span(f"{run.mark} ", run.style)


def begins(run: RunView) -> str:
    """Where a fork begins, in words; empty for other runs."""
    fork = run.info.fork
    if fork is None:
        return ""
    if run.history.unit == "step":
        return _("begins after step {step}").format(step=count(fork.step))
    return _("begins at epoch {epoch}").format(epoch=epoch(fork.epoch))


def absent(runs: Sequence[RunView], otherwise: str) -> tuple[str, ...]:
    """Why none of these runs has a keyframe at the cursor: they are forks that begin later, or nothing is recorded."""
    forks = [f"{run.mark} {run.name}: {begins(run)}" for run in runs if run.info.fork is not None]
    return tuple(forks) or (_("No keyframe here yet."), otherwise)

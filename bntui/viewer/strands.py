"""Lays out charts over time: layers one below the other, and runs side by side if they fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from rich.cells import cell_len

from bntui.recording.sentences import traits
from bntui.text.language import _, ngettext
from bntui.text.widths import ljust, longest, rjust
from bntui.viewer import epochs
from bntui.viewer.draw import cells
from bntui.viewer.draw.bands import DrawnBand
from bntui.viewer.draw.canvas import rows_of
from bntui.viewer.draw.cells import CHOSEN
from bntui.viewer.draw.charts import is_blank, put
from bntui.viewer.draw.names import room_for, shortened
from bntui.viewer.draw.rows import Row, Span, fit
from bntui.viewer.moves import Columns
from bntui.viewer.view import RunView

FIGURE: Final = 7
SIDE_BY_SIDE: Final = 64
"""Minimum cells for two runs side by side; below it, they are displayed one above the other."""
MIN_CHART: Final = 12
"""Minimum cells of a chart, below which first the figures beside it and then the labels of its axis are left out."""

GAP: Final = 2
"""Cells between two charts side by side."""


@dataclass(frozen=True, slots=True)
class ChartLayout:
    """Widths of the parts of a row in cells; 0 for a part that does not fit."""

    name: int
    axis: int
    chart: int
    figure: int
    side: bool
    """The runs stand side by side."""
    end: float
    """Of the axis of time below each chart, which begins at 0."""
    names: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Names and words of the strands as they fit."""
    chosen: str = field(default="", compare=False)
    """The chosen layer."""

    @property
    def head(self) -> int:
        """Cells before the first chart."""
        return self.name + self.axis + (2 if self.axis else 1)


@dataclass(frozen=True, slots=True)
class Strand:
    """One layer, or one of its units, in each displayed run; its charts have a common axis."""

    name: str
    what: str
    courses: tuple[tuple[int, Columns] | None, ...]
    """Layer number and columns in each displayed run; None if a run does not have the layer."""
    own: tuple[str, ...] = ()
    """The layer's name in each run, if the names differ and the layers match only by position."""


def form_of(runs: Sequence[RunView], strands: Sequence[Strand], width: int) -> ChartLayout:
    """The layout with as many parts as the charts' minimum width allows."""
    side = len(runs) > 1 and width >= SIDE_BY_SIDE * len(runs) // 2
    number = len(runs) if side else 1
    mark = 0 if side or len(runs) == 1 else 2
    words = {word for strand in strands for word in (strand.name, strand.what, *strand.own)}
    room = room_for(words, width)
    names, name = shortened(words, room), mark + room
    for axis, figure in ((6, FIGURE + 1), (6, 0), (0, 0)):
        chart = (width - name - axis - (2 if axis else 1) - GAP * (number - 1)) // number - figure
        if chart >= MIN_CHART:
            break
    return ChartLayout(name, axis, max(chart, 1), figure, side, epochs.end(runs), names)


def heading(runs: Sequence[RunView], form: ChartLayout, *figures: str) -> Row:
    """The names of the runs, above their charts if these are side by side, and a heading of the figures.

    Args:
        figures: wordings of the heading, the longest first; one that fits beside the names is used.
    """
    said = figures if form.figure else ("",)
    if form.side:
        row = [Span(" " * form.head)]
        size = form.chart + form.figure
        room = size - 4 - max(cell_len(run.name) for run in runs)
        words = longest(room, *said)
        words = words if cell_len(words) <= max(form.figure, room) else ""
        for at, run in enumerate(runs):
            name = cells.cut(run.name, size - 2 - (cell_len(words) + 1 if words else 0))
            row += [Span(" " * GAP)] if at else []
            row += fit((Span(f"{run.mark} {name}", run.style, run.click),), size - cell_len(words))
            row.append(Span(words, "muted"))
        return tuple(row)
    size = form.head + form.chart + form.figure
    room = (size + 2) // len(runs) - 4
    names = [f"{run.mark} {cells.cut(run.name, max(room, 1))}" for run in runs]
    taken = sum(map(cell_len, names)) + 2 * len(runs)
    words = longest(size - taken, *said)
    words = words if cell_len(words) <= size - taken else ""
    spans: list[Span] = []
    for run, name in zip(runs, names, strict=True):
        spans += [Span(name, run.style, run.click), Span("  ")]
    return (*fit(tuple(spans), size - cell_len(words)), Span(words, "muted"))


def titled(words: str, runs: Sequence[RunView], form: ChartLayout, figures: str) -> Row:
    """A heading in words, and a heading above the figures of each run."""
    figures = rjust(figures, form.figure) if form.figure >= cell_len(figures) else " " * form.figure
    again = Span(" " * (GAP + form.chart) + figures, "muted")
    return (
        *fit((Span(words, "muted"),), form.head + form.chart),
        Span(figures, "muted"),
        *[again] * (len(runs) - 1 if form.side else 0),
    )


def ruler(runs: Sequence[RunView], form: ChartLayout) -> Row:
    """The axis of epochs below each chart."""
    row = [Span(" " * form.head)]
    for run in runs if form.side else runs[:1]:
        row += [*ruler_below(run, form.end, form.chart), Span(" " * (form.figure + GAP))]
    return tuple(row[:-1])


def ruler_below(run: RunView, end: float, width: int) -> Row:
    """An axis from 0 to ``end`` with labels, and the cursor where it does not hide or touch a label."""
    line = cells.ruler(0, end, width)
    words = epochs.name(run.history.unit)
    at = (width - cell_len(words)) // 2
    if at > 3:
        line = line[:at] + words + line[at + cell_len(words) :]
    row: Row = (Span(line, "muted"),)
    cursor = epochs.past(run, end, width) - 1
    left, right = max(cursor - 1, 0), min(cursor + 2, width)
    return put(row, cursor, "▮", "accent") if is_blank(row, left, right - left) else row


def left_out(names: Sequence[str], width: int, *, folded: bool = False) -> Row:
    """The layers that do not fit, by name or number."""
    named = _("not shown: {names} ([ ] walk)").format(names=", ".join(names))
    return (Span(named, "muted"),) if cell_len(named) <= width else more_layers(len(names), width, folded=folded)


def more_layers(count: int, width: int, *, folded: bool = False) -> Row:
    """How many layers do not fit, or how many blocks."""
    sentences = (
        ngettext(
            "… {count} more layer (enter zooms, [ ] walk)", "… {count} more layers (enter zooms, [ ] walk)", count
        ),
        ngettext("… {count} more layer ([ ] walk)", "… {count} more layers ([ ] walk)", count),
        ngettext("… {count} more layer", "… {count} more layers", count),
    )
    if folded:
        sentences = (
            ngettext(
                "… {count} more block (enter zooms, [ ] walk)", "… {count} more blocks (enter zooms, [ ] walk)", count
            ),
            ngettext("… {count} more block ([ ] walk)", "… {count} more blocks ([ ] walk)", count),
            ngettext("… {count} more block", "… {count} more blocks", count),
        )
    return (Span(longest(width, *(words.format(count=count) for words in sentences)), "muted"),)


def block(
    runs: Sequence[RunView],
    strand: Strand,
    form: ChartLayout,
    ticks: Sequence[str],
    pictures: Sequence[Sequence[Row]],
    figures: Sequence[Span],
) -> list[Row]:
    """The charts of a strand, side by side or one above the other, with names, axis and figures."""
    rows: list[Row] = []
    for group in [range(len(runs))] if form.side else [range(at, at + 1) for at in range(len(runs))]:
        run = runs[group[0]]
        marked = len(runs) > 1 and not form.side
        room = form.name - (2 if marked else 0)
        for y, tick in enumerate(ticks):
            row = [Span((f"{run.mark} " if y == 0 else "  ") if marked else "", run.style)]
            if y == 0:
                name = strand.own[group[0]] if marked and strand.own else strand.name
                row.append(
                    Span(form.names.get(name, name), CHOSEN if name == form.chosen else run.style if marked else "text")
                )
            else:
                row.append(Span(form.names.get(strand.what, strand.what) if y == 1 else " " * room, "muted"))
            row.append(Span(f" {rjust(tick, form.axis)}┤" if form.axis else " ", "muted"))
            for at in group:
                row += [Span(" │", "muted")] if at != group[0] else []
                row += [*pictures[at][y], figures[at] if y == 0 else Span(" " * form.figure)]
            rows.append(tuple(row))
    return rows


def nothing(form: ChartLayout, tall: int) -> list[Row]:
    """The chart of a run that does not have the layer."""
    words = longest(form.chart, _("— no layer of this name in this run"), _("— no such layer"), "—")
    return [(Span(ljust(words, form.chart) if y == 0 else " " * form.chart, "muted"),) for y in range(tall)]


def overlaid(run: RunView, drawn: DrawnBand, end: float, width: int, faint: str = "frame") -> tuple[Row, ...]:
    """A band with the past bright and the future muted, the cursor between lines, and ✕ where values are not finite.

    Args:
        faint: style of the future apart from its median.
    """
    at = epochs.past(run, end, width)
    glyphs = drawn.glyphs.copy()
    styles = drawn.median.astype(np.int64)
    styles[:, at:] += 2
    blank = glyphs[:, at - 1] == " "
    glyphs[blank, at - 1] = "│"
    styles[blank, at - 1] = 4
    if drawn.broken is not None:
        glyphs[drawn.broken], styles[drawn.broken] = "✕", 5
    return rows_of(glyphs, styles, (run.style, f"bold {run.style}", faint, "muted", "accent", "bad"))


def numbers(run: RunView) -> dict[str, int]:
    """The number of each layer."""
    return {info.name: at for at, info in enumerate(run.info.layers)}


def around(at: int, number: int, room: int) -> range:
    """The ``room`` neighbors among ``number`` layers with the chosen one in their middle, as far as there are any."""
    first = min(max(at - room // 2, 0), max(number - room, 0))
    return range(first, min(first + room, number))


def window(number: int, room: int, past: int, at: int | None = None) -> range | None:
    """The ``room`` neighbors among ``number`` layers that are shown after walking past some of them.

    None where the walk begins and ends: there, the panel itself selects some.

    Args:
        at: the chosen layer, around which they are shown instead.
    """
    if at is not None:
        return around(at, number, room)
    at = past % (number - room + 2) if room < number else 0
    return range(at - 1, at - 1 + room) if at else None


def troubled(run: RunView) -> str:
    """The name of the layer that the first event of trouble in a run is about; empty without one."""
    named = (str(event.arguments.get("layer", "")) for event in run.events if traits(event.kind).trouble)
    return next((name for name in named if any(info.name == name for info in run.info.layers)), "")


def including(chosen: Sequence[int], wanted: int | None) -> list[int]:
    """The chosen indices with the wanted one in place of the nearest of them."""
    if wanted is None or wanted in chosen or not chosen:
        return list(chosen)
    nearest = min(chosen, key=lambda at: abs(at - wanted))
    return sorted(wanted if at == nearest else at for at in chosen)


def spread(number: int, room: int) -> list[int]:
    """``room`` of ``number`` indices at even distances, including the first and the last."""
    return sorted({round(at) for at in np.linspace(0, number - 1, room).tolist()}) if room > 1 else [0]

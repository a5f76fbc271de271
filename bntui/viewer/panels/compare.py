"""Draws a comparison of two keyframes, figure by figure: the selected run's and the pinned run's at the cursor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from rich.cells import cell_len

from bntui.keyframe import Keyframe
from bntui.text import figures
from bntui.text.language import N_, _
from bntui.text.table import Cell, Column, ColumnLayout, Line, layout, wordings
from bntui.text.widths import longest, rjust
from bntui.viewer.draw import cells
from bntui.viewer.draw.rows import Drawing, FigureReference, Row, Span, fit, join, styled
from bntui.viewer.panels import Panel
from bntui.viewer.panels.compare_figures import Bits, ComparedFigure, FigureSection, bits, sections
from bntui.viewer.panels.curves_bands import apart_row
from bntui.viewer.view import RunView, View

PANEL: Final = Panel(
    "compare",
    "c",
    N_("Compare"),
    short=N_("Comp"),
    does=N_("compare the selected run with the pinned one, figure by figure"),
    quotes={
        "Keyframe": (
            "epoch step lr gradient_scale batch_loss train_loss val_loss train_accuracy val_accuracy wall_time "
            "weights_digest"
        ),
        "EarlyStopping": "best best_epoch wait patience stopped",
        "LayerMeasures": (
            "weight_gradient_norm activation_gradient_norm weight_norm update_ratio dead_fraction "
            "saturated_fraction gradient_shift input pre_norm normalized output"
        ),
        "Distribution": "mean std",
        "DropoutMask": "kept_fraction",
    },
    first_with="several recordings",
    walks=N_("layers"),
)
TITLES: Final = (N_("Compare ── the selected run and the pinned one"), N_("Compare ── selected and pinned"))
"""Longest first."""
FIGURE: Final = 8
"""Width of a figure in cells."""
LEAST_NAME, MOST_NAME = 8, 22
LEAST_BAR, MOST_BAR = 4, 24
COLUMN: Final = 56
"""Minimum width of a table in cells, to decide how many fit side by side."""
GAP: Final = 3
NEAR: Final = 0.01
"""Distance below which two figures count as nearly equal."""
FAR: Final = 0.5
"""Distance from which their row is bold."""
SILENT: Final = ("word", "time")
"""Kinds of figures without a bar, because their distance is not a number, or says nothing about the network."""


def draw(view: View, width: int, height: int) -> Drawing:
    """The two runs and their positions, whether their keyframes are bit-identical, and all figures with differences."""
    title = cells.title(width, *map(_, TITLES))
    if len(view.shown) < 2:
        return cells.notice(title, _why_alone(view), width, height)
    one, other = view.shown[:2]
    if one.frame is None or other.frame is None:
        sentence = _("{run} has no keyframe here yet: → moves to one.")
        missing = [run for run in (one, other) if run.frame is None]
        lines = [sentence.format(run=f"{run.mark} {run.name}") for run in missing]
        return cells.notice(title, lines, width, height)
    parts = sections(one.frame, other.frame, view.task)
    top = _top(one, other, bits(one.frame, other.frame), width) if height > 6 else []
    if top and (seeds := apart_row(one, other, view.epoch, width)):
        top.append(seeds)
    tables = _tables(parts, (one, other), view.past, width, height - len(top))
    return cells.page(title, [*top, *tables], width, height)


def _why_alone(view: View) -> tuple[str, ...]:
    if len(view.runs) < 2:
        return (
            _("There is only one run: nothing to compare it with."),
            _("bntui compare FILE FILE puts two recordings side by side."),
        )
    return (_("No second run is pinned: p pins one."),)


def _top(one: RunView, other: RunView, found: Bits, width: int) -> list[Row]:
    """The compared runs with their positions, and the number of measures that differ."""
    rows: list[Row] = []
    assert one.frame is not None
    assert other.frame is not None
    room = width // 2 if width >= 2 * COLUMN else width
    standing = [_standing(run, frame, room) for run, frame in ((one, one.frame), (other, other.frame))]
    rows += [join(fit(standing[0], room), standing[1])] if room < width else standing
    count = figures.count(found.of)
    every = {"count": count, "differ": rjust(figures.count(found.differ), len(count))}
    if not found.differ:
        wordings = (_("bit for bit equal: all {count} measures of both keyframes"), _("bit for bit equal"))
        style = "good"
    else:
        wordings = (
            _("{differ} of {count} measures differ, histograms and masks included"),
            _("{differ} of {count} measures differ"),
        )
        style = "text"
    rows.append((Span(longest(width, *(words.format(**every) for words in wordings)), style),))
    return rows


def _standing(run: RunView, frame: Keyframe, width: int) -> Row:
    place = "  " + _("epoch {epoch}").format(epoch=figures.epoch(frame.epoch))
    place += "  " + _("step {step}").format(step=figures.count(frame.step))
    name = f"{run.mark} {run.name}"
    room = width - cell_len(place)
    return Span(cells.cut(name, max(room, 2)), f"bold {run.style}", run.click), Span(place, "muted")


def _tables(
    parts: Sequence[FigureSection], runs: tuple[RunView, RunView], past: int, width: int, height: int
) -> list[Row]:
    """The figures in as many tables side by side as fit; those that do not fit are counted.

    Args:
        past: number of sections that the user has stepped past.
    """
    number = max((width + GAP) // (COLUMN + GAP), 1)
    size = (width - GAP * (number - 1)) // number
    form = _form(parts, runs, size)
    room = max(height - 1, 1)
    columns, hidden = _flow(parts, number, room)
    below: list[Row] = []
    if hidden:
        start = past % len(parts)
        columns, hidden = _flow([*parts[start:], *parts[:start]], number, max(room - 1, 1))
        below = [_left_out(hidden, width)]
    gap = Span(" " * GAP)
    rows: list[Row] = []
    for y in range(max(map(len, columns)) + 1):
        line: list[Span] = []
        for x, column in enumerate(columns):
            drawn = styled(form.heading("muted")[0]) if y == 0 else _line(column, y - 1, runs, form)
            line += [*([gap] if x else []), *fit(drawn, size)]
        rows.append(tuple(line))
    return [*rows, *[()] * (height - len(rows) - len(below)), *below]


def _flow(
    parts: Sequence[FigureSection], number: int, room: int
) -> tuple[list[list[str | ComparedFigure]], list[ComparedFigure]]:
    """Names of sections and figures in columns of at most ``room`` rows, and the figures that do not fit.

    A section is split between columns only if it does not fit into a whole one.
    """
    columns: list[list[str | ComparedFigure]] = [[]]
    hidden: list[ComparedFigure] = []
    for part in parts:
        lines: list[str | ComparedFigure] = [*([part.name] if part.name else []), *part.figures]
        apart = columns[-1] and len(lines) > room - len(columns[-1]) and len(lines) <= room
        if apart and len(columns) < number:
            columns.append([])
        for line in lines:
            if len(columns[-1]) >= room and len(columns) < number:
                columns.append([])
            if len(columns[-1]) < room:
                columns[-1].append(line)
            elif isinstance(line, ComparedFigure):
                hidden.append(line)
    return columns, hidden


def _left_out(hidden: Sequence[ComparedFigure], width: int) -> Row:
    differ = sum(not figure.same for figure in hidden)
    wordings = (
        _("… {count} more, {differ} of them differ: [ ] walk"),
        _("… {count} more: [ ] walk"),
        _("… {count} more"),
    )
    said = {"count": rjust(str(len(hidden)), 3), "differ": rjust(str(differ), 3)}
    return (Span(longest(width, *(words.format(**said) for words in wordings)), "muted"),)


def _form(parts: Sequence[FigureSection], runs: tuple[RunView, RunView], width: int) -> ColumnLayout:
    """The layout of a table: name, both figures, their difference, their ratio, and a bar, as far as they fit."""
    one, other = runs
    figure = Column(right=True, least=FIGURE, most=FIGURE, gap=1)
    columns = (
        Column(least=LEAST_NAME, most=MOST_NAME, cut=3, gap=0),
        *(replace(figure, heading=((run.mark, f"bold {run.style}"),)) for run in runs),
        replace(figure, heading=f"{one.mark} − {other.mark}", goes=4),
        replace(figure, heading=f"{one.mark} : {other.mark}", goes=1),
        Column(
            wordings(_("how far apart"), _("apart"), "", style="muted"),
            least=LEAST_BAR, most=MOST_BAR, cut=0, goes=2, grows=True, gap=1,
        ),
    )  # fmt: skip
    return layout(columns, [_row(figure, runs) for part in parts for figure in part.figures], width)


def _line(lines: Sequence[str | ComparedFigure], at: int, runs: tuple[RunView, RunView], form: ColumnLayout) -> Row:
    """The row of a figure or of a section's name; empty below the last one."""
    if at >= len(lines):
        return ()
    line = lines[at]
    if isinstance(line, str):
        return (Span(f"{line} ", "title"),)
    row = list(styled(form.row(_row(line, runs))[0]))
    at = 0
    for run, value in zip(runs, (line.one, line.other), strict=True):
        written = _written(value, line.kind).strip()
        at = next((n for n in range(at, len(row)) if n and row[n].text.strip() == written), len(row))
        if at < len(row):
            row[at] = row[at]._replace(tells=FigureReference(run.info.index, line.field, line.layer))
        at += 1
    return tuple(row)


def _row(figure: ComparedFigure, runs: tuple[RunView, RunView]) -> tuple[Cell, ...]:
    apart, one, other = figure.apart, *runs
    loud = "bold " if apart >= FAR and figure.kind not in SILENT else ""
    near, name = "muted" if figure.same else "text", "muted" if figure.same else f"{loud}text"
    values = [
        (_written(value, figure.kind), "muted" if figure.same else f"{loud}{run.style}")
        for value, run in ((figure.one, one), (figure.other, other))
    ]
    larger = other if figure.difference < 0 else one
    return (
        ((figure.name, name),),
        *((value,) for value in values),
        ((_difference(figure), near),),
        ((_ratio(figure), "muted" if apart < NEAR else f"{loud}text"),),
        "" if figure.kind in SILENT else partial(_bar, min(apart, 1.0), f"{loud}{larger.style}"),
    )


def _bar(share: float, style: str, room: int) -> Line:
    return ((cells.bar(share, room), style),)


def _written(value: float | str | None, kind: str) -> str:
    """A value in at most ``FIGURE`` cells."""
    if value is None:
        return "—"
    if isinstance(value, str):
        return value[:FIGURE]  # a digest is abbreviated to its first characters
    if kind == "share":
        return figures.percent(value)
    if kind == "count" and value == round(value) and abs(value) < 1e6:
        return figures.count(round(value))
    return figures.number(value, FIGURE, 2 if kind == "count" else 4)


def _difference(figure: ComparedFigure) -> str:
    """The difference: ``=`` for bit-identical figures, ``≠`` if it is not a number, ``—`` if one is missing."""
    if figure.same:
        return "="
    if math.isnan(figure.difference):
        return "≠" if figure.one is not None and figure.other is not None else "—"
    written = figures.difference(*(_written(value, figure.kind) for value in (figure.one, figure.other)))
    if figure.kind == "share":  # in percentage points: of 90 % and 80 % it is 10, not 10 %
        return (written or figures.percent(figure.difference).replace(" %", "").strip()) + _(" pp")
    # smaller than the last digit of both, or too long: as it is
    return written if 0 < len(written) <= FIGURE else _written(figure.difference, figure.kind)


def _ratio(figure: ComparedFigure) -> str:
    """The ratio of two sizes, or the difference of two places in standard deviations."""
    ratio = figure.ratio
    if math.isnan(ratio) or figure.same:
        return ""
    if figure.kind == "place":
        return figures.number(ratio, FIGURE - 2, 2) + " σ"
    return "×" + figures.number(ratio, FIGURE - 1, 3).lstrip()

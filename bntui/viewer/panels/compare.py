"""Draws a comparison of two keyframes, figure by figure: the selected run's and the pinned run's at the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len

from bntui.keyframe import Keyframe
from bntui.text import figures
from bntui.text.language import N_, _
from bntui.text.widths import longest, rjust
from bntui.viewer.compared import Bits, ComparedFigure, FigureSection, bits, farthest, sections
from bntui.viewer.draw import cells
from bntui.viewer.draw.rows import Drawing, Row, Span, fit, join
from bntui.viewer.panels import Panel, compare_rows
from bntui.viewer.panels.curves_bands import apart_row
from bntui.viewer.view import RunView, View
from bntui.viewer.worst import listed

PANEL: Final = Panel(
    "compare",
    "c",
    N_("Compare"),
    short=N_("Comp"),
    does=N_("compare the selected run with the pinned one, figure by figure"),
    quotes={
        "Keyframe": (
            "epoch step lr batch_loss train_loss val_loss train_accuracy val_accuracy wall_time weights_digest"
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
    worst="differences",
)
TITLES: Final = (N_("Compare ── the selected run and the pinned one"), N_("Compare ── selected and pinned"))
"""Longest first."""
COLUMN: Final = 56
"""Minimum width of a table in cells, to decide how many fit side by side."""
GAP: Final = 3


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
    parts: Sequence[FigureSection] = sections(one.frame, other.frame, view.task)
    top = _top(one, other, bits(one.frame, other.frame), width) if height > 6 else []
    if top and (seeds := apart_row(one, other, view.epoch, width)):
        top.append(seeds)
    if view.folded:
        parts = _blocks(view, (one, other), parts)
    tables = _tables(parts, (one, other), view, width, height - len(top))
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
    names, others = ({layer.name for layer in frame.layers} for frame in (one.frame, other.frame))
    if names and others and names.isdisjoint(others):
        words = _("no layer has the same name in both runs, so that no figures of layers are compared")
        rows.append((Span(longest(width, words, _("no layer has the same name in both runs")), "warn"),))
    return rows


def _standing(run: RunView, frame: Keyframe, width: int) -> Row:
    place = "  " + _("epoch {epoch}").format(epoch=figures.epoch(frame.epoch))
    place += "  " + _("step {step}").format(step=figures.count(frame.step))
    name = f"{run.mark} {run.name}"
    room = width - cell_len(place)
    return Span(cells.cut(name, max(room, 2)), f"bold {run.style}", run.click), Span(place, "muted")


def _blocks(view: View, runs: tuple[RunView, RunView], parts: Sequence[FigureSection]) -> list[FigureSection]:
    """The figures of the run, and of each block the one that differs most."""
    one, other = (run.frame for run in runs)
    assert one is not None
    assert other is not None
    found = farthest(one, other)
    names = listed(view, runs[:1], list(found), PANEL.worst)
    return [parts[0], *(FigureSection("", (found[name].figure,)) for name in names)]


def _tables(
    parts: Sequence[FigureSection], runs: tuple[RunView, RunView], view: View, width: int, height: int
) -> list[Row]:
    """The figures in as many tables side by side as fit; those that do not fit are counted.

    They begin with the chosen layer, or with the section that the user has walked to.
    """
    number = max((width + GAP) // (COLUMN + GAP), 1)
    size = (width - GAP * (number - 1)) // number
    form = compare_rows.form_of(parts, runs, size, folded=view.folded, chosen=view.layer)
    room = max(height - 1, 1)
    columns, hidden = _flow(parts, number, room)
    below: list[Row] = []
    if hidden:
        start = next((at for at, part in enumerate(parts) if view.layer and part.layer == view.layer), view.past)
        start %= len(parts)
        columns, hidden = _flow([*parts[start:], *parts[:start]], number, max(room - 1, 1))
        below = [_left_out(hidden, width)]
    gap = Span(" " * GAP)
    rows: list[Row] = []
    for y in range(max(map(len, columns)) + 1):
        line: list[Span] = []
        for x, column in enumerate(columns):
            drawn = compare_rows.heading(form) if y == 0 else _line(column, y - 1, runs, form)
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


def _line(
    lines: Sequence[str | ComparedFigure], at: int, runs: tuple[RunView, RunView], form: compare_rows.Form
) -> Row:
    """The row of a figure or of a section's name; empty below the last one."""
    if at >= len(lines):
        return ()
    line = lines[at]
    return compare_rows.title(line, form) if isinstance(line, str) else compare_rows.row(line, runs, form)

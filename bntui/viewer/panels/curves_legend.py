"""Draws the legend of the curves: mark, name, and values at the cursor of every run."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from rich.cells import cell_len, set_cell_size

from bntui.text import figures
from bntui.text.language import _, ngettext
from bntui.text.widths import longest as longest_fitting
from bntui.viewer.draw.cells import cut
from bntui.viewer.draw.rows import FigureReference, Row, Span, fit, join
from bntui.viewer.panels import curves_bands
from bntui.viewer.view import RunView, View


def legend(view: View, width: int, height: int) -> list[Row]:
    """Mark, name and values at the cursor in aligned columns; says less where there is less room.

    Runs that are hidden, and those that do not fit, are counted at its end.
    """
    most = max(1, height // 5)
    selected = view.runs[view.selected]
    runs = list(view.visible)
    hidden = _hidden(view, width)
    longest = max(cell_len(run.name) for run in runs)
    accuracy = accuracy_name(view.task)
    levels = [(min(longest, 20), 3), (min(longest, 16), 2), (min(longest, 12), 1), (min(longest, 10), 0)]
    if any(curves_bands.spread_span(run) for run in runs):
        most = max(most, height // 4)  # the range is worth a row of the chart
        # a narrow panel keeps the training loss and the accuracy, and tells the range in fewer words
        levels = [(min(longest, 20), 5), (min(longest, 16), 6), levels[0], (min(longest, 16), 4), *levels[1:]]
    for least, fields in levels:
        if fields == 1 and (uneven := _uneven(view, runs, hidden, width, height // 3, ((12, 1), (10, 0)))):
            return uneven
        rest = _size(_entries(runs, [""] * len(runs), None, fields, accuracy)) + 1
        rows = _rows(len(runs) + len(hidden), rest + least, width)
        if not 0 < rows <= most:
            continue
        names = short_names(runs, _widest(len(runs) + len(hidden), rest, least, longest, width))
        entries = _entries(runs, names, selected, fields, accuracy)
        return _grid([*entries, *hidden], width)
    if uneven := _uneven(view, runs, hidden, width, height // 3, ((0, 0),)):
        return uneven
    runs.sort(key=lambda run: run is not selected)  # some will not fit
    entries = [*(_entry(run, "", run is selected, 0, accuracy) for run in runs), *hidden]
    if 0 < _rows(len(entries), _size(entries), width) <= most:
        return _grid(entries, width)
    return _grid(_as_fit(entries[: len(runs)], view, width, most), width)


def _uneven(
    view: View, runs: Sequence[RunView], hidden: list[Row], width: int, most: int, rest_of: Sequence[tuple[int, int]]
) -> list[Row]:
    """All values of the runs that are shown beside one another, and less of the others; nothing if that does not fit.

    Args:
        rest_of: cells of the others' names, and how many of their values are named; the first that fits is used.
    """
    accuracy, selected = accuracy_name(view.task), view.runs[view.selected]
    first = [run for run in view.shown if run in runs]
    others = [run for run in runs if run not in first]
    above: list[Row] = []
    banded = any(curves_bands.spread_span(run) for run in first)
    for fields in (5, 6, 3, 4, 2) if banded else (3, 2):
        rest = _size(_entries(first, [""] * len(first), None, fields, accuracy)) + 1
        size = min(max(cell_len(run.name) for run in first), width - rest)
        if size >= min(10, max(cell_len(run.name) for run in first)):
            names = short_names(first, size)
            above = _grid(_entries(first, names, selected, fields, accuracy), width)
            break
    left = most - len(above)
    longest = max((cell_len(run.name) for run in others), default=0)
    for size, fields in rest_of if above and others else ():
        rest = _size([_entry(run, "", False, fields, accuracy) for run in others]) + bool(size)
        least = max([rest + min(size, longest), *(_size([row]) for row in hidden)])
        rows = _rows(len(others) + len(hidden), least, width)
        if 0 < rows <= left:
            names = short_names(others, _widest(len(others) + len(hidden), rest, min(size, longest), longest, width))
            entries = [_entry(r, n, False, fields, accuracy) for r, n in zip(others, names, strict=True)]
            return [*above, *_grid([*entries, *hidden], width)]
    return []


def _widest(entries: int, rest: int, least: int, longest: int, width: int) -> int:
    """Cells of names that are as long as they can be in as many rows; none if they need none at least."""
    rows = _rows(entries, rest + least, width)
    sizes = range(longest, least, -1) if least else ()
    return next((size for size in sizes if _rows(entries, rest + size, width) == rows), least)


def _as_fit(entries: list[Row], view: View, width: int, most: int) -> list[Row]:
    """As many entries as there is room for, and how many runs have none, the hidden ones among them."""
    some: list[Row] = []
    for kept in range(len(entries) - 1, 0, -1):
        more: Row = (Span(_("… {count} more").format(count=len(view.runs) - kept), "muted"),)
        some = [*entries[:kept], more]
        if 0 < _rows(len(some), _size(some), width) <= most:
            return some
    return [join(entries[0][:1], *some[1:])]  # the mark alone


def _hidden(view: View, width: int) -> list[Row]:
    """How many runs are hidden; nothing if none is."""
    count = len(view.hidden)
    if not count:
        return []
    sentences = (
        ngettext("{count} run hidden (H shows it)", "{count} runs hidden (H shows them)", count),
        _("{count} hidden"),
    )
    words = longest_fitting(width // 3, *(sentence.format(count=count) for sentence in sentences))
    return [(Span(words, "muted"),)]


def short_names(runs: Sequence[RunView], size: int) -> list[str]:
    """The runs' names in exactly so many cells each; of names that would read the same, what tells them apart stays."""
    names = [cut(run.name, size) for run in runs]
    told = list(names)
    for name in {name for name in names if names.count(name) > 1}:
        alike = [at for at, one in enumerate(names) if one == name]
        whole = [runs[at].name for at in alike]
        ends = [_end_of(one, size) for one in whole]
        if len(set(ends)) < len(set(whole)):
            ends = [_from_difference(one, whole, size) for one in whole]
        for at, end in zip(alike, ends, strict=True):
            told[at] = end
    return [set_cell_size(name, size) for name in told]


def _from_difference(name: str, names: Sequence[str], size: int) -> str:
    """A name from the word on in which names first differ."""
    alike = next((at for at, letters in enumerate(zip(*names, strict=False)) if len(set(letters)) > 1), len(name))
    start = name.rfind(" ", 0, alike) + 1
    return f"…{cut(name[start:], size - 1)}" if 0 < start < len(name) and size > 1 else cut(name, size)


def _end_of(name: str, size: int) -> str:
    if cell_len(name) <= size:
        return name
    while name and cell_len(name) > size - 1:
        name = name[1:]
    return "…" + name


def _size(entries: Sequence[Row]) -> int:
    return max(sum(cell_len(span.text) for span in entry) for entry in entries)


def _rows(entries: int, size: int, width: int) -> int:
    """Rows that entries of so many cells take; 0 if one is too wide."""
    across = (width + 3) // (size + 3)
    return math.ceil(entries / across) if across else 0


def _grid(entries: list[Row], width: int) -> list[Row]:
    """Entries in as few rows as possible, aligned."""
    size = _size(entries)
    across = (width + 3) // (size + 3)
    return [
        join(*(part for entry in entries[start : start + across] for part in (fit(entry, size), (Span("   "),))))
        for start in range(0, len(entries), across)
    ]


def _entries(
    runs: Sequence[RunView], names: Sequence[str], selected: RunView | None, fields: int, accuracy: str
) -> list[Row]:
    """Mark, name and values of the runs; their ranges take the same cells, so that what follows stands in a column."""
    ranges = [curves_bands.spread_span(run, short=fields == 6) if fields >= 4 else None for run in runs]
    cells = max((cell_len(span.text) for span in ranges if span is not None), default=0)
    return [_entry(run, name, run is selected, fields, accuracy, cells) for run, name in zip(runs, names, strict=True)]


def _entry(run: RunView, name: str, selected: bool, fields: int, accuracy: str, spread_cells: int = 0) -> Row:
    """Mark, name and values of a run.

    Args:
        spread_cells: what the range over the seeds takes at least, also where there is none.
        fields: 0, its loss without a word; 1, with it; 2, also its accuracy; 3, also its training loss; 4, its loss and
            the range over its seeds; 5, all of these; 6, all of these with the range in fewer words.
    """

    def figure(name: str, size: int, percent: bool = False) -> Span:
        value = _told(run, name)
        return _figure(value, size, percent)._replace(tells=FigureReference(run.info.index, name))

    spans: list[Span] = [Span(f"{run.mark} ", f"bold {run.style}", run.click)]
    if name:
        spans.append(Span(f"{name} ", f"bold {run.style}" if selected else run.style, run.click))
    if fields >= 1:
        spans.append(Span(_("loss") + " ", "muted"))
    spans.append(figure("val_loss", 6))
    if fields >= 4:
        spread = curves_bands.spread_span(run, short=fields == 6) or Span("", "muted")
        spans.append(spread._replace(text=spread.text + " " * (spread_cells - cell_len(spread.text))))
    if fields in (3, 5, 6):
        spans += [Span(" " + _("training") + " ", "muted"), figure("train_loss", 6)]
    if fields in (2, 3, 5, 6):
        spans += [Span(f"  {accuracy} ", "muted"), figure("val_accuracy", 7, accuracy != "R²")]
    return tuple(spans)


def _told(run: RunView, name: str) -> float | None:
    """A figure at the cursor; within an epoch of a recorded loop, which does not validate there, the last one told."""
    row, course = run.row, getattr(run.history, name)
    if not 0 <= row < len(course):
        return None
    if run.info.watched and math.isnan(course[row]) and not run.history.epoch_end[row]:
        ends = np.flatnonzero(run.history.epoch_end[:row])
        return float(course[ends[-1]]) if len(ends) else None
    return float(course[row])


def _figure(value: float | None, width: int, percent: bool = False) -> Span:
    if value is None or (percent and math.isnan(value)):  # a recorded loop need not report an accuracy
        return Span("–".rjust(width), "muted")
    words = figures.percent(value) if percent else figures.number(value, width)
    return Span(words, "text" if math.isfinite(value) else "bad")


def accuracy_name(task: str) -> str:
    """What the recorded accuracy is in this task."""
    return "R²" if task == "regression" else _("accuracy")

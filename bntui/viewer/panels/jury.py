"""Draws where other stopping rules would have stopped the selected run, and what each would have missed."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from rich.cells import cell_len

from bntui.insight.jury import JuryResult, RuleOutcome, judge
from bntui.text import figures
from bntui.text.language import N_, _, ngettext
from bntui.text.table import Column, Line, layout, wordings
from bntui.text.widths import wrap
from bntui.viewer.draw import cells
from bntui.viewer.draw.axes import Axes, Limits, limits
from bntui.viewer.draw.cells import notice, page
from bntui.viewer.draw.charts import Chart, Series, is_blank, line_chart, put
from bntui.viewer.draw.rows import Drawing, Row, Span, join, styled
from bntui.viewer.panels import Panel
from bntui.viewer.view import View

PANEL: Final = Panel(
    "jury",
    "0",
    N_("Stopping rules"),
    short=N_("Rules"),
    quotes={
        "Keyframe": "epoch val_loss train_loss",
        "EarlyStopping": "patience",
    },
)
BESIDE: Final = 100
"""Cells from which the table stands beside the curve."""
HIGH: Final = 26
"""Rows from which it stands below the curve, which then has the whole width."""
LEAST_CHART: Final = 5
"""Rows below which a curve says nothing."""
GOOD_CHART: Final = 8
"""Rows of a curve that go before what is said once and known."""
BAR: Final = 12
"""Cells of the longest bar."""
BEST: Final = "★"
OTHER_BEST: Final = "☆"
_GAP: Final = "  "


class _Look(NamedTuple):
    """How a verdict stands out: the style of its row, and a sign that needs no color."""

    style: str
    sign: str


def draw(view: View, width: int, height: int) -> Drawing:
    """The selected run's validation loss with a letter where each rule stops, and the verdicts as a table."""
    run = view.runs[view.selected]
    infos, histories = zip(*((one.info, one.history) for one in view.runs), strict=True)
    found = judge(run.info.index, infos, histories, run.events)
    title = _title(view, width, charted=False)
    if not len(found.epochs):
        sentences = [_("no epoch with a validation loss is recorded"), found.limits]
        return notice(title, filter(None, sentences), width, height)
    if found.best is None:  # there is no curve to draw
        said = [(Span(line, "bad"),) for line in wrap(found.never_finite, width)] if height > 2 else []
        table = _table(found, width, height - len(said))
        rows = [*said, *table, *_notes(view, found, width, height - len(said) - len(table))]
        return page(title, rows, width, height)
    if width >= BESIDE and LEAST_CHART < height < HIGH:
        return page(_title(view, width, charted=True), _beside(view, found, width, height), width, height)
    curve, rest = _below(view, found, width, height)
    return page(_title(view, width, charted=bool(curve)), [*curve, *rest], width, height)


def _title(view: View, width: int, *, charted: bool) -> str:
    """What is judged, and, if there is a chart, what its axes show."""
    if not charted:
        wordings = (_("Stopping rules ── whole run judged: {run}"), _("Stopping rules ── {run}"))
    elif view.log_axis:
        wordings = (
            _("Stopping rules ── whole run judged: {run} · loss, log axis"),
            _("Stopping rules ── {run} · loss, log axis"),
        )
    else:
        wordings = (
            _("Stopping rules ── whole run judged: {run} · loss, linear axis"),
            _("Stopping rules ── {run} · loss, linear axis"),
        )
    room = max(width - 7 - cell_len(wordings[-1].format(run="")), 8)
    name = cells.cut(view.runs[view.selected].name, room)
    titles = [words.format(run=name) for words in wordings]
    counting = [f"{words} · {_('by epoch')}" for words in titles] if view.unit == "step" else []
    return cells.title(width, *counting, *titles)


def _beside(view: View, found: JuryResult, width: int, height: int) -> list[Row]:
    """The curve, and the table and what is said right of it."""
    table = _table(found, width * 3 // 5, height)
    room = max(sum(cell_len(span.text) for span in row) for row in table)
    curve = _curve(view, found, width - room - len(_GAP), height)
    right = [*table, *_notes(view, found, room, height - len(table)), *[()] * height]
    return [join(drawn, [Span(_GAP)], other) for drawn, other in zip(curve, right, strict=False)]


def _below(view: View, found: JuryResult, width: int, height: int) -> tuple[list[Row], list[Row]]:
    """The curve if there is room, and the table below it; what a run cannot show is said before it is drawn."""
    table = _table(found, width, height)
    room = height - len(table)
    notes = _notes(view, found, width, room, above=True)
    if room < LEAST_CHART or (found.limits and not notes):
        notes = _notes(view, found, width, room)
    room -= len(notes)
    return (_curve(view, found, width, room) if room >= LEAST_CHART else []), [*table, *notes]


def _curve(view: View, found: JuryResult, width: int, height: int) -> list[Row]:
    curve = _Curve(found, view.runs[view.selected].style)
    chart = _chart(curve, view.log_axis, (_("loss"), _("epoch")), width, height)
    return _with_cursor(chart, view.epoch)


def _end(found: JuryResult) -> float:
    """Right end of the axis: a round number past the head, so that it moves rarely."""
    head = max(found.ended_at, float(found.epochs[-1]))
    return max(min(cells.nice(max(head, 10.0)), float(found.planned)), head, 1.0)


def _look(found: JuryResult, verdict: RuleOutcome) -> _Look:
    """The rules that lose most come to the eye first; where no loss was ever finite, none loses more than another."""
    if found.best is None:
        return _Look("muted", " ")
    if math.isnan(verdict.given_away) or (verdict.given_away > 0 and verdict.given_away == found.most):
        return _Look("bold bad", "!")
    if verdict.given_away > 0:
        return _Look("warn", " ")
    return _Look("good" if verdict.stop is not None else "muted", " ")


# --- the table ---


def _table(found: JuryResult, width: int, height: int) -> list[Row]:
    """A row for each rule, under a heading that names the figures; of too many rules those that lose most."""
    verdicts = found.verdicts
    shown = list(range(len(verdicts)))
    heading = height > 1
    left = max(len(verdicts) - (height - heading), 0)
    if left:
        costly = sorted(shown, key=lambda at: _cost(verdicts[at]), reverse=True)
        shown = sorted(costly[: len(verdicts) - left])
    rows = [_row(found, verdict) for verdict in verdicts]
    form = layout(_columns(left if heading else 0), rows, width)
    lines = [*(form.heading("muted") if heading else ()), *(line for at in shown for line in form.row(rows[at]))]
    return [styled(line) for line in lines]


def _cost(verdict: RuleOutcome) -> float:
    """Loss given away; what has no best epoch at all gives away everything."""
    return math.inf if math.isnan(verdict.given_away) else verdict.given_away


def _columns(left: int) -> tuple[Column, ...]:
    """The columns of the table; ``left`` rules that are not in it are counted where the rules are named."""
    more = ngettext("{count} more rule", "{count} more rules", left).format(count=left)
    return (
        Column(),
        Column(wordings(more, f"+ {left}", style="muted") if left else _("rule"), cut=6, gap=1),
        Column(_("stops"), right=True, goes=5),
        Column(_("best"), right=True, goes=3),
        Column(_("gives away"), right=True),
        Column(least=BAR, goes=2),
        Column(_("saves"), right=True, goes=4),
        Column(_("parameters"), goes=1),
    )


def _row(found: JuryResult, verdict: RuleOutcome) -> tuple[Line, ...]:
    style, sign = _look(found, verdict)
    away = "—" if math.isnan(verdict.given_away) else figures.number(verdict.given_away)
    cells_of_row = (
        _(verdict.juror.name),
        _("never") if verdict.stop is None else str(verdict.stop),
        "—" if verdict.best is None else str(verdict.best),
        away + sign,
        cells.bar(verdict.given_away / found.most, BAR) if found.most else "",
        str(verdict.saved),
    )
    mark = verdict.juror.mark, style if verdict.stop else "muted"
    return (mark,), *(((words, style),) for words in cells_of_row), ((verdict.juror.wording, "muted"),)


def _notes(view: View, found: JuryResult, width: int, room: int, *, above: bool = False) -> list[Row]:
    """Why later stops cannot be seen, what was judged and with whose parameters, what the marks are.

    Whole sentences, or none.

    Args:
        above: leave room for a curve: the less a sentence says, the higher that one is to be.
    """
    legend = _("a letter: stops there; ★ lowest loss, ☆ a rule's own best epoch")
    if found.most:
        legend += _("; ! gives away the most")
    steps = _("the cursor counts steps, the rules and this axis count epochs") if view.unit == "step" else ""
    rows: list[Row] = []
    for sentence, style, curve in (
        (found.limits, "warn", LEAST_CHART),
        (found.otherwise, "warn", LEAST_CHART),
        (found.gaps, "warn", LEAST_CHART),
        (found.span, "muted", GOOD_CHART),
        (steps, "muted", GOOD_CHART),
        (found.origin, "muted", GOOD_CHART),
        (legend, "muted", GOOD_CHART + 2),
    ):
        lines = wrap(sentence, width) if sentence else []
        if len(rows) + len(lines) + (curve if above else 0) <= room:
            rows += [(Span(line, style),) for line in lines]
    return rows


# --- the curve ---


class _Curve:
    """What is drawn of a judgement, compared by what it was made of: the same run with the same marks is kept."""

    def __init__(self, found: JuryResult, style: str) -> None:
        self.found = found
        self.style = style
        self.end = _end(found)
        marks = tuple((verdict.stop, verdict.best) for verdict in found.verdicts)
        self._key = (id(found.epochs), marks, style, self.end)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Curve) and self.found.epochs is other.found.epochs and self._key == other._key


@lru_cache(maxsize=4)
def _chart(curve: _Curve, log: bool, names: tuple[str, str], width: int, height: int) -> Chart:
    """The validation loss at the epochs' ends, with all marks; it does not depend on the cursor.

    Args:
        names: of the axes, in the reader's language: loss, epoch.
    """
    found = curve.found
    loss, epoch = names
    axes = Axes(Limits(0.0, curve.end), limits([found.val_loss], log, tight=True), log, epoch, loss)
    chart = line_chart([Series("", found.epochs, found.val_loss, f"bold {curve.style}")], axes, width, height)
    rows = list(chart.rows)
    taken: set[tuple[int, int]] = set()
    for mark in _marks(found):
        line, column = _free(chart, taken, found, mark.epoch)
        taken.add((line, column))
        rows[line] = put(rows[line], column, mark.sign, mark.style)
    return replace(chart, rows=tuple(rows))


class _Mark(NamedTuple):
    """What stands on the curve at an epoch's end."""

    epoch: int
    sign: str
    style: str


def _marks(found: JuryResult) -> Iterator[_Mark]:
    """The rules' best epochs, the run's own, and where the rules stop, in the order in which they find a place."""
    for best in sorted({verdict.best for verdict in found.verdicts if verdict.best is not None} - {found.best}):
        yield _Mark(best, OTHER_BEST, "text")
    if found.best is not None:
        yield _Mark(found.best, BEST, "bold good")
    for verdict in sorted(found.verdicts, key=_cost, reverse=True):
        if verdict.stop is not None:
            yield _Mark(verdict.stop, verdict.juror.mark, _look(found, verdict).style)


def _free(chart: Chart, taken: Container[tuple[int, int]], found: JuryResult, epoch: int) -> tuple[int, int]:
    """Line and column on the curve at an epoch's end; if they are taken, above or below it, or at last beside it."""
    at = int(np.searchsorted(found.checked.numbers, epoch))
    value = float(found.val_loss[at])
    column = chart.column(float(found.epochs[at]))
    on_curve = chart.line(value) if math.isfinite(value) else 0
    lines = [*range(on_curve, -1, -1), *range(on_curve + 1, chart.lines)]
    columns = [at for aside in (0, 1, -1, 2, -2) if chart.left <= (at := column + aside) < chart.left + chart.columns]
    free = ((line, at) for at in columns for line in lines if (line, at) not in taken)
    return next(free, (on_curve, column))


def _with_cursor(chart: Chart, epoch: float) -> list[Row]:
    """A thin line behind the curve, in the cursor's column."""
    column = chart.column(epoch)
    rows = [put(row, column, "│", "frame") if is_blank(row, column) else row for row in chart.rows[: chart.lines]]
    return [*rows, *chart.rows[chart.lines :]]

"""Draws the patience counter of every run, and what it waits for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from rich.cells import cell_len

from bntui.recording.history import Event
from bntui.recording.sentences import traits
from bntui.text import figures
from bntui.text.language import N_, _, ngettext
from bntui.text.widths import ljust, longest, wrap
from bntui.viewer.draw.cells import begins, cut, notice, page, sparkline
from bntui.viewer.draw.rows import Drawing, FigureReference, Row, Span, filled, join
from bntui.viewer.monitor import Watched, watched
from bntui.viewer.panels import Panel
from bntui.viewer.view import SAME, RunView, View

PANEL: Final = Panel(
    "stopping",
    "5",
    N_("Early stopping"),
    short=N_("Stop"),
    quotes={
        "EarlyStopping": "monitor best best_epoch wait patience reason",
        "Keyframe": "val_loss",
    },
    needs="early stopping",
    still=True,
)
SENTENCES = 4
"""Rank from which all lines of a rank form one sentence."""
TRAINING = ("loss", "accuracy", "r2")
"""Monitors that are running means over the epoch, instead of being measured after it."""
WARN_AT = 0.6
"""Share of the patience from which the gauge is in the warning color."""
_MOST_DOTS = 12
_BAR_CELLS = 10
_COURSE_CELLS = 60


class _State(NamedTuple):
    """Early stopping after the last complete epoch."""

    wait: int
    best: float
    best_epoch: int
    """0 before the first best value."""
    run: int


class _Line(NamedTuple):
    """One row of a run's block; with little room, only those of the lowest ranks are kept."""

    rank: int
    row: Row


def draw(view: View, width: int, height: int) -> Drawing:
    """A block of rows for each run: for all runs if there is room for three rows each, else for the displayed ones."""
    # keep the order of the recording, so that selecting another run moves nothing
    few = height < 3 * len(view.runs)
    chosen = {run.info.index for run in (view.shown if few else view.runs)}
    runs = tuple(run for run in view.runs if run.info.index in chosen)
    if height < len(runs):
        runs = (view.runs[view.selected], *(run for run in runs if run is not view.runs[view.selected]))[:height]
    title = _("Early stopping ── {subject}").format(subject=_subject(runs))
    if not any(run.row >= 0 for run in view.runs):
        sentence = _("no epoch is recorded yet: the patience counter starts with the first")
        return notice(title, [sentence], width, height)
    names = min(max(cell_len(run.name) for run in runs), max(width - 30, 6))
    rows: list[Row] = []
    for number, run in enumerate(runs):
        room = (height - len(rows)) // (len(runs) - number)
        block = _block(run, width, names, bold=len(view.runs) > 1 and run is view.runs[view.selected])
        spaced = room > len(block) and number < len(runs) - 1
        rows += _kept(block, max(room, 1))
        if spaced:
            rows.append(())
    return page(title, rows, width, height)


def _kept(block: Sequence[_Line], room: int) -> list[Row]:
    """The rows of the lowest ranks, as many as fit; a sentence of several lines is either complete or left out."""
    kept: list[int] = []
    for rank in sorted({line.rank for line in block}):
        lines = [at for at, line in enumerate(block) if line.rank == rank]
        left = room - len(kept)
        kept += lines[:left] if rank < SENTENCES or len(lines) <= left else []
    return [block[at].row for at in sorted(kept)]


def _subject(runs: Sequence[RunView]) -> str:
    """Monitors and patience of the listed runs, for the title."""
    rules = [rule for run in runs if (rule := run.info.early_stopping)]
    if not rules:
        return _("none in these runs")
    monitors = dict.fromkeys(str(rule["monitor"]) for rule in rules)
    patience = dict.fromkeys(str(rule["patience"]) for rule in rules)
    both = _(" and ")
    return _("{monitors}, patience {patience}").format(monitors=both.join(monitors), patience=both.join(patience))


def _block(run: RunView, width: int, names: int, *, bold: bool) -> list[_Line]:
    style = f"bold {run.style}" if bold else run.style
    label = (
        Span(f"{run.mark} ", f"bold {run.style}", run.click),
        Span(ljust(cut(run.name, names), names), style, run.click),
    )
    if run.row < 0:
        return [_Line(0, (*label, Span("  " + (begins(run) or _("nothing recorded at the cursor")), "muted")))]
    row = _newest(run)
    course = watched(run, row)
    now = float(run.history.epoch[row])
    events = [event for event in run.events if event.epoch <= now + SAME]
    rule = run.info.early_stopping
    if rule is None:
        none = longest(width - 4 - names, _("no early stopping in this run"), _("no early stopping"), _("none"))
        lines = [_Line(0, join(label, [Span(f"  {none}", "muted")]))]
        lines += _ending(events, width)
        lines.append(_Line(1, _best_so_far(course, now)))
    else:
        history = run.history
        state = _State(int(history.wait[row]), float(history.best[row]), int(history.best_epoch[row]), run.info.index)
        lines = _watching(run, state, course, events, label, width)
    trace = _course(course, width, run.style)
    return [*lines, _Line(6, trace)] if trace else lines


def _newest(run: RunView) -> int:
    """The row at the cursor, or the rows of scalars that follow it if the end of the epoch has no keyframe."""
    row = run.row
    while row + 1 < len(run.history) and not run.history.has_frame[row + 1]:
        row += 1
    return row


def _watching(run: RunView, state: _State, course: Watched, events: list[Event], label: Row, width: int) -> list[_Line]:
    """What the rule of a run watches, as far as it is known: a watched loop need not say all of it."""
    rule = run.info.early_stopping or {}
    known = rule.keys() if not run.info.watched else run.info.told["early_stopping"].keys()
    gauge = _gauge(state.wait, int(rule["patience"]), width - 3, state.run)
    best = _best_words(state, width)
    head = join(label, [Span("  " + _("wait") + " ", "muted")], gauge)
    if _cells(head) + 3 + _cells(best) <= width:
        lines = [_Line(0, join(head, [Span("   ")], best))]
    elif _cells(head) <= width:
        lines = [_Line(0, head), _Line(2, join([Span("  ")], best))]
    else:
        size = max(min(cell_len(label[1].text), width - 3 - _cells(gauge)), 0)
        name = ljust(cut(run.name, size), size) if size else ""
        lines = [
            _Line(0, join([label[0], label[1]._replace(text=name + " ")], gauge)),
            _Line(2, join([Span("  ")], best)),
        ]
    ending = _ending(events, width)
    lines += ending or [_Line(1, _status(rule, state, course, width))]
    lines.append(_Line(3, _distance(rule, state, course, width, stated="min_delta" in known)))
    if "restore_best_weights" in known or any(event.kind == "restored_best" for event in events):
        lines += _wrapped(4, _restoring(rule, state, events, bool(ending)), width)
    if "min_delta" in known:
        lines += _wrapped(5, Span(_conditions(rule, state, course), "muted"), width)
    return lines


def _wrapped(order: int, sentence: Span, width: int) -> list[_Line]:
    """The lines of a sentence that is never truncated; all lines of a rank are kept or left out together."""
    parts = wrap(sentence.text, width - 2)
    return [_Line(order, (Span(f"  {part}", sentence.style),)) for part in parts]


def _cells(row: Row) -> int:
    return sum(cell_len(span.text) for span in row)


def _gauge(wait: int, patience: int, room: int, run: int) -> Row:
    """``●●●○○ 3/5``, or a bar if there are too many dots; from ``WARN_AT`` on in the warning color with a ``!``."""
    share = min(wait / patience, 1.0) if patience else float(wait > 0)
    style, sign = ("warn", "!") if share >= WARN_AT else ("text", " ")
    numbers = f" {wait:>{len(str(patience))}}/{patience}{sign}"
    if patience <= min(_MOST_DOTS, room - len(numbers)):
        full, cells, on, off = min(wait, patience), patience, "●", "○"
    else:
        cells = max(min(_BAR_CELLS, room - len(numbers)), 0)
        full, on, off = math.floor(share * cells), "█", "░"
    waited, slash, rest = numbers.partition("/")
    told = Span(waited, style, tells=FigureReference(run, "wait"))
    return (Span(on * full, style), Span(off * (cells - full), "muted"), told, Span(slash + rest, style))


def _best_words(state: _State, width: int) -> Row:
    if not state.best_epoch:
        return (Span(_("no best value yet"), "muted"),)
    best = Span(figures.number(state.best), "text", tells=FigureReference(state.run, "best"))
    epoch = Span(str(state.best_epoch), "text", tells=FigureReference(state.run, "best_epoch"))
    wide, narrow = _("best {best} at epoch {epoch}"), _("best {best} ★{epoch}")
    return filled(wide if width >= 28 else narrow, "muted", best=best, epoch=epoch)


def _ending(events: list[Event], width: int) -> list[_Line]:
    """How the run ended, in the wrapped sentences of its events."""
    lines: list[_Line] = []
    for event in events:
        kind, words = traits(event.kind), event.text
        if kind.ends != "run":
            continue
        if event.kind == "diverged":
            words = _("diverged: {why}").format(why=words)
        elif event.kind == "stopped_early" and not event.message.startswith("stopped"):
            words = _("stopped at epoch {epoch}: {why}").format(epoch=figures.epoch(event.epoch), why=words)
        style = "bad" if kind.wrong else "text"
        first, *rest = wrap(words, width - 4)
        lines.append(_Line(1, (Span(f"  {kind.mark} {first}", style),)))
        lines += [_Line(2, (Span(f"    {more}", style),)) for more in rest]
    return lines


def _status(rule: Mapping[str, Any], state: _State, course: Watched, width: int) -> Row:
    begin = int(rule["start_from_epoch"])
    if begin and (not len(course.epochs) or course.epochs[-1] <= begin):
        return (Span("  " + _("not watching yet: starts after epoch {epoch}").format(epoch=begin), "muted"),)
    left = max(int(rule["patience"]) - state.wait, 1)
    wordings = (
        ngettext(
            "continues; stops after {count} more epoch without improvement",
            "continues; stops after {count} more epochs without improvement",
            left,
        ),
        _("stops after {count} more without gain"),
        ngettext("stops in {count} epoch", "stops in {count} epochs", left),
    )
    return (Span("  " + longest(width - 2, *(words.format(count=left) for words in wordings)), "text"),)


def _distance(rule: Mapping[str, Any], state: _State, course: Watched, width: int, *, stated: bool) -> Row:
    """The newest value, and its distance from the bound for an improvement; from the best if that is not stated."""
    if not len(course.values):
        return (Span("  " + _("no epoch is complete yet"), "muted"),)
    value = float(course.values[-1])
    style = "text" if math.isfinite(value) else "bad"
    newest = Span(figures.number(value), style, tells=FigureReference(state.run, course.monitor))
    now = join([Span("  ", "muted")], filled(_("now {value}"), "muted", value=newest))
    if not state.best_epoch or not math.isfinite(value):
        return now
    if course.best == len(course.values) - 1:
        return (*now, Span("  " + _("the best so far"), "muted"))
    delta = abs(float(rule["min_delta"]))
    told = figures.difference(figures.number(value), figures.number(state.best)).replace(figures.MINUS, "-")
    apart = float(told or value - state.best)  # it agrees with the two figures that stand beside it
    gap = apart - (delta if course.larger_is_better else -delta)
    side, beyond = (_("above"), _("above {bound}")) if gap >= 0 else (_("below"), _("below {bound}"))
    bound = _("best + min_delta") if course.larger_is_better else _("best − min_delta")
    bounds = (f"{bound} {_plain(delta)}", bound) if stated else (_("the best"),)
    words = longest(width - _cells(now) - 10, *(beyond.format(bound=bound) for bound in bounds), side)
    return (*now, Span("  " + figures.number(abs(gap)), "text"), Span(f" {words}", "muted"))


def _plain(value: float) -> str:
    """A configured number in its shortest form."""
    return f"{value:g}".replace("-", figures.MINUS)


def _restoring(rule: Mapping[str, Any], state: _State, events: list[Event], ended: bool) -> Span:
    restored = next((event for event in events if event.kind == "restored_best"), None)
    if restored is not None:
        return Span(f"✓ {restored.text}", "good")
    if ended:
        return Span(_("the last weights stay: the best were not restored"), "muted")
    if rule["restore_best_weights"]:
        known, unknown = (
            _("best weights (epoch {epoch}) are kept, restored at the end"),
            _("best weights are kept, restored at the end"),
        )
        return Span(known.format(epoch=state.best_epoch) if state.best_epoch else unknown, "muted")
    return Span(_("the last weights will stay: best ones are not restored"), "muted")


def _conditions(rule: Mapping[str, Any], state: _State, course: Watched) -> str:
    """What counts as an improvement, and how the monitor is measured if that is not after the epoch."""
    rises, falls = (
        _("improves when {monitor} rises by more than min_delta {delta}"),
        _("improves when {monitor} falls by more than min_delta {delta}"),
    )
    improves = rises if course.larger_is_better else falls
    words = [improves.format(monitor=course.monitor, delta=_plain(abs(float(rule["min_delta"]))))]
    if rule["baseline"] is not None:
        beaten = (
            _("baseline {value}: beaten")
            if _beaten(rule, state, course)
            else _("baseline {value} not beaten: improvements do not reset the counter")
        )
        words.append(beaten.format(value=_plain(float(rule["baseline"]))))
    if rule["start_from_epoch"]:
        words.append(f"start_from_epoch {rule['start_from_epoch']}")
    if course.monitor in TRAINING:
        words.append(
            _("{monitor}: mean over the epoch, each mini-batch before its update").format(monitor=course.monitor)
        )
    return " · ".join(words)


def _beaten(rule: Mapping[str, Any], state: _State, course: Watched) -> bool:
    """True if the best value is better than the baseline by more than ``min_delta``."""
    if not state.best_epoch:
        return False
    sign, delta = (1 if course.larger_is_better else -1), abs(float(rule["min_delta"]))
    return bool(sign * state.best - delta > sign * float(rule["baseline"]))


def _best_so_far(course: Watched, now: float) -> Row:
    if course.best is None:
        return (Span("  " + _("no {monitor} yet").format(monitor=course.monitor), "muted"),)
    epoch = float(course.epochs[course.best])
    ago = now - epoch
    one, several = _("{epochs} epoch ago"), _("{epochs} epochs ago")
    when = _("now") if ago == 0 else (one if ago == 1 else several).format(epochs=figures.epoch(ago))
    said = filled(
        _("best {monitor} {best} at epoch {epoch}, {when}"),
        "muted",
        monitor=Span(course.monitor, "muted"),
        best=Span(figures.number(course.values[course.best]), "text"),
        epoch=Span(figures.epoch(epoch), "muted"),
        when=Span(when, "muted"),
    )
    return join([Span("  ")], said)


def _course(course: Watched, width: int, style: str) -> Row:
    """A sparkline of the monitor up to the cursor, with its best value marked; empty if there is too little to show."""
    cells = min(width - 4, _COURSE_CELLS)
    count = len(course.values)
    if cells < 8 or count < 2 or not np.isfinite(course.values).any():
        return ()
    words = sparkline(course.values, cells)
    if course.best is None:
        return (Span("  "), Span(words, style))
    # use sparkline's grouping: if there are more values than cells, it averages groups of them
    at = (
        course.best
        if count <= cells
        else int(np.searchsorted(np.arange(cells) * count // cells, course.best, "right")) - 1
    )
    return (Span("  "), Span(words[:at], style), Span("★", f"bold {style}"), Span(words[at + 1 :], style))

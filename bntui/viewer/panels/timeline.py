"""Draws the timeline: the recorded range, the cursor, the best epoch, and events."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from rich.cells import cell_len

from bntui.insight.verdicts import measured, verdict_changes
from bntui.recording.history import Event
from bntui.recording.sentences import traits
from bntui.text.language import N_, _
from bntui.text.widths import cut, cut_middle, longest, wrap
from bntui.viewer import epochs
from bntui.viewer.draw.cells import CHOSEN
from bntui.viewer.draw.cells import cut as cut_name
from bntui.viewer.draw.rows import Drawing, FigureReference, Row, Span, fit, join
from bntui.viewer.draw.rows import width as width_of
from bntui.viewer.monitor import best_row
from bntui.viewer.panels import Panel
from bntui.viewer.panels.curves import FORK
from bntui.viewer.view import SAME, RunView, View
from bntui.viewer.worst import verdict

PANEL: Final = Panel(
    "timeline",
    "6",
    N_("Timeline"),
    short=N_("Time"),
    quotes={
        "Keyframe": "epoch step",
        "EarlyStopping": "best_epoch",
    },
    strip=True,
)
CURSOR = "▮"
_HEAD, _BEST, _VERDICT, _RECORDED, _OPEN = "╸", "★", "◇", "─", "┄"
_MARGIN = 3
"""Cells to the left of the track, for a run's mark."""
_LEGEND = 1
"""The row of the legend, between the common track and those of the runs."""
_SHORTEST = 10
"""Cells in which the beginning of a reason still says something."""


class _Mark(NamedTuple):
    place: float
    """In epochs or steps."""
    glyph: str
    style: str
    words: str

    @property
    def click(self) -> str:
        """The action that moves the cursor to it."""
        return f"seek({float(self.place)!r})"


def draw(view: View, width: int, height: int) -> Drawing:
    """A common track of all runs, a legend, a track for each run, and a list of all events."""
    left, cells, words = _layout(view, width)
    selected = view.runs[view.selected]
    others = [
        mark._replace(words=f"{run.mark} {mark.words}")
        for run in view.runs
        if run is not selected
        for mark in (*_begun(run), *_events(run))
    ]
    marks = [*others, *_marks(selected)]
    track = _track(view, cells, view.head if any(len(run.history) for run in view.runs) else -1.0, marks)
    rows: list[Row] = [join([Span(" " * left)], track, [Span(words, "text")])]
    if height > 1:
        rows.append(_meanings(view, marks, left, width))
    for run in view.runs:
        head = float(run.history.position[-1]) if len(run.history) else -1.0
        style = f"bold {run.style}" if run is selected else run.style
        label = Span(f" {run.mark} "[:left].ljust(left), style, run.click)
        rows.append(join([label], _track(view, cells, head, _marks(run), run.style, _start(run))))
    if height > len(rows) + 1:
        rows += [(), *_story(view, left, width, height - len(rows) - 1)]
    rows = [fit(row, width) for row in rows[:height]]
    title = _("Timeline ── steps") if view.unit == "step" else _("Timeline ── epochs")
    return Drawing(title, (*rows, *(fit((), width) for _ in range(height - len(rows)))))


def place_at(view: View, width: int, x: int, y: int) -> float | None:
    """The epoch or step at cell ``x`` of the track in row ``y``, for a click; None if that row has no track.

    It is the nearest end if the cell is beside the track.
    """
    if y < 0 or y == _LEGEND or y > _LEGEND + len(view.runs):
        return None
    left, cells, _words = _layout(view, width)
    share = (x - left) / max(cells - 1, 1)
    return min(max(share, 0.0), 1.0) * view.end


def _layout(view: View, width: int) -> tuple[int, int, str]:
    """Cells to the left of the track, cells of the track, and the words to its right, of constant width."""
    steps = view.unit == "step"
    digits = len(epochs.text(view.end, view.unit)) + (0 if steps else 3)
    cursor, head = epochs.text(view.cursor, view.unit), epochs.text(view.head, view.unit)
    left = _MARGIN if width >= 40 else 1
    cursor = f"{cursor:<{digits}}"
    cursor_words = "  " + (_("step {step}").format(step=cursor) if steps else _("epoch {epoch}").format(epoch=cursor))
    head_words = "  " + _("head {epoch}").format(epoch=f"{head:<{digits}}")
    variants = (cursor_words + head_words, cursor_words, "")
    words = next(words for words in variants if not words or cell_len(words) <= width // 2 - left)
    return left, max(width - left - cell_len(words), 1), words


def _column(place: float, end: float, cells: int) -> int:
    return math.floor(min(max(place / end, 0.0), 1.0) * (cells - 1) + 0.5)


def _track(view: View, cells: int, head: float, marks: list[_Mark], style: str = "text", start: float = 0.0) -> Row:
    """One track.

    The cursor is always visible; of several marks in a cell, the last one is.  The track of a fork is empty before its
    ``start``.
    """
    recorded = _column(head, view.end, cells) if head >= 0 else -1
    drawn = [(_RECORDED, style) if cell <= recorded else (_OPEN, "muted") for cell in range(cells)]
    first = _column(start, view.end, cells)
    drawn[:first] = [(" ", "")] * first
    drawn[first] = ("├", drawn[first][1])
    drawn[-1] = ("┤", drawn[-1][1])
    if recorded >= 0:
        drawn[recorded] = (_HEAD, style)
    for mark in marks:
        drawn[_column(mark.place, view.end, cells)] = (mark.glyph, mark.style)
    if head >= 0:
        drawn[_column(view.cursor, view.end, cells)] = (CURSOR, "bold accent")
    spans: list[Span] = []
    for glyph, name in drawn:
        if spans and spans[-1].style == name:
            spans[-1] = Span(spans[-1].text + glyph, name)
        else:
            spans.append(Span(glyph, name))
    return tuple(spans)


def _marks(run: RunView) -> list[_Mark]:
    """The start of a fork, changes of verdict, best epoch and events; more important ones come later, on top."""
    marks = [
        _Mark(
            epochs.of_epoch(run.history, epoch),
            _VERDICT,
            "good" if verdict == "healthy" else "warn",
            _gradients(verdict),
        )
        for epoch, verdict in verdict_changes(run.history, measured(run.info.layers))
    ]
    best = best_row(run)
    if best is not None:
        place = float(run.history.position[best])
        marks.append(_Mark(place, _BEST, f"bold {run.style}", _("best")))
    return [*_begun(run), *marks, *_events(run)]


def _start(run: RunView) -> float:
    """Position at which a run begins."""
    fork = run.info.fork
    return 0.0 if fork is None else float(fork.step) if run.history.unit == "step" else fork.epoch


def _begun(run: RunView) -> list[_Mark]:
    """The mark at the start of a fork."""
    return [] if run.info.fork is None else [_Mark(_start(run), FORK, f"bold {run.style}", _("forked"))]


def _gradients(verdict: str) -> str:
    return _("gradients {verdict}").format(verdict=_(verdict))


def _events(run: RunView) -> list[_Mark]:
    return [_event(run, event, _(traits(event.kind).word)) for event in run.events if traits(event.kind).charted]


def _event(run: RunView, event: Event, words: str) -> _Mark:
    kind = traits(event.kind)
    style = "bold bad" if kind.wrong else f"bold {run.style}"
    return _Mark(epochs.of_event(event, run.history.unit), kind.mark if kind.charted else "·", style, words)


def _story(view: View, left: int, width: int, lines: int) -> list[Row]:
    """The events of all runs, oldest first; if some do not fit, their number is added."""
    told = sorted(((mark, run) for run in view.runs for mark in _told(run)), key=lambda pair: pair[0].place)
    items = [_item(mark, run, view.cursor, left, width) for mark, run in told]
    if sum(map(len, items)) <= lines:
        return [row for rows in items for row in rows]
    rows: list[Row] = []
    for at, item in enumerate(items):
        if len(rows) + len(item) >= lines:
            words = _("… and {count} more later").format(count=len(items) - at)
            return [*rows, (Span(" " * left), Span(words, "muted"))]
        rows += item
    return rows


def _item(mark: _Mark, run: RunView, cursor: float, left: int, width: int) -> list[Row]:
    """One event, with its words wrapped if they are long; the run's name has at most half of their room."""
    style = "text" if mark.place <= cursor else "muted"
    when: Row = (
        Span(" " * left),
        Span(f"{epochs.text(mark.place, run.history.unit):>7}  ", style, mark.click, _tells(mark, run)),
        Span(f"{mark.glyph} ", mark.style, mark.click),
    )
    room = (width - width_of(when) - 4) // 2
    name = f" {cut_name(run.name, room)} " if room >= 4 else ""
    head: Row = (*when, Span(f"{run.mark}{name} ", run.style, run.click))
    indent = width_of(head)
    first, *rest = wrap(mark.words, max(width - indent, 6))
    return [
        (*head, Span(first, style, mark.click)),
        *((Span(" " * indent), Span(line, style, mark.click)) for line in rest),
    ]


def _tells(mark: _Mark, run: RunView) -> FigureReference | None:
    """The figure that a mark's place is: the run's best epoch, or the epoch of its keyframe at the cursor."""
    if run.row < 0:
        return None
    history, unit = run.history, run.history.unit
    if abs(float(history.position[run.row]) - mark.place) <= SAME:
        return FigureReference(run.info.index, unit)
    best = mark.glyph == _BEST and unit == "epoch" and float(history.best_epoch[run.row]) == mark.place
    return FigureReference(run.info.index, "best_epoch") if best else None


def _told(run: RunView) -> list[_Mark]:
    """The marks of a run, with the full sentences of its events."""
    told = [mark for mark in _marks(run) if mark.glyph in (_VERDICT, _BEST, FORK)]
    return told + [_event(run, event, event.text) for event in run.events]


def _meanings(view: View, marks: list[_Mark], left: int, width: int) -> Row:
    """The chosen layer, then the legend of the first track, in the order of positions.

    If the legend does not fit, it has the most important marks only.  Marks that are drawn on top of others are more
    important.
    """
    if not any(len(run.history) for run in view.runs):
        return (Span(" " * left), Span(_("nothing is recorded yet"), "muted"))
    spans = [Span(" " * left), *_choice(view, width - left)]
    room = width - width_of(tuple(spans)) - 2 - cell_len(_("cursor"))
    if room < 0:
        return tuple(spans)
    spans += [Span(CURSOR, "bold accent"), Span(" " + _("cursor"), "muted")]
    kept: list[tuple[_Mark, str]] = []
    for mark in reversed(marks):
        words = f" {mark.words} {epochs.text(mark.place, view.unit)}"
        if room < 3 + cell_len(words):
            break
        room -= 3 + cell_len(words)
        kept.insert(0, (mark, words))
    for mark, words in sorted(kept, key=lambda pair: pair[0].place):
        spans += [Span("  "), Span(mark.glyph, mark.style, mark.click), Span(words, "muted", mark.click)]
    return tuple(spans)


def _choice(view: View, cells: int) -> Row:
    """The whole name of the chosen layer, and why it is among the worst, as far as there is room."""
    if not view.layer:
        return ()
    name = f"❯ {cut_middle(view.layer, cells - 2)}"
    room, said = cells - cell_len(name) - 2, verdict(view)
    why = cut(longest(room, *said), room) if said and room >= _SHORTEST else ""
    return Span(name, CHOSEN), Span(f"  {why}" if why else "", "text"), Span("   ")

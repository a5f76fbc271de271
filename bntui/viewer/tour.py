"""Walks a recording's guided tour: where each stop looks, what it says, and which cells show the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from rich.cells import cell_len

from bntui.insight.figures_at import Recorded, spelled
from bntui.recording.tour import TourStop
from bntui.scenario.figure_reference import Reference, comparison, references
from bntui.text.language import N_, _
from bntui.text.widths import parted
from bntui.viewer import view_state
from bntui.viewer.draw.cells import short
from bntui.viewer.draw.rows import Drawing, Row, Span, text
from bntui.viewer.marks import RUN_MARKS
from bntui.viewer.panels import BY_NAME
from bntui.viewer.view_state import Snapshot, ViewState

NONE: Final = N_("This recording has no tour.")


@dataclass(frozen=True, slots=True)
class Shown:
    """A stop as it is shown."""

    number: int
    """From 1."""
    count: int
    question: str
    answer: str
    """Empty until it is revealed."""
    panel: str
    mark: str
    """Mark of the run."""
    layer: str = ""
    """Layer whose rows are pointed at; empty: the run's."""


def recorded_of(recorded: Snapshot) -> Recorded:
    """The figures of a snapshot."""
    return Recorded(recorded.source.runs, recorded.histories, recorded.events)


def begin(state: ViewState, recorded: Snapshot, tour: Sequence[TourStop]) -> ViewState:
    """Start at the first stop, or end the tour."""
    return replace(state, tour=None) if state.tour is not None else _arrive(state, recorded, tour, 0)


def walk(state: ViewState, recorded: Snapshot, tour: Sequence[TourStop], by: int) -> ViewState:
    """Reveal the answer, then go to the next stop (1); or hide it, then go back (-1).  Past the last one it ends."""
    if state.tour is None:
        return begin(state, recorded, tour) if by > 0 else state
    if by > 0:
        if not state.revealed:
            return replace(state, revealed=True)
        if ends(state, tour, by):
            return replace(state, tour=None, revealed=False)
        return _arrive(state, recorded, tour, state.tour + 1)
    if state.revealed:
        return replace(state, revealed=False)
    return _arrive(state, recorded, tour, max(state.tour - 1, 0))


def ends(state: ViewState, tour: Sequence[TourStop], by: int) -> bool:
    """True if walking on from here ends the tour."""
    return by > 0 and state.revealed and state.tour is not None and state.tour + 1 >= len(tour)


def _arrive(state: ViewState, recorded: Snapshot, tour: Sequence[TourStop], number: int) -> ViewState:
    """Look where a stop looks: its run, its place, its panel."""
    stop, figures = tour[number], recorded_of(recorded)
    run = _run(stop, figures)
    state = view_state.select(state, len(recorded.histories), run - state.selected)
    row = figures.row(run, stop.at)
    if row is not None:
        state = view_state.seek(state, recorded.stops, float(recorded.histories[run].position[row]))
    if stop.panel in BY_NAME:
        state = view_state.focus(state, stop.panel, there=False)
    return replace(state, tour=number, revealed=False)


def _run(stop: TourStop, figures: Recorded) -> int:
    """Number of the run that a stop is about; the first one if there is no run of its name."""
    return (None if stop.run is None else figures.run(stop.run)) or 0


def shown(state: ViewState, recorded: Snapshot, tour: Sequence[TourStop]) -> Shown | None:
    """What the stop says; None outside of a tour."""
    if state.tour is None or state.tour >= len(tour):
        return None
    stop, figures = tour[state.tour], recorded_of(recorded)
    run = _run(stop, figures)
    answer = _answer(stop, figures, run, recorded.source.task) if state.revealed else ""
    mark = RUN_MARKS[run % len(RUN_MARKS)]
    return Shown(state.tour + 1, len(tour), stop.question, answer, stop.panel, mark, stop.layer or "")


def _answer(stop: TourStop, figures: Recorded, run: int, task: str) -> str:
    """The answer with this recording's figures, or that this recording shows it differently."""
    row = figures.row(run, stop.at)
    if row is None:
        if stop.at == "first bad":
            return _("In this recording, nothing of the kind happened to this run.")
        return _("This run has not come to epoch {epoch} yet.").format(epoch=stop.at)

    def value(reference: Reference) -> float:
        return figures.value(reference, run, row)

    try:
        if stop.holds is not None:
            compared = comparison(stop.holds)
            left, right = value(compared.left), 1.0 if compared.right is None else value(compared.right)
            if not compared.holds(left, right):
                sentence = _("This recording shows it differently: {figure} is {value}.")
                return sentence.format(figure=compared.left, value=spelled(compared.left, left, task))
        answer = stop.answer
        for placeholder, reference in references(stop.answer):
            answer = answer.replace(placeholder, spelled(reference, value(reference), task))
    except ValueError as error:  # a stranger's recording
        return str(error)
    return answer


_WORDS: Final = re.compile(
    r"[^\s\u2500-\u259f\u2800-\u28ff](?:[^\u2500-\u259f\u2800-\u28ff]*?[^\s\u2500-\u259f\u2800-\u28ff])??"
    r"(?=\s{2}|\s*[\u2500-\u259f\u2800-\u28ff]|\s*$)"
)
"""Words and figures of a row, apart from what is drawn and from the room between columns."""
_DOTS: Final = re.compile("[●○]{2,}")
"""A patience counter."""


def line(stop: Shown, cells: int) -> Row:
    """The row that carries the stop: its number, and the question or the answer."""
    number = Span(f" {stop.number}/{stop.count} ", "bold accent")
    words = stop.answer or stop.question
    style = "title" if stop.answer else "text"
    room = cells - cell_len(number.text)
    said = words if cell_len(words) <= room else parted(words, max(room - 1, 0))[0] + "…"
    return (number, Span(said, style))


def pointed(drawing: Drawing, stop: Shown) -> Drawing:
    """The panel's drawing with the cells reversed that show the answer: the layer's rows of the run, or the run's."""
    for words in _wanted(stop):
        if any(words in _without_dots(row) for row in drawing.rows):
            return drawing._replace(rows=tuple(_pointed(row, words) for row in drawing.rows))
    return drawing


def _wanted(stop: Shown) -> list[str]:
    """What the rows to point at may begin with, the most exact first; a narrow panel shortens a layer's name."""
    if not stop.layer:
        return [stop.mark]
    names = dict.fromkeys((stop.layer, short(stop.layer, cell_len(stop.layer) - 1).rstrip()))
    return [*(f"{stop.mark} {name}" for name in names), *names]


def _without_dots(row: Row) -> str:
    """The row's text, as long as it is, without the dots of a patience counter: two runs have such marks."""
    return _DOTS.sub(lambda dots: "·" * len(dots[0]), text(row))


def _pointed(row: Row, words: str) -> Row:
    """A row with its words and figures reversed, from where the words begin to the next run's part of it."""
    whole, searched = text(row), _without_dots(row)
    begin = searched.find(words)
    after = whole[begin + len(words) : begin + len(words) + 1]
    if begin < 0 or (words[-1:].isdigit() and after.isdigit()):
        return row
    ends = [place for mark in RUN_MARKS if (place := searched.find(f"{mark} ", begin + len(words))) >= 0]
    end = begin + len(whole[begin : min(ends, default=len(whole))].rstrip())
    words_at = [(begin + found.start(), begin + found.end()) for found in _WORDS.finditer(whole[begin:end])]
    out: list[Span] = []
    at = 0
    for span in row:
        edges = sorted(
            {at, at + len(span.text), *(min(max(e, at), at + len(span.text)) for pair in words_at for e in pair)}
        )
        for first, last in pairwise(edges):
            marked = any(low <= first and last <= high for low, high in words_at)
            style = f"{span.style or 'text'} cursor" if marked else span.style
            out.append(Span(whole[first:last], style))
        at += len(span.text)
    return tuple(out)

"""Walks a recording's guided tour: where each stop looks, what it says, and which figures it is about."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rich.cells import cell_len

from bntui.insight.figures_at import Recorded, spelled
from bntui.recording.tour import TourStop
from bntui.scenario.figure_reference import comparison, references
from bntui.scenario.figures import Quantity
from bntui.scenario.tour_text import LINES
from bntui.text.language import N_, _
from bntui.text.widths import cut, wrap
from bntui.viewer import view_state
from bntui.viewer.draw.rows import FigureReference, Row, Span
from bntui.viewer.layout import MOST_LINES, TALL
from bntui.viewer.panels import BY_NAME
from bntui.viewer.snapshot import Snapshot
from bntui.viewer.view_state import ViewState

NONE: Final = N_("This recording has no tour.")
PARTS: Final = {"gap": ("val_loss", "train_loss")}
"""Figures that no panel shows, and those from which they are computed."""


@dataclass(frozen=True, slots=True)
class ShownStop:
    """A stop as it is shown."""

    number: int
    """From 1."""
    count: int
    question: str
    answer: str
    revealed: bool
    panel: str
    run: int
    layer: str = ""
    """Layer whose figures are pointed at if the answer has none that the panel shows."""
    figures: frozenset[FigureReference] = frozenset()
    """The figures of the answer at the cursor."""
    runs: tuple[int, ...] = ()
    """Every run that it names, its own first."""


def recorded_of(recorded: Snapshot) -> Recorded:
    """The figures of a snapshot."""
    return Recorded(recorded.source.runs, recorded.histories, recorded.events)


def begin(state: ViewState, recorded: Snapshot, tour: Sequence[TourStop]) -> ViewState:
    """Start at the first stop, or end the tour."""
    return end(state) if state.tour is not None else _arrive(state, recorded, tour, 0)


def end(state: ViewState) -> ViewState:
    """End the tour; the panel that it zoomed is no longer."""
    return replace(state, tour=None, revealed=False, zoomed=False)


def walk(state: ViewState, recorded: Snapshot, tour: Sequence[TourStop], by: int) -> ViewState:
    """Reveal the answer, then go to the next stop (1); or hide it, then go back (-1).  Past the last one it ends."""
    if state.tour is None:
        return begin(state, recorded, tour) if by > 0 else state
    if by > 0:
        if not state.revealed:
            return replace(state, revealed=True)
        if answered(state, tour):
            return end(state)
        return _arrive(state, recorded, tour, state.tour + 1)
    if state.revealed:
        return replace(state, revealed=False)
    return _arrive(state, recorded, tour, max(state.tour - 1, 0))


def answered(state: ViewState, tour: Sequence[TourStop]) -> bool:
    """True at the answer of the last stop: a tour that ends here was walked."""
    return state.revealed and state.tour is not None and state.tour + 1 >= len(tour)


def _arrive(state: ViewState, recorded: Snapshot, tour: Sequence[TourStop], number: int) -> ViewState:
    """Look where a stop looks: its run, with those beside it that its answer names, its place, its panel."""
    stop, figures = tour[number], recorded_of(recorded)
    run = _run(stop, figures)
    state = view_state.select(state, len(recorded.histories), run - state.selected)
    others = _runs(stop, figures, run)[1:]
    if others:
        third = others[1] if len(others) > 1 else state.third
        third = None if third == others[0] else third
        state = replace(state, pinned=others[0], third=third, hidden=state.hidden - set(others))
    row = figures.row(run, stop.at)
    if row is not None:
        state = view_state.seek(state, recorded.stops, float(recorded.histories[run].position[row]))
    if stop.panel in BY_NAME:
        state = view_state.focus(state, stop.panel, there=False)
    return replace(state, tour=number, revealed=False, zoomed=False, folded=False, layer="")


def _run(stop: TourStop, figures: Recorded) -> int:
    """Number of the run that a stop is about; the first one if there is no run of its name."""
    return (None if stop.run is None else figures.run(stop.run)) or 0


def _runs(stop: TourStop, figures: Recorded, run: int) -> tuple[int, ...]:
    """The runs whose figures the answer has, the stop's own first."""
    named = (figures.run(one.run) for one in _references(stop) if one.run is not None)
    return tuple(dict.fromkeys((run, *(other for other in named if other is not None))))


def _references(stop: TourStop) -> list[Quantity]:
    """The figures of the answer; none if it is not valid, as in a stranger's recording."""
    try:
        return [one for _text, one in references(stop.answer)]
    except ValueError:
        return []


def shown(state: ViewState, recorded: Snapshot, tour: Sequence[TourStop]) -> ShownStop | None:
    """What the stop says; None outside of a tour."""
    if state.tour is None or state.tour >= len(tour):
        return None
    stop, figures = tour[state.tour], recorded_of(recorded)
    run = _run(stop, figures)
    return ShownStop(
        number=state.tour + 1,
        count=len(tour),
        question=stop.question,
        answer=_answer(stop, figures, run, recorded.source.task),
        revealed=state.revealed,
        panel=stop.panel,
        run=run,
        layer=stop.layer or "",
        figures=frozenset(_told(stop, figures, run, state.cursor)),
        runs=_runs(stop, figures, run),
    )


def _told(stop: TourStop, figures: Recorded, run: int, cursor: float) -> Iterator[FigureReference]:
    """The figures of the answer that the runs have at the cursor, where panels show them."""
    row = figures.row(run, stop.at)
    for one in _references(stop) if row is not None else ():
        there = run if one.run is None else figures.run(one.run)
        if there is None:
            continue
        history = figures.histories[there]
        # without a place of its own it is where the stop is
        at = figures.row(there, one.place) if one.place is not None else history.at(cursor)
        if at != history.at(cursor):
            continue
        names = PARTS.get(one.figure, (one.figure,))
        yield from (FigureReference(there, name, one.layer or "") for name in names)
        if one.figure.startswith("input.") and one.layer == figures.runs[there].layers[0].name:
            yield FigureReference(there, one.figure)


def _answer(stop: TourStop, figures: Recorded, run: int, task: str) -> str:
    """The answer with this recording's figures, or that this recording shows it differently."""
    row = figures.row(run, stop.at)
    if row is None:
        if stop.at == "first bad":
            return _("In this recording, nothing of the kind happened to this run.")
        if stop.at == "best":
            return _("In this recording, this run has no best epoch.")
        return _("This run has not come to epoch {epoch} yet.").format(epoch=stop.at)

    def value(reference: Quantity) -> float:
        return figures.value(reference, run, row)

    try:
        if stop.holds is not None:
            compared = comparison(stop.holds)
            left, right = value(compared.left), math.nan if compared.right is None else value(compared.right)
            if not compared.holds(left, right):
                sentence = _("This recording shows it differently: {figure} is {value}.")
                return sentence.format(figure=compared.left.name, value=spelled(compared.left, left, task))
        answer = stop.answer
        for placeholder, reference in references(stop.answer):
            answer = answer.replace(placeholder, spelled(reference, value(reference), task))
    except ValueError as error:  # a stranger's recording
        return str(error)
    return answer


def lines(stop: ShownStop, cells: int, most: int) -> list[Row]:
    """The rows that carry the stop: its number, and the question or the answer; as many for both."""
    number = f" {stop.number}/{stop.count} "
    room = max(cells - cell_len(number), 2)
    words, style = (stop.answer, "title") if stop.revealed else (stop.question, "text")
    rows = min(max(len(wrap(said, room)) for said in (stop.question, stop.answer)), most)
    said = wrap(words, room)
    if len(said) > rows:
        said[rows - 1 :] = [cut(" ".join(said[rows - 1 :]), room)]
    said += [""] * (rows - len(said))
    heads = [Span(number, "bold accent"), *[Span(" " * cell_len(number))] * (rows - 1)]
    return [(head, Span(line, style)) for head, line in zip(heads, said, strict=True)]


def most_lines(height: int) -> int:
    """How many rows a stop may have on a screen of this height."""
    return LINES if height < TALL else MOST_LINES

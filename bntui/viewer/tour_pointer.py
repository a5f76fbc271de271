"""Points at the cells of a panel that show a tour's answer, and makes room for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bntui.viewer import view_state
from bntui.viewer.draw.rows import FigureReference, Row, Span
from bntui.viewer.layout import Candidates, layout
from bntui.viewer.panels import BY_NAME, read_by
from bntui.viewer.snapshot import Snapshot
from bntui.viewer.tour import ShownStop, most_lines
from bntui.viewer.tour import lines as lines_of
from bntui.viewer.view_state import ViewState


def pointed(rows: Sequence[Row], stop: ShownStop) -> tuple[Row, ...]:
    """The rows with the figures of the answer reversed.

    If they show none of them, the figures of the stop's layer are, or else the names of the runs.
    """
    told = _told(rows)
    wanted = stop.figures & told or _of_layer(stop, told)
    names = () if wanted else tuple(f"select_run({run})" for run in stop.runs)
    return tuple(
        tuple(
            part
            for span in row
            for part in (_reversed(span) if span.tells in wanted or (span.click and span.click in names) else (span,))
        )
        for row in rows
    )


def _told(rows: Sequence[Row]) -> frozenset[FigureReference]:
    return frozenset(span.tells for row in rows for span in row if span.tells is not None)


def _of_layer(stop: ShownStop, told: frozenset[FigureReference]) -> frozenset[FigureReference]:
    """Figures of the stop's layer: those of the quantities that the answer names, or all."""
    own = frozenset(one for one in told if stop.layer and (one.run, one.layer) == (stop.run, stop.layer))
    named = {one.figure.partition(".")[0] for one in stop.figures}
    return frozenset(one for one in own if one.figure.partition(".")[0] in named) or own


def _reversed(span: Span) -> Iterator[Span]:
    """The span with its words reversed, without the blanks around them."""
    words = span.text.strip()
    before, _found, after = span.text.partition(words)
    yield span._replace(text=before)
    yield span._replace(text=words, style=f"{span.style or 'text'} cursor")
    yield span._replace(text=after)


def settled(
    state: ViewState, recorded: Snapshot, stop: ShownStop | None, size: tuple[int, int], candidates: Candidates
) -> ViewState:
    """The state in which the stop's panel shows most of the figures of the answer: walked through, or zoomed.

    It stays as it is if that shows as many.
    """
    if stop is None or not (stop.figures or stop.layer) or stop.panel not in BY_NAME:
        return state
    best, most = state, (-1, False)
    view = None
    for looked in _looks(state, recorded, stop):
        room = layout(*size, looked.focused, looked.zoomed, candidates, said=rows_of(stop, size))
        if stop.panel not in room.regions or (looked.zoomed and not room.several):
            continue
        reads = read_by([stop.panel])
        view = view or view_state.build_view(
            recorded, state, dataset="dataset" in reads, histograms="histograms" in reads
        )
        width, height = room.regions[stop.panel].size
        past = looked.walked.get(stop.panel, 0)
        rows = BY_NAME[stop.panel].draw(replace(view, past=past), width - 2, height - 2).rows
        told = _told(rows)
        seen = (len(stop.figures & told), not stop.layer or bool(_of_layer(stop, told)))
        if seen > most:
            best, most = looked, seen
        if seen == (len(stop.figures), True):
            break
    return best


def _looks(state: ViewState, recorded: Snapshot, stop: ShownStop) -> Iterator[ViewState]:
    """The state, then walked through the layers of the stop's panel, then all that zoomed."""
    layers = max(len(run.layers) for run in recorded.source.runs)
    walks = range(layers) if stop.layer and BY_NAME[stop.panel].walks else ()
    for zoomed in dict.fromkeys((state.zoomed, True)):
        looked = replace(state, zoomed=zoomed)
        yield looked
        yield from (replace(looked, walked={**state.walked, stop.panel: past}) for past in walks)


def rows_of(stop: ShownStop | None, size: tuple[int, int]) -> int:
    """Rows below the panels that the stop takes, on a screen of this size; 1 without a tour."""
    return 1 if stop is None else len(lines_of(stop, size[0] - 2, most_lines(size[1])))

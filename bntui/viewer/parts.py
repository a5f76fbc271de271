"""Draws each part of the laboratory with pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bntui.recording.sentences import traits
from bntui.text.language import _
from bntui.text.widths import longest
from bntui.viewer import chrome
from bntui.viewer.draw.rows import Row, Span, fit, framed
from bntui.viewer.lab_keys import GALLERY, LabSituation
from bntui.viewer.layer_choice import folds
from bntui.viewer.layout import HEADER, KEYS, TABS, TIMELINE
from bntui.viewer.panels import BY_NAME, STRIP
from bntui.viewer.tour import ShownStop, lines
from bntui.viewer.tour_pointer import pointed
from bntui.viewer.view import View
from bntui.viewer.view_state import ViewState
from bntui.viewer.worst import CRITERIA, FOLDED, CriterionName

PARTS = (HEADER, TABS, TIMELINE, KEYS, *BY_NAME)
"""Names of all parts; a layout contains some of them."""


@dataclass(frozen=True, slots=True)
class ScreenContent:
    """Everything that the screen is drawn from."""

    view: View
    """The recording at the cursor."""
    state: ViewState
    """What the user is looking at."""
    facts: Mapping[str, str]
    """The recording's metadata."""
    words: tuple[str, str]
    """The trainer's state and its style."""
    live: bool
    running: bool
    several: bool
    """Several panels are on the screen."""
    from_gallery: bool
    back: str = GALLERY
    """The screen below, marked for translation."""
    forks: bool = True
    """Runs can be forked."""
    resumes: bool = False
    """No trainer is connected, and a run can be resumed."""
    tours: bool = False
    """The recording has a guided tour."""
    tour: ShownStop | None = None
    """The stop of the guided tour."""
    said: int = 1
    """Rows that it takes at most."""
    over: bool = False
    """All runs have ended."""
    late: bool = False
    """The line to the terminal is too slow for all panels."""


def rows(part: str, shown: ScreenContent, width: int, height: int) -> tuple[Row, ...]:
    """The rows of one part, exactly ``height`` of ``width`` cells."""
    if part == HEADER:
        return (chrome.header(shown.view, shown.facts, shown.words, width),)
    if part == TABS:
        return (chrome.tabs(shown.state.focused, width),)
    if part == KEYS:
        here = LabSituation(
            live=shown.live,
            running=shown.running,
            runs=len(shown.view.runs),
            several=shown.several,
            zoomed=shown.state.zoomed,
            walks=BY_NAME[shown.state.focused].walks,
            judges=bool(BY_NAME[shown.state.focused].worst),
            folds=folds(shown.view),
            folded=shown.state.folded,
            chosen=bool(shown.state.layer),
            from_gallery=shown.from_gallery,
            back=shown.back,
            forks=shown.forks,
            banded=bool(shown.view.runs[shown.view.selected].seeds),
            resumes=shown.resumes,
            over=shown.over,
            touring=shown.tour is not None,
            tours=shown.tours,
            troubled=any(traits(event.kind).trouble for run in shown.view.runs for event in run.events),
        )
        return (chrome.keys(width, here, late=shown.late),)
    if part == TIMELINE:
        drawing = STRIP.draw(shown.view, width - 2, height)
        if shown.tour is not None:
            said = [fit(row, width - 2) for row in lines(shown.tour, width - 2, shown.said)]
            rows_above = drawing.rows[: height - len(said)]
            if shown.tour.panel == STRIP.name and shown.tour.revealed:
                rows_above = pointed(rows_above, shown.tour)
            drawing = drawing._replace(rows=(*rows_above, *said))
        margin = Span("▸", "accent") if shown.state.focused == STRIP.name else Span(" ")
        return tuple((margin, *row) for row in drawing.rows)
    panel = BY_NAME[part]
    view = replace(shown.view, past=shown.state.walked.get(panel.name, 0)) if panel.walks else shown.view
    drawing = panel.draw(view, width - 2, height - 2)
    if panel.worst and view.folded:
        drawing = drawing._replace(title=_folded(drawing.title, panel.worst, width - 8))
    if panel.of_mini_batch:
        drawing = drawing._replace(title=_sized(drawing.title, shown.view, width - 8))
    if panel.still:
        drawing = chrome.dated(drawing, shown.view, width - 2)
    if shown.tour is not None and shown.tour.revealed and part == shown.tour.panel:
        drawing = drawing._replace(rows=pointed(drawing.rows, shown.tour))
    return framed(drawing, width, focused=part == shown.state.focused, key=panel.key)


def _folded(title: str, criterion: CriterionName, cells: int) -> str:
    """A panel's title that says what the row of a block shows."""
    name, words = title.partition(" ── ")[0], _(CRITERIA[criterion].folded)
    return longest(cells, f"{title} · {words}", f"{name} ── {words}", f"{name} ── {_(FOLDED)}")


def _sized(title: str, view: View, cells: int) -> str:
    """A panel's title that says how few samples its figures are of, where the mini-batch is a small one."""
    small = [run for run in view.shown if run.remnant]
    if not small:
        return title
    words = [f"{run.mark} {chrome.remnant_text(run)}" for run in small]
    if len({run.remnant for run in view.shown}) == 1:
        words = [chrome.remnant_text(small[0])]
    size = " · ".join(words)
    name = title.partition(" ── ")[0]
    return longest(cells, f"{title} · {size}", f"{name} ── {size}", f"{name} · {words[0]}", size)

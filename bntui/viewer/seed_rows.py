"""Draws the page of a run's seeds: how each ended, with its last figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bntui.recording.history import RunInfo
from bntui.recording.seeds import SeedCourse
from bntui.recording.sentences import event_kind, traits
from bntui.recording.tables import FAILED
from bntui.text import figures
from bntui.text.language import _
from bntui.text.table import Column, text_lines
from bntui.viewer.draw.rows import Drawing, Row, Span, fit
from bntui.viewer.keys import footer_of, useful_of
from bntui.viewer.seed_keys import CONTROLS

ABOVE: Final = 2
"""Rows above the first seed: a heading and the sentence before it."""
BELOW: Final = 2
"""Rows below the last one: an empty one and the keys."""


def draw(
    run: RunInfo, courses: Sequence[SeedCourse], at: int, width: int, height: int, *, asks: bool = False
) -> Drawing:
    """The page, with one seed under the cursor; those around it where there is no room for all.

    Args:
        asks: says that the training on the screen would be stopped.
    """
    columns = (
        Column(_("seed"), right=True), Column(_("ended"), least=8, cut=4), Column(_("epoch"), right=True),
        Column(_("loss"), right=True, goes=3), Column(_("acc %"), right=True, goes=2),
        Column(_("first to last gradient"), right=True, goes=1),
    )  # fmt: skip
    heading, *lines = text_lines(columns, [_cells(course) for course in courses], width - 2)
    room = max(height - ABOVE - BELOW, 1)
    top = min(max(at - room // 2, 0), max(len(lines) - room, 0))
    said = (
        _("Enter trains this seed again in a new recording, bit for bit.")
        if run.fork is None
        else _("Enter trains the scenario with this seed in a new recording, without forks.")
    )
    style = "muted"
    if asks:
        said, style = (
            _("This stops the training on the screen and saves it. Enter again: stop it."),
            "warn",
        )
    rows: list[Row] = [(Span(" " + said, style),), (Span(f"  {heading}", "muted"),)]
    for number in range(top, min(top + room, len(lines))):
        here = number == at
        rows.append((Span(f"{'▸' if here else ' '} {lines[number]}", "bold accent" if here else "text"),))
    rows += [()] * (height - len(rows) - 1)
    rows.append(footer_of(useful_of(CONTROLS, None), None, width, 1))
    title = _("Seeds of {run}").format(run=run.called)
    return Drawing(title, tuple(fit(row, width) for row in rows[:height]))


def _cells(course: SeedCourse) -> tuple[str, ...]:
    end, last = course.end, course.figures.shape[1] - 1
    ended = _("still trained")
    if end is not None:
        ended = _("failed: {reason}").format(reason=_(end.reason)) if end.kind == FAILED else ""
        ended = ended or _(traits(event_kind(end.kind)).word)
    if last < 0:
        return str(course.seed), ended, "–", "–", "–", "–"
    epoch = float(course.first + last) if end is None else end.epoch
    loss, accuracy = (float(course.figure(name)[last]) for name in ("val_loss", "val_accuracy"))
    ratio = "–" if end is None or end.ratio != end.ratio else figures.number(end.ratio, 6).strip()
    return (
        str(course.seed), ended, figures.epoch(epoch), figures.number(loss, 6).strip(),
        figures.number(100 * accuracy, 6, 1).strip(), ratio,
    )  # fmt: skip

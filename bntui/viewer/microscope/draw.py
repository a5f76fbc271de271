"""Draws the microscope's screen with pure functions."""

from __future__ import annotations

from typing import Final

from rich.cells import cell_len

from bntui.text.figures import count, epoch
from bntui.text.language import _
from bntui.text.widths import longest, wrap
from bntui.viewer.chrome import remnant_text, where
from bntui.viewer.draw.cells import begins
from bntui.viewer.draw.rows import Drawing, Row, Span, fit, framed, width
from bntui.viewer.keys import footer_of
from bntui.viewer.microscope.beside import beside, summary
from bntui.viewer.microscope.keys import CONTROLS, situation
from bntui.viewer.microscope.listing import table
from bntui.viewer.microscope.picture import MARK
from bntui.viewer.microscope.state import Lens
from bntui.viewer.microscope.steps import NO_VALUES, framed_steps, short_steps
from bntui.viewer.microscope.words import KINDS, of_what, sample_row, set_name, value_name
from bntui.viewer.view import RunView, View

WIDE, TALL = 100, 30
"""Minimum columns and rows of a screen on which the steps have frames, with sections beside them."""
SUMMARY: Final = 3
"""Rows below the steps on a smaller screen."""


def draw(lens: Lens, cells: int, height: int) -> tuple[Row, ...]:
    """The whole screen, ``height`` rows of ``cells`` cells."""
    body = height - 3
    rows: list[Row] = [_head(lens, cells), _subject(lens, cells)]
    if cells >= WIDE and height >= TALL:
        right = min(max(cells * 29 // 100, 40), 52)
        left = cells - right
        main = _listed(lens, left, body) if lens.state.listing else framed_steps(lens, left, body)
        rows += [(*one, *other) for one, other in zip(main, beside(lens, right, body), strict=True)]
    elif lens.state.listing:
        rows += table(lens, cells, body)
    else:
        below = SUMMARY if body >= 12 + SUMMARY else 1 if body >= 9 else 0
        rows += [*short_steps(lens, cells, body - below), *summary(lens, cells, below)]
    rows.append(footer_of(CONTROLS, situation(lens), cells))
    return tuple(fit(row, cells) for row in rows[:height])


def _listed(lens: Lens, cells: int, height: int) -> list[Row]:
    inner = table(lens, cells - 2, height - 2)
    return list(framed(Drawing(_("All of this layer"), tuple(inner)), cells, focused=True))


def _head(lens: Lens, cells: int) -> Row:
    run = lens.run
    place = float(run.history.position[run.row]) if run.row >= 0 else 0.0
    view = View(lens.title, "", (run,), 0, None, place, False)
    name = Span(f"{run.mark} {run.name}   ", f"bold {run.style}")
    right: Row = (name, Span(f"{where(view)[0]} ", "text"))
    left: Row = (*_signed(), Span("   "))
    room = cells - width((*left, *right))
    if room < 0:
        right = (Span(f"{run.mark} ", f"bold {run.style}"), Span(where(view)[1], "text"), Span(" "))
        left = (Span(" "), Span(_("microscope"), "title"), Span("  "))
        room = cells - width((*left, *right))
    title = lens.title if cell_len(lens.title) <= room - 2 else ""
    return fit((*left, Span(title, "muted"), Span(" " * max(room - cell_len(title), 0)), *right), cells)


def _subject(lens: Lens, cells: int) -> Row:
    """The row with the layer, the set that is normalized together, and the marked value."""
    slide, state = lens.slide, lens.state
    total = slide.sets
    row = [
        Span(f" {slide.info.name}", "bold text"),
        Span(f" · {_(KINDS[slide.kind])} · ", "muted"),
        Span(set_name(slide, state.chosen) if total else "", "bold accent"),
        Span(_(" of {count}").format(count=count(total)) if total and slide.kind != "group" else "", "muted"),
    ]
    if slide.steps > 1:
        words = _("time step {step}/{count}").format(step=state.time + 1, count=slide.steps)
        row += [Span(" · ", "muted"), Span(words, "bold accent")]
    if lens.run.remnant:
        row += [Span(" · ", "muted"), Span(remnant_text(lens.run), "warn")]
    what = of_what(slide)
    if what and width(tuple(row)) + cell_len(what) + 3 + 20 <= cells:
        row.append(Span(f" · {what}", "muted"))
    if len(lens.layers) > 1:
        words = _("layer {number} of {count}").format(number=lens.layers.index(lens.number) + 1, count=len(lens.layers))
        if width(tuple(row)) + cell_len(words) + 3 + 20 <= cells:
            row.append(Span(f" · {words}", "muted"))
    if lens.specimen.x is not None:
        name = value_name(slide, state.chosen, state.marked)
        room = cells - width(tuple(row)) - 4
        name = longest(room, f"{name} {sample_row(slide, state.chosen, state.marked, lens.numbers)}", name)
        mark: Row = (Span(f"{MARK} ", "bold text"), Span(f"{name} ", "text"))
        room = cells - width((*row, *mark))
        if room >= 1:
            row += [Span(" " * room), *mark]
    return fit(tuple(row), cells)


def _signed() -> Row:
    return Span(" bntui", "bold accent"), Span("   "), Span(_("microscope"), "title")


def empty(title: str, run: RunView | None, cells: int, height: int, *, watched: bool = False) -> tuple[Row, ...]:
    """The screen where no run has a normalization: why there is nothing, and what would fill it.

    Args:
        run: a run that can be forked at its keyframe.
        watched: a training loop was recorded without the values that a microscope needs.
    """
    if watched:
        return _notice(title, (_(NO_VALUES),), cells, height)
    how = _('To see something here, set norm = "batch", "layer" or "group" in [network], or in one run.')
    sentences = [_("No run of this recording has a normalization."), how]
    if run is not None and run.row >= 0:
        words = _("Or press esc and f: a fork of {run} begins at epoch {epoch}; set network.norm there.")
        sentences.append(words.format(run=run.name, epoch=epoch(run.history.epoch[run.row])))
    return _notice(title, tuple(sentences), cells, height)


def unread(title: str, run: RunView, cells: int, height: int) -> tuple[Row, ...]:
    """The screen where a run has no keyframe yet: a fork says where it begins."""
    start = begins(run)
    words = f"{run.mark} {run.name}: {start}" if start else _("No keyframe here yet.")
    return _notice(title, (words,), cells, height)


def _notice(title: str, sentences: tuple[str, ...], cells: int, height: int) -> tuple[Row, ...]:
    lines = [line for sentence in sentences for line in wrap(sentence, max(cells - 4, 2))]
    rows: list[Row] = [(*_signed(), Span(f"   {title}", "muted")), ()]
    rows += [(Span(f"  {line}", "text"),) for line in lines]
    rows = (rows + [()] * height)[: height - 1]
    rows.append((Span(" esc", "key"), Span(f" {_('laboratory')}", "muted")))
    return tuple(fit(row, cells) for row in rows)

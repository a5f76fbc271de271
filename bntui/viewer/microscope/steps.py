"""Draws the four steps one below the other; each pair has a common axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len

from bntui.text.figures import count, epoch
from bntui.text.language import N_, _
from bntui.text.widths import wrap
from bntui.viewer.draw.rows import Row, Span, fit
from bntui.viewer.microscope.formulas import FORMULA_CELLS, LETTERS, FormulaStep, steps
from bntui.viewer.microscope.picture import axis, beyond, picture
from bntui.viewer.microscope.state import Lens

FRAMED: Final = 6
"""Minimum rows of a step with a frame."""
INDENT: Final = "   "
"""The cells before the pictures of steps without frames: a margin, and what the letter of the step takes."""
MARGIN: Final = 1
"""The cells that stay free at their right, as on the rows above and below."""

NO_VALUES: Final = N_("This training loop was recorded without the values that its layers passed on.")


def framed_steps(lens: Lens, width: int, height: int) -> list[Row]:
    """The steps in frames, with the axis in the lower edge; exactly ``height`` rows of ``width`` cells."""
    rows: list[Row] = []
    for step, lines in zip(steps(lens), _shared(height), strict=True):
        rows += _box(lens, step, width, lines)
    return rows


def short_steps(lens: Lens, width: int, height: int) -> list[Row]:
    """The steps without frames, with an axis below each pair; exactly ``height`` rows of ``width`` cells."""
    axes = 1 if height >= 4 * 2 + 2 else 0
    inner = width - len(INDENT) - MARGIN
    rows: list[Row] = []
    for step, lines in zip(steps(lens), _shared(height - 2 * axes), strict=True):
        focused = lens.state.playing == step.number
        head = (Span(f" {LETTERS[step.number - 1]} ", "bold accent" if focused else "muted"),)
        rows += [(*head, *_derived(step, inner))] if not _veiled(lens, step) else [head]
        if lines > 1:
            rows += [(Span(INDENT), *row) for row in _seen(lens, step, inner, lines - 1)]
        if axes and step.number % 2 == 0:
            rows.append((Span(INDENT), *_edge(step, inner, "frame")))
    return [fit(row, width) for row in rows]


def _shared(height: int) -> list[int]:
    """The number of rows of each step, as equal as possible; the first ones get the remainder."""
    each, more = divmod(max(height, 4), 4)
    return [each + (number < more) for number in range(4)]


def _box(lens: Lens, step: FormulaStep, width: int, height: int) -> list[Row]:
    inner = width - 4
    focused = lens.state.playing == step.number
    edge = "focus" if focused else "frame"
    title = f" {step.title} "
    dashes = "─" * (width - 4 - cell_len(title))
    rows: list[Row] = [
        (Span("╭─", edge), Span(title, "title" if focused else "text"), Span(dashes, edge), Span("─╮", edge))
    ]
    body: list[Row] = [()] if _veiled(lens, step) else [_derived(step, inner)]
    body += _seen(lens, step, inner, height - 3)
    rows += [(Span("│ ", edge), *fit(row, inner), Span(" │", edge)) for row in body]
    rows.append((Span("╰─", edge), *_edge(step, inner, edge), Span("─╯", edge)))
    return rows


def _edge(step: FormulaStep, cells: int, edge: str) -> Row:
    """The lower edge of a frame: the axis, and the number of values beyond each end."""
    row = axis(step.limits, cells, "─")
    left, right = beyond(step)
    if not left and not right:
        return row
    first, last = f"◂ {count(left)}" if left else "", f"{count(right)} ▸" if right else ""
    middle = fit(_from(row, len(first) + 1 if first else 0), cells - len(first) - len(last) - bool(first) - bool(last))
    start = (Span(first, "warn"), Span("─", edge)) if first else ()
    return (*start, *middle, *((Span("─", edge), Span(last, "warn")) if last else ()))


def _from(row: Row, cell: int) -> Row:
    """The part of a row from a cell on; an axis has no double-width characters."""
    out: list[Span] = []
    for span in row:
        out.append(Span(span.text[cell:], span.style))
        cell = max(cell - len(span.text), 0)
    return tuple(out)


def _veiled(lens: Lens, step: FormulaStep) -> bool:
    """True if the step is still hidden while the steps are played."""
    return 0 < lens.state.playing < step.number


def _derived(step: FormulaStep, cells: int) -> Row:
    """The formula, followed by the longest derivation with numbers that fits."""
    formula = Span(step.formula + " " * (FORMULA_CELLS + 2 - cell_len(step.formula)), "text")
    room = cells - cell_len(formula.text)
    for middle, result in step.numbers:
        words = f"= {middle} " if middle else "= "
        if cell_len(words) + cell_len(result) <= room:
            return formula, Span(words, "muted"), Span(result, "bold text")
    return (formula,)


def _seen(lens: Lens, step: FormulaStep, width: int, lines: int) -> Sequence[Row]:
    """The picture of a step, or why there is none."""
    if _veiled(lens, step):
        return [()] * lines
    drawn = picture(step, lens.state.marked, width, lines, lens.run.style)
    if lens.specimen.x is None and step.number == 1:
        # the measures give mean and bracket, but not the values
        words: list[Row] = [(Span(line, "warn"),) for line in wrap(_missing(lens), width)]
        shown = words[: max(lines - 1, 1)]
        drawn[: len(shown)] = shown
    return drawn


def _missing(lens: Lens) -> str:
    """The message that says why there are no values, and which keyframe has some."""
    if lens.run.info.watched and lens.nearest is None:
        return _(NO_VALUES)
    if not lens.run.info.stages:
        return _("This recording is of an older format, which does not say which values entered a normalization.")
    budget = lens.run.info.setting("record", "budget", 0)
    if lens.nearest is None:
        words = _("No values were kept ([record] budget: {budget:g} MB); a larger budget keeps them.")
        return words.format(budget=budget)
    words = _(
        "The values of this keyframe were thinned out ([record] budget: {budget:g} MB). g goes to epoch {epoch}, the "
        "nearest that has them."
    )
    return words.format(budget=budget, epoch=epoch(lens.nearest))

"""Draws the sections beside the four steps: statistics, evaluation mode, γ and β over time, and ε."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from rich.cells import cell_len, set_cell_size

from bntui.keyframe import FloatArray
from bntui.text.figures import difference, epoch, magnitude, number, percent
from bntui.text.language import N_, _
from bntui.text.widths import center, longest, wrap
from bntui.viewer.draw import cells
from bntui.viewer.draw.axes import Limits, limits, tick_label
from bntui.viewer.draw.rows import Drawing, Row, Span, fit, framed
from bntui.viewer.microscope.picture import MARK, compact
from bntui.viewer.microscope.state import Lens
from bntui.viewer.microscope.words import figure, size, variance, verdicts

LABEL: Final = 6
"""Cells of a chart's axis labels."""
WHOSE: Final = {"batch": N_("batch"), "layer": N_("sample"), "group": N_("group")}
"""The set over which mean and variance are computed, by kind of normalization."""
STATISTICS, EVALUATION, HEALTH = 5, 6, 6
"""Rows inside the frames of three sections; the section of γ and β gets the rest."""
MOST_CHART: Final = 9
LEAST_CHARTS: Final = 5
"""Minimum rows of the section of γ and β, however many diagnoses there are."""


class SideFrame(NamedTuple):
    """One frame beside the steps."""

    title: str
    rows: Sequence[Row]
    lines: int


def beside(lens: Lens, width: int, height: int) -> list[Row]:
    """The four sections, one below the other, in exactly ``height`` rows of ``width`` cells."""
    inner = width - 4
    health = _health(lens, inner)
    left = height - 8 - STATISTICS - EVALUATION
    below = min(max(len(health), HEALTH), max(left - LEAST_CHARTS, HEALTH - 1))
    if len(health) > below:
        health = [*health[: below - 1], (*health[below - 1][:-1], Span(" …", "muted"))]
    sections = [
        SideFrame(_("Statistics"), _statistics(lens, inner), STATISTICS),
        SideFrame(_("Evaluation mode"), _evaluation(lens, inner), EVALUATION),
        SideFrame(_("γ and β over the epochs"), _learned(lens, inner, left - below), left - below),
        SideFrame(_("ε and the size of the batch"), health, below),
    ]
    rows: list[Row] = []
    for title, lines, size_ in sections:
        padded = [*(fit((Span(" "), *row), width - 2) for row in lines), *([fit((), width - 2)] * size_)][:size_]
        rows += framed(Drawing(title, tuple(padded)), width, focused=False)
    return rows[:height]


def summary(lens: Lens, width: int, height: int) -> list[Row]:
    """The rows below the steps on a small screen: the first diagnosis, γ and β, and evaluation mode, if they fit."""
    rows = [_verdict_line(lens, width), _learned_line(lens), _evaluation_line(lens, width)]
    return [fit((Span(" "), *row), width) for row in (rows + [()] * height)[:height]]


def _statistics(lens: Lens, width: int) -> list[Row]:
    specimen, slide = lens.specimen, lens.slide
    columns: list[tuple[str, tuple[float, float] | None]] = [(_(WHOSE[slide.kind]), (specimen.mean, specimen.var))]
    if slide.kind == "batch":
        columns.append((_("running"), specimen.running))
    room = 11
    name = width - room * len(columns)
    rows: list[Row] = [
        (Span(" " * name), *(Span(" " * (room - cell_len(head)) + head, "muted") for head, _pair in columns))
    ]
    for at, words in enumerate((_("mean μ"), _("variance σ²"), _("deviation σ"))):
        row = [Span(words + " " * (name - cell_len(words)), "muted")]
        for _head, pair in columns:
            value = math.nan if pair is None else (*pair, math.sqrt(max(pair[1], 0.0)))[at]
            row.append(Span(number(value, room, 4), "text"))
        rows.append(tuple(row))
    if slide.kind == "batch" and math.isnan(slide.momentum):
        return rows
    if slide.kind == "batch":
        kept, taken = f"{1 - slide.momentum:g}", f"{slide.momentum:g}"
        words = longest(
            width,
            _("running ← {kept} running + {taken} batch (÷ m−1)").format(kept=kept, taken=taken),
            _("running ← {kept} r. + {taken} batch").format(kept=kept, taken=taken),
        )
    else:
        words = longest(width, _("no running statistics are kept"), _("none are kept"))
    rows.append((Span(words, "muted"),))
    return rows


def _evaluation(lens: Lens, width: int) -> list[Row]:
    specimen, slide, marked = lens.specimen, lens.slide, lens.state.marked
    if slide.kind != "batch":
        words = _("No running statistics: in evaluation mode these values are normalized in the same way.")
        return [(Span(line, "text"),) for line in wrap(words, width)]
    rows: list[Row] = []
    trained, evaluated = specimen.y, specimen.evaluated
    if trained is not None and evaluated is not None:
        with np.errstate(all="ignore"):
            off = evaluated - trained
            most = float(np.abs(off).max())
        pairs = (
            (_("training gives"), figure(float(trained[marked]))),
            (_("evaluation gives"), figure(float(evaluated[marked]))),
        )
        # it agrees with the two figures above it, unless it is smaller than their last digits
        apart = difference(pairs[1][1], pairs[0][1]) or figure(float(off[marked]))
        rows += [_valued(width, f"{MARK} {words}", value) for words, value in (*pairs, (_("it is off by"), apart))]
        rows.append(_valued(width, _("largest difference"), figure(most)))
    rms = slide.figures(lens.state.time).get("evaluation")
    if rms is not None:
        rows.append(_valued(width, _("root mean square of all"), figure(float(rms[lens.state.chosen]))))
    if specimen.evaluating is not None:
        mean, var = specimen.evaluating
        pair = f"{figure(mean)} {variance(var)}"
        before = slide.before is not None
        rows.append(_valued(width, _("before this step μ, σ²") if before else _("after this step μ, σ²"), pair))
    return rows


def _valued(width: int, words: str, value: str) -> Row:
    words = set_cell_size(words, max(width - len(value) - 1, 0))
    return Span(words + " ", "muted"), Span(value, "text")


def _learned(lens: Lens, width: int, height: int) -> list[Row]:
    """γ and β with their gradients, and a chart of each over the epochs, of equal height."""
    gamma, beta, gamma_gradient, beta_gradient = lens.specimen.of(lens.state.marked)
    lines = min(max((height - 3) // 2, 0), MOST_CHART)
    rows: list[Row] = []
    courses = lens.courses.of(lens.slide, lens.state.chosen, lens.state.marked)
    for name, value, gradient, course in zip(
        "γβ", (gamma, beta), (gamma_gradient, beta_gradient), courses, strict=True
    ):
        slope = "—".rjust(7) if math.isnan(gradient) else magnitude(gradient)
        rows.append(
            (
                Span(f"{name} ", "bold text"),
                Span("—".rjust(6) if math.isnan(value) else figure(value), "bold text"),
                Span(f"   ∂L/∂{name} ", "muted"),
                Span(slope, "text"),
            )
        )
        rows += _chart(lens, course, width, lines)
    return rows + ([_epochs(lens, width)] if lines and height > 2 * (1 + lines) else [])


def _end(lens: Lens) -> float:
    """The right end of the epoch axis."""
    return float(max(lens.run.info.epochs, *lens.run.history.epoch[-1:], 1))


def _chart(lens: Lens, course: FloatArray, width: int, lines: int) -> list[Row]:
    columns = width - LABEL - 1
    if lines < 1 or columns < 4:
        return []
    scale = _scale(course)
    at = cells.along(lens.courses.epochs, 2 * columns, _end(lens))
    shares = np.full(2 * columns, np.nan)
    if len(course):
        shares = np.where(at >= 0, (course[at] - scale.low) / (scale.high - scale.low), np.nan)
    drawn = cells.line(shares, lines)
    cursor = min(int(lens.run.history.epoch[lens.run.row] / _end(lens) * columns), columns - 1)
    rows: list[Row] = []
    for line, glyphs in enumerate(drawn):
        label = tick_label(scale.high) if line == 0 else tick_label(scale.low) if line == lines - 1 else ""
        row = [(glyph, lens.run.style) for glyph in glyphs.ljust(columns)[:columns]]
        row[cursor] = ("│", "accent") if row[cursor][0] == " " else (row[cursor][0], "bold accent")
        rows.append((Span(label[:LABEL].rjust(LABEL), "muted"), Span("┤" if label else "│", "frame"), *compact(row)))
    return rows


def _scale(course: FloatArray) -> Limits:
    """Round limits around values, at least 0.04 apart, so that tiny changes are not magnified."""
    finite = course[np.isfinite(course)]
    if not finite.size:
        return Limits(0.0, 1.0)
    middle = (finite.min() + finite.max()) / 2
    ends = np.array([finite.min(), finite.max(), middle - 0.02, middle + 0.02])
    return limits([ends], log=False)


def _epochs(lens: Lens, width: int) -> Row:
    last = epoch(_end(lens))
    words = _("epoch")
    middle = width - LABEL - 1 - 1 - len(last)
    return (Span(" " * (LABEL + 1) + "0" + center(words, middle) + last, "muted"),)


def _health(lens: Lens, width: int) -> list[Row]:
    specimen = lens.specimen
    share = specimen.eps_share
    bar = cells.bar(share, max(width - 34, 0))
    rows: list[Row] = [
        (
            Span("ε ", "bold text"),
            Span(f"{cells.tick(specimen.eps):<6} ", "text"),
            Span(longest(width - 20, _("share of σ² + ε"), "ε/(σ² + ε)"), "muted"),
            Span(f" {_share(share)} ", "warn" if share > 0.1 else "text"),
            Span(bar, "warn"),
        )
    ]
    for verdict in verdicts(specimen):
        lines = wrap(verdict.sentence, width - 2)
        rows += [
            (Span(f"{verdict.mark} " if first else "  ", f"bold {verdict.style}"), Span(line, _style(verdict.style)))
            for first, line in ((line is lines[0], line) for line in lines)
        ]
    return rows


def _style(style: str) -> str:
    return "muted" if style == "good" else style


def _share(share: float) -> str:
    """ε's share as a percentage in 8 cells, with more digits if it is very small."""
    if math.isnan(share):
        return "NaN %".rjust(8)
    return percent(share).rjust(8) if share >= 0.001 else f"{number(100 * share, 6, 4).strip():>6} %"


def _verdict_line(lens: Lens, width: int) -> Row:
    """ε's share, and as much of the most severe diagnosis as fits."""
    share = Span(f"ε {cells.tick(lens.specimen.eps)} {_share(lens.specimen.eps_share).strip()}  ", "muted")
    found = verdicts(lens.specimen)
    if not found:
        return (share,)
    verdict = found[0]
    room = width - 4 - cell_len(share.text)  # of these, one is a margin at each side
    line = wrap(verdict.sentence, max(room - 2, 2))
    words = line[0] + (" …" if len(line) > 1 else "")
    return share, Span(f"{verdict.mark} ", f"bold {verdict.style}"), Span(words, _style(verdict.style))


def _learned_line(lens: Lens) -> Row:
    gamma, beta, gamma_gradient, beta_gradient = lens.specimen.of(lens.state.marked)
    row: list[Span] = []
    courses = lens.courses.of(lens.slide, lens.state.chosen, lens.state.marked)
    for name, value, gradient, course in zip(
        "γβ", (gamma, beta), (gamma_gradient, beta_gradient), courses, strict=True
    ):
        at = cells.along(lens.courses.epochs, 12, _end(lens))
        values = np.where(at >= 0, course[at], np.nan) if len(course) else np.full(12, np.nan)
        scale = _scale(course)
        row += [
            Span(f"{name} ", "bold text"),
            Span(figure(value), "bold text"),
            Span(f" ∂ {magnitude(gradient)} ", "muted"),
            Span(cells.sparkline(values, 12, scale.low, scale.high) + "  ", lens.run.style),
        ]
    return tuple(row)


def _evaluation_line(lens: Lens, width: int) -> Row:
    specimen, marked = lens.specimen, lens.state.marked
    if lens.slide.kind != "batch":
        return (Span(_("evaluation mode: the same, no running statistics are kept"), "muted"),)
    row = []
    if specimen.running is not None:
        mean, var = specimen.running
        row = [Span(_("running"), "muted"), Span(f" μ {figure(mean)}  σ² {variance(var)}  ", "text")]
    if specimen.y is not None and specimen.evaluated is not None:
        off = float(specimen.evaluated[marked] - specimen.y[marked])
        words = longest(width - 52, _("evaluation gives"), _("eval."))
        row += [
            Span(f"{MARK} {words} ", "muted"),
            Span(figure(float(specimen.evaluated[marked])), "text"),
            Span(_(", off by {difference}").format(difference=size(off)), "muted"),
        ]
    return tuple(row)

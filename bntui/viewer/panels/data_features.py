"""Draws the distribution of each feature, before and after scaling, in the training and validation sets.

A row of the data panel's table is a histogram and its figures.  Before scaling each feature has an axis of its own;
after it all have the same one, because that is what scaling is for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from rich.cells import cell_len, set_cell_size

from bntui.recording.dataset import RecordedScaling
from bntui.text.figures import count, number
from bntui.text.language import N_, _, ngettext
from bntui.text.widths import ljust, longest, rjust
from bntui.viewer.draw import cells
from bntui.viewer.draw.axes import Limits
from bntui.viewer.draw.rows import FigureReference, Row, Span, fit, join
from bntui.viewer.panels.data_formula import FORMULAS, formula
from bntui.viewer.samples import FeatureFigures, Part

SCALED: Final = {"none": N_("as it is"), "minmax": N_("after min-max scaling"), "standard": N_("after standardization")}
SPREAD: Final = 4
"""The common axis reaches so many standard deviations of all training values from their mean, or to the extreme one if
that is nearer; what lies beyond is in the outer cells."""
FIGURES: Final = ((4, 7), (4, 6), (2, 7), (2, 6))
"""How many figures, and how wide: minimum, maximum, mean and σ, or the last two."""
NAMES: Final = ("min", "max", "mean", "std")
LEAST_HISTOGRAM, MOST_HISTOGRAM = 8, 48
LONGEST_NAME: Final = 24
GAP: Final = 3


@dataclass(frozen=True, slots=True)
class ScalingColumn:
    """One column of the table: the raw values, or those that enter a run's network."""

    scaling: RecordedScaling | None
    mark: str
    """Of the run; empty for raw values."""
    style: str
    low: float
    high: float
    """Both ends of the axis that all features share; equal where each has its own."""
    run: int = -1
    """Number of the run; -1 for raw values."""

    @property
    def raw(self) -> bool:
        """The values are those before scaling."""
        return self.scaling is None or self.scaling.kind == "none"

    def heading(self) -> str:
        if self.scaling is None:
            return _("before scaling")
        return f"{self.mark} {_(SCALED[self.scaling.kind])}"

    def brief(self) -> str:
        """The heading in few cells."""
        return _("before") if self.scaling is None else f"{self.mark} {self.scaling.kind}"


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """What the table tells of."""

    samples: FeatureFigures
    stages: Sequence[ScalingColumn]
    row: int
    """The sample whose values stand in the formulas; -1 for none."""
    feature: int
    """How many of the features stand behind all others, where there is no room for all."""


def stages_of(samples: FeatureFigures, runs: Sequence[tuple[str, str, int]]) -> list[ScalingColumn]:
    """Raw values, and those after each of the runs' scalings that differ.

    Args:
        runs: mark, style and number of the selected run, then of the pinned one.
    """
    stages = [ScalingColumn(None, "", "text", 0.0, 0.0)]
    for mark, style, index in runs:
        scaling = samples.data.scalings[index]
        if all(stage.scaling is None or stage.scaling.kind != scaling.kind for stage in stages):
            stages.append(ScalingColumn(scaling, mark, style, *_common_axis(samples, scaling), index))
    return stages


def _common_axis(samples: FeatureFigures, scaling: RecordedScaling) -> tuple[float, float]:
    low, high, mean, std = samples.figures(None, "train", scaling)
    if math.isfinite(std):
        low, high = max(low, mean - SPREAD * std), min(high, mean + SPREAD * std)
    low, high = -cells.nice(max(-low, 0.0)), cells.nice(max(high, 0.0))
    return (low, high) if high > low else (-1.0, 1.0)


@dataclass(frozen=True, slots=True)
class _TableLayout:
    """How the table uses its room."""

    across: bool
    """Stages stand side by side, else one below the other."""
    name: int
    """Cells of the features' names, which stand left of everything where stages are side by side."""
    part: int
    histogram: int
    figures: tuple[int, int]
    """One of ``FIGURES``; ``(0, 0)`` for none."""
    tall: tuple[int, int]
    """Rows of a histogram of the training values, and of one of the validation values."""
    blank: bool
    """A blank row stands between features."""

    @property
    def column(self) -> int:
        return self.histogram + _size(self.figures)

    def rows(self, stages: int) -> int:
        """Rows of one feature."""
        return (sum(self.tall) + 1) * (1 if self.across else stages)

    def takes(self, stages: int, blocks: int) -> int:
        """Rows of so many features, without the header."""
        return blocks * (self.rows(stages) + self.blank) - self.blank


SHAPES: Final = (
    ((3, 3), True), ((3, 3), False), ((3, 2), False), ((2, 2), True), ((2, 2), False), ((2, 1), False),
    ((1, 1), True), ((1, 1), False),
)  # fmt: skip
"""Heights of the histograms, and whether features stand apart: the first that fits is used."""


def drawn(table: FeatureTable, width: int, height: int) -> list[Row]:
    """At most ``height`` rows: all features together, then the features, as many as there is room for.

    Where there is room for one block only, walking goes from all features together to the features, by spread.
    """
    samples, stages = table.samples, table.stages
    order = samples.by_spread()
    blocks: list[int | None] = list(range(samples.features))
    if samples.features > 1:
        blocks.insert(0, None)
    form = _form(samples, stages, len(blocks), width, height)
    header = _header(stages, form)
    left = 0
    if len(blocks) > 1 and len(header) + form.takes(len(stages), len(blocks)) > height:
        room = max((height - 1 - len(header)) // form.rows(len(stages)), 1)
        form = _form(samples, stages, room, width, height - 1)
        if room == 1:
            blocks = [([None, *order])[table.feature % len(blocks)]]
        else:
            past = table.feature % samples.features
            blocks = [None, *order[past:], *order[:past]][:room]
        left = samples.features - sum(block is not None for block in blocks)
    below = [_more_features(left, width)] if left and height > 1 else []
    rows = header[: max(height - len(below) - form.rows(len(stages)), 0)]
    for place, block in enumerate(blocks):
        if place and form.blank:
            rows.append(())
        rows += _block(table, block, form)
    return [*rows[: height - len(below)], *below]


def _more_features(left: int, width: int) -> Row:
    """How many features do not fit, and how to walk to them."""
    wordings = (
        ngettext("… {count} more feature: [ ] walk", "… {count} more features, by spread: [ ] walk", left),
        ngettext("… {count} more feature", "… {count} more features", left),
    )
    return (Span(longest(width, *(words.format(count=count(left)) for words in wordings)), "muted"),)


def _part_names() -> dict[Part, str]:
    return {"train": _("training"), "validation": _("validation")}


def _form(
    samples: FeatureFigures, stages: Sequence[ScalingColumn], blocks: int, width: int, height: int
) -> _TableLayout:
    part = max(map(cell_len, _part_names().values())) + 1
    names = [_all_features(samples), *samples.data.features]
    name = min(max(map(cell_len, names)), LONGEST_NAME) + 2
    beside = (width - name - part - GAP * (len(stages) - 1)) // len(stages)
    across = beside >= LEAST_HISTOGRAM + _size(FIGURES[1])
    room = beside if across else width - part
    figures = next((figures for figures in FIGURES if room >= LEAST_HISTOGRAM + _size(figures)), (0, 0))
    histogram = min(room - _size(figures), MOST_HISTOGRAM)
    forms = [_TableLayout(across, name, part, histogram, figures, *shape) for shape in SHAPES]
    head = 2 if across else int(bool(figures[0]))
    return next((form for form in forms if head + form.takes(len(stages), blocks) <= height), forms[-1])


def _size(figures: tuple[int, int]) -> int:
    number_of_them, width = figures
    return number_of_them * (width + 1)


def _all_features(samples: FeatureFigures) -> str:
    return _("all {count} features").format(count=count(samples.features))


def _header(stages: Sequence[ScalingColumn], form: _TableLayout) -> list[Row]:
    """What the columns are: headings and axes where stages stand side by side, else the figures' names alone."""
    figures = _figure_names(form)
    if not form.across:
        return [(Span(" " * (form.part + form.histogram) + figures, "muted"),)] if figures else []
    first: list[Span] = [Span(" " * (form.name + form.part))]
    second: list[Span] = [Span(" " * (form.name + form.part))]
    for place, stage in enumerate(stages):
        gap = Span(" " * GAP if place else "")
        heading = stage.heading()
        symbols = FORMULAS[stage.scaling.kind] if stage.scaling is not None else ""
        words = longest(form.column, f"{heading}  {symbols}".rstrip(), heading)
        first += [gap, *fit((Span(words, stage.style if stage.mark else "muted"),), form.column)]
        axis = cells.ruler(stage.low, stage.high, form.histogram)
        second += [gap, Span(axis + figures, "muted")]
    return [tuple(first), tuple(second)]


def _figure_names(form: _TableLayout) -> str:
    wanted, size = form.figures
    names = (_("min"), _("max"), _("mean"), "σ")[4 - wanted :]
    return "".join(" " + rjust(set_cell_size(name, min(cell_len(name), size)), size) for name in names)


def _block(table: FeatureTable, feature: int | None, form: _TableLayout) -> list[Row]:
    """One feature: a histogram of each part in each stage, and what the formula makes of the sample's value."""
    samples = table.samples
    name = _all_features(samples) if feature is None else samples.data.features[feature]
    if cell_len(name) > form.name - 2:
        name = set_cell_size(name, form.name - 3) + "…"
    title = Span(ljust(name, form.name), "bold" if feature is None else "text")
    side = _across if form.across else _down
    return side(table, feature, form, title)


def _across(table: FeatureTable, feature: int | None, form: _TableLayout, title: Span) -> list[Row]:
    """Stages side by side: a row of histograms for each part, and a row of formulas."""
    out: list[Row] = []
    samples, stages = table.samples, table.stages
    gaps = [Span(" " * GAP if place else "") for place in range(len(stages))]
    for part, label in _part_names().items():
        columns = [_histogram(samples, stage, feature, part, form) for stage in stages]
        tall = len(columns[0])
        for at in range(tall):
            last = at == tall - 1
            head = title if part == "train" and last else Span(" " * form.name)
            line = [head, Span(ljust(label if last else "", form.part), "muted")]
            for gap, column in zip(gaps, columns, strict=True):
                line += [gap, *column[at]]
            out.append(tuple(line))
    line = [Span(" " * (form.name + form.part))]
    for gap, stage in zip(gaps, stages, strict=True):
        said = "" if feature is None else formula(samples, stage.scaling, feature, table.row, form.column)
        line += [gap, *fit((Span(said, "muted"),), form.column)]
    return [*out, tuple(line)]


def _down(table: FeatureTable, feature: int | None, form: _TableLayout, title: Span) -> list[Row]:
    """One stage below the other, each with a row that says which, and what the formula makes of the sample's value."""
    out: list[Row] = []
    room = form.part + form.column
    for stage in table.stages:
        heading = stage.heading()
        if stage.scaling is None:
            out.append((title, Span(heading, "muted")))
        else:
            said = FORMULAS[stage.scaling.kind]
            if feature is not None:
                said = formula(table.samples, stage.scaling, feature, table.row, room - 2)
            heading = longest(room - 2 - cell_len(said), heading, stage.mark)
            gap = " " if heading == stage.mark else "  "
            out.append((Span(heading, stage.style), Span(gap + said, "muted")))
        for part, label in _part_names().items():
            plots = _histogram(table.samples, stage, feature, part, form)
            out += [join([Span(" " * form.part)], plot) for plot in plots[:-1]]
            out.append(join([Span(ljust(label, form.part), "muted")], plots[-1]))
    return out


@lru_cache(maxsize=1024)
def _histogram(
    samples: FeatureFigures, stage: ScalingColumn, feature: int | None, part: Part, form: _TableLayout
) -> tuple[Row, ...]:
    """A histogram, and its figures beside its lowest row: the same at every keyframe, so that it is drawn once."""
    axis = Limits(stage.low, stage.high)
    if not axis.high > axis.low:
        low, high = samples.axis(feature, stage.scaling)
        axis = Limits(low, high) if high > low else Limits(low - 0.5, high + 0.5)
    bins = samples.histogram(feature, part, axis, stage.scaling)
    tall = form.tall[part == "validation"]
    plots = cells.histogram(bins, axis, axis, form.histogram, tall, 8 * tall - 1)
    look = stage.style if part == "train" else "muted"
    wanted, size = form.figures
    figures = samples.figures(feature, part, stage.scaling)[4 - wanted :]
    words = [" " + number(value, size, size - 4) for value in figures]
    blank = Span(" " * sum(map(len, words)))
    style = "text" if part == "train" else "muted"
    together = part == "train" and (feature is None or samples.features == 1) and stage.run >= 0
    tells = [FigureReference(stage.run, f"input.{name}") if together else None for name in NAMES[4 - wanted :]]
    told = [Span(word, style, tells=tell) for word, tell in zip(words, tells, strict=True)]
    return (*((Span(plot, look), blank) for plot in plots[:-1]), (*cells.grounded(plots[-1], look), *told))

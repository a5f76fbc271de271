"""Draws the data: the samples, and what the networks make of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from rich.cells import cell_len

from bntui.recording.dataset import RecordedData
from bntui.recording.reading import task_line
from bntui.text.figures import count, number
from bntui.text.language import N_, _
from bntui.text.widths import longest, rjust
from bntui.viewer.draw import canvas, cells
from bntui.viewer.draw.rows import Drawing, Row, Span, fit, join
from bntui.viewer.panels import Panel, data_features, data_picture
from bntui.viewer.panels.data_features import FeatureTable, ScalingColumn
from bntui.viewer.samples import FeatureFigures, samples_of
from bntui.viewer.view import RunView, View

PANEL: Final = Panel(
    "data",
    "7",
    N_("Data"),
    short=N_("Data"),
    quotes={
        "Predictions": "values classes",
        "Keyframe": "batch_indices val_accuracy",
    },
    needs="predictions",
    reads=("dataset",),
    still=True,
    walks=N_("features"),
)
PLOT_BESIDE: Final = 72
"""Width from which a plot has the table beside it."""
PLOT_ABOVE: Final = 24
"""Height from which it has the table below it, where the panel is narrower."""
IMAGE_BESIDE: Final = 60
LEAST_IMAGE, LARGEST_IMAGE = 12, 64
"""Cells of the images' column."""
GAP: Final = Span("  ")


def draw(view: View, width: int, height: int) -> Drawing:
    """A picture first where there is one (a plane, a curve, an image), then the features before and after scaling."""
    data = view.dataset
    if view.mixed:
        sentences = (
            _("These recordings do not share their samples: some have others, another part of them, or none."),
            _("bntui replay shows the samples of one recording."),
        )
        return cells.notice(_("Data"), sentences, width, height)
    if data is None and all(run.info.watched for run in view.shown):
        sentences = (
            _("A training loop of your own was recorded: its samples stay with it."),
            _("Curves, layers and gradients are here."),
        )
        return cells.notice(_("Data"), sentences, width, height)
    if data is None:
        sentences = (
            _("The samples are not in this recording: they take more than 64 MB, or an older version recorded it."),
            _("A new recording of fewer samples has them: --set data.samples=10000."),
        )
        return cells.notice(_("Data"), sentences, width, height)
    samples = samples_of(data)
    runs = view.shown
    stages = data_features.stages_of(samples, [(run.mark, run.style, run.info.index) for run in runs])
    table = FeatureTable(samples, stages, _first_sample(data, runs[0]), view.past)
    if data.grid:
        rows = _with_plot(table, runs, width, height)
    elif data.x.ndim == 4:
        rows = _with_images(table, width, height)
    else:
        rows = _table(table, width, height)
    return Drawing(_title(data, width), tuple(rows))


def _title(data: RecordedData, width: int) -> str:
    task = task_line("classification" if data.classes else "regression", len(data.classes))
    words = _("Data ── {name}: {train} training and {validation} validation samples")
    counts = {"train": count(len(data.train)), "validation": count(len(data.validation))}
    samples = words.format(name=data.name, **counts)
    brief = _("Data ── {name}").format(name=data.name)
    return longest(width - 6, f"{samples} · {task}", f"{brief} · {task}", brief)


def _first_sample(data: RecordedData, run: RunView) -> int:
    """Row of the first sample of the keyframe's mini-batch; -1 where there is none, or it is none of these samples."""
    if run.frame is None or not len(run.frame.batch_indices):
        return -1
    first = int(run.frame.batch_indices[0])
    return int(data.train[first]) if first < len(data.train) else -1


def _told(data: RecordedData, row: int, width: int) -> Row:
    """Which sample is told of, and what is to be learned of it, as far as there is room."""
    if row < 0:
        return (Span(longest(width, _("no keyframe here yet, and so no mini-batch"), "–"), "muted"),)
    place = rjust(count(int(data.numbers[row])), len(count(int(data.numbers[-1]))))

    def worded(name: str) -> tuple[str, ...]:
        target = _("class {name}").format(name=name) if data.classes else f"y = {number(data.y[row].ravel()[0])}"
        return (
            _("first sample of this mini-batch: row {place}, {target}").format(place=place, target=target),
            _("row {place}: {target}").format(place=place, target=target),
            target,
        )

    names = data.classes or ("",)
    name = names[int(data.y[row])] if data.classes else ""
    # as if its class had the longest name, so that no sample is told of in another way than the next
    for words, most in zip(worded(name), worded(max(names, key=cell_len)), strict=True):
        if cell_len(most) <= width:
            return (Span(words),)
    return ()


def _table(table: FeatureTable, width: int, height: int) -> list[Row]:
    """The sample in a line, and below it the features; exactly this size."""
    head = [_told(table.samples.data, table.row, width)] if height > 3 else []
    rows = [*head, *data_features.drawn(table, width, height - len(head))]
    return list(cells.page("", rows, width, height).rows)


def _with_plot(table: FeatureTable, runs: Sequence[RunView], width: int, height: int) -> list[Row]:
    """Boundary or curve, first and largest; the features beside it or below."""
    data = table.samples.data

    def plot(across: int, down: int) -> list[Row]:
        top = data_picture.legend(data, runs, across, down // 5)
        return [*top, *data_picture.drawn(data, runs, table.row, across, down - len(top))]

    if width >= PLOT_BESIDE:
        side = min(max(width * 2 // 5, 34), 62)
        left = plot(width - side - 2, height)
        right = _table(table, side, height)
        return [(*first, GAP, *second) for first, second in zip(left, right, strict=True)]
    upper = height if height < PLOT_ABOVE else max(height * 3 // 5, height - 16)
    return [*plot(width, upper), *_table(table, width, height - upper)]


def _with_images(table: FeatureTable, width: int, height: int) -> list[Row]:
    """The sample before scaling and as each network gets it, then the pixels' distributions."""
    samples, every, row = table.samples, table.stages, table.row
    pixels = samples.data.x.shape[2:]
    # a network that gets the raw values shows them
    stages = every[1:] if any(stage.raw for stage in every[1:]) else every
    if width >= IMAGE_BESIDE:
        each = max(height // len(stages) - 1, 1)
        across = canvas.picture_size(pixels, min(width // 4, LARGEST_IMAGE), each)[0]
        size = max(across, LEAST_IMAGE, min(width // 6, 24))
        left: list[Row] = []
        for stage in stages:
            heading = longest(size, stage.heading(), stage.brief())
            left += [(Span(heading, stage.style if stage.mark else "muted"),)]
            left += _image(samples, stage, row, size, each)
        left = list(cells.page("", left, size, height).rows)
        right = _table(table, width - size - 2, height)
        return [(*first, GAP, *second) for first, second in zip(left, right, strict=True)]
    size = (width - 2 * (len(stages) - 1)) // len(stages)
    upper = max(canvas.picture_size(pixels, size, height // 2)[1], 1)
    images = [cells.page("", _image(samples, stage, row, size, upper), size + 2, upper).rows for stage in stages]
    rows = [fit(join(*parts), width) for parts in zip(*images, strict=True)]
    return [*rows, *_table(table, width, height - upper)]


def _image(samples: FeatureFigures, stage: ScalingColumn, row: int, width: int, height: int) -> list[Row]:
    """A sample as shades between the ends of the axis that all pixels share; colors as the mean of the channels."""
    if row < 0:
        return []
    values = samples.scaled(row, stage.scaling)
    low, high = samples.axis(None) if stage.raw else (stage.low, stage.high)
    shades = (values - low) / (high - low) if high > low and math.isfinite(high - low) else np.zeros(len(values))
    image = shades.reshape(samples.data.x.shape[1:]).mean(0)
    return [(Span(line),) for line in canvas.picture(image, width, height)]

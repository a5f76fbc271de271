"""Reads the samples stored in a recording, with their split and scaling, and the grid of predictions."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bntui.keyframe import FloatArray, IntArray, Predictions, SingleArray
from bntui.recording.arrays import POINTS, array, unfit, within
from bntui.recording.codec import metadata_of, unpack_arrays
from bntui.recording.foreign_json import parsed
from bntui.recording.forms import NAMES, SCALING
from bntui.recording.kinds import hold
from bntui.text.language import _
from bntui.text.output import clean


@dataclass(frozen=True, slots=True, eq=False)
class RecordedScaling:
    """A run's feature scaling ``(x - offset) * factor``, fitted on the training part; shapes of one sample.

    Compared by identity.
    """

    kind: str
    """``none``, ``minmax`` or ``standard``."""
    offset: FloatArray
    factor: FloatArray


@dataclass(frozen=True, slots=True)
class RecordedData:
    """All samples of a recording, before scaling."""

    name: str
    x: SingleArray | FloatArray
    """Shape ``(N, features)``, or ``(N, channels, height, width)`` for images; raw units; float64 if float32 would
    lose precision."""
    y: IntArray | SingleArray
    """Class numbers ``(N,)``, or values ``(N, outputs)`` in regression."""
    train: IntArray
    """Rows of the training part; a keyframe's ``batch_indices`` index into it."""
    validation: IntArray
    """Rows of the validation part."""
    classes: tuple[str, ...]
    """Name of each class; empty in regression."""
    features: tuple[str, ...]
    """Name of each feature; for images, of each pixel in C order."""
    scalings: tuple[RecordedScaling, ...]
    """One for each run."""
    grid: tuple[SingleArray | FloatArray, ...]
    """Where predictions are recorded, raw units: the values of one axis (regression) or of two, the first across
    (columns), the second up (rows).  Empty where there are none."""
    lines: IntArray | None = None
    """Line of the file in which each sample stands, from 1; None where samples are no lines, or nobody noted it."""

    @property
    def numbers(self) -> IntArray:
        """What each sample is called everywhere: the line of the file, else its place among all samples from 1."""
        return np.arange(1, len(self.x) + 1) if self.lines is None else self.lines


def scaling_of(block: bytes) -> RecordedScaling:
    """Unpack a run's feature scaling.

    Raises:
        ValueError: the block is damaged.
    """
    fitted = unpack_arrays(block)
    offset = fitted.get("offset")
    shape = () if offset is None else offset.shape
    offset, factor = (array(fitted, name, "fiu", shape).astype(np.float64) for name in ("offset", "factor"))
    for name, values in (("offset", offset), ("factor", factor)):
        if not np.isfinite(values).all() or (name == "factor" and (values <= 0).any()):
            raise unfit(name, values, _("finite numbers, a factor above 0"))
    kind = metadata_of(block).get("kind")
    hold(SCALING, kind, _("the kind of scaling"))
    assert kind is not None
    return RecordedScaling(kind, offset, factor)


def grid_of(block: bytes) -> tuple[SingleArray, ...]:
    """Unpack the axes of the grid of predictions.

    Raises:
        ValueError: the block is damaged.
    """
    arrays = unpack_arrays(block)
    if len(arrays) not in (1, 2):
        raise ValueError(_("a grid has one or two axes, not {count}").format(count=len(arrays)))
    axes = tuple(array(arrays, name, "f", (None,)) for name in sorted(arrays))
    for name, axis in zip(sorted(arrays), axes, strict=True):
        if not 2 <= len(axis) <= POINTS or not np.isfinite(axis).all() or (np.diff(axis) < 0).any():
            raise unfit(name, axis, _("2 to {points} ascending numbers").format(points=POINTS))
    return axes


def check_predictions(predictions: Predictions, grid: tuple[SingleArray, ...]) -> None:
    """Raise ValueError if the shape of the predictions does not match the grid."""
    values, classes = predictions.values, predictions.classes
    of_grid = tuple(len(axis) for axis in reversed(grid))
    if not of_grid or values.shape[: len(of_grid)] != of_grid or (len(of_grid) == 2) != (classes is not None):
        shape = "×".join(map(str, of_grid)) or "-"
        raise unfit("predictions", values, _("the predictions of a grid {shape}").format(shape=shape))


def data_of(
    row: Mapping[str, object] | sqlite3.Row,
    task: str,
    scalings: Sequence[RecordedScaling],
    grid: tuple[SingleArray, ...],
) -> RecordedData:
    """Unpack the samples stored in a recording.

    Args:
        row: the columns ``block`` and ``source`` of the table ``data``.
        task: ``classification`` or ``regression``.

    Raises:
        ValueError: the block is damaged: an array has the wrong type or shape, a row number is out of range, or a
            class or feature has no name.
    """
    block, source = row["block"], row["source"]
    assert isinstance(block, bytes)
    assert isinstance(source, str)
    arrays, names = unpack_arrays(block), metadata_of(block)
    x = arrays.get("x")
    if x is None or x.dtype.kind != "f" or x.ndim not in (2, 4) or not x.size or not np.isfinite(x).all():
        raise unfit("x", x, _("finite samples, N×features or N×channels×height×width"))
    classes, features = (
        tuple(map(clean, parsed(names.get(name, ""), NAMES, name, len(block)))) for name in ("classes", "features")
    )
    samples = len(x)
    if task == "classification":
        y = array(arrays, "y", "ui", (samples,))
        within("y", y, 0, len(classes))
    else:
        y = array(arrays, "y", "f", (samples, None))
        if not y.size or not np.isfinite(y).all() or classes:
            raise unfit("y", y, _("finite targets"))
    parts = [array(arrays, name, "i", (None,)) for name in ("train", "validation")]
    for name, part in zip(("train", "validation"), parts, strict=True):
        within(name, part, 0, samples)
        if not len(part):
            raise unfit(name, part, _("at least one row"))
    if len(features) != x[0].size:
        sentence = _("{found} features have names, but a sample has {count} values")
        raise ValueError(sentence.format(found=len(features), count=x[0].size))
    for scaling in scalings:
        if scaling.offset.shape != x.shape[1:]:
            raise unfit("offset", scaling.offset, _("a value for each feature"))
    if grid and (x.ndim != 2 or len(grid) != x.shape[1]):
        raise ValueError(_("a grid of {axes} axes does not match these samples").format(axes=len(grid)))
    lines = None
    if "lines" in arrays:
        lines = array(arrays, "lines", "i", (samples,))
        if (lines < 1).any() or (np.diff(lines) < 1).any():
            raise unfit("lines", lines, _("ascending numbers from 1"))
    train, validation = parts
    return RecordedData(clean(source), x, y, train, validation, classes, features, tuple(scalings), grid, lines)

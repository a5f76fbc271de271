"""Checks that arrays from an untrusted file have the type, shape and range that their names require."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.keyframe import (
    COLUMN_FORMATS,
    HISTOGRAM_BINS,
    LAYER_COLUMNS,
    MASK_SAMPLES,
    QUANTITIES,
    BatchNorm,
    Keyframe,
    LayerMeasures,
)
from bntui.measures import Declared, declarations
from bntui.recording.history import LayerInfo
from bntui.text.language import _

Arrays = Mapping[str, NDArray[Any]]
Shape = tuple[int | None, ...]
"""A length for each axis; None allows any."""

OLDEST_COLUMNS: Final = sum(since == 1 for since in COLUMN_FORMATS.values())
"""Columns of the table of per-layer scalars in format 1."""
BATCH_NORM: Final[Mapping[str, tuple[Declared, ...]]] = {
    name: tuple(one for one in declarations(BatchNorm) if one.kept.array == name)
    for name in dict.fromkeys(one.kept.array for one in declarations(BatchNorm))
}
"""Arrays of a layer's batch normalization, and the figures stacked in each."""
OLDEST_VECTORS: Final = sum(one.kept.shape != "" and one.kept.since == 1 for one in declarations(BatchNorm))
"""Per-feature figures of format 1, which kept them all in one array, ``batch_norm``."""
OWN: Final[Mapping[type, tuple[Declared, ...]]] = {
    owner: tuple(one for one in declarations(owner) if one.kept.place == "block") for owner in (Keyframe, LayerMeasures)
}
"""Fields of a keyframe and of a layer that are stored as an array of their own."""
POINTS: Final = 4096
"""Maximum number of points on one axis of the grid of predictions."""


def unfit(name: str, values: NDArray[Any] | None, wanted: str) -> ValueError:
    """An error that says what is wrong with an array; ``values`` is None if it is missing."""
    found = _("missing") if values is None else f"{values.dtype} {'×'.join(map(str, values.shape)) or '()'}"
    return ValueError(_("the array {name} is {found}, not {wanted}").format(name=name, found=found, wanted=wanted))


def matches(shape: tuple[int, ...], wanted: Shape) -> bool:
    """True if a shape has the required lengths."""
    if shape == wanted:
        return True
    return len(shape) == len(wanted) and all(
        length is None or length == found for found, length in zip(shape, wanted, strict=True)
    )


def array(arrays: Arrays, name: str, kinds: str, shape: Shape) -> NDArray[Any]:
    """A required array, checked.

    Args:
        kinds: the NumPy kinds that are allowed, such as ``"ui"`` for integers.
        shape: the required length of each axis.

    Raises:
        ValueError: the array is missing, or has another kind or shape.
    """
    values = arrays.get(name)
    if values is None or values.dtype.kind not in kinds or not matches(values.shape, shape):
        words = "×".join("…" if length is None else str(length) for length in shape)
        raise unfit(name, values, _("an array {shape} of kind {kinds}").format(shape=words, kinds=kinds))
    return values


def within(name: str, values: NDArray[Any], low: int, high: int) -> None:
    """Raise ValueError unless all integers are at least ``low`` and less than ``high``."""
    if values.size and not (int(values.min()) >= low and int(values.max()) < high):
        raise unfit(name, values, _("whole numbers from {low} to {high}").format(low=low, high=high - 1))


def layer_tables(blocks: Sequence[bytes | None], layers: int) -> NDArray[np.float64]:
    """Tables of per-layer scalars, shape ``(rows, layers, len(LAYER_COLUMNS))``; NaN where a row has none.

    Columns that the recording's format does not have are NaN, too.

    Raises:
        ValueError: a block has the wrong size.
    """
    whole = [block for block in blocks if block is not None]
    sizes = {len(block) for block in whole}
    if len(whole) == len(blocks) and sizes == {layers * len(LAYER_COLUMNS) * 8}:  # nearly always
        return np.frombuffer(b"".join(whole)).reshape(len(whole), layers, len(LAYER_COLUMNS))
    tables = np.full((len(blocks), layers, len(LAYER_COLUMNS)), np.nan)
    for size in sizes:
        columns, rest = divmod(size, layers * 8)
        if rest or not OLDEST_COLUMNS <= columns <= len(LAYER_COLUMNS):
            sentence = _("a table of {size} bytes does not match {layers} layers")
            raise ValueError(sentence.format(size=size, layers=layers))
        places = [number for number, block in enumerate(blocks) if block is not None and len(block) == size]
        written = np.frombuffer(b"".join(blocks[place] or b"" for place in places))
        tables[places, :, :columns] = written.reshape(len(places), layers, columns)
    return tables


def check_measures(arrays: Arrays, layers: Sequence[LayerInfo]) -> None:
    """Check a keyframe's arrays against the layers of its run.

    Raises:
        ValueError: an array is missing, has the wrong type or shape, or contains a value out of range.
    """
    counts = array(arrays, "counts", "ui", (len(layers), len(QUANTITIES), HISTOGRAM_BINS))
    within("counts", counts, 0, 2**31)
    within("batch_indices", array(arrays, "batch_indices", "ui", (None,)), 0, 2**31)
    _check_own(arrays, Keyframe)
    for number, info in enumerate(layers):
        _check_own(arrays, LayerMeasures, f"{number}.")
        if f"{number}.eps" in arrays:
            _check_norm(arrays, number, info)
        if f"{number}.mask" in arrays:
            mask = array(arrays, f"{number}.mask", "u", (None, None))
            shape = array(arrays, f"{number}.mask_shape", "i", (2,))
            samples, units = map(int, shape)
            if mask.dtype != np.uint8 or mask.shape != (samples, -(-units // 8)) or samples > MASK_SAMPLES or not units:
                raise unfit(f"{number}.mask", mask, _("a mask of {shape} bits").format(shape=f"{samples}×{units}"))
    if "predictions" in arrays:
        _check_predictions(arrays)


def _check_own(arrays: Arrays, owner: type, prefix: str = "") -> None:
    for one in OWN[owner]:
        name = prefix + one.kept.array
        found = arrays.get(name)
        if found is not None and (found.dtype.kind not in "fuib" or found.ndim not in one.axes):
            raise unfit(name, found, _("an array of numbers"))


def _check_norm(arrays: Arrays, number: int, info: LayerInfo) -> None:
    eps = array(arrays, f"{number}.eps", "f", (1,))
    if not 0 < float(eps[0]) < math.inf:
        raise unfit(f"{number}.eps", eps, _("a number above 0"))
    features = info.shape[0] if info.kind in ("linear", "conv") else None
    if f"{number}.batch_norm" in arrays:  # format 1
        array(arrays, f"{number}.batch_norm", "f", (OLDEST_VECTORS, features))
        return
    name = f"{number}.statistics"
    affine = array(arrays, f"{number}.affine", "f", (len(BATCH_NORM["affine"]), features))
    features = affine.shape[1]
    steps = arrays[name].ndim == 3 if name in arrays else False
    count = len(BATCH_NORM["statistics"])
    statistics = array(arrays, name, "f", (count, info.shape[0], features) if steps else (count, features))
    if not features or not statistics.size:
        raise unfit(name, statistics, _("statistics of at least one feature"))


def _check_predictions(arrays: Arrays) -> None:
    classes = arrays.get("predicted_classes")
    predictions = array(arrays, "predictions", "f", (None, None))
    if max(predictions.shape) > POINTS or not predictions.size:
        raise unfit(
            "predictions", predictions, _("predictions on a grid of at most {points} points").format(points=POINTS)
        )
    if classes is not None and array(arrays, "predicted_classes", "u", predictions.shape).dtype != np.uint8:
        raise unfit("predicted_classes", classes, _("numbers of classes"))

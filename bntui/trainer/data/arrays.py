"""Converts arrays of samples and targets, from any file format, into a data set.

Images ``(N, H, W)`` get a channel axis.  Images ``(N, a, b, c)`` are converted from channels last to channels first if
c is 1, 3 or 4 and a is not; all others are treated as channels first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bntui.errors import DataError
from bntui.keyframe import IntArray, SingleArray
from bntui.recording.reading import Reading, ReadingNote
from bntui.text.language import _
from bntui.trainer.data.contents import (
    SET_TASK,
    Choices,
    Contents,
    TaskChoice,
    are_codes,
    are_whole,
    check_count,
    check_width,
    class_numbers,
    code_notes,
    fits_single,
    listed,
    narrowest,
    not_finite,
    target_values,
    word_classes,
)

_CHANNELS: Final = (1, 3, 4)
_PART: Final = 1 << 22
"""Number of values that are checked at a time, to avoid copies of whole arrays."""


class Named(NamedTuple):
    """An array, and its name in messages."""

    place: str
    values: NDArray[Any]


def pixel_names(shape: Sequence[int]) -> tuple[str, ...]:
    """Names of an image's values in C order: ``pixel_row_column``, preceded by the channel if there are several."""
    channels, height, width = shape
    return tuple(
        f"pixel_{row}_{column}" if channels == 1 else f"channel_{channel}_pixel_{row}_{column}"
        for channel in range(channels)
        for row in range(height)
        for column in range(width)
    )


def from_arrays(inputs: Named, targets: Named, choices: Choices, reading: Reading) -> Contents:
    """Samples and targets from two arrays.

    Args:
        choices: the scenario's settings.
        reading: completed with what the arrays contain.

    Raises:
        DataError: the shapes or values cannot be used for training.
    """
    x, y = inputs.values, targets.values
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        sentence = _("{x_place}: {samples} samples, but {y_place}: {targets} targets; the numbers must be equal")
        samples, count = (len(values) if values.ndim else 0 for values in (x, y))
        raise DataError(sentence.format(x_place=inputs.place, samples=samples, y_place=targets.place, targets=count))
    x, y = _channels_first(inputs.place, x[: choices.samples]), y[: choices.samples]
    check_count(inputs.place, len(x))
    check_width(inputs.place, x[0].size)
    _finite(inputs.place, x)
    features = pixel_names(x.shape[1:]) if x.ndim == 4 else tuple(f"x{n}" for n in range(1, x.shape[1] + 1))
    values, classes, notes = _target(targets.place, y, choices.task)
    whole = Reading(
        reading.source, reading.format, len(x), x.shape[1:], "classification" if classes else "regression",
        len(classes), float(x.min()), float(x.max()), str(inputs.values.dtype), reading.target, reading.arrays,
        notes=(*reading.notes, *_of_features(x, features), *notes),
    )  # fmt: skip
    return Contents(narrowest(x), values, classes, features, whole)


def _channels_first(place: str, x: NDArray[Any]) -> NDArray[Any]:
    if x.ndim > 4 or x.size == 0:
        sentence = _("{place}: shape {size}; must be (N, features), (N, H, W), or (N, channels, H, W), without 0")
        raise DataError(sentence.format(place=place, size=size_of(x.shape)))
    if x.ndim == 1:
        return x[:, None]
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 4 and x.shape[3] in _CHANNELS and x.shape[1] not in _CHANNELS:
        return np.moveaxis(x, 3, 1)
    return x


def _target(
    place: str, y: NDArray[Any], task: TaskChoice
) -> tuple[IntArray | SingleArray, tuple[str, ...], list[ReadingNote]]:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim > 2 or y.size == 0:
        sentence = _("{place}: shape {size}; targets must be (N,) or (N, outputs)")
        raise DataError(sentence.format(place=place, size=size_of(y.shape)))
    words = y.dtype.kind in "US"
    if words and task == "regression":
        raise DataError(
            _("{place}: words where regression needs numbers; {advice}").format(place=place, advice=_(SET_TASK))
        )
    if words and y.ndim == 1:
        names = _as_text(y)
        if "" in names:
            sentence = _("{place}: [{index}]: an empty word; name the class or remove the sample")
            raise DataError(sentence.format(place=place, index=names.index("")))
        return *word_classes(place, names), []
    if not words:
        _finite(place, y)
    whole = not words and are_whole(y)
    if y.ndim == 1 and (task == "classification" or (task == "auto" and whole and (y.dtype == bool or are_codes(y)))):
        return *class_numbers(place, y), code_notes(y) if task == "auto" else []
    if words or task == "classification":
        sentence = _("{place}: shape {size}; class numbers must be (N,), not one-hot")
        raise DataError(sentence.format(place=place, size=size_of(y.shape)))
    if task == "auto" and y.ndim == 2 and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all():
        sentence = _('{place}: looks one-hot; give class numbers (N,), or set data.task = "regression"')
        raise DataError(sentence.format(place=place))
    values, notes = target_values(y, noted=whole and task == "auto" and y.ndim == 1)
    return values, (), notes


def _of_features(x: NDArray[Any], features: Sequence[str]) -> Iterator[ReadingNote]:
    """Notes on features that the user should check; pixels that are constant are usual."""
    if x.ndim == 2:
        constant = [name for name, same in zip(features, (x == x[0]).all(axis=0).tolist(), strict=True) if same]
        if constant:
            yield ReadingNote("constant", {"names": listed(constant)})
    yield from _beyond_doubles(x, features)


def _beyond_doubles(x: NDArray[Any], features: Sequence[str]) -> list[ReadingNote]:
    """A note that names the features with whole numbers of more digits than a float holds."""
    if x.dtype.kind not in "iu" or x.dtype.itemsize < 8 or (x.max() <= 2**53 and x.min() >= -(2**53)):
        return []
    # as Python's numbers, which are compared exactly
    lost = (x.astype(np.float64).astype(object) != x.astype(object)).reshape(len(x), -1).any(axis=0)
    names = [name for name, wrong in zip(features, lost.tolist(), strict=True) if wrong]
    return [ReadingNote("digits", {"names": listed(names)})] if names else []


def _as_text(y: NDArray[Any]) -> list[str]:
    return [word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word) for word in y.tolist()]


def size_of(shape: Sequence[int]) -> str:
    """A shape for messages: ``4×28×28``."""
    return "×".join(map(str, shape))


def _finite(place: str, values: NDArray[Any]) -> None:
    """Raise DataError, with the first three values, if any value is not finite in float32."""
    if values.dtype.kind != "f":
        return
    rows = max(_PART // max(values[0].size, 1), 1)
    wrong: list[str] = []
    for start in range(0, len(values), rows):
        for index in np.argwhere(~fits_single(values[start : start + rows]))[:3]:
            index[0] += start
            where = ", ".join(map(str, index))
            wrong.append(f"{place}: [{where}]: {not_finite(float(values[tuple(index)]))}")
        if len(wrong) >= 3:
            break
    if wrong:
        raise DataError("\n".join(wrong[:3]))

"""What does every data file come down to: samples, targets, and the checks that all formats share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from bntui.errors import DataError, did_you_mean
from bntui.keyframe import BoolArray, IntArray, SingleArray
from bntui.language import N_, _, ngettext

TaskChoice = Literal["auto", "classification", "regression"]

MINIMUM_SAMPLES: Final = 4
SET_TASK: Final = N_('set data.task = "classification" or "regression"')


@dataclass(frozen=True, slots=True)
class Contents:
    """What a data file holds."""

    x: SingleArray
    """Shape ``(N, features)`` or ``(N, channels, height, width)``."""
    y: IntArray | SingleArray
    """Class numbers ``(N,)``, or ``(N, outputs)`` values in regression."""
    classes: tuple[str, ...]
    """Empty in regression."""
    features: tuple[str, ...]


def fits_single(values: NDArray[Any]) -> BoolArray:
    """Where values stay finite as float32; a limit instead of a cast, which would warn."""
    fits: BoolArray = np.abs(values) <= np.finfo(np.float32).max
    return fits


def not_finite(value: float) -> str:
    """What is wrong with a value that does not fit single precision."""
    if math.isfinite(value):
        return _("{value:g} is too large for single precision (3.4e38)").format(value=value)
    return _("{value} is not a finite number; replace it or remove the sample").format(value=value)


def are_whole(values: NDArray[Any]) -> bool:
    """Are all whole numbers; beyond 2^53 every float is one, and none is a class number."""
    return values.dtype.kind != "f" or bool(((values == np.floor(values)) & (np.abs(values) <= 2**53)).all())


def class_numbers(place: str, values: NDArray[Any]) -> tuple[IntArray, tuple[str, ...]]:
    """Class numbers in the order of their names, or of their values where they are numbers."""
    if values.dtype.kind == "b" or (values.dtype.kind == "f" and are_whole(values)):
        values = values.astype(np.int64)
    labels, numbers = np.unique(values, return_inverse=True)
    if len(labels) < 2:
        sentence = _("{place}: one class only ({name}); classification needs 2 or more")
        raise DataError(sentence.format(place=place, name=labels[0]))
    if len(labels) == len(values):
        sentence = _(
            '{place}: every sample is a class of its own; name another target, or set data.task = "regression"'
        )
        raise DataError(sentence.format(place=place))
    names = np.char.decode(labels, "utf-8", "replace") if labels.dtype.kind == "S" else labels
    return numbers.astype(np.int64), tuple(str(name) for name in names)


def check_count(place: str | Path, count: int) -> None:
    """Refuse fewer samples than a split and a batch can be made of."""
    if count < MINIMUM_SAMPLES:
        sentence = ngettext(
            "{place}: {count} sample; {minimum} or more are needed",
            "{place}: {count} samples; {minimum} or more are needed",
            count,
        )
        raise DataError(sentence.format(place=place, count=count, minimum=MINIMUM_SAMPLES))


def nearest(name: str, names: Sequence[str]) -> str:
    """A hint at the nearest spelling with a space before it, or nothing."""
    near = get_close_matches(name, names, n=1)
    return f" {did_you_mean(near[0])}" if near else ""


def listed(names: Sequence[str]) -> str:
    """Names for a message, the first dozen of them."""
    shown = ", ".join(map(repr, names[:12]))
    return shown if len(names) <= 12 else _("{names}, … ({count} in all)").format(names=shown, count=len(names))

"""Holds the samples and targets read from a data file, and the checks that all formats share.

Unless ``data.task`` is set, whole numbers as targets are classes if they look like codes, see :func:`are_codes`; other
numbers are regression targets.
"""

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
from bntui.files import in_bytes
from bntui.keyframe import BoolArray, FloatArray, IntArray, SingleArray
from bntui.recording.reading import Reading, ReadingNote
from bntui.text.language import N_, _, ngettext
from bntui.text.output import clean

TaskChoice = Literal["auto", "classification", "regression"]

MINIMUM_SAMPLES: Final = 4
MOST_BYTES: Final = 4_000_000_000
"""Maximum size of a data file on disk, and of its values in memory."""
MOST_FEATURES: Final = 200_000
"""Maximum number of values in a sample; a color image of 256x256 pixels has 196,608."""
MOST_DEFLATED: Final = 1040
"""Maximum compression ratio of deflate."""
LARGE: Final = 250_000_000
"""Size in bytes from which a high compression ratio is refused."""
SUSPICIOUS: Final = 200
"""Highest compression ratio allowed beyond ``LARGE`` bytes; that of MNIST is 5, that of sparse data about 50."""
FEW_CLASSES: Final = 20
"""Maximum number of classes for whole numbers with gaps; see :func:`are_codes`."""
MOST_CLASSES: Final = 1000
"""Maximum number of classes."""
LONGEST_CLASS: Final = 200
"""Maximum length of a class name in characters."""
SET_TASK: Final = N_('set data.task = "classification" or "regression"')


@dataclass(frozen=True, slots=True)
class Choices:
    """A scenario's settings for a data file; those that are not set are inferred."""

    target: str | None = None
    task: TaskChoice = "auto"
    samples: int | None = None
    """Number of samples to read from the start of the file; None for all."""
    delimiter: str | None = None
    header: bool | None = None
    decimal: str | None = None
    drop: tuple[str, ...] = ()
    features: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a data file."""

    x: SingleArray | FloatArray
    """Shape ``(N, features)`` or ``(N, channels, height, width)``; float32 if that represents every value exactly, else
    float64."""
    y: IntArray | SingleArray
    """Class numbers ``(N,)``, or ``(N, outputs)`` values in regression."""
    classes: tuple[str, ...]
    """Names of the classes; empty in regression."""
    features: tuple[str, ...]
    reading: Reading
    """What was inferred."""
    lines: IntArray | None = None
    """Line of the file in which each sample stands, from 1; None where samples are no lines."""


def narrowest(values: NDArray[Any]) -> SingleArray | FloatArray:
    """The values as float32 if that represents all of them exactly, else as float64, so that scaling is exact."""
    if values.dtype.kind in "bu" and values.dtype.itemsize <= 2:
        return np.ascontiguousarray(values, dtype=np.float32)
    single = np.ascontiguousarray(values, dtype=np.float32)
    return single if (single == values).all() else np.ascontiguousarray(values, dtype=np.float64)


def are_codes(values: NDArray[Any]) -> bool:
    """True if whole numbers are probably codes of classes rather than quantities.

    There must be at most ``FEW_CLASSES`` different values, each occurring twice on average; or at most ``MOST_CLASSES``
    consecutive values from 0 or 1, each occurring at least five times.
    """
    distinct, counts = np.unique(values, return_counts=True)
    if 2 * len(distinct) > len(values):
        return False
    if len(distinct) <= FEW_CLASSES:
        return True
    low, high = int(distinct[0]), int(distinct[-1])
    gapless = low in (0, 1) and high - low + 1 == len(distinct)
    return gapless and len(distinct) <= MOST_CLASSES and int(counts.min()) >= 5


def code_notes(values: NDArray[Any]) -> list[ReadingNote]:
    """A note for whole numbers that are taken for classes, unless there are only two of them."""
    distinct = len(np.unique(values))
    return [ReadingNote("codes", {"distinct": f"{distinct:,}"})] if distinct > 2 else []


def target_values(values: NDArray[Any], *, noted: bool) -> tuple[SingleArray, list[ReadingNote]]:
    """The targets of a regression, and notes about what single precision merges and about a single value.

    Args:
        values: shape ``(N,)`` or ``(N, outputs)``; finite in float32.
        noted: a note says that whole numbers are not taken for classes.
    """
    columns = values.reshape(len(values), -1)
    single = np.ascontiguousarray(columns.astype(np.float64), dtype=np.float32)
    distinct = [len(np.unique(columns[:, at])) for at in range(columns.shape[1])]
    notes = [ReadingNote("whole", {"distinct": f"{distinct[0]:,}"})] if noted else []
    if max(distinct) == 1:
        notes.append(ReadingNote("level", {"value": f"{columns[0, 0]:g}"}))
    for at, before in enumerate(distinct):
        after = len(np.unique(single[:, at]))
        if after < before:
            notes.append(ReadingNote("single", {"before": f"{before:,}", "after": f"{after:,}"}))
            break
    return single, notes


def check_memory(place: str | Path, needed: int) -> None:
    """Raise DataError if the values need more memory than the limit, or than is free; call it before allocating."""
    if needed > MOST_BYTES:
        sentence = _("{place}: its values need {needed} of memory, more than {limit}; use a smaller file")
        raise DataError(sentence.format(place=place, needed=in_bytes(needed), limit=in_bytes(MOST_BYTES)))
    free = _free_memory()
    if free is not None and needed > free:
        sentence = _("{place}: its values need {needed} of memory, but only {free} are free; use a smaller file")
        raise DataError(sentence.format(place=place, needed=in_bytes(needed), free=in_bytes(free)))


def _free_memory() -> int | None:
    """Bytes of available memory; None if unknown."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, LookupError, ValueError):
        return None


def check_unpacked(place: str | Path, packed: int, unpacked: int) -> None:
    """Raise DataError for an implausible compression ratio, which means damage or an attempt to fill the memory.

    Args:
        packed: size in bytes as stored.
        unpacked: size in bytes after unpacking, as declared.
    """
    if unpacked > packed * MOST_DEFLATED + 1000:
        sentence = _("{place}: {packed} cannot unpack to {unpacked}; the file is damaged")
        raise DataError(sentence.format(place=place, packed=in_bytes(packed), unpacked=in_bytes(unpacked)))
    if unpacked > LARGE and unpacked > packed * SUSPICIOUS:
        sentence = _("{place}: {packed} would unpack to {unpacked}; if you trust it, unpack it first")
        raise DataError(sentence.format(place=place, packed=in_bytes(packed), unpacked=in_bytes(unpacked)))


def check_width(place: str | Path, values: int) -> None:
    """Raise DataError if a sample has more than ``MOST_FEATURES`` values."""
    if values > MOST_FEATURES:
        sentence = _("{place}: {count} values in each sample, more than {limit}")
        raise DataError(sentence.format(place=place, count=f"{values:,}", limit=f"{MOST_FEATURES:,}"))


def fits_single(values: NDArray[Any]) -> BoolArray:
    """Mask of the values that are finite in float32; compares with a limit, because a cast would warn."""
    fits: BoolArray = np.abs(values) <= np.finfo(np.float32).max
    return fits


def not_finite(value: float) -> str:
    """The sentence that says why a value is not finite in single precision."""
    if math.isfinite(value):
        return _("{value:g} is too large for single precision (3.4e38)").format(value=value)
    return _("{value} is not a finite number; replace it or remove the sample").format(value=value)


def are_whole(values: NDArray[Any]) -> bool:
    """True if all values are whole numbers of at most 2^53, beyond which every float is whole."""
    return values.dtype.kind != "f" or bool(((values == np.floor(values)) & (np.abs(values) <= 2**53)).all())


def class_numbers(place: str, values: NDArray[Any]) -> tuple[IntArray, tuple[str, ...]]:
    """Class numbers, in ascending order of the values, and the class names."""
    if values.dtype.kind == "b" or (values.dtype.kind == "f" and are_whole(values)):
        values = values.astype(np.int64)
    labels, numbers = np.unique(values, return_inverse=True)
    return numbers.astype(np.int64), _checked(place, tuple(map(str, labels)), len(values))


def word_classes(place: str, words: Sequence[str]) -> tuple[IntArray, tuple[str, ...]]:
    """Class numbers, in alphabetical order of the names, and the names, sanitized and shortened."""
    names = {word: clean(word).strip()[:LONGEST_CLASS] for word in set(words)}
    labels = _checked(place, tuple(sorted(set(names.values()))), len(words))
    places = {label: number for number, label in enumerate(labels)}
    return np.array([places[names[word]] for word in words], dtype=np.int64), labels


def _checked(place: str, labels: tuple[str, ...], samples: int) -> tuple[str, ...]:
    if len(labels) < 2:
        sentence = _("{place}: only one class ({name}); classification needs at least 2")
        raise DataError(sentence.format(place=place, name=labels[0][:40]))
    if len(labels) == samples:
        sentence = _(
            '{place}: every sample has a class of its own; choose another target, or set data.task = "regression"'
        )
        raise DataError(sentence.format(place=place))
    if len(labels) > MOST_CLASSES:
        sentence = _(
            '{place}: {count} classes, more than {limit}; choose another target, or set data.task = "regression"'
        )
        raise DataError(sentence.format(place=place, count=f"{len(labels):,}", limit=f"{MOST_CLASSES:,}"))
    return labels


def check_count(place: str | Path, count: int) -> None:
    """Raise DataError if there are too few samples to split and to form a mini-batch."""
    if count < MINIMUM_SAMPLES:
        sentence = ngettext(
            "{place}: {count} sample; {minimum} or more are needed",
            "{place}: {count} samples; {minimum} or more are needed",
            count,
        )
        raise DataError(sentence.format(place=place, count=count, minimum=MINIMUM_SAMPLES))


def nearest(name: str, names: Sequence[str]) -> str:
    """A hint at the most similar name, with a leading space; empty if there is none."""
    near = get_close_matches(name, names, n=1)
    return f" {did_you_mean(near[0])}" if near else ""


def listed(names: Sequence[str]) -> str:
    """Up to twelve names for a message, and the number of all."""
    shown = ", ".join(repr(name if len(name) <= 40 else f"{name[:39]}…") for name in names[:12])
    return shown if len(names) <= 12 else _("{names}, … ({count} in all)").format(names=shown, count=len(names))

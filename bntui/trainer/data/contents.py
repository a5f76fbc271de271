"""Holds what every data file is reduced to, samples and targets, and the checks all formats share.

Whole numbers as a target are classes where they look like codes, see :func:`are_codes`; everything else that is a
number is regression.  ``data.task`` decides otherwise.
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
from bntui.recording.reading import Reading
from bntui.text.language import N_, _, ngettext
from bntui.text.output import clean

TaskChoice = Literal["auto", "classification", "regression"]

MINIMUM_SAMPLES: Final = 4
MOST_BYTES: Final = 4_000_000_000
"""Of a data file on disk, and of the values that are read from it, unpacked."""
MOST_FEATURES: Final = 200_000
"""Values of a sample: a colour image of 256x256 pixels has 196,608."""
MOST_DEFLATED: Final = 1040
"""Bytes that one byte of deflated data can stand for."""
LARGE: Final = 250_000_000
SUSPICIOUS: Final = 200
"""Beyond ``LARGE`` bytes nothing is unpacked that was packed by this factor; MNIST is by 5, sparse data by 50."""
FEW_CLASSES: Final = 20
MOST_CLASSES: Final = 1000
"""As many classes may whole numbers be where they are few, and where they are codes without a gap."""
LONGEST_CLASS: Final = 200
"""Characters of a class's name."""
SET_TASK: Final = N_('set data.task = "classification" or "regression"')


@dataclass(frozen=True, slots=True)
class Choices:
    """What a scenario decides about a data file; what it leaves open is inferred."""

    target: str | None = None
    task: TaskChoice = "auto"
    samples: int | None = None
    """Only the first so many."""
    delimiter: str | None = None
    header: bool | None = None
    decimal: str | None = None
    drop: tuple[str, ...] = ()
    features: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """What a data file holds."""

    x: SingleArray | FloatArray
    """Shape ``(N, features)`` or ``(N, channels, height, width)``; float32 where that holds every value exactly, else
    float64."""
    y: IntArray | SingleArray
    """Class numbers ``(N,)``, or ``(N, outputs)`` values in regression."""
    classes: tuple[str, ...]
    """Empty in regression."""
    features: tuple[str, ...]
    reading: Reading
    """What was inferred."""


def narrowest(values: NDArray[Any]) -> SingleArray | FloatArray:
    """The values as float32 where none is changed by that, else as float64: scaling must see what the file says."""
    if values.dtype.kind in "bu" and values.dtype.itemsize <= 2:
        return np.ascontiguousarray(values, dtype=np.float32)
    single = np.ascontiguousarray(values, dtype=np.float32)
    return single if (single == values).all() else np.ascontiguousarray(values, dtype=np.float64)


def are_codes(values: NDArray[Any]) -> bool:
    """Whether whole numbers are the codes of classes rather than quantities.

    They are where at most ``FEW_CLASSES`` different values occur, twice on average; or at most ``MOST_CLASSES`` that
    count from 0 or 1 without a gap, each at least five times.
    """
    distinct, counts = np.unique(values, return_counts=True)
    if 2 * len(distinct) > len(values):
        return False
    if len(distinct) <= FEW_CLASSES:
        return True
    low, high = int(distinct[0]), int(distinct[-1])
    gapless = low in (0, 1) and high - low + 1 == len(distinct)
    return gapless and len(distinct) <= MOST_CLASSES and int(counts.min()) >= 5


def check_memory(place: str | Path, needed: int) -> None:
    """Refuse data before memory is taken for it: what is never read, and what this machine has no room for."""
    if needed > MOST_BYTES:
        sentence = _("{place}: its values need {needed} of memory, more than {limit}; use a smaller file")
        raise DataError(sentence.format(place=place, needed=in_bytes(needed), limit=in_bytes(MOST_BYTES)))
    free = _free_memory()
    if free is not None and needed > free:
        sentence = _("{place}: its values need {needed} of memory, but only {free} are free; use a smaller file")
        raise DataError(sentence.format(place=place, needed=in_bytes(needed), free=in_bytes(free)))


def _free_memory() -> int | None:
    """Bytes of memory that are free for use, where the system tells."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, LookupError, ValueError):
        return None


def check_unpacked(place: str | Path, packed: int, unpacked: int) -> None:
    """Refuse what is packed far better than data are: it is damaged, or made to fill the memory."""
    if unpacked > packed * MOST_DEFLATED + 1000:
        sentence = _("{place}: {packed} cannot unpack to {unpacked}; the file is damaged")
        raise DataError(sentence.format(place=place, packed=in_bytes(packed), unpacked=in_bytes(unpacked)))
    if unpacked > LARGE and unpacked > packed * SUSPICIOUS:
        sentence = _("{place}: {packed} would unpack to {unpacked}; if you trust it, unpack it first")
        raise DataError(sentence.format(place=place, packed=in_bytes(packed), unpacked=in_bytes(unpacked)))


def check_width(place: str | Path, values: int) -> None:
    """Refuse samples of more values than have names and can be shown."""
    if values > MOST_FEATURES:
        sentence = _("{place}: {count} values in each sample, more than {limit}")
        raise DataError(sentence.format(place=place, count=f"{values:,}", limit=f"{MOST_FEATURES:,}"))


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
    """Class numbers in the order of the values."""
    if values.dtype.kind == "b" or (values.dtype.kind == "f" and are_whole(values)):
        values = values.astype(np.int64)
    labels, numbers = np.unique(values, return_inverse=True)
    return numbers.astype(np.int64), _checked(place, tuple(map(str, labels)), len(values))


def word_classes(place: str, words: Sequence[str]) -> tuple[IntArray, tuple[str, ...]]:
    """Class numbers in the order of the names, which are cleaned for a terminal and cut to ``LONGEST_CLASS``."""
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
    shown = ", ".join(repr(name if len(name) <= 40 else f"{name[:39]}…") for name in names[:12])
    return shown if len(names) <= 12 else _("{names}, … ({count} in all)").format(names=shown, count=len(names))

"""Reads the scalars and histograms of TensorBoard's event files, which may be damaged, hostile, or still growing.

Nothing is believed: records, tags, and tensors have limits, checksums are verified, and what cannot be used is counted
and left out.
"""

from __future__ import annotations

import math
import os
import struct
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from bntui.errors import DataError
from bntui.export import restarts
from bntui.export.logged import (
    ALIKE,
    CHECKSUMS,
    CUT,
    DAMAGED,
    EVENTS,
    LONG,
    MALFORMED,
    MOST_TAGS,
    OTHERS,
    STEPS,
    TAGS,
    Buckets,
    Doubles,
    Logged,
)
from bntui.export.protobuf import BYTES, DOUBLE, FLOAT, VARINT, fields
from bntui.export.records import HEAD, TAIL, crc32c, masked
from bntui.files import open_regular
from bntui.text.language import _
from bntui.text.output import clean, shortened

MOST_BYTES: Final = 20_000_000_000
"""Of one file."""
LONGEST_RECORD: Final = 16_000_000
"""Longer ones, such as images, are passed over."""
LONGEST_TAG: Final = 200
MOST_EVENTS: Final = 2_000_000
"""Of one folder."""
MOST_HISTOGRAMS: Final = 200_000
MOST_STEPS: Final = 2**53
MOST_FILES: Final = 10_000
MOST_FOLDERS: Final = 100_000
DEEPEST: Final = 12
"""Folders inside one another."""
_DTYPES: Final = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}
"""NumPy's names of the values of ``DataType`` that occur in scalars and histograms."""
_LISTS: Final = {5: ("<f4", FLOAT), 6: ("<f8", DOUBLE)}
"""``float_val`` and ``double_val`` of a tensor."""
_INTEGERS: Final = (7, 10)
"""``int_val`` and ``int64_val``."""


def event_files(folder: Path) -> dict[str, list[Path]]:
    """The event files below a folder, by the name of their folder in it.

    Links to folders are followed, as TensorBoard does, unless the folder is read anyway.

    Raises:
        DataError: there are too many folders.
        OSError: a folder cannot be read.
    """
    found: dict[str, list[Path]] = {}
    count = 0
    read: set[tuple[int, int]] = set()
    roots = deque([folder])
    while roots:
        root = roots.popleft()
        for here, inner, names in os.walk(root, onerror=_raised):
            status = os.stat(here)
            if (status.st_dev, status.st_ino) in read:
                inner.clear()
                continue
            read.add((status.st_dev, status.st_ino))
            if len(read) > MOST_FOLDERS:
                sentence = _("{path}: more than {limit} folders; name a folder of runs")
                raise DataError(sentence.format(path=folder, limit=f"{MOST_FOLDERS:,}"))
            place = Path(here).relative_to(folder)
            inner.sort()
            if len(place.parts) >= DEEPEST:
                inner.clear()
            roots.extend(link for link in (Path(here, name) for name in inner) if link.is_symlink())
            for name in sorted(names):
                if "tfevents" in name and count < MOST_FILES:
                    found.setdefault(str(place), []).append(Path(here, name))
                    count += 1
    return found


def _raised(error: OSError) -> None:
    raise error


def read_into(logged: Logged, path: Path, prefix: str = "") -> None:
    """Add what an event file says.

    Args:
        prefix: is put before each tag.

    Raises:
        OSError: it cannot be read.
    """
    for contents in _records(path, logged.left_out):
        if logged.events >= MOST_EVENTS:
            logged.left_out[EVENTS] += 1
            return
        logged.events += 1
        try:
            _add_event(logged, memoryview(contents), prefix)
        except (ValueError, struct.error, OverflowError):
            logged.left_out[MALFORMED] += 1


def _records(path: Path, left_out: Counter[str]) -> Iterator[bytes]:
    with open_regular(path, MOST_BYTES) as file:
        while head := file.read(HEAD.size):
            if len(head) < HEAD.size:
                left_out[CUT] += 1
                return
            length, checksum = HEAD.unpack(head)
            if masked(crc32c(head[:8])) != checksum:  # where the next one begins is not known
                left_out[DAMAGED] += 1
                return
            if length > LONGEST_RECORD:
                left_out[LONG] += 1
                size = os.fstat(file.fileno()).st_size
                if length + TAIL.size > size - file.tell():
                    left_out[CUT] += 1
                    return
                file.seek(length + TAIL.size, os.SEEK_CUR)
                continue
            contents = file.read(length + TAIL.size)
            if len(contents) < length + TAIL.size:
                left_out[CUT] += 1
                return
            if masked(crc32c(contents[:-4])) != TAIL.unpack(contents[-4:])[0]:
                left_out[CHECKSUMS] += 1
                continue
            yield contents[:-4]


def _add_event(logged: Logged, event: memoryview, prefix: str) -> None:
    step, when, summaries, resumed = 0, math.nan, [], False
    for number, kind, value in fields(event):
        if number == 1 and kind == DOUBLE:
            (when,) = struct.unpack("<d", _data(value))
        elif number == 2 and kind == VARINT:
            step = int(value)
        elif number == 5 and kind == BYTES:
            summaries.append(_data(value))
        elif number == 7 and kind == BYTES:
            resumed = restarts.starts(_data(value))
    if not summaries and not resumed:
        return
    if not 0 <= step < MOST_STEPS:
        logged.left_out[STEPS] += 1
        return
    if resumed:
        logged.resume(step, prefix)
    for summary in summaries:
        for number, kind, value in fields(summary):
            if number == 1 and kind == BYTES:
                _add_value(logged, _data(value), step, prefix)
    if summaries:
        logged.times.setdefault(step, when)


def _add_value(logged: Logged, encoded: memoryview, step: int, prefix: str) -> None:
    found = {number: (kind, value) for number, kind, value in fields(encoded)}
    tag = prefix + _text(found.get(1))
    if tag and not logged.owns(tag, prefix, bytes(_data(found[1][1])) if 1 in found else b""):
        logged.left_out[ALIKE] += 1
        return
    if 9 in found:
        logged.plugins.setdefault(tag, _plugin(found[9]))
    value: float | Buckets | None = None
    if 2 in found and found[2][0] == FLOAT:
        (value,) = struct.unpack("<f", _data(found[2][1]))
    elif 5 in found and found[5][0] == BYTES:
        value = _legacy(_data(found[5][1]))
    elif 8 in found and found[8][0] == BYTES:
        value = _of_tensor(_data(found[8][1]), logged.plugins.get(tag, ""))
    if value is None or not tag:
        logged.left_out[OTHERS] += 1
        if tag and len(logged.others) < MOST_TAGS:
            logged.others[tag] = None
        return
    known: dict[str, dict[int, Any]] = logged.histograms if isinstance(value, Buckets) else logged.scalars
    full = isinstance(value, Buckets) and logged.histograms_kept >= MOST_HISTOGRAMS
    if full or (tag not in known and len(logged.scalars) + len(logged.histograms) >= MOST_TAGS):
        logged.left_out[TAGS] += 1
        return
    logged.keep(known, tag, step, value, prefix)


def _text(found: tuple[int, int | memoryview] | None) -> str:
    if found is None or found[0] != BYTES:
        return ""
    return shortened(clean(bytes(_data(found[1])[: 4 * LONGEST_TAG]).decode(errors="replace")), LONGEST_TAG)


def _plugin(found: tuple[int, int | memoryview]) -> str:
    """The name of the plugin in a ``SummaryMetadata``."""
    if found[0] == BYTES:
        for number, kind, value in fields(_data(found[1])):
            if number == 1 and kind == BYTES:
                return next((_text((kind, inner)) for at, kind, inner in fields(_data(value)) if at == 1), "")
    return ""


def _data(value: int | memoryview) -> memoryview:
    """The bytes of a field; ValueError if it is a number."""
    if isinstance(value, int):
        raise ValueError
    return value


def _legacy(encoded: memoryview) -> Buckets | None:
    """A ``HistogramProto``: buckets up to a limit each, of which the outermost are often infinite."""
    single = dict.fromkeys(range(1, 6), 0.0)
    packed: dict[int, list[memoryview]] = {6: [], 7: []}
    for number, kind, value in fields(encoded):
        if number in single and kind == DOUBLE:
            (single[number],) = struct.unpack("<d", _data(value))
        elif number in packed and kind in (BYTES, DOUBLE):
            packed[number].append(_data(value))
    low, high, count, total, squares = single.values()
    limits, counts = (np.frombuffer(b"".join(parts), "<f8") for parts in packed.values())
    if len(limits) != len(counts) or not (math.isfinite(low) and math.isfinite(high) and low <= high):
        return None
    mean = total / count if count > 0 else math.nan
    variance = squares / count - mean * mean if count > 0 else math.nan
    std = math.sqrt(max(variance, 0.0)) if math.isfinite(variance) else math.nan
    return _checked(np.concatenate([[low], np.clip(limits, low, high)]), counts, mean, std)


def _of_tensor(encoded: memoryview, plugin: str) -> float | Buckets | None:
    values = _tensor(encoded)
    if values is None:
        return None
    if values.ndim == 0 or (values.size == 1 and plugin != "histograms"):
        return float(values.reshape(()))
    if plugin not in ("", "histograms") or values.ndim != 2 or values.shape[1] != 3 or not len(values):
        return None
    edges = np.append(values[:, 0], values[-1, 1])
    return _checked(edges, values[:, 2]) if (values[1:, 0] == values[:-1, 1]).all() else None


def _tensor(encoded: memoryview) -> Doubles | None:
    """The values of a ``TensorProto``; None if it has another type, or fewer values than its shape says."""
    dtype, shape, contents = 0, [], b""
    listed: list[Doubles] = []
    for number, kind, value in fields(encoded):
        if number == 1 and kind == VARINT:
            dtype = int(value)
        elif number == 2 and kind == BYTES:
            shape += [_size(_data(inner)) for at, form, inner in fields(_data(value)) if at == 2 and form == BYTES]
        elif number == 4 and kind == BYTES:
            contents = bytes(_data(value))
        elif number in _LISTS and kind in (BYTES, _LISTS[number][1]):
            listed.append(np.frombuffer(_data(value), _LISTS[number][0]).astype(np.float64))
        elif number in _INTEGERS and kind == VARINT:
            listed.append(np.array([value], np.uint64).view(np.int64).astype(np.float64))
    if dtype not in _DTYPES or len(shape) > 2 or math.prod(shape) > LONGEST_RECORD:
        return None
    found = np.frombuffer(contents, _DTYPES[dtype]).astype(np.float64) if contents else np.concatenate([[], *listed])
    return found.reshape(shape) if found.size == math.prod(shape) else None


def _size(dimension: memoryview) -> int:
    return next((int(value) for number, kind, value in fields(dimension) if number == 1 and kind == VARINT), 0)


def _checked(edges: Doubles, counts: Doubles, mean: float = math.nan, std: float = math.nan) -> Buckets | None:
    """The buckets; None if they are none: edges ascend, counts are not negative, all are finite."""
    fine = len(counts) and np.isfinite(edges).all() and np.isfinite(counts).all() and (np.diff(edges) >= 0).all()
    if not fine or counts.min() < 0 or not 0 < counts.sum() < 2**31:
        return None
    if np.abs(edges).max() > np.finfo(np.float32).max:
        return None
    return Buckets(edges, counts, mean, std)

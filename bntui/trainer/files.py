"""How are the user's data files read: CSV, NPZ, and IDX as MNIST and Fashion-MNIST are distributed.

CSV: UTF-8; comma, semicolon or tab, found by looking; the first row is a header where none of its cells is
a number; empty lines are skipped.  All columns but the target are features and must be numbers.
NPZ: arrays ``x`` (or ``X``) and ``y``.  IDX: big-endian, gzipped or not; pixels keep their values (0 to 255).
Images ``(N, H, W)`` get a channel axis.  ``(N, a, b, c)`` is taken as channels last where c is 1, 3 or 4 and
a is not, and moved to channels first; every other one is taken as channels first already.
"""

from __future__ import annotations

import csv
import gzip
import math
import re
import zipfile
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, TextIO

import numpy as np
from numpy.typing import NDArray

from bntui.errors import DataError
from bntui.keyframe import IntArray, SingleArray

TaskChoice = Literal["auto", "classification", "regression"]

MINIMUM_SAMPLES: Final = 4
_CHANNELS: Final = (1, 3, 4)
_IDX_TYPES: Final = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_SET_TASK: Final = 'set data.task = "classification" or "regression"'


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


def read_file(
    path: Path, *, labels: Path | None, target: str | None, task: TaskChoice, samples: int | None
) -> Contents:
    """Read a data file, its format known by its name; ``samples`` keeps only the first so many.

    Raises :class:`DataError` with file, row and column where the file cannot be used.
    """
    try:
        if path.suffix == ".csv":
            return _read_csv(path, target, task, samples)
        if path.suffix == ".npz":
            return _read_npz(path, target, task, samples)
        return _read_idx(path, labels or _labels_path(path), task, samples)
    except OSError as error:
        place = Path(error.filename) if error.filename else path
        raise DataError(f"{place}: {error.strerror or error}; paths are relative to the scenario file") from error


def pixel_names(shape: Sequence[int]) -> tuple[str, ...]:
    """Names of an image's values in C order: ``pixel_row_column``, with the channel first where there are several."""
    channels, height, width = shape
    return tuple(
        f"pixel_{row}_{column}" if channels == 1 else f"channel_{channel}_pixel_{row}_{column}"
        for channel in range(channels)
        for row in range(height)
        for column in range(width)
    )


# --- CSV ---------------------------------------------------------------------------------------------


def _read_csv(path: Path, target: str | None, task: TaskChoice, samples: int | None) -> Contents:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _parse_csv(path, _csv_rows(path, file), target, task, samples)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def _csv_rows(path: Path, file: TextIO) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, each with its line in the file (the last one where a cell has several)."""
    delimiter = _delimiter([line for line in islice(file, 50) if line.strip()])
    file.seek(0)
    reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if len(cells) > 1 or any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(f"{path}: row {reader.line_num}: {error}; check quotes and line ends") from error


def _delimiter(lines: list[str]) -> str:
    """The one that cuts all lines into equally many cells, else the one that cuts the first into most."""

    def score(delimiter: str) -> tuple[bool, int]:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True)] or [0]
        return widths[0] > 1 and len(set(widths)) == 1, widths[0]

    # the comma last: it may be a decimal comma, the others are nothing but delimiters
    return max(";\t,", key=score)


def _parse_csv(
    path: Path, rows: Iterator[tuple[int, list[str]]], target: str | None, task: TaskChoice, samples: int | None
) -> Contents:
    first_line, first = next(rows, (0, []))
    if not first:
        raise DataError(f"{path}: empty; it needs {MINIMUM_SAMPLES} rows of numbers or more")
    if len(first) < 2:
        raise DataError(f"{path}: row {first_line}: one column; it needs features and a target, split by , ; or tab")
    header = all(_number(cell) is None for cell in first)
    names = [cell if header and cell else f"column {index}" for index, cell in enumerate(first, 1)]
    at = _target_column(path, first_line, names, target)
    features = names[:at] + names[at + 1 :]

    values, targets, lines = array("d"), list[str](), list[int]()
    pending = rows if header else _chain(first_line, first, rows)
    for line, cells in islice(pending, samples):
        if len(cells) != len(names):
            raise DataError(_ragged(path, line, len(cells), names, first_line))
        targets.append(cells.pop(at))
        lines.append(line)
        try:
            values.extend(map(float, cells))
        except ValueError:
            raise DataError(_bad_cell(path, line, features, cells)) from None
    _enough(path, len(lines), "rows of data")

    x = np.array(values, dtype=np.float64).reshape(len(lines), len(features))
    for row, column in np.argwhere(~_single_precision(x))[:1]:
        raise DataError(f"{_cell(path, lines[row], features[column])}: {_not_finite(x[row, column])}")
    y, classes = _csv_target(path, names[at], targets, lines, task)
    return Contents(x.astype(np.float32), y, classes, tuple(features))


def _chain(line: int, cells: list[str], rows: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    yield line, cells
    yield from rows


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _cell(path: Path, line: int, column: str) -> str:
    return f"{path}: row {line}, column {column!r}"


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= 40 else cell[:39] + "…")


def _ragged(path: Path, line: int, width: int, names: list[str], first_line: int) -> str:
    where, what = (names[width], "is missing") if width < len(names) else (names[-1], "is not the last cell")
    return f"{_cell(path, line, where)}: {what}; the row has {width} cells, row {first_line} has {len(names)}"


def _bad_cell(path: Path, line: int, columns: list[str], cells: list[str]) -> str:
    column, cell = next((name, cell) for name, cell in zip(columns, cells, strict=True) if _number(cell) is None)
    if not cell:
        return f"{_cell(path, line, column)}: empty; fill it or remove the row"
    return f"{_cell(path, line, column)}: {_shown(cell)} is not a number (features are numbers with a decimal point)"


def _not_finite(value: float) -> str:
    if math.isfinite(value):
        return f"{value:g} is too large for single precision (3.4e38)"
    return f"{value} is not a finite number; replace it or remove the sample"


def _target_column(path: Path, line: int, names: list[str], target: str | None) -> int:
    if target is None:
        return len(names) - 1
    if target not in names:
        hint = _nearest(target, names)
        raise DataError(f"{path}: row {line}: no column {target!r} (data.target){hint}; there are {_listed(names)}")
    if names.count(target) > 1:
        raise DataError(f"{path}: row {line}: several columns {target!r} (data.target); give each its own name")
    return names.index(target)


def _csv_target(
    path: Path, name: str, cells: list[str], lines: list[int], task: TaskChoice
) -> tuple[IntArray | SingleArray, tuple[str, ...]]:
    numbers = [_number(cell) for cell in cells]
    for line, cell, number in zip(lines, cells, numbers, strict=True):
        if not cell:
            raise DataError(f"{_cell(path, line, name)}: empty; fill it or remove the row")
        if number is not None and not math.isfinite(number):
            raise DataError(f"{_cell(path, line, name)}: {_not_finite(number)}")
        if number is None and (task == "regression" or (task == "auto" and any(n is not None for n in numbers))):
            hint = f" like the others; {_SET_TASK}" if task == "auto" else ""
            raise DataError(f"{_cell(path, line, name)}: {_shown(cell)} is not a number{hint}")
    place = f"{path}: column {name!r}"
    if None in numbers:
        return _classes(place, np.array(cells))
    values = np.array(numbers, dtype=np.float64)
    if task == "regression" or (task == "auto" and not _whole(values)):
        for row in np.flatnonzero(~_single_precision(values))[:1]:
            raise DataError(f"{_cell(path, lines[row], name)}: {_not_finite(values[row])}")
        return values.astype(np.float32)[:, None], ()
    return _classes(place, values)


# --- NPZ ---------------------------------------------------------------------------------------------


def _read_npz(path: Path, target: str | None, task: TaskChoice, samples: int | None) -> Contents:
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise DataError(f"{path}: not an .npz file, or truncated; write it with numpy.savez")
    try:
        with np.load(path, allow_pickle=False) as archive:
            x_name = "x" if "x" in archive.files else "X"
            y_name = target or "y"
            for name in (x_name, y_name):
                if name not in archive.files:
                    hint = _nearest(name, archive.files)
                    raise DataError(f"{path}: no array {name!r}{hint}; there are {_listed(archive.files)}")
            x, y = archive[x_name], archive[y_name]
    except (ValueError, KeyError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    for name, values, kinds in ((x_name, x, "biuf"), (y_name, y, "biufUS")):
        if not isinstance(values, np.ndarray) or values.dtype.kind not in kinds:
            raise DataError(f"{path}: array {name!r} must hold numbers{' or words' if name == y_name else ''}")
    return _from_arrays(f"{path}: array {x_name!r}", x, f"{path}: array {y_name!r}", y, task, samples)


# --- IDX ---------------------------------------------------------------------------------------------


def _labels_path(images: Path) -> Path:
    name, found = re.subn(r"images([-.])idx\d", r"labels\1idx1", images.name)
    if not found:
        raise DataError(f"{images}: its labels cannot be found by its name (no images-idx3 in it); set data.labels")
    path = images.with_name(name)
    twin = path.with_suffix("") if name.endswith(".gz") else path.with_name(f"{name}.gz")
    return twin if twin.exists() and not path.exists() else path


def _read_idx(path: Path, labels: Path, task: TaskChoice, samples: int | None) -> Contents:
    x = _idx_array(path)
    if x.ndim < 2:
        raise DataError(f"{path}: {x.ndim} dimension, images need 3; is it the labels file?")
    y = _idx_array(labels)
    if y.ndim != 1:
        raise DataError(f"{labels}: {y.ndim} dimensions, labels need 1; is it the images file?")
    return _from_arrays(str(path), x, str(labels), y, task, samples)


def _idx_array(path: Path) -> NDArray[Any]:
    """The array in an IDX file: two zero bytes, type, number of dimensions; the dimensions; the values."""
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"{path}: damaged or truncated gzip file: {error}") from error
    magic = content[:4]
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _IDX_TYPES or magic[3] == 0:
        raise DataError(
            f"{path}: magic number 0x{magic.hex()} is not that of an IDX file (images 0x00000803, labels 0x00000801)"
        )
    dtype, start = np.dtype(_IDX_TYPES[magic[2]]), 4 + 4 * magic[3]
    if len(content) < start:
        raise DataError(f"{path}: truncated: a header of {start} bytes expected, {len(content)} bytes found")
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4)]
    expected, found = math.prod(shape) * dtype.itemsize, len(content) - start
    if found != expected:
        what = "truncated" if found < expected else "longer than its header says"
        size = "×".join(map(str, shape))
        raise DataError(f"{path}: {what}: {expected} bytes of values expected ({size}), {found} found")
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


# --- Both kinds of arrays ----------------------------------------------------------------------------


def _from_arrays(
    x_place: str, x: NDArray[Any], y_place: str, y: NDArray[Any], task: TaskChoice, samples: int | None
) -> Contents:
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        sizes = [len(values) if values.ndim else "no" for values in (x, y)]
        raise DataError(f"{x_place}: {sizes[0]} samples, but {y_place}: {sizes[1]} targets; they must be equally many")
    x, y = _channels_first(x_place, x[:samples]), y[:samples]
    _enough(x_place, len(x), "samples")
    _finite(x_place, x)
    features = pixel_names(x.shape[1:]) if x.ndim == 4 else tuple(f"x{n}" for n in range(1, x.shape[1] + 1))
    targets, classes = _array_target(y_place, y, task)
    return Contents(np.ascontiguousarray(x, dtype=np.float32), targets, classes, features)


def _channels_first(place: str, x: NDArray[Any]) -> NDArray[Any]:
    if x.ndim > 4 or x.size == 0:
        size = "×".join(map(str, x.shape))
        raise DataError(f"{place}: shape {size}; it must be (N, features), (N, H, W) or (N, channels, H, W), none 0")
    if x.ndim == 1:
        return x[:, None]
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 4 and x.shape[3] in _CHANNELS and x.shape[1] not in _CHANNELS:
        return np.moveaxis(x, 3, 1)
    return x


def _array_target(place: str, y: NDArray[Any], task: TaskChoice) -> tuple[IntArray | SingleArray, tuple[str, ...]]:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim > 2 or y.size == 0:
        raise DataError(f"{place}: shape {'×'.join(map(str, y.shape))}; targets must be (N,) or (N, outputs)")
    words = y.dtype.kind in "US"
    if words and task == "regression":
        raise DataError(f"{place}: words where regression needs numbers; {_SET_TASK}")
    if not words:
        _finite(place, y)
    if y.ndim == 1 and task != "regression" and (words or task == "classification" or _whole(y)):
        return _classes(place, y)
    if words or task == "classification":
        raise DataError(f"{place}: shape {'×'.join(map(str, y.shape))}; class numbers must be (N,), not one-hot")
    if task == "auto" and y.ndim == 2 and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all():
        raise DataError(f'{place}: looks one-hot; give class numbers (N,), or set data.task = "regression"')
    return np.ascontiguousarray(y.reshape(len(y), -1), dtype=np.float32), ()


def _single_precision(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Where values stay finite as float32; a limit instead of a cast, which would warn."""
    return np.abs(values) <= np.finfo(np.float32).max


def _finite(place: str, values: NDArray[Any]) -> None:
    if values.dtype.kind != "f":
        return
    for index in np.argwhere(~_single_precision(values))[:1]:
        where = ", ".join(map(str, index))
        raise DataError(f"{place}: [{where}]: {_not_finite(values[tuple(index)])}")


def _whole(values: NDArray[Any]) -> bool:
    return values.dtype.kind != "f" or bool((values == np.floor(values)).all())


def _classes(place: str, values: NDArray[Any]) -> tuple[IntArray, tuple[str, ...]]:
    """Class numbers in the order of their names, or of their values where they are numbers."""
    if values.dtype.kind == "b" or (values.dtype.kind == "f" and _whole(values)):
        values = values.astype(np.int64)
    labels, numbers = np.unique(values, return_inverse=True)
    if len(labels) < 2:
        raise DataError(f"{place}: one class only ({labels[0]}); classification needs 2 or more")
    if len(labels) == len(values):
        raise DataError(
            f'{place}: every sample is a class of its own; name another target, or set data.task = "regression"'
        )
    names = labels.astype(str) if labels.dtype.kind in "SU" else labels
    return numbers.astype(np.int64), tuple(str(name) for name in names)


def _enough(place: str | Path, count: int, what: str) -> None:
    if count < MINIMUM_SAMPLES:
        raise DataError(f"{place}: {count} {what}; {MINIMUM_SAMPLES} or more are needed")


def _nearest(name: str, names: Sequence[str]) -> str:
    near = get_close_matches(name, names, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:12]))
    return shown if len(names) <= 12 else f"{shown}, … ({len(names)} in all)"

"""How are the user's data files read: NPZ, and IDX as MNIST and Fashion-MNIST are distributed; CSV next door.

NPZ: arrays ``x`` (or ``X``) and ``y``.  IDX: big-endian, gzipped or not; pixels keep their values (0 to 255).
Images ``(N, H, W)`` get a channel axis.  ``(N, a, b, c)`` is taken as channels last where c is 1, 3 or 4 and
a is not, and moved to channels first; every other one is taken as channels first already.
"""

from __future__ import annotations

import gzip
import math
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.errors import DataError
from bntui.foreign import reason, told
from bntui.keyframe import IntArray, SingleArray
from bntui.language import _
from bntui.trainer.contents import (
    SET_TASK,
    Contents,
    TaskChoice,
    are_whole,
    check_count,
    class_numbers,
    fits_single,
    listed,
    nearest,
    not_finite,
)
from bntui.trainer.csv_file import read_csv

_DAMAGE: Final = (
    *(ValueError, KeyError, EOFError, RuntimeError, MemoryError, OverflowError, zlib.error, zipfile.BadZipFile),
    *(SyntaxError, TokenError),
)
"""What NumPy and zipfile let through for a damaged file; the last two from NumPy parsing an array's header."""
_CHANNELS: Final = (1, 3, 4)
_IDX_TYPES: Final = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_file(
    path: Path, *, labels: Path | None, target: str | None, task: TaskChoice, samples: int | None
) -> Contents:
    """Read a data file, its format known by its name; ``samples`` keeps only the first so many.

    Raises :class:`DataError` with file, row and column where the file cannot be used.
    """
    try:
        if path.suffix == ".csv":
            return read_csv(path, target, task, samples)
        if path.suffix == ".npz":
            return _read_npz(path, target, task, samples)
        return _read_idx(path, labels or _labels_path(path), task, samples)
    except OSError as error:
        place = Path(error.filename) if error.filename else path
        sentence = (
            _("{place}: {reason}; paths are relative to the scenario file, and --set data.source=PATH names your own")
            if path.suffix in (".csv", ".npz")
            else _(
                "{place}: {reason}; put train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz into one folder, as"
                " MNIST and Fashion-MNIST are distributed, and name the first by --set data.source=PATH"
            )
        )
        raise DataError(sentence.format(place=place, reason=reason(error))) from error


def pixel_names(shape: Sequence[int]) -> tuple[str, ...]:
    """Names of an image's values in C order: ``pixel_row_column``, with the channel first where there are several."""
    channels, height, width = shape
    return tuple(
        f"pixel_{row}_{column}" if channels == 1 else f"channel_{channel}_pixel_{row}_{column}"
        for channel in range(channels)
        for row in range(height)
        for column in range(width)
    )


def _read_npz(path: Path, target: str | None, task: TaskChoice, samples: int | None) -> Contents:
    # opened here, since np.load given a path leaves a damaged file open
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise DataError(_("{path}: not an .npz file, or truncated; write it with numpy.savez").format(path=path))
        file.seek(0)
        try:
            archive = np.load(file, allow_pickle=False)
            x_name = "X" if "X" in archive.files and "x" not in archive.files else "x"
            y_name = target or "y"
            for name in (x_name, y_name):
                if name not in archive.files:
                    sentence = _("{path}: no array {name!r}{hint}; there are {names}")
                    hint, names = nearest(name, archive.files), listed(archive.files)
                    raise DataError(sentence.format(path=path, name=name, hint=hint, names=names))
            x, y = archive[x_name], archive[y_name]
        except _DAMAGE as error:
            sentence = _("{path}: cannot be read: {reason}")
            raise DataError(sentence.format(path=path, reason=told(str(error)))) from error
    for name, values, kinds in ((x_name, x, "biuf"), (y_name, y, "biufUS")):
        if not isinstance(values, np.ndarray) or values.dtype.kind not in kinds:
            sentence = _("{path}: array {name!r} must hold numbers")
            if name == y_name:
                sentence = _("{path}: array {name!r} must hold numbers or words")
            raise DataError(sentence.format(path=path, name=name))
    places = [_("{path}: array {name!r}").format(path=path, name=name) for name in (x_name, y_name)]
    return _from_arrays(places[0], x, places[1], y, task, samples)


def _labels_path(images: Path) -> Path:
    name, found = re.subn(r"images([-.])idx\d", r"labels\1idx1", images.name)
    if not found:
        sentence = _("{path}: its labels cannot be found by its name (no images-idx3 in it); set data.labels")
        raise DataError(sentence.format(path=images))
    path = images.with_name(name)
    twin = path.with_suffix("") if name.endswith(".gz") else path.with_name(f"{name}.gz")
    return twin if twin.exists() and not path.exists() else path


def _read_idx(path: Path, labels: Path, task: TaskChoice, samples: int | None) -> Contents:
    x = _idx_array(path)
    if x.ndim < 2:
        raise DataError(_("{path}: one dimension, images need 3; is it the labels file?").format(path=path))
    y = _idx_array(labels)
    if y.ndim != 1:
        sentence = _("{path}: {count} dimensions, labels need 1; is it the images file?")
        raise DataError(sentence.format(path=labels, count=y.ndim))
    return _from_arrays(str(path), x, str(labels), y, task, samples)


def _idx_array(path: Path) -> NDArray[Any]:
    """The array in an IDX file: two zero bytes, type, number of dimensions; the dimensions; the values."""
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            sentence = _("{path}: damaged or truncated gzip file: {reason}")
            raise DataError(sentence.format(path=path, reason=told(str(error)))) from error
    magic = content[:4]
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _IDX_TYPES or not 1 <= magic[3] <= 4:
        sentence = _("{path}: magic number 0x{magic} is not that of an IDX file (images 0x00000803, labels 0x00000801)")
        raise DataError(sentence.format(path=path, magic=magic.hex()))
    dtype, start = np.dtype(_IDX_TYPES[magic[2]]), 4 + 4 * magic[3]
    if len(content) < start:
        sentence = _("{path}: truncated: a header of {expected} bytes expected, {found} bytes found")
        raise DataError(sentence.format(path=path, expected=start, found=len(content)))
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4)]
    size = "×".join(map(str, shape))
    if 0 in shape:
        raise DataError(_("{path}: empty: its dimensions are {size}").format(path=path, size=size))
    expected, found = math.prod(shape) * dtype.itemsize, len(content) - start
    if found != expected:
        sentence = _("{path}: truncated: {expected} bytes of values expected ({size}), {found} found")
        if found > expected:
            sentence = _(
                "{path}: longer than its header says: {expected} bytes of values expected ({size}), {found} found"
            )
        raise DataError(sentence.format(path=path, expected=expected, size=size, found=found))
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


def _from_arrays(
    x_place: str, x: NDArray[Any], y_place: str, y: NDArray[Any], task: TaskChoice, samples: int | None
) -> Contents:
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        sentence = _("{x_place}: {samples} samples, but {y_place}: {targets} targets; they must be equally many")
        samples_, targets_ = (len(values) if values.ndim else 0 for values in (x, y))
        raise DataError(sentence.format(x_place=x_place, samples=samples_, y_place=y_place, targets=targets_))
    x, y = _channels_first(x_place, x[:samples]), y[:samples]
    check_count(x_place, len(x))
    _finite(x_place, x)
    features = pixel_names(x.shape[1:]) if x.ndim == 4 else tuple(f"x{n}" for n in range(1, x.shape[1] + 1))
    targets, classes = _array_target(y_place, y, task)
    return Contents(np.ascontiguousarray(x, dtype=np.float32), targets, classes, features)


def _channels_first(place: str, x: NDArray[Any]) -> NDArray[Any]:
    if x.ndim > 4 or x.size == 0:
        sentence = _("{place}: shape {size}; it must be (N, features), (N, H, W) or (N, channels, H, W), none 0")
        raise DataError(sentence.format(place=place, size=_size(x)))
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
        sentence = _("{place}: shape {size}; targets must be (N,) or (N, outputs)")
        raise DataError(sentence.format(place=place, size=_size(y)))
    words = y.dtype.kind in "US"
    if words and task == "regression":
        raise DataError(
            _("{place}: words where regression needs numbers; {advice}").format(place=place, advice=_(SET_TASK))
        )
    if not words:
        _finite(place, y)
    if y.ndim == 1 and task != "regression" and (words or task == "classification" or are_whole(y)):
        return class_numbers(place, y)
    if words or task == "classification":
        sentence = _("{place}: shape {size}; class numbers must be (N,), not one-hot")
        raise DataError(sentence.format(place=place, size=_size(y)))
    if task == "auto" and y.ndim == 2 and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all():
        sentence = _('{place}: looks one-hot; give class numbers (N,), or set data.task = "regression"')
        raise DataError(sentence.format(place=place))
    return np.ascontiguousarray(y.reshape(len(y), -1), dtype=np.float32), ()


def _size(values: NDArray[Any]) -> str:
    return "×".join(map(str, values.shape))


def _finite(place: str, values: NDArray[Any]) -> None:
    if values.dtype.kind != "f":
        return
    for index in np.argwhere(~fits_single(values))[:1]:
        where = ", ".join(map(str, index))
        raise DataError(f"{place}: [{where}]: {not_finite(values[tuple(index)])}")

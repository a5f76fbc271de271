"""Reads IDX files, the format of MNIST and Fashion-MNIST: big-endian, optionally gzipped.

The header says how many bytes follow.  Before memory is allocated, this is checked against the file's size, or for a
gzipped file against the maximum compression ratio of deflate.  Pixels keep their values (0 to 255).
"""

from __future__ import annotations

import gzip
import io
import math
import re
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.errors import DataError
from bntui.files import open_regular
from bntui.recording.reading import Reading
from bntui.text.language import _
from bntui.text.library_messages import told
from bntui.text.output import clean
from bntui.trainer.data.arrays import Named, from_arrays, size_of
from bntui.trainer.data.contents import MOST_BYTES, Choices, Contents, check_memory, check_unpacked

_TYPES: Final = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: Path, labels: Path | None, choices: Choices) -> Contents:
    """Read images and labels.

    Args:
        path: file of the images.
        labels: file of the labels; by default found by replacing ``images`` in the name.

    Raises:
        DataError: a file is not an IDX file, is damaged, or has the wrong number of dimensions.
        OSError: a file cannot be opened, is not a regular file, or is too large.
    """
    y_path = labels or _labels_path(path)
    x = _array(path)
    if x.ndim < 2:
        raise DataError(_("{path}: one dimension, images need 3; is it the labels file?").format(path=path))
    y = _array(y_path)
    if y.ndim != 1:
        sentence = _("{path}: {count} dimensions, labels need 1; is it the images file?")
        raise DataError(sentence.format(path=y_path, count=y.ndim))
    names = (clean(path.name), clean(y_path.name))
    reading = Reading(names[0], "idx", 0, (), "", 0, 0.0, 0.0, arrays=names)
    return from_arrays(Named(str(path), x), Named(str(y_path), y), choices, reading)


def _labels_path(images: Path) -> Path:
    name, found = re.subn(r"images([-.])idx\d", r"labels\1idx1", images.name)
    if not found:
        sentence = _("{path}: cannot derive the labels file from its name (no images-idx3 in it); set data.labels")
        raise DataError(sentence.format(path=images))
    path = images.with_name(name)
    twin = path.with_suffix("") if name.endswith(".gz") else path.with_name(f"{name}.gz")
    return twin if twin.exists() and not path.exists() else path


def _array(path: Path) -> NDArray[Any]:
    """The array in an IDX file, which has two zero bytes, type, number of dimensions; dimensions; values."""
    with open_regular(path, MOST_BYTES) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            return _unpacked(path, file, size, size)
        try:
            with gzip.GzipFile(fileobj=file, mode="rb") as content:
                return _unpacked(path, content, size, None)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            sentence = _("{path}: damaged or truncated gzip file: {reason}")
            raise DataError(sentence.format(path=path, reason=told(str(error)))) from error


def _unpacked(path: Path, file: io.BufferedIOBase, on_disk: int, total: int | None) -> NDArray[Any]:
    """Parse the array.

    Args:
        file: the unpacked content.
        on_disk: size of the file in bytes.
        total: size of the content in bytes; None if it is gzipped, as its size is not known.
    """
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or not 1 <= magic[3] <= 4:
        sentence = _("{path}: magic number 0x{magic} is not that of an IDX file (images 0x00000803, labels 0x00000801)")
        raise DataError(sentence.format(path=path, magic=magic.hex()))
    dtype, start = np.dtype(_TYPES[magic[2]]), 4 + 4 * magic[3]
    header = file.read(start - 4)
    if len(header) < start - 4:
        sentence = _("{path}: truncated: a header of {expected} bytes expected, {found} bytes found")
        raise DataError(sentence.format(path=path, expected=start, found=4 + len(header)))
    shape = [int.from_bytes(header[at : at + 4], "big") for at in range(0, start - 4, 4)]
    if 0 in shape:
        raise DataError(_("{path}: empty: its dimensions are {size}").format(path=path, size=size_of(shape)))
    expected = math.prod(shape) * dtype.itemsize
    if total is not None:
        _check_length(path, shape, expected, total - start)
    else:
        check_unpacked(path, on_disk, expected)
    check_memory(path, math.prod(shape) * max(dtype.itemsize, 4))
    content = bytearray(expected)
    view, filled = memoryview(content), 0
    while filled < expected and (part := file.read(min(1 << 20, expected - filled))):
        view[filled : filled + len(part)] = part
        filled += len(part)
    if filled < expected or file.read(1):  # surplus bytes are not counted, because there may be endlessly many
        _check_length(path, shape, expected, filled if filled < expected else expected + 1)
    return np.frombuffer(content, dtype).reshape(shape)


def _check_length(path: Path, shape: list[int], expected: int, found: int) -> None:
    if found == expected:
        return
    sentence = _("{path}: truncated: {expected} bytes of values expected ({size}), {found} found")
    if found > expected:
        sentence = _("{path}: longer than its header says: {expected} bytes of values expected ({size}), {found} found")
    raise DataError(sentence.format(path=path, expected=expected, size=size_of(shape), found=found))

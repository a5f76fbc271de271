"""Reads NPZ files: finds samples and targets among the arrays, and checks sizes before unpacking.

An array's header declares its type and shape, and the archive declares its unpacked size.  Before memory is allocated,
they are checked against each other, against the maximum compression ratio of deflate, and against a limit.  Nothing is
ever unpickled.
"""

from __future__ import annotations

import ast
import io
import math
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bntui.errors import DataError
from bntui.files import open_regular
from bntui.recording.reading import Reading, ReadingNote
from bntui.text.language import _
from bntui.text.library_messages import told
from bntui.text.output import clean
from bntui.trainer.data.arrays import Named, from_arrays, size_of
from bntui.trainer.data.contents import MOST_BYTES, Choices, Contents, check_memory, check_unpacked, listed, nearest

DAMAGE: Final = (
    *(ValueError, LookupError, EOFError, RuntimeError, MemoryError, OverflowError, NotImplementedError),
    *(zlib.error, zipfile.BadZipFile, struct.error),
)
"""Exceptions that zipfile raises for damaged files."""
_SAMPLES: Final = ("x", "data", "images", "features", "inputs", "input", "image", "xs")
_TARGETS: Final = ("y", "target", "targets", "labels", "label", "outputs", "output", "classes", "ys")
"""Usual names of the arrays, in lower case; ``train`` may precede or follow them."""
_MOST_ARRAYS: Final = 1000
_LONGEST_HEADER: Final = 2000
_TYPE: Final = re.compile(r"[<>|=]?[?bBiufcOSUV]\d{0,9}")
_LONGEST_DIRECTORY: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class _Array:
    """The header of one array in an archive."""

    info: zipfile.ZipInfo
    start: int
    """Size of the header in bytes."""
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool


def read_npz(path: Path, choices: Choices) -> Contents:
    """Read samples and targets.

    Raises:
        DataError: the file is damaged, its samples and targets cannot be identified, or an array has an unsupported
            type.
        OSError: the file cannot be opened, is not a regular file, or is too large.
    """
    with open_regular(path, MOST_BYTES) as file:
        if not zipfile.is_zipfile(file):
            raise DataError(_("{path}: not an .npz file, or truncated; write it with numpy.savez").format(path=path))
        file.seek(0)
        try:
            with zipfile.ZipFile(_Frugal(file)) as archive:
                members = _members(path, archive)
                arrays = {name: _header(archive, info) for name, info in members.items()}
                x_name, y_name = _chosen(path, arrays, choices)
                for name, kinds in ((x_name, "biuf"), (y_name, "biufUS")):
                    _check(path, name, arrays[name], kinds)
                x, y = (_values(archive, arrays[name]) for name in (x_name, y_name))
        except DAMAGE as error:
            sentence = _("{path}: cannot be read: {reason}")
            raise DataError(sentence.format(path=path, reason=told(clean(str(error))[:200]))) from error
    x_shown, y_shown = clean(x_name)[:200], clean(y_name)[:200]
    unread = [clean(name) for name in arrays if name not in (x_name, y_name)]
    notes = (ReadingNote("unread", {"names": listed(unread)}),) if unread else ()
    reading = Reading(
        clean(path.name), "npz", 0, (), "", 0, 0.0, 0.0, target=y_shown, arrays=(x_shown, y_shown), notes=notes
    )  # fmt: skip
    place = _("{path}: array {name}")
    return from_arrays(
        Named(place.format(path=path, name=repr(x_shown)), x),
        Named(place.format(path=path, name=repr(y_shown)), y),
        choices,
        reading,
    )


class _Frugal:
    """A file for zipfile that refuses to read a huge directory."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, count: int = -1) -> bytes:
        if count > _LONGEST_DIRECTORY:
            raise zipfile.BadZipFile(_("its directory is too long"))
        return self._file.read(_LONGEST_DIRECTORY if count < 0 else count)


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    infos = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    if len(infos) > _MOST_ARRAYS:
        sentence = _("{path}: {count} arrays, at most {limit} are read")
        raise DataError(sentence.format(path=path, count=f"{len(infos):,}", limit=f"{_MOST_ARRAYS:,}"))
    return {info.filename.removesuffix(".npy"): info for info in infos}


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Array:
    """Parse an array's header, without NumPy's reader, which would also evaluate types that no data file needs."""
    with archive.open(info) as member:
        start = member.read(8)
        if start[:6] != b"\x93NUMPY" or start[6] not in (1, 2, 3):
            raise ValueError(_("{name} is not an array").format(name=repr(clean(info.filename)[:40])))
        width = 2 if start[6] == 1 else 4
        length = int.from_bytes(member.read(width), "little")
        if length > _LONGEST_HEADER:
            raise ValueError(_("the header of {name} is too long").format(name=repr(clean(info.filename)[:40])))
        text = member.read(length).decode("utf-8" if start[6] == 3 else "latin-1", "replace").strip()
    try:
        fields = ast.literal_eval(text)
        description, shape, fortran = fields["descr"], fields["shape"], fields["fortran_order"]
    except (ValueError, SyntaxError, LookupError, TypeError, RuntimeError, MemoryError) as error:
        name = repr(clean(info.filename)[:40])
        raise ValueError(_("the header of {name} is damaged").format(name=name)) from error
    if not isinstance(description, str) or not _TYPE.fullmatch(description):  # a type that _check refuses
        return _Array(info, 0, np.dtype("V1"), (), fortran=False)
    sides = shape if isinstance(shape, tuple) and len(shape) <= 32 else (None,)
    if not all(isinstance(side, int) and not isinstance(side, bool) and 0 <= side < 2**40 for side in sides):
        raise ValueError(_("the header of {name} is damaged").format(name=repr(clean(info.filename)[:40])))
    return _Array(info, 8 + width + length, np.dtype(description), shape, fortran is True)


def _check(path: Path, name: str, array: _Array, kinds: str) -> None:
    """Raise DataError if an array's type or size is not acceptable, before it is unpacked."""
    place = _("{path}: array {name}").format(path=path, name=repr(clean(name)[:200]))
    if array.dtype.kind == "O":
        sentence = _("{place} holds Python objects, which are never unpickled; save it as an array of numbers")
        raise DataError(sentence.format(place=place))
    if array.dtype.kind not in kinds:
        sentence = _("{place} must hold numbers") if "U" not in kinds else _("{place} must hold numbers or words")
        raise DataError(sentence.format(place=place))
    size = math.prod(array.shape) * array.dtype.itemsize
    packed, unpacked = array.info.compress_size, array.info.file_size
    if array.start + size != unpacked:
        sentence = _("{place}: its shape {shape} needs {expected:,} bytes, but the file has {found:,}")
        raise DataError(
            sentence.format(
                place=place, shape=size_of(array.shape), expected=size, found=max(unpacked - array.start, 0)
            )
        )
    if array.info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(
            _("{place}: unsupported compression; save it with numpy.savez or numpy.savez_compressed").format(
                place=place
            )
        )
    check_unpacked(place, packed, unpacked)
    check_memory(place, math.prod(array.shape) * max(array.dtype.itemsize, 8) if array.dtype.kind in "biuf" else size)


def _values(archive: zipfile.ZipFile, array: _Array) -> NDArray[Any]:
    content = bytearray(array.info.file_size)
    view, filled = memoryview(content), 0
    with archive.open(array.info) as member:
        while filled < len(content):
            part = member.read(min(1 << 18, len(content) - filled))
            if not part:
                raise EOFError(_("truncated"))
            view[filled : filled + len(part)] = part
            filled += len(part)
        if member.read(1):
            raise ValueError(_("longer than the archive says"))
    flat = np.frombuffer(content, array.dtype, offset=array.start)
    if array.dtype.kind == "U" and flat.size:
        points = flat.astype(flat.dtype.newbyteorder("=")).view(np.uint32)
        if points.max() > sys.maxunicode:  # Python would fail only later, when the character is used
            raise ValueError(_("an invalid character"))
    values: NDArray[Any] = flat.reshape(array.shape[::-1]).transpose() if array.fortran else flat.reshape(array.shape)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _chosen(path: Path, arrays: Mapping[str, _Array], choices: Choices) -> tuple[str, str]:
    """Names of the arrays with the samples and the targets."""
    if choices.features is not None:
        if len(choices.features) != 1:
            sentence = _(
                "{path}: for an .npz file, data.features must name one array of samples; the arrays are {names}"
            )
            raise DataError(sentence.format(path=path, names=listed(list(arrays))))
        x_name: str | None = _known(path, choices.features[0], arrays)
    else:
        x_name = None
    y_name = None if choices.target is None else _known(path, choices.target, arrays)
    if x_name is not None and y_name is not None:
        return x_name, y_name
    found = _found(arrays, x_name, y_name)
    if not arrays:
        raise DataError(_("{path}: the file has no arrays").format(path=path))
    if found is None:
        shapes = listed([f"{clean(name)} {size_of(array.shape)}" for name, array in arrays.items()])
        sentence = _(
            "{path}: cannot tell which arrays are samples and targets; the arrays are {names}; name them x and y,"
            " or set data.features and data.target"
        )
        raise DataError(sentence.format(path=path, names=shapes))
    return found


def _known(path: Path, name: str, arrays: Mapping[str, _Array]) -> str:
    if name in arrays:
        return name
    sentence = _("{path}: no array {name}{hint}; the arrays are {names}")
    names = [clean(known) for known in arrays]
    raise DataError(
        sentence.format(path=path, name=repr(name[:200]), hint=nearest(name, names), names=listed(names))
    )  # fmt: skip


def _found(arrays: Mapping[str, _Array], x_name: str | None, y_name: str | None) -> tuple[str, str] | None:
    """The arrays of samples and targets, identified by name, or by shape if there are only two; None if unclear.

    Plain names such as ``x`` and ``y`` are preferred to those of a training part.
    """
    for train in ("", "train"):
        xs = [x_name] if x_name is not None else _named(arrays, _SAMPLES, train)
        ys = [y_name] if y_name is not None else _named(arrays, _TARGETS, train)
        xs = [name for name in xs if name != y_name]
        if xs and ys and xs[0] != ys[0]:
            only = len(xs) == len(ys) == 1 or (_bare(xs[0]), _bare(ys[0])) == ("x" + train, "y" + train)
            named = x_name is not None or y_name is not None
            return (xs[0], ys[0]) if only or named else None
    rest = [name for name in arrays if name not in (x_name, y_name)]
    if x_name is None and y_name is None and len(arrays) == 2:
        first, second = arrays
        if len(arrays[first].shape) > 1 >= len(arrays[second].shape) == 1:
            return first, second
        if len(arrays[second].shape) > 1 >= len(arrays[first].shape) == 1:
            return second, first
    if len(rest) == 1 and len(arrays) == 2:
        return (x_name, rest[0]) if x_name is not None else (rest[0], y_name) if y_name is not None else None
    return None


def _named(arrays: Mapping[str, _Array], words: Sequence[str], train: str) -> list[str]:
    """Arrays that are named like one of the words, in the order of the words."""
    spelled = {f"{train}{word}" for word in words} | {f"{word}{train}" for word in words}
    order = [f"{word}{train}" for word in words]
    found = [name for name in arrays if _bare(name) in spelled]
    return sorted(found, key=lambda name: _rank(_bare(name), order, train))


def _rank(bare: str, order: Sequence[str], train: str) -> int:
    word = bare.removeprefix(train) + train if train and bare.startswith(train) else bare
    return order.index(word) if word in order else len(order)


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower()).replace("training", "train")

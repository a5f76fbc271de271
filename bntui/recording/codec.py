"""Converts a keyframe into a row and back: scalars, a table of per-layer scalars, and safetensors for the rest.

Pickle is never used, because opening an untrusted recording must be safe.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from bntui.keyframe import (
    COLUMN,
    HISTOGRAM_BINS,
    LAYER_COLUMNS,
    MEASURES,
    QUANTITIES,
    BatchNorm,
    BoolArray,
    Distribution,
    DropoutMask,
    EarlyStopping,
    FloatArray,
    Keyframe,
    LayerMeasures,
    Predictions,
)
from bntui.measures import declarations
from bntui.recording.arrays import BATCH_NORM, OWN, Arrays, check_measures
from bntui.recording.foreign_json import parsed
from bntui.recording.history import LayerInfo
from bntui.recording.kinds import JsonObject, Plain, Text
from bntui.recording.schema import LATER, SCALARS
from bntui.text.language import _
from bntui.text.output import clean

LONGEST_HEADER: Final = 50_000_000
"""Maximum length in bytes; the header contains the names of all features."""
HEADER: Final = JsonObject({}, {"__metadata__": JsonObject(other=Text(LONGEST_HEADER))}, Plain(), 200_000)

DTYPES: Final[Mapping[str, str]] = {
    "<f8": "F64", "<f4": "F32", "<f2": "F16", "<i8": "I64", "<i4": "I32", "<i2": "I16", "|i1": "I8",
    "<u8": "U64", "<u4": "U32", "<u2": "U16", "|u1": "U8", "|b1": "BOOL",
}  # fmt: skip
"""Names of NumPy's types in the header of a block."""
ALIGNED: Final = 8
"""The header's length is a multiple of this."""

ROW: Final = tuple(one for one in MEASURES if one.declared.kept.place == "row")
ABSENT: Final[Mapping[type, Any]] = {float: math.nan, int: 0, bool: False, str: ""}
"""The value of a column of each type in runs that do not have that figure."""
PARTS: Final[Mapping[str, Mapping[str, int]]] = {
    part: {name.rpartition(".")[2]: at for name, at in COLUMN.items() if name.rpartition(".")[0] == part}
    for part in dict.fromkeys(name.rpartition(".")[0] for name in COLUMN)
}
"""Column numbers of the figures of each part of a layer, such as ``input``; the empty name is the layer itself."""


def pack_arrays(arrays: Arrays, metadata: Mapping[str, str] | None = None) -> bytes:
    """Arrays as one safetensors block, each copied once; the library copies them three times.

    The block is the length of its header, the header in JSON, and the arrays: first those with the largest items, so
    that all of them are aligned.
    """
    whole = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    header: dict[str, Any] = {"__metadata__": dict(metadata or {})}
    at = 0
    order = sorted(whole, key=lambda name: (-whole[name].itemsize, name))
    for name in order:
        values = whole[name]
        offsets = [at, at + values.nbytes]
        header[name] = {"dtype": DTYPES[values.dtype.str], "shape": values.shape, "data_offsets": offsets}
        at += values.nbytes
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNED)
    return b"".join((len(text).to_bytes(8, "little"), text, *(whole[name].data for name in order)))


def unpack_arrays(block: bytes) -> dict[str, NDArray[Any]]:
    """The arrays in a block written by :func:`pack_arrays`.

    Raises:
        ValueError: the block is damaged.
    """
    try:
        return dict(sorted(load(block).items()))  # its own order is a different one each time
    except (SafetensorError, LookupError, TypeError, OverflowError, MemoryError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def header_of(header: bytes) -> dict[str, Any]:
    """The header of a safetensors block: type, shape and offsets of each array, and the metadata.

    Raises:
        ValueError: the header is damaged.
    """
    told: dict[str, Any] = parsed(str(header, "utf-8"), HEADER, _("the header of a block"), LONGEST_HEADER, str)
    return told


def metadata_of(block: bytes) -> dict[str, str]:
    """The metadata given to :func:`pack_arrays`.

    A safetensors block begins with the length of its header in 8 bytes, followed by the header in JSON.

    Raises:
        ValueError: the header is damaged.
    """
    return dict(header_of(block[8 : 8 + int.from_bytes(block[:8], "little")]).get("__metadata__", {}))


def digest(*parts: bytes) -> bytes:
    """BLAKE2b digest, 16 bytes; stored with every row so that a corrupted byte is detected."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.digest()


def row_digest(scalars: Sequence[Any], layers: bytes | None, measures: bytes | None) -> bytes:
    """Digest of a keyframe's row: its scalars as JSON, the layer table, and the measures.

    Without a value, columns that a later format added are left out, so that rows of all formats have one digest.
    """
    known = list(scalars)
    while len(known) > len(SCALARS) - len(LATER) and known[-1] is None:
        known.pop()
    return digest(json.dumps(known).encode(), layers or b"", measures or b"")


def fields_digest(*fields: Any) -> bytes:
    """Digest of a row without arrays: its fields as JSON, each blob replaced by its own digest."""
    plain = [digest(field).hex() if isinstance(field, bytes) else field for field in fields]
    return digest(json.dumps(plain).encode())


def scalars_of(frame: Keyframe, epoch_end: bool) -> tuple[Any, ...]:
    """The row's scalar columns, in the order of ``SCALARS``."""
    values = {"epoch_end": epoch_end}
    for one in ROW:
        value: Any = frame
        for field in one.path:
            value = ABSENT[one.declared.type] if value is None else getattr(value, field)
        values[one.declared.field] = value
    return tuple(_cell(values[name]) for name in SCALARS)


def _cell(value: Any) -> Any:
    """A value as SQLite returns it: NaN as NULL, a boolean as an integer."""
    if isinstance(value, float) and math.isnan(value):
        return None
    return int(value) if isinstance(value, bool) else value


def row_figures(row: sqlite3.Row, owner: type) -> dict[str, Any]:
    """The fields of a keyframe or of its early stopping that are columns of its row; text is sanitized."""
    return {one.field: _read(row[one.field], one.type) for one in declarations(owner) if one.kept.place == "row"}


def _read(cell: Any, kind: type) -> Any:
    if kind is str:
        return clean(cell)
    return ABSENT[kind] if cell is None else kind(cell)


def layer_table(layers: Sequence[LayerMeasures]) -> FloatArray:
    """Per-layer scalars, shape ``(layers, len(LAYER_COLUMNS))``; NaN where a layer does not have the figure."""
    table = np.full((len(layers), len(LAYER_COLUMNS)), np.nan)
    for row, layer in zip(table, layers, strict=True):
        for part, columns in PARTS.items():
            values = getattr(layer, part) if part else layer
            if values is not None:
                for field, at in columns.items():
                    row[at] = getattr(values, field)
    return table


def pack_measures(frame: Keyframe) -> bytes:
    """All arrays of a keyframe as one block.

    These are the histograms, per-feature batch normalization, dropout masks (bit-packed), predictions and batch
    indices.
    """
    counts = np.zeros((len(frame.layers), len(QUANTITIES), HISTOGRAM_BINS), np.int32)
    arrays = _own_arrays(frame)
    for number, layer in enumerate(frame.layers):
        arrays |= _own_arrays(layer, f"{number}.")
        for at, quantity in enumerate(QUANTITIES):
            values: Distribution | None = getattr(layer, quantity)
            if values is not None:
                counts[number, at] = values.counts
        if layer.batch_norm is not None:
            for name, figures in BATCH_NORM.items():
                stack = np.stack([getattr(layer.batch_norm, one.field) for one in figures])
                arrays[f"{number}.{name}"] = stack.astype(np.float32 if figures[0].kept.shape else np.float64)
        if layer.dropout is not None:
            arrays[f"{number}.mask"] = np.packbits(layer.dropout.kept, axis=1)
            arrays[f"{number}.mask_shape"] = np.array(layer.dropout.kept.shape, np.int64)
    arrays["counts"] = _narrow(counts)
    if frame.predictions is not None:
        answers, classes = frame.predictions.values, frame.predictions.classes
        # a class's probability is only drawn as shading; a regression curve needs full precision
        arrays["predictions"] = answers if classes is None else answers.astype(np.float16)
        if classes is not None:
            arrays["predicted_classes"] = classes
    return pack_arrays(arrays)


def _own_arrays(part: Keyframe | LayerMeasures, prefix: str = "") -> dict[str, NDArray[Any]]:
    """The fields of this part that are stored as an array of their own."""
    found = {prefix + one.kept.array: getattr(part, one.field) for one in OWN[type(part)]}
    return {
        name: _narrow(values) if values.dtype.kind in "iu" else values
        for name, values in found.items()
        if values is not None
    }


def _own_fields(arrays: Arrays, owner: type, prefix: str = "") -> dict[str, NDArray[Any] | None]:
    """The fields stored by :func:`_own_arrays`; None where the recording does not have the array."""
    found = {one.field: arrays.get(prefix + one.kept.array) for one in OWN[owner]}
    return {
        field: values.astype(np.int64) if values is not None and values.dtype.kind in "iu" else values
        for field, values in found.items()
    }


def _narrow(numbers: NDArray[Any]) -> NDArray[Any]:
    """Non-negative integers in the smallest type that holds the largest of them."""
    return numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))


def unpack_keyframe(
    scalars: Mapping[str, Any],
    table: FloatArray,
    block: bytes,
    layers: Sequence[LayerInfo],
    stopping: EarlyStopping | None,
) -> Keyframe:
    """The keyframe that was stored with :func:`layer_table` and :func:`pack_measures`.

    Args:
        scalars: fields of the keyframe that are columns of its row.
        table: per-layer scalars, shape ``(layers, len(LAYER_COLUMNS))``.
        block: the arrays.

    Raises:
        ValueError: an array does not have the type, shape or range that its name and the layers require.
    """
    arrays = unpack_arrays(block)
    check_measures(arrays, layers)
    counts = arrays["counts"].astype(np.int32)

    def measures(number: int, info: LayerInfo) -> LayerMeasures:
        row = table[number].tolist()
        figures = {part: {field: row[at] for field, at in columns.items()} for part, columns in PARTS.items()}
        quantities: dict[str, Any] = {
            name: Distribution(**figures[name], counts=counts[number, at]) for at, name in enumerate(QUANTITIES)
        }
        if info.norm == "none":
            quantities["normalized"] = None
        own: dict[str, Any] = _own_fields(arrays, LayerMeasures, f"{number}.")
        dropout = None
        if f"{number}.mask" in arrays:
            units = int(arrays[f"{number}.mask_shape"][1])
            kept: BoolArray = np.unpackbits(arrays[f"{number}.mask"], axis=1, count=units).astype(bool)
            dropout = DropoutMask(p=info.dropout, **figures["dropout"], kept=kept)
        return LayerMeasures(
            name=info.name,
            kind=info.kind,
            **quantities,
            **figures[""],
            **own,
            batch_norm=_batch_norm(arrays, number) if f"{number}.eps" in arrays else None,
            dropout=dropout,
        )

    predictions = None
    if "predictions" in arrays:
        predictions = Predictions(arrays["predictions"].astype(np.float32), arrays.get("predicted_classes"))
    own_of_frame: dict[str, Any] = _own_fields(arrays, Keyframe)
    return Keyframe(
        **scalars,
        **own_of_frame,
        layers=tuple(measures(number, info) for number, info in enumerate(layers)),
        early_stopping=stopping,
        predictions=predictions,
    )


def _batch_norm(arrays: Arrays, number: int) -> BatchNorm:
    figures: dict[str, Any] = {}
    oldest = arrays.get(f"{number}.batch_norm")
    if oldest is not None:  # format 1 stores all vectors in one array; figures added later are NaN
        vectors = iter(oldest)
        unknown = np.full_like(oldest[0], np.nan)
        for one in declarations(BatchNorm):
            if one.kept.shape:
                figures[one.field] = next(vectors) if one.kept.since == 1 else unknown
    for name, members in BATCH_NORM.items():
        if f"{number}.{name}" in arrays:
            for one, values in zip(members, arrays[f"{number}.{name}"], strict=True):
                figures[one.field] = values if one.kept.shape else float(values)
    return BatchNorm(**figures)

"""How a keyframe becomes a row and back: scalars, a table of per-layer scalars, and safetensors for the rest.

Never pickle: opening a stranger's recording must be safe.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from bntui.keyframe import (
    ADDED_SCALARS,
    COLUMN,
    HISTOGRAM_BINS,
    LAYER_COLUMNS,
    LAYER_SCALARS,
    QUANTITIES,
    STATISTICS,
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
from bntui.recording.arrays import Arrays, check_measures
from bntui.recording.foreign_json import parsed
from bntui.recording.history import LayerInfo
from bntui.recording.kinds import Plain, Table, Text
from bntui.text.language import _

LONGEST_HEADER: Final = 50_000_000
"""Bytes: names of features are in it."""
HEADER: Final = Table({}, {"__metadata__": Table(other=Text(LONGEST_HEADER))}, Plain(), 200_000)

INPUT, PRE_NORM, NORMALIZED, OUTPUT = range(len(QUANTITIES))
STATISTICS_OF_BATCH_NORM = ("batch_mean", "batch_var", "running_mean", "running_var")
"""Shape ``(C,)``, or ``(T, C)`` with statistics per time step."""
AFFINE = ("gamma", "beta", "gamma_gradient", "beta_gradient")
"""Shape ``(C,)``."""


def pack_arrays(arrays: Arrays, metadata: Mapping[str, str] | None = None) -> bytes:
    """Arrays as one safetensors block; each is made contiguous first (safetensors scrambles others silently)."""
    return save({name: np.ascontiguousarray(a) for name, a in arrays.items()}, metadata=dict(metadata or {}))


def unpack_arrays(block: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of :func:`pack_arrays`; ValueError where the block is damaged."""
    try:
        return dict(load(block))
    except (SafetensorError, LookupError, TypeError, OverflowError, MemoryError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def header_of(header: bytes) -> dict[str, Any]:
    """The header of a safetensors block: type, shape and place of each array, and the metadata.

    Raises:
        ValueError: it is damaged.
    """
    told: dict[str, Any] = parsed(str(header, "utf-8"), HEADER, _("the header of a block"), LONGEST_HEADER, str)
    return told


def metadata_of(block: bytes) -> dict[str, str]:
    """The metadata of :func:`pack_arrays`: a safetensors block begins with the length of its header, then JSON.

    Raises:
        ValueError: the header is damaged.
    """
    return dict(header_of(block[8 : 8 + int.from_bytes(block[:8], "little")]).get("__metadata__", {}))


def digest(*parts: bytes) -> bytes:
    """BLAKE2b, 16 bytes: stands beside every row, so that a flipped byte is found."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.digest()


def row_digest(scalars: Sequence[Any], layers: bytes | None, measures: bytes | None) -> bytes:
    """Digest of a keyframe's row: its scalars as JSON, the layer table, the measures."""
    return digest(json.dumps(list(scalars)).encode(), layers or b"", measures or b"")


def fields_digest(*fields: Any) -> bytes:
    """Digest of a row that has no arrays: its fields as JSON, blobs by their own digest."""
    plain = [digest(field).hex() if isinstance(field, bytes) else field for field in fields]
    return digest(json.dumps(plain).encode())


def layer_table(layers: Sequence[LayerMeasures]) -> FloatArray:
    """Per-layer scalars, shape ``(layers, len(LAYER_COLUMNS))``, NaN where a layer has no such figure."""
    table = np.full((len(layers), len(LAYER_COLUMNS)), np.nan)
    for row, layer in zip(table, layers, strict=True):
        for start, quantity in enumerate(QUANTITIES):
            values: Distribution | None = getattr(layer, quantity)
            if values is not None:
                at = start * len(STATISTICS)
                row[at : at + len(STATISTICS)] = [getattr(values, name) for name in STATISTICS]
        for name in (*LAYER_SCALARS[:-1], *ADDED_SCALARS):
            row[COLUMN[name]] = getattr(layer, name)
        if layer.dropout is not None:
            row[COLUMN["kept_fraction"]] = layer.dropout.kept_fraction
    return table


def pack_measures(frame: Keyframe) -> bytes:
    """What is not a scalar: histograms, per-feature batch normalization, masks' bits, the batch's indices."""
    counts = np.zeros((len(frame.layers), len(QUANTITIES), HISTOGRAM_BINS), np.int32)
    arrays: dict[str, NDArray[Any]] = {"batch_indices": _narrow(frame.batch_indices)}
    for number, layer in enumerate(frame.layers):
        for at, quantity in enumerate(QUANTITIES):
            values: Distribution | None = getattr(layer, quantity)
            if values is not None:
                counts[number, at] = values.counts
        if layer.batch_norm is not None:
            for name, fields in (("statistics", STATISTICS_OF_BATCH_NORM), ("affine", AFFINE)):
                stack = np.stack([getattr(layer.batch_norm, field) for field in fields])
                arrays[f"{number}.{name}"] = stack.astype(np.float32)
            arrays[f"{number}.eps"] = np.array([layer.batch_norm.eps])
        if layer.dropout is not None:
            arrays[f"{number}.mask"] = np.packbits(layer.dropout.kept, axis=1)
            arrays[f"{number}.mask_shape"] = np.array(layer.dropout.kept.shape, np.int64)
    arrays["counts"] = _narrow(counts)
    if frame.predictions is not None:
        answers, classes = frame.predictions.values, frame.predictions.classes
        # a class's probability is only ever shaded; a curve is read
        arrays["predictions"] = answers if classes is None else answers.astype(np.float16)
        if classes is not None:
            arrays["predicted_classes"] = classes
    return pack_arrays(arrays)


def _narrow(numbers: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers from 0 on, in as few bytes each as the largest needs."""
    return numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))


def unpack_keyframe(
    scalars: Mapping[str, Any],
    table: FloatArray,
    block: bytes,
    layers: Sequence[LayerInfo],
    stopping: EarlyStopping | None,
) -> Keyframe:
    """The keyframe that :func:`layer_table` and :func:`pack_measures` took apart.

    Raises:
        ValueError: an array is not what its name and the layers ask for.
    """
    arrays = unpack_arrays(block)
    check_measures(arrays, layers)
    counts = arrays["counts"].astype(np.int32)

    def distribution(number: int, at: int) -> Distribution:
        values = table[number, at * len(STATISTICS) : (at + 1) * len(STATISTICS)]
        figures = dict(zip(STATISTICS, map(float, values), strict=True))
        return Distribution(**figures, counts=counts[number, at])

    def measures(number: int, info: LayerInfo) -> LayerMeasures:
        normalized = None if info.norm == "none" else distribution(number, NORMALIZED)
        figures = {name: float(table[number, COLUMN[name]]) for name in (*LAYER_SCALARS[:-1], *ADDED_SCALARS)}
        batch_norm = None
        if f"{number}.eps" in arrays:
            if f"{number}.batch_norm" in arrays:  # format 1: six arrays in one
                six = arrays[f"{number}.batch_norm"]
                statistics, affine = six[:4], np.concatenate([six[4:], np.full((2, six.shape[1]), np.nan, np.float32)])
            else:
                statistics, affine = arrays[f"{number}.statistics"], arrays[f"{number}.affine"]
            fields = dict(zip(STATISTICS_OF_BATCH_NORM, statistics, strict=True))
            fields |= dict(zip(AFFINE, affine, strict=True))
            batch_norm = BatchNorm(**fields, eps=float(arrays[f"{number}.eps"][0]))
        dropout = None
        if f"{number}.mask" in arrays:
            units = int(arrays[f"{number}.mask_shape"][1])
            kept: BoolArray = np.unpackbits(arrays[f"{number}.mask"], axis=1, count=units).astype(bool)
            dropout = DropoutMask(info.dropout, float(table[number, COLUMN["kept_fraction"]]), kept)
        return LayerMeasures(
            name=info.name,
            kind=info.kind,
            input=distribution(number, INPUT),
            pre_norm=distribution(number, PRE_NORM),
            normalized=normalized,
            output=distribution(number, OUTPUT),
            **figures,
            batch_norm=batch_norm,
            dropout=dropout,
        )

    predictions = None
    if "predictions" in arrays:
        predictions = Predictions(arrays["predictions"].astype(np.float32), arrays.get("predicted_classes"))
    return Keyframe(
        **scalars,
        batch_indices=arrays["batch_indices"].astype(np.int64),
        layers=tuple(measures(number, info) for number, info in enumerate(layers)),
        early_stopping=stopping,
        predictions=predictions,
    )

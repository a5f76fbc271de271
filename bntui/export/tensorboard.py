"""Writes event files for TensorBoard: scalars and histograms at their real steps, in a folder for each run.

Values are tensors of doubles, as TensorFlow 2 writes them with floats: the older ``simple_value`` would round them.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from bntui.drafts import Drafts
from bntui.errors import UsageError
from bntui.export.figures import ExportedFigure, chosen
from bntui.export.names import run_names
from bntui.export.protobuf import double, message, varint
from bntui.export.records import record
from bntui.export.request import Request, Tell
from bntui.export.selected import Selected, selected
from bntui.keyframe import Distribution
from bntui.recording.reader import Reader
from bntui.text.language import _, ngettext

_DOUBLE: Final = 2
"""``DT_DOUBLE`` of ``types.proto``."""
_SCALAR_CLASS, _TENSOR_CLASS = 1, 2
"""``DataClass`` of ``summary.proto``."""


def write(reader: Reader, request: Request, drafts: Drafts, tell: Tell) -> list[str]:
    """Write one event file for each run."""
    figures = chosen(request.quantities)
    scalars = [one for one in figures if not one.is_array and one.type is not str]
    histograms = [one for one in figures if is_histogram(one)]
    if not scalars and not histograms:
        sentence = _("--quantities {patterns}: neither a scalar nor a histogram")
        raise UsageError(sentence.format(patterns=",".join(request.quantities)))
    runs = selected(reader, request)
    names, began = run_names(reader.runs), _began(reader)
    done, total, said = 0, sum(len(one.rows) for one in runs), []
    for one in runs:
        folder = drafts.folder(request.target / names[one.info.index])
        path = folder / f"events.out.tfevents.{int(began):010d}.bntui"
        events = _Events(scalars, histograms, began)
        with drafts.new(path).open("wb") as file:
            file.write(record(double(1, began) + message(3, "brain.Event:2")))
            for event in events.of(one):
                file.write(record(event))
                tell(done := done + 1, total)
        said.append(_sentence(path, len(one.rows), events.left_out))
    return said


def _sentence(path: Path, count: int, left_out: int) -> str:
    sentence = ngettext("{path}: {count} step", "{path}: {count} steps", count).format(path=path, count=f"{count:,}")
    if not left_out:
        return sentence
    without = ngettext(
        "without {count} histogram of values that are not all finite, whose bins are not known",
        "without {count} histograms of values that are not all finite, whose bins are not known",
        left_out,
    )
    return f"{sentence}, {without.format(count=f'{left_out:,}')}"


def is_histogram(figure: ExportedFigure) -> bool:
    """True for the counts of a distribution."""
    return figure.is_array and figure.of_layer and figure.path[1:] == ("counts",)


def _began(reader: Reader) -> float:
    """When the recording was created, in seconds since 1970; 0 if it does not say so."""
    try:
        return datetime.fromisoformat(reader.meta.get("created", "")).timestamp()
    except (ValueError, OverflowError):
        return 0.0


class _Events:
    """Encodes the events of one run."""

    def __init__(self, scalars: Sequence[ExportedFigure], histograms: Sequence[ExportedFigure], began: float) -> None:
        self._of_keyframe = [one for one in scalars if not one.of_layer]
        self._of_layer = [one for one in scalars if one.of_layer]
        self._histograms, self._began = histograms, began
        self._known: set[str] = set()
        """Tags whose kind has been told."""
        self.left_out = 0
        """Histograms whose bins are not known."""

    def of(self, one: Selected) -> Iterator[bytes]:
        """One event for each row."""
        frames = one.keyframes()
        for row in one.scalars():
            values = [self._scalars("", self._of_keyframe, row.figures)]
            if row.has_frame:
                for info, layer in zip(one.info.layers, next(frames).layers, strict=True):
                    measured = [figure for figure in self._of_layer if figure.path[0] not in info.absent]
                    values.append(self._scalars(f"{layer.name}/", measured, layer))
                    values.append(b"".join(self._histogram(layer, figure) for figure in self._histograms))
            seconds = row.figures["wall_time"]
            when = self._began + (seconds if math.isfinite(seconds) else 0.0)
            yield double(1, when) + varint(2, row.figures["step"]) + message(5, b"".join(values))

    def _scalars(self, prefix: str, figures: Sequence[ExportedFigure], part: Any) -> bytes:
        found = ((figure.name, figure.of(part)) for figure in figures)
        return b"".join(self._scalar(f"{prefix}{name}", value) for name, value in found if value is not None)

    def _scalar(self, tag: str, value: float) -> bytes:
        return self._value(tag, "scalars", _SCALAR_CLASS, (), struct.pack("<d", value))

    def _histogram(self, layer: Any, figure: ExportedFigure) -> bytes:
        values: Distribution | None = getattr(layer, figure.path[0])
        if values is None or values.empty:
            return b""
        if not (math.isfinite(values.min) and math.isfinite(values.max)):
            self.left_out += 1
            return b""
        table = bins(values)
        tag = f"{layer.name}/{figure.name.removesuffix('.counts')}"
        return self._value(tag, "histograms", _TENSOR_CLASS, table.shape, table.tobytes())

    def _value(self, tag: str, plugin: str, kind: int, shape: Sequence[int], contents: bytes) -> bytes:
        """A ``Summary.Value``; the first one of a tag says what shows it."""
        sizes = b"".join(message(2, varint(1, size)) for size in shape)
        tensor = varint(1, _DOUBLE) + message(2, sizes) + message(4, contents)
        told = b""
        if tag not in self._known:
            self._known.add(tag)
            told = message(9, message(1, message(1, plugin)) + varint(4, kind))
        return message(1, message(1, tag) + told + message(8, tensor))


def bins(values: Distribution) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Left edge, right edge, and count of each bin; a single one if all values are the same."""
    if values.min == values.max:
        return np.array([[values.min, values.max, values.counts.sum()]], "<f8")
    edges = np.linspace(values.min, values.max, len(values.counts) + 1)
    return np.stack([edges[:-1], edges[1:], values.counts], axis=1).astype("<f8")

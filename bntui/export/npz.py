"""Writes arrays for NumPy: ``RUN/FIGURE`` and ``RUN/LAYER/FIGURE``, with the keyframes along the first axis.

An array whose first axis differs from keyframe to keyframe, as a smaller last mini-batch does, or that some keyframes
do not have, is written without the axis of the keyframes: all of them one after another, and ``… (rows)`` says how many
rows belong to each keyframe.  Where other axes differ, too, as with sequences of any length, the values follow one
another, and ``… (shapes)`` has the shape in each keyframe.  Evidence is written by keyframe, as
``RUN/evidence/STEP/NAME``.
"""

from __future__ import annotations

import math
import zipfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from bntui.drafts import Drafts
from bntui.errors import UsageError
from bntui.export.figures import ExportedFigure, chosen
from bntui.export.names import run_names
from bntui.export.request import Request, Tell
from bntui.export.selected import Selected, selected
from bntui.keyframe import Keyframe
from bntui.recording.reader import Reader
from bntui.text.language import _, ngettext

Values = NDArray[Any]
MOST_BYTES: Final = 200_000_000
"""Memory for arrays; keyframes are read again for those that have no room in it."""
_PLACE: Final = ("step", "epoch")


def write(reader: Reader, request: Request, drafts: Drafts, tell: Tell) -> list[str]:
    """Write one file with the arrays of all runs."""
    figures = chosen(request.quantities)
    runs = [one for one in selected(reader, request) if len(one.frames)]
    if not runs:
        raise UsageError(_("{path}: there is no keyframe in these epochs").format(path=reader.path))
    names = run_names(reader.runs)
    path = request.file("keyframes", ".npz")
    progress = _Progress(tell, sum(len(one.frames) for one in runs))
    count = 0
    with zipfile.ZipFile(drafts.new(path), "w") as archive:
        for one in runs:
            for name, values in _arrays(one, figures, progress):
                _add(archive, f"{names[one.info.index]}/{name}", values)
                count += 1
            if request.evidence:
                for name, values in _evidence(one):
                    _add(archive, f"{names[one.info.index]}/evidence/{name}", values)
                    count += 1
    sentence = ngettext("{path}: {count} array", "{path}: {count} arrays", count)
    return [sentence.format(path=path, count=f"{count:,}")]


class _Progress:
    """Counts keyframes, some of which may be read several times."""

    def __init__(self, tell: Tell, total: int) -> None:
        self._tell, self._total, self._done = tell, total, 0

    def again(self, count: int) -> None:
        self._total += count

    def one(self) -> None:
        self._done += 1
        self._tell(self._done, self._total)


def _add(archive: zipfile.ZipFile, name: str, values: Values) -> None:
    # a fixed time, so that the same recording gives the same bytes
    entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
    with archive.open(entry, "w", force_zip64=True) as file:
        npy.write_array(file, np.ascontiguousarray(values), allow_pickle=False)


def _arrays(one: Selected, figures: Sequence[ExportedFigure], progress: _Progress) -> Iterator[tuple[str, Values]]:
    """The arrays of a run, read in as many passes as memory asks for."""
    first = dict(_named(one, next(iter(one.keyframes())), figures))
    known, passes = set(first), deque(_passes(first.items(), len(one.frames)))
    progress.again(len(one.frames) * (len(passes) - 1))
    while passes:
        columns: dict[str, list[Values | None]] = {name: [] for name in passes.popleft()}
        later: dict[str, Values] = {}
        for frame in one.keyframes():
            found = dict(_named(one, frame, figures))
            for name, column in columns.items():
                column.append(found.get(name))
            later |= {name: values for name, values in found.items() if name not in known}
            progress.one()
        for name in list(columns):
            yield from _together(name, columns.pop(name))
        more = list(_passes(later.items(), len(one.frames)))  # what the first keyframe does not have
        progress.again(len(one.frames) * len(more))
        known |= later.keys()
        passes += more


def _passes(named: Iterable[tuple[str, Values]], keyframes: int) -> Iterator[list[str]]:
    names: list[str] = []
    size = 0
    for name, values in named:
        if names and size + values.nbytes * keyframes > MOST_BYTES:
            yield names
            names, size = [], 0
        names.append(name)
        size += values.nbytes * keyframes
    if names:
        yield names


def _named(one: Selected, frame: Keyframe, figures: Sequence[ExportedFigure]) -> Iterator[tuple[str, Values]]:
    """The arrays of a keyframe by name."""
    for name in _PLACE:
        yield name, np.asarray(getattr(frame, name))
    for figure in figures:
        if not figure.of_layer and (value := figure.of(frame)) is not None:
            yield figure.name, np.asarray(value)
    of_layer = [figure for figure in figures if figure.of_layer]
    for info, layer in zip(one.info.layers, frame.layers, strict=True):
        for figure in of_layer:
            if (value := figure.of_layer_in(info, layer)) is not None:
                yield f"{layer.name}/{figure.name}", np.asarray(value)


def _together(name: str, column: Sequence[Values | None]) -> Iterator[tuple[str, Values]]:
    """The values of a figure in all keyframes, as the arrays that hold them; None where a keyframe has none."""
    known = [one for one in column if one is not None]
    if all(one.ndim == 0 for one in known):
        none: Any = "" if any(one.dtype.kind == "U" for one in known) else math.nan
        yield name, np.array([none if one is None else one for one in column])
    elif len(known) == len(column) and len({one.shape for one in known}) == 1:
        yield name, np.stack(known)
    elif len({one.shape[1:] for one in known}) == 1:
        yield name, np.concatenate(known)
        yield f"{name} (rows)", np.array([0 if one is None else len(one) for one in column])
    else:
        yield name, np.concatenate([one.ravel() for one in known])
        axes = max(one.ndim for one in known)
        shapes = [(0,) * axes if one is None else (*one.shape, *[1] * (axes - one.ndim)) for one in column]
        yield f"{name} (shapes)", np.array(shapes)


def _evidence(one: Selected) -> Iterator[tuple[str, Values]]:
    kept = frozenset(one.reader.evidence_rows(one.info.index).tolist())
    steps = one.reader.history(one.info.index).step
    for row in filter(kept.__contains__, one.frames.tolist()):
        found = one.reader.evidence(one.info.index, row)
        if found is not None:
            yield from ((f"{steps[row]}/{name}", values) for name, values in found.arrays().items())

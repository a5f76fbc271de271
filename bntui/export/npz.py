"""Writes arrays for NumPy: ``RUN/FIGURE`` and ``RUN/LAYER/FIGURE``, with the keyframes along the first axis.

An array whose first axis differs from keyframe to keyframe, as a smaller last mini-batch does, is written without the
axis of the keyframes: all of them one after another, and ``… (rows)`` says how many belong to each keyframe.  Evidence
is written by keyframe, as ``RUN/evidence/STEP/NAME``.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from bntui.drafts import Drafts
from bntui.errors import RecordingError, UsageError
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
    first = next(iter(one.keyframes()))
    passes = list(_passes(_named(first, figures), len(one.frames)))
    progress.again(len(one.frames) * (len(passes) - 1))
    for names in passes:
        columns: dict[str, list[Values]] = {name: [] for name in names}
        for frame in one.keyframes():
            found = dict(_named(frame, figures))
            for name in names:
                if name in found:
                    columns[name].append(found[name])
            progress.one()
        for name in names:
            yield from _stacked(name, columns.pop(name))


def _passes(named: Iterable[tuple[str, Values]], keyframes: int) -> Iterator[list[str]]:
    names: list[str] = []
    size = 0
    for name, values in named:
        if names and size + values.nbytes * keyframes > MOST_BYTES:
            yield names
            names, size = [], 0
        names.append(name)
        size += values.nbytes * keyframes
    yield names


def _named(frame: Keyframe, figures: Sequence[ExportedFigure]) -> Iterator[tuple[str, Values]]:
    """The arrays of a keyframe by name; the same ones in every keyframe of a run."""
    for name in _PLACE:
        yield name, np.asarray(getattr(frame, name))
    for figure in figures:
        if not figure.of_layer and (value := figure.of(frame)) is not None:
            yield figure.name, np.asarray(value)
    of_layer = [figure for figure in figures if figure.of_layer]
    for layer in frame.layers:
        for figure in of_layer:
            if (value := figure.of(layer)) is not None:
                yield f"{layer.name}/{figure.name}", np.asarray(value)


def _stacked(name: str, values: list[Values]) -> Iterator[tuple[str, Values]]:
    if len({one.shape for one in values}) == 1:
        yield name, np.stack(values)
        return
    if len({one.shape[1:] for one in values}) > 1 or not values[0].shape:
        sentence = _("the arrays {name} of one run differ in more than their first axis")
        raise RecordingError(sentence.format(name=name))
    yield name, np.concatenate(values)
    yield f"{name} (rows)", np.array([len(one) for one in values])


def _evidence(one: Selected) -> Iterator[tuple[str, Values]]:
    kept = frozenset(one.reader.evidence_rows(one.info.index).tolist())
    steps = one.reader.history(one.info.index).step
    for row in filter(kept.__contains__, one.frames.tolist()):
        found = one.reader.evidence(one.info.index, row)
        if found is not None:
            yield from ((f"{steps[row]}/{name}", values) for name, values in found.arrays().items())

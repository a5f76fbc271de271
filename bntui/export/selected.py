"""Chooses the runs, and the rows of their histories, that an export writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bntui.errors import UsageError
from bntui.export.request import EpochRange, Request
from bntui.keyframe import IntArray, Keyframe
from bntui.recording.history import SAME_EPOCH, RunHistory, RunInfo
from bntui.recording.reader import Reader, RowScalars
from bntui.text.language import _


@dataclass(frozen=True, slots=True)
class Selected:
    """The rows of one run."""

    info: RunInfo
    rows: IntArray
    """All of them, ascending; some have only scalars."""
    frames: IntArray
    """Those that have a keyframe."""
    reader: Reader

    def scalars(self) -> Iterator[RowScalars]:
        """The scalars of all rows."""
        wanted = frozenset(self.rows.tolist())
        yield from (row for at, row in enumerate(self.reader.scalars(self.info.index)) if at in wanted)

    def keyframes(self) -> Iterator[Keyframe]:
        """The keyframes; their digests are checked."""
        yield from (self.reader.keyframe(self.info.index, row) for row in self.frames.tolist())


def selected(reader: Reader, request: Request) -> list[Selected]:
    """The runs of a request, in the order of the recording.

    Raises:
        UsageError: nothing is recorded of them in these epochs.
    """
    found = []
    for info in reader.runs:
        if not request.runs or info.index in request.runs:
            history = reader.history(info.index)
            every = _rows(history, request.epochs, np.ones(len(history), bool))
            found.append(Selected(info, every, _rows(history, request.epochs, history.has_frame), reader))
    if not any(len(one.rows) for one in found):
        raise UsageError(_("{path}: nothing is recorded in these epochs").format(path=reader.path))
    return found


def _rows(history: RunHistory, span: EpochRange, among: object) -> IntArray:
    inside = (history.epoch >= span.first - SAME_EPOCH) & (history.epoch <= span.last + SAME_EPOCH)
    rows: IntArray = np.flatnonzero(inside & np.asarray(among))
    return rows[-1:] if span.single else rows

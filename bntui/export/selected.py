"""Chooses the runs, and the rows of their histories, that an export writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bntui.errors import UsageError
from bntui.export.request import EpochRange, Request
from bntui.keyframe import IntArray, Keyframe
from bntui.recording.history import SAME_EPOCH, RunInfo
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
            every = rows_within(history.epoch, request.epochs)
            frames = rows_within(history.epoch, request.epochs, history.has_frame)
            found.append(Selected(info, every, frames, reader))
    if not any(len(one.rows) for one in found):
        raise UsageError(_("{path}: nothing is recorded in these epochs").format(path=reader.path))
    return found


def rows_within(epochs: NDArray[Any], span: EpochRange, among: object = True) -> IntArray:
    """The places of the epochs that lie in a range, of those that are ``among`` the ones that count."""
    inside = (epochs >= span.first - SAME_EPOCH) & (epochs <= span.last + SAME_EPOCH)
    rows: IntArray = np.flatnonzero(inside & np.asarray(among))
    return rows[-1:] if span.single else rows

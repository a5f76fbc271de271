"""Reads a finished or growing recording without blocking the writer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bntui.errors import RecordingError
from bntui.keyframe import LAYER_COLUMNS, EarlyStopping, FloatArray, IntArray, Keyframe
from bntui.recording.codec import row_figures
from bntui.recording.columns import RunColumns, read_keyframes
from bntui.recording.evidence import Evidence, TrainerState
from bntui.recording.histograms import Histograms
from bntui.recording.histograms import read as read_histograms
from bntui.recording.history import RunHistory
from bntui.recording.layer_tables import LayerTables
from bntui.recording.opened import Recording
from bntui.recording.schema import SCALARS
from bntui.recording.seeds import SeedCourse, SeedCourses
from bntui.recording.tables import rows


class RowScalars(NamedTuple):
    """The scalars of one row of a run."""

    figures: Mapping[str, Any]
    """By the name of the keyframe's field; ``early_stopping`` holds those of early stopping, or None."""
    epoch_end: bool
    has_frame: bool


class Reader(Recording):
    """A recording with the histories of its runs, as they had been committed at the last :meth:`refresh`.

    Raises:
        RecordingError: the file is not a recording, is from a newer version, or is damaged.
    """

    paths: tuple[Path, ...] = ()
    """Files that are compared; empty for a single recording, see ``joined.py``."""
    mixed = False
    opposite = 1

    def __init__(self, path: Path) -> None:
        self._columns: list[RunColumns] = []
        self._keyframes = 0
        """Id of the last row that was loaded."""
        self._histograms: dict[int, Histograms] = {}
        self._tables = LayerTables()
        self._seeds = SeedCourses()
        super().__init__(path)

    def _read_keyframes(self) -> bool:
        for info in self.runs[len(self._columns) :]:
            layers = len(info.layers)
            self._columns.append(RunColumns(layers, partial(self._layer_tables, layers)))
        before, self._keyframes = self._keyframes, read_keyframes(self._db, self._keyframes, self._columns)
        new_seeds = self._seeds.read(self._db, len(self.runs))
        return new_seeds or self._keyframes != before

    def history(self, run: int) -> RunHistory:
        """Scalars of all keyframes of a run, as loaded by the last :meth:`refresh`."""
        return self._columns[run].snapshot()

    def seeds(self, run: int) -> tuple[SeedCourse, ...]:
        """What is recorded of a run with other seeds, as loaded by the last :meth:`refresh`."""
        return self._seeds.of(run)

    @property
    def seeds_asked(self) -> int:
        """Number of seeds with which every run is to be trained, its own included."""
        return self._seeds.asked

    def scalars(self, run: int) -> Iterator[RowScalars]:
        """The scalars of the rows of :meth:`history`, with those that a history does not have, oldest first.

        Digests are not checked, as those of a history.
        """
        stopping = self.runs[run].early_stopping
        wanted = f"SELECT {', '.join(SCALARS)}, layers FROM keyframe WHERE run = ? ORDER BY id"
        with self._damage():
            for row in islice(rows(self._db, wanted, (run,), of="keyframe"), len(self._columns[run].snapshot())):
                early = None if stopping is None else {**stopping, **row_figures(row, EarlyStopping)}
                figures = {**row_figures(row, Keyframe), "early_stopping": early}
                yield RowScalars(figures, bool(row["epoch_end"]), row["layers"] is not None)

    def keyframe(self, run: int, row: int) -> Keyframe:
        """The keyframe of a row of :meth:`history`; its digest is checked.

        Raises:
            RecordingError: the row has only an epoch's scalars, or its digest does not match.
        """
        return self._frame(run, self._id(run, row))

    def histograms(self, run: int, history: RunHistory) -> Histograms:
        """Histograms of a run over time, from a sample of the keyframes in its history; cached."""
        with self._damage():
            before = self._histograms.get(run)
            self._histograms[run] = read_histograms(self._db, history, len(self.runs[run].layers), before)
        return self._histograms[run]

    def evidence(self, run: int, row: int) -> Evidence | None:
        """The evidence of a keyframe; None if it was thinned out.

        Raises:
            RecordingError: its digest does not match.
        """
        block = self._evidence_block(self._id(run, row))
        return None if block is None else self._evidence_in(block, run)

    def state(self, run: int, row: int) -> TrainerState | None:
        """The state of a run before a keyframe's step.

        None if the evidence was thinned out, and in recordings of an older format, which do not keep the progress.

        Raises:
            RecordingError: its digest does not match.
        """
        return self._state(run, self._id(run, row))

    def evidence_rows(self, run: int) -> IntArray:
        """Rows of :meth:`history` that have evidence, ascending."""
        with self._damage():
            kept = [row["id"] for row in rows(self._db, "SELECT id FROM evidence", of="evidence")]
        columns = self._columns[run]
        found: IntArray = np.flatnonzero(np.isin(columns.integers[0, : columns.length], kept))
        return found

    def _layer_tables(self, layers: int, ids: IntArray) -> FloatArray:
        """Per-layer scalars of keyframes; NaN where they are damaged, which is reported when they are displayed."""
        try:
            with self._damage():
                return self._tables.of(self._db, ids, layers)
        except RecordingError:
            return np.full((len(ids), layers, len(LAYER_COLUMNS)), np.nan)

    def _id(self, run: int, row: int) -> int:
        return int(self._columns[run].integers[0, row])

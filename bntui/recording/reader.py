"""Reads a finished or growing recording without blocking the writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from bntui.errors import RecordingError
from bntui.keyframe import EarlyStopping, IntArray, Keyframe, SingleArray
from bntui.recording.arrays import layer_tables, within
from bntui.recording.codec import (
    digest,
    fields_digest,
    row_digest,
    row_figures,
    unpack_arrays,
    unpack_keyframe,
)
from bntui.recording.columns import RunColumns, read_keyframes
from bntui.recording.dataset import RecordedData, RecordedScaling, check_predictions, data_of, grid_of, scaling_of
from bntui.recording.evidence import Evidence, TrainerState, check_evidence, evidence_block, progress_of
from bntui.recording.first_view import FirstView
from bntui.recording.foreign_json import parsed
from bntui.recording.forms import ARGUMENTS, PROGRESS, TASK, TRANSLATION
from bntui.recording.guard import Guarded, damaged
from bntui.recording.histograms import Histograms
from bntui.recording.histograms import read as read_histograms
from bntui.recording.history import Event, RunHistory, RunInfo
from bntui.recording.kinds import hold
from bntui.recording.runs import labelled, run_info
from bntui.recording.schema import RUN, SCALARS, open_read_only
from bntui.recording.sentences import event_kind
from bntui.recording.tables import MOST_EVENTS, one, rows
from bntui.recording.tour import tour_of
from bntui.text.language import _, spoken
from bntui.text.output import clean


class Reader:
    """A recording opened for reading: what is fixed, and what had been committed at the last :meth:`refresh`.

    Raises:
        RecordingError: the file is not a recording, is from a newer version, or is damaged.
    """

    paths: tuple[Path, ...] = ()
    """Files that are compared; empty for a single recording, see ``joined.py``."""
    mixed = False
    opposite = 1

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: Guarded | None = None
        self._held = False
        """A read transaction is open."""
        with self._damage():
            found = tuple(rows(self._db, "SELECT key, value FROM meta", of="meta"))
            meta: dict[str, str] = {row["key"]: row["value"] for row in found}
            translated = parsed(meta.get("translation", "{}"), TRANSLATION, "translation").get(spoken(), {})
            self.title: str = clean(translated.get("title") or meta["title"])
            hold(TASK, meta["task"], "task")
            self.task: str = meta["task"]
            self.scenario_text: str = meta["scenario"]
            self.meta: Mapping[str, str] = meta
            self.first_view = FirstView.of(meta)
            self.tour = tour_of(meta, translated)
            self._labels: Mapping[str, str] = translated.get("runs", {})
        self.runs: tuple[RunInfo, ...] = ()
        """In the order of their numbers; :meth:`refresh` adds forks."""
        self._columns: list[RunColumns] = []
        self._events: list[Event] = []
        self._keyframes = self._last_event = 0
        """Ids of the last rows that were loaded."""
        self._histograms: dict[int, Histograms] = {}
        self._frame = lru_cache(maxsize=64)(self._read_frame)
        try:
            self.refresh()
        except RecordingError:
            self.close()
            raise

    def refresh(self) -> bool:
        """Load what was committed since the last call; True if there is anything new."""
        before = len(self.runs), self._keyframes, self._last_event
        with self._damage(), self._at_one_moment():
            wanted = "SELECT * FROM run WHERE run >= ? ORDER BY run"
            for row in rows(self._db, wanted, (len(self.runs),), of="run"):
                if row["run"] != len(self.runs):
                    sentence = _("run {run} is missing, but there is a run {later}")
                    raise ValueError(sentence.format(run=len(self.runs), later=row["run"]))
                info = run_info(row, self._labels)
                self.runs += (labelled(info, self.runs),)
                self.__dict__.pop("dataset", None)  # it contains the scaling of each run
                self._columns.append(RunColumns(len(info.layers)))
            self._keyframes = read_keyframes(self._db, self._keyframes, self._columns)
            for row in rows(self._db, "SELECT * FROM event WHERE id > ? ORDER BY id", (self._last_event,), of="event"):
                self._events.append(self._event(row))
                self._last_event = row["id"]
        return (len(self.runs), self._keyframes, self._last_event) != before

    def history(self, run: int) -> RunHistory:
        """Scalars of all keyframes of a run, as loaded by the last :meth:`refresh`."""
        return self._columns[run].snapshot()

    def events(self, run: int) -> tuple[Event, ...]:
        """What happened to a run, oldest first."""
        return tuple(event for event in self._events if event.run == run)

    def keyframe(self, run: int, row: int) -> Keyframe:
        """The keyframe of a row of :meth:`history`; its digest is checked.

        Raises:
            RecordingError: the row has only an epoch's scalars, or its digest does not match.
        """
        return self._frame(run, int(self._columns[run].integers[0, row]))

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
        block = self._evidence_block(run, row)
        return None if block is None else self._evidence_in(block, run)

    def state(self, run: int, row: int) -> TrainerState | None:
        """The state of a run before a keyframe's step.

        None if the evidence was thinned out, and in recordings of an older format, which do not keep the progress.

        Raises:
            RecordingError: its digest does not match.
        """
        block = self._evidence_block(run, row)
        if block is None:
            return None
        evidence = self._evidence_in(block, run)
        with self._damage():
            progress = progress_of(block)
            if progress is not None:
                parsed(progress, PROGRESS, "progress")
        return None if progress is None else TrainerState(evidence, progress)

    def _evidence_in(self, block: bytes, run: int) -> Evidence:
        with self._damage():
            evidence = Evidence.of({clean(name): values for name, values in unpack_arrays(block).items()})
            check_evidence(evidence, self.runs[run].layers, self.runs[run].stages)
            return evidence

    def _evidence_block(self, run: int, row: int) -> bytes | None:
        """The block of a keyframe's evidence, its digest checked; None if it was thinned out."""
        with self._damage():
            return evidence_block(self._db, self.path, int(self._columns[run].integers[0, row]))

    def weights(self, run: int) -> dict[int, str]:
        """Digest of the parameters and buffers after each recorded step of a run, by step."""
        with self._damage():
            wanted = "SELECT step, weights_digest FROM keyframe WHERE run = ?"
            return {row["step"]: row["weights_digest"] for row in rows(self._db, wanted, (run,), of="keyframe")}

    def has_checkpoint(self, run: int, name: str) -> bool:
        """True if the run has a checkpoint with that name."""
        with self._damage():
            found = self._db.execute("SELECT 1 FROM checkpoint WHERE run = ? AND name = ?", (run, name)).fetchone()
        return found is not None

    def verify_runs(self) -> None:
        """Check the row of each run against its digest, if the format has one.

        Raises:
            RecordingError: a digest does not match.
        """
        with self._damage():
            for row in rows(self._db, "SELECT * FROM run", of="run"):
                if "digest" in row.keys() and fields_digest(*(row[name] for name in RUN)) != row["digest"]:  # noqa: SIM118
                    sentence = _("{path}: the run {run!r} is damaged: its digest does not match")
                    raise RecordingError(sentence.format(path=self.path, run=clean(row["name"])))

    def data_fits(self, checksum: bytes) -> bool:
        """True if the samples match their digest.

        Args:
            checksum: BLAKE2b digest of the current bytes of inputs and targets, which is the digest in formats before
                3, and in recordings without their samples.
        """
        with self._damage():
            row = one(self._db, "SELECT block, digest FROM data WHERE name = 'data'", of="data")
            return row["digest"] in (checksum, b"" if row["block"] is None else digest(row["block"]))

    def scaling(self, run: int) -> RecordedScaling:
        """A run's feature scaling."""
        with self._damage():
            row = one(self._db, "SELECT scaling FROM run WHERE run = ?", (run,), of="run")
            return scaling_of(row["scaling"])

    def evidence_rows(self, run: int) -> IntArray:
        """Rows of :meth:`history` that have evidence, ascending."""
        with self._damage():
            kept = [row["id"] for row in rows(self._db, "SELECT id FROM evidence", of="evidence")]
        columns = self._columns[run]
        found: IntArray = np.flatnonzero(np.isin(columns.integers[0, : columns.length], kept))
        return found

    @cached_property
    def dataset(self) -> RecordedData | None:
        """The samples; None if they were too large to be stored.

        Raises:
            RecordingError: the samples are damaged.
        """
        with self._damage():
            row = next(rows(self._db, "SELECT block, source FROM data WHERE name = 'data'", of="data"), None)
            if row is None or row["block"] is None:
                return None
            scalings = rows(self._db, "SELECT scaling FROM run ORDER BY run", of="run")
            return data_of(row, self.task, [scaling_of(row["scaling"]) for row in scalings], self.grid)

    @cached_property
    def grid(self) -> tuple[SingleArray, ...]:
        """The axes of the grid of predictions, in raw units; empty without a grid."""
        row = next(rows(self._db, "SELECT block FROM data WHERE name = 'grid'", of="data"), None)
        return () if row is None or row["block"] is None else grid_of(row["block"])

    def release(self) -> None:
        """Close the file, so that the trainer can checkpoint its WAL; the next read opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    close = release

    @property
    def _db(self) -> Guarded:
        if self._connection is None:
            self._connection = open_read_only(self.path)
        return self._connection

    def _read_frame(self, run: int, row_id: int) -> Keyframe:
        with self._damage():
            wanted = "SELECT keyframe.*, block FROM keyframe LEFT JOIN measures USING (id) WHERE id = ?"
            row = one(self._db, wanted, (row_id,), of="keyframe", joined="measures")
            place = {"path": self.path, "run": self.runs[run].called, "step": row["step"]}
            if row_digest([row[name] for name in SCALARS], row["layers"], row["block"]) != row["digest"]:
                sentence = _("{path}: the keyframe of run {run!r} at step {step} is damaged: its digest does not match")
                raise RecordingError(sentence.format(**place))
            if row["block"] is None:
                sentence = _("{path}: the keyframe of run {run!r} at step {step} contains only the epoch's scalars")
                raise RecordingError(sentence.format(**place))
            info = self.runs[run]
            stopping = None
            if info.early_stopping is not None:
                stopping = EarlyStopping(
                    monitor=clean(info.early_stopping["monitor"]),
                    patience=info.early_stopping["patience"],
                    **row_figures(row, EarlyStopping),
                )
            (table,) = layer_tables([row["layers"]], len(info.layers))
            frame = unpack_keyframe(row_figures(row, Keyframe), table, row["block"], info.layers, stopping)
            self._fits_data(frame)
            return frame

    def _fits_data(self, frame: Keyframe) -> None:
        """Raises ValueError where predictions are none of the grid, or name a class that there is not."""
        if frame.predictions is None:
            return
        check_predictions(frame.predictions, self.grid)
        try:
            data = self.dataset
        except RecordingError:  # said where the samples are looked at; no panel shows predictions without them
            return
        if frame.predictions.classes is not None and data is not None:
            within("predicted_classes", frame.predictions.classes, 0, len(data.classes))

    def _event(self, row: sqlite3.Row) -> Event:
        if row["run"] >= len(self.runs) or len(self._events) >= MOST_EVENTS:
            sentence = _("event {id} belongs to none of the {count} runs, or there are too many events")
            raise ValueError(sentence.format(id=row["id"], count=len(self.runs)))
        if row["id"] <= self._last_event:
            raise ValueError(_("the ids of the table {table} do not ascend").format(table="event"))
        told = parsed(row["arguments"], ARGUMENTS, "arguments") if "arguments" in row.keys() else {}  # noqa: SIM118
        kind = event_kind(clean(row["kind"]))
        return Event(row["run"], row["step"], row["epoch"], kind, clean(row["message"]), told)

    @contextmanager
    def snapshot(self) -> Iterator[Guarded]:
        """A consistent snapshot: everything read inside, with this reader or its connection, has the same state.

        The trainer keeps recording and thinning, but cannot checkpoint its WAL until the snapshot ends.
        """
        with self._at_one_moment():
            self.refresh()
            yield self._db

    @contextmanager
    def _at_one_moment(self) -> Iterator[None]:
        """Let several queries see the same state of the recording, whatever is committed in the meantime."""
        if self._held:
            yield
            return
        self._db.execute("BEGIN")
        self._held = True
        try:
            yield
        finally:
            self._held = False
            self._db.execute("COMMIT")

    @contextmanager
    def _damage(self) -> Iterator[None]:
        """Convert the errors that a damaged file causes in SQLite, JSON or NumPy into a RecordingError."""
        with damaged(self.path):
            yield

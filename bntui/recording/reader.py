"""Reads a recording, finished or growing; any number of readers, none of them in the writer's way."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bntui.errors import RecordingError
from bntui.foreign import told
from bntui.keyframe import LAYER_COLUMNS, EarlyStopping, FloatArray, IntArray, Keyframe
from bntui.language import _, spoken
from bntui.recording.codec import (
    Arrays,
    digest,
    fields_digest,
    metadata_of,
    row_digest,
    table_of,
    unpack_arrays,
    unpack_keyframe,
)
from bntui.recording.dataset import RecordedData, RecordedScaling
from bntui.recording.histograms import Histograms
from bntui.recording.histograms import read as read_histograms
from bntui.recording.history import Event, RunHistory, RunInfo
from bntui.recording.runs import labelled, run_info, scaling_of
from bntui.recording.schema import RUN, SCALARS, open_read_only
from bntui.text import clean

FLOATS = (
    "epoch", "lr", "batch_loss", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "wall_time", "best"
)  # fmt: skip
INTEGERS = ("id", "step", "epoch_end", "wait", "best_epoch")
KEYFRAME_SCALARS = (
    "run", "step", "epoch", "lr", "batch_loss", "train_loss", "train_accuracy", "val_loss", "val_accuracy",
    "wall_time", "weights_digest",
)  # fmt: skip


class _Columns:
    """Columns of one run that grow by doubling: a snapshot is a view, not a copy."""

    def __init__(self, layers: int) -> None:
        self.length = 0
        self.floats: FloatArray = np.empty((len(FLOATS), 64))
        self.integers: IntArray = np.empty((len(INTEGERS) + 1, 64), np.int64)
        self.layers: FloatArray = np.empty((64, layers, len(LAYER_COLUMNS)))

    def append(self, row: Mapping[str, Any]) -> None:
        if self.length == len(self.layers):
            # new arrays, never resized ones: snapshots handed out before must not change
            self.floats = np.concatenate([self.floats, np.empty_like(self.floats)], axis=1)
            self.integers = np.concatenate([self.integers, np.empty_like(self.integers)], axis=1)
            self.layers = np.concatenate([self.layers, np.empty_like(self.layers)])
        at = self.length
        self.floats[:, at] = [np.nan if row[name] is None else row[name] for name in FLOATS]
        table = row["layers"]
        self.integers[:, at] = [*(row[name] for name in INTEGERS), table is not None]
        self.layers[at] = np.nan if table is None else table_of(self.layers.shape[1], table)
        self.length += 1

    def snapshot(self) -> RunHistory:
        floats = dict(zip(FLOATS, self.floats[:, : self.length], strict=True))
        integers = dict(zip((*INTEGERS, "has_frame"), self.integers[:, : self.length], strict=True))
        return RunHistory(
            ids=integers["id"],
            step=integers["step"],
            epoch_end=integers["epoch_end"].astype(bool),
            has_frame=integers["has_frame"].astype(bool),
            wait=integers["wait"],
            best_epoch=integers["best_epoch"],
            layers=self.layers[: self.length],
            **floats,
        )


class Reader:
    """A recording as the viewer sees it: what is fixed, and what has been committed so far.

    Raises:
        RecordingError: the file is not a recording, is from a newer version, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        with self._damage():
            meta = {row["key"]: row["value"] for row in self._db.execute("SELECT key, value FROM meta")}
            translated = json.loads(meta.get("translation", "{}")).get(spoken(), {})
            self.title: str = clean(translated.get("title") or meta["title"])
            self.task: str = meta["task"]
            self.scenario_text: str = meta["scenario"]
            self.meta: Mapping[str, str] = meta
            self._labels: Mapping[str, str] = translated.get("runs", {})
        self.runs: tuple[RunInfo, ...] = ()
        """In the order of their numbers; :meth:`refresh` adds forks."""
        self._columns: list[_Columns] = []
        self._events: list[Event] = []
        self._keyframes = self._last_event = 0
        """Ids of the last rows that were loaded."""
        self._histograms: dict[int, Histograms] = {}
        self._frame = lru_cache(maxsize=64)(self._read_frame)
        self.refresh()

    def refresh(self) -> bool:
        """Load what was committed since; True if anything is new."""
        before = len(self.runs), self._keyframes, self._last_event
        with self._damage(), self._at_one_moment():
            for row in self._db.execute("SELECT * FROM run WHERE run >= ? ORDER BY run", (len(self.runs),)):
                info = run_info(row, self._labels)
                self.runs += (labelled(info, self.runs),)
                self.__dict__.pop("dataset", None)  # it has a scaling for each run
                self._columns.append(_Columns(len(info.layers)))
            for row in self._db.execute("SELECT * FROM keyframe WHERE id > ? ORDER BY id", (self._keyframes,)):
                self._columns[row["run"]].append(row)
                self._keyframes = row["id"]
            for row in self._db.execute("SELECT * FROM event WHERE id > ? ORDER BY id", (self._last_event,)):
                arguments = json.loads(row["arguments"]) if "arguments" in row.keys() else {}  # noqa: SIM118 - a Row
                event = Event(row["run"], row["step"], row["epoch"], row["kind"], clean(row["message"]), arguments)
                self._events.append(event)
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
            RecordingError: the row holds an epoch's scalars only, or its bytes are not those written.
        """
        return self._frame(run, int(self._columns[run].integers[0, row]))

    def histograms(self, run: int, history: RunHistory) -> Histograms:
        """Histograms over the time of a run's history, of so many keyframes as a picture shows; kept once read."""
        with self._damage():
            before = self._histograms.get(run)
            self._histograms[run] = read_histograms(self._db, history, len(self.runs[run].layers), before)
        return self._histograms[run]

    def evidence(self, run: int, row: int) -> Arrays | None:
        """Parameters, stages' values and masks of a keyframe, by name; None where they were thinned out.

        Raises:
            RecordingError: its bytes are not those that were written.
        """
        with self._damage():
            row_id = int(self._columns[run].integers[0, row])
            found = self._db.execute("SELECT block, digest FROM evidence WHERE id = ?", (row_id,)).fetchone()
            if found is None:
                return None
            if digest(found["block"]) != found["digest"]:
                sentence = _("{path}: the evidence of row {row} is damaged: its digest does not fit")
                raise RecordingError(sentence.format(path=self.path, row=row_id))
            return unpack_arrays(found["block"])

    def state(self, run: int, row: int) -> tuple[Arrays, str] | None:
        """Where a run stood before a keyframe's step: its evidence, and the trainer's ``Progress`` as text.

        None where the evidence was thinned out, and in recordings of an older format, which keep no progress.

        Raises:
            RecordingError: its bytes are not those that were written.
        """
        arrays = self.evidence(run, row)
        if arrays is None:
            return None
        with self._damage():
            row_id = int(self._columns[run].integers[0, row])
            block = self._db.execute("SELECT block FROM evidence WHERE id = ?", (row_id,)).fetchone()["block"]
            progress = metadata_of(block).get("progress")
        return None if progress is None else (arrays, progress)

    def weights(self, run: int) -> dict[int, str]:
        """Digest of the parameters and buffers after each recorded step of a run, by step."""
        with self._damage():
            return dict(self._db.execute("SELECT step, weights_digest FROM keyframe WHERE run = ?", (run,)).fetchall())

    def has_checkpoint(self, run: int, name: str) -> bool:
        """Whether parameters are kept under that name."""
        with self._damage():
            found = self._db.execute("SELECT 1 FROM checkpoint WHERE run = ? AND name = ?", (run, name)).fetchone()
        return found is not None

    def verify_runs(self) -> None:
        """Hold what was written of each run against its digest, where the format has one.

        Raises:
            RecordingError: a run is not what was written.
        """
        with self._damage():
            for row in self._db.execute("SELECT * FROM run"):
                if "digest" in row.keys() and fields_digest(*(row[name] for name in RUN)) != row["digest"]:  # noqa: SIM118
                    sentence = _("{path}: the run {run!r} is damaged: its digest does not fit")
                    raise RecordingError(sentence.format(path=self.path, run=clean(row["name"])))

    def data_fits(self, checksum: bytes) -> bool:
        """Whether the samples are those that were written.

        Args:
            checksum: BLAKE2b of the bytes of inputs and targets as they are now; what formats before 3, and recordings
                without their samples, have as the digest.
        """
        with self._damage():
            row = self._db.execute("SELECT block, digest FROM data WHERE name = 'data'").fetchone()
            return row["digest"] in (checksum, b"" if row["block"] is None else digest(row["block"]))

    def scaling(self, run: int) -> RecordedScaling:
        """A run's feature scaling, to the last bit."""
        with self._damage():
            block = self._db.execute("SELECT scaling FROM run WHERE run = ?", (run,)).fetchone()["scaling"]
            return scaling_of(block)

    def evidence_rows(self, run: int) -> IntArray:
        """Rows of :meth:`history` whose evidence is kept, ascending."""
        with self._damage():
            kept = [found["id"] for found in self._db.execute("SELECT id FROM evidence")]
        columns = self._columns[run]
        rows: IntArray = np.flatnonzero(np.isin(columns.integers[0, : columns.length], kept))
        return rows

    @cached_property
    def dataset(self) -> RecordedData | None:
        """The samples that were learned from; None where they were too large to be kept.

        Raises:
            RecordingError: its bytes are damaged.
        """
        with self._damage():
            blocks = {row["name"]: row for row in self._db.execute("SELECT name, block, source FROM data")}
            if "data" not in blocks or blocks["data"]["block"] is None:
                return None
            block = blocks["data"]["block"]
            arrays, names = unpack_arrays(block), metadata_of(block)
            scalings = [scaling_of(row["scaling"]) for row in self._db.execute("SELECT scaling FROM run ORDER BY run")]
            axes = unpack_arrays(blocks["grid"]["block"]) if "grid" in blocks else {}
            return RecordedData(
                name=clean(blocks["data"]["source"]),
                **{name: arrays[name] for name in ("x", "y", "train", "validation")},
                classes=tuple(map(clean, json.loads(names["classes"]))),
                features=tuple(map(clean, json.loads(names["features"]))),
                scalings=tuple(scalings),
                grid=tuple(axes[name] for name in sorted(axes)),
            )

    def release(self) -> None:
        """Let go of the file, so that the trainer can fold its journal in; the next read opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    close = release

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_read_only(self.path)
            self._connection.row_factory = sqlite3.Row
        return self._connection

    def _read_frame(self, run: int, row_id: int) -> Keyframe:
        with self._damage():
            row = self._db.execute(
                "SELECT keyframe.*, block FROM keyframe LEFT JOIN measures USING (id) WHERE id = ?", (row_id,)
            ).fetchone()
            place = {"path": self.path, "run": self.runs[run].name, "step": row["step"]}
            if row_digest([row[name] for name in SCALARS], row["layers"], row["block"]) != row["digest"]:
                sentence = _("{path}: the keyframe of run {run!r} at step {step} is damaged: its digest does not fit")
                raise RecordingError(sentence.format(**place))
            if row["block"] is None:
                sentence = _("{path}: the keyframe of run {run!r} at step {step} holds the epoch's scalars only")
                raise RecordingError(sentence.format(**place))
            info = self.runs[run]
            scalars = {name: float("nan") if row[name] is None else row[name] for name in KEYFRAME_SCALARS}
            stopping = None
            if info.early_stopping is not None:
                stopping = EarlyStopping(
                    monitor=info.early_stopping["monitor"],
                    best=float("nan") if row["best"] is None else row["best"],
                    best_epoch=row["best_epoch"],
                    wait=row["wait"],
                    patience=info.early_stopping["patience"],
                    stopped=bool(row["stopped"]),
                    reason=row["reason"],
                )
            table = table_of(len(info.layers), row["layers"])
            return unpack_keyframe(scalars, table, row["block"], info.layers, stopping)

    @contextmanager
    def _at_one_moment(self) -> Iterator[None]:
        """Several queries see the same recording, whatever is committed meanwhile."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("COMMIT")

    @contextmanager
    def _damage(self) -> Iterator[None]:
        """What a damaged file makes SQLite, JSON or NumPy say, said in a sentence."""
        try:
            yield
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
            sentence = _("{path} is busy: try again: {reason}") if busy else _("{path} is damaged: {reason}")
            raise RecordingError(sentence.format(path=self.path, reason=told(str(error)))) from error
        except (sqlite3.Error, LookupError, TypeError, ValueError, AttributeError) as error:
            sentence = _("{path} is damaged: {reason}")
            raise RecordingError(sentence.format(path=self.path, reason=told(str(error)))) from error

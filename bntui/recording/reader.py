"""Reads a recording, finished or growing; any number of readers, none of them in the writer's way."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bntui.errors import RecordingError
from bntui.keyframe import LAYER_COLUMNS, EarlyStopping, FloatArray, IntArray, Keyframe
from bntui.recording.codec import row_digest, unpack_keyframe
from bntui.recording.history import Event, LayerInfo, RunHistory, RunInfo
from bntui.recording.schema import SCALARS, open_read_only
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
        shape = self.layers.shape[1:]
        self.layers[at] = np.nan if table is None else np.frombuffer(table).reshape(shape)
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
            rows = self._db.execute("SELECT * FROM run ORDER BY run").fetchall()
            self.title: str = clean(meta["title"])
            self.task: str = meta["task"]
            self.scenario_text: str = meta["scenario"]
            self.meta: Mapping[str, str] = meta
            self.runs = tuple(_run_info(row) for row in rows)
        self._columns = [_Columns(len(run.layers)) for run in self.runs]
        self._events: list[Event] = []
        self._keyframes = self._last_event = 0
        """Ids of the last rows that were loaded."""
        self._frame = lru_cache(maxsize=64)(self._read_frame)
        self.refresh()

    def refresh(self) -> bool:
        """Load what was committed since; True if anything is new."""
        before = self._keyframes, self._last_event
        with self._damage():
            for row in self._db.execute("SELECT * FROM keyframe WHERE id > ? ORDER BY id", (self._keyframes,)):
                self._columns[row["run"]].append(row)
                self._keyframes = row["id"]
            for row in self._db.execute("SELECT * FROM event WHERE id > ? ORDER BY id", (self._last_event,)):
                event = Event(row["run"], row["step"], row["epoch"], row["kind"], clean(row["message"]))
                self._events.append(event)
                self._last_event = row["id"]
        return (self._keyframes, self._last_event) != before

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
            place = f"{self.path}: the keyframe of run {self.runs[run].name!r} at step {row['step']}"
            if row_digest([row[name] for name in SCALARS], row["layers"], row["block"]) != row["digest"]:
                raise RecordingError(f"{place} is damaged: its digest does not fit")
            if row["block"] is None:
                raise RecordingError(f"{place} holds the epoch's scalars only")
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
            table = np.frombuffer(row["layers"]).reshape(len(info.layers), len(LAYER_COLUMNS))
            return unpack_keyframe(scalars, table, row["block"], info.layers, stopping)

    @contextmanager
    def _damage(self) -> Iterator[None]:
        """What a damaged file makes SQLite, JSON or NumPy say, said in a sentence."""
        try:
            yield
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
            raise RecordingError(f"{self.path} is {'busy: try again' if busy else 'damaged'}: {error}") from error
        except (sqlite3.Error, KeyError, IndexError, TypeError, ValueError) as error:
            raise RecordingError(f"{self.path} is damaged: {error}") from error


def _run_info(row: sqlite3.Row) -> RunInfo:
    layers = tuple(
        LayerInfo(**{**layer, "name": clean(layer["name"]), "shape": tuple(layer["shape"])})
        for layer in json.loads(row["layers"])
    )
    return RunInfo(
        index=row["run"],
        name=clean(row["name"]),
        config=json.loads(row["config"]),
        layers=layers,
        steps_per_epoch=row["steps_per_epoch"],
        device=row["device"],
    )

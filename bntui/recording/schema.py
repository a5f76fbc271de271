"""The recording's tables: one SQLite file, its version checked before anything else is believed."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from bntui.errors import RecordingError
from bntui.foreign import told
from bntui.language import _

APPLICATION_ID: Final = 0x424E5455
"""``BNTU`` in ASCII, in the file's header: says that an SQLite file is a recording."""
VERSION: Final = 3

SCALARS: Final = (
    "run", "step", "epoch", "epoch_end", "lr", "batch_loss", "train_loss", "train_accuracy", "val_loss",
    "val_accuracy", "wall_time", "best", "best_epoch", "wait", "stopped", "reason", "weights_digest",
)  # fmt: skip
"""Columns of the table ``keyframe`` beside its arrays.  SQLite has no NaN: it is stored as NULL."""

RUN: Final = ("run", "name", "config", "layers", "steps_per_epoch", "device", "scaling", "fork", "budget")
"""Columns of the table ``run`` that its digest covers, in this order."""

TABLES: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE run (
    run INTEGER PRIMARY KEY, name TEXT NOT NULL, config TEXT NOT NULL, layers TEXT NOT NULL,
    steps_per_epoch INTEGER NOT NULL, device TEXT NOT NULL, scaling BLOB NOT NULL, fork TEXT, budget REAL NOT NULL,
    stride INTEGER NOT NULL, digest BLOB NOT NULL
);
CREATE TABLE keyframe (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES run, step INTEGER NOT NULL, epoch REAL NOT NULL,
    epoch_end INTEGER NOT NULL, lr REAL, batch_loss REAL, train_loss REAL, train_accuracy REAL, val_loss REAL,
    val_accuracy REAL, wall_time REAL, best REAL, best_epoch INTEGER, wait INTEGER, stopped INTEGER, reason TEXT,
    weights_digest TEXT, layers BLOB, digest BLOB NOT NULL, UNIQUE (run, step)
);
-- the arrays lie apart from the scalars, so that curves load without turning their pages
CREATE TABLE measures (id INTEGER PRIMARY KEY REFERENCES keyframe, block BLOB NOT NULL);
CREATE TABLE evidence (id INTEGER PRIMARY KEY REFERENCES keyframe, block BLOB NOT NULL, digest BLOB NOT NULL);
CREATE TABLE event (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, step INTEGER NOT NULL, epoch REAL NOT NULL, kind TEXT NOT NULL,
    message TEXT NOT NULL, arguments TEXT NOT NULL, digest BLOB NOT NULL
);
-- what was asked of the trainer and is not yet done: a trainer that is killed forgets nothing
CREATE TABLE agenda (id INTEGER PRIMARY KEY CHECK (id = 1), text TEXT NOT NULL);
CREATE TABLE checkpoint (
    run INTEGER NOT NULL, name TEXT NOT NULL, step INTEGER NOT NULL, block BLOB NOT NULL, digest BLOB NOT NULL,
    PRIMARY KEY (run, name)
);
CREATE TABLE data (name TEXT PRIMARY KEY, block BLOB, source TEXT NOT NULL, digest BLOB NOT NULL);
"""


def _connect(path: Path) -> tuple[sqlite3.Connection, set[str]]:
    """A read-only connection, and the names of the file's tables."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    # WAL needs a -shm beside the file; where none can be made (read-only media) and no -wal holds newer
    # rows, nobody writes, and the file can be read as it lies
    idle = not path.with_name(path.name + "-wal").exists()
    for attempt in (uri, f"{uri}&immutable=1") if idle else (uri,):
        connection = sqlite3.connect(attempt, uri=True, check_same_thread=False, isolation_level=None)
        try:
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        except sqlite3.DatabaseError as error:
            connection.close()
            last = error
        else:
            return connection, {name for (name,) in names}
    sentence = _("{path} is not a recording, or is damaged: {reason}")
    raise RecordingError(sentence.format(path=path, reason=told(str(last)))) from last


def open_read_only(path: Path) -> sqlite3.Connection:
    """A read-only connection to a recording, its identity and version checked.

    Raises:
        RecordingError: there is no such file, it is not a recording, is from a newer bntui, or is damaged.
    """
    if not path.exists():
        raise RecordingError(_("{path}: there is no such recording").format(path=path))
    if path.is_dir():
        raise RecordingError(_("{path} is a folder, not a recording").format(path=path))
    connection, tables = _connect(path)
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID:
        connection.close()
        raise RecordingError(_("{path} is not a bntui recording (it is another SQLite file)").format(path=path))
    if version > VERSION:
        connection.close()
        sentence = _("{path} comes from a newer bntui (format {version}, this one reads up to {newest}): update bntui")
        raise RecordingError(sentence.format(path=path, version=version, newest=VERSION))
    missing = {"meta", "run", "keyframe", "measures", "event"} - tables
    if missing:
        connection.close()
        raise RecordingError(_("{path} is damaged: its table {table} is missing").format(path=path, table=min(missing)))
    return connection

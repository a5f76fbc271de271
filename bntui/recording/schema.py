"""Defines the tables of a recording, and opens recordings after checking their format version and schema."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from bntui.errors import RecordingError
from bntui.keyframe import MEASURES
from bntui.recording.guard import Guarded, TableDefinition, definitions, refuse_foreign_schema, refuse_no_file
from bntui.text.language import _
from bntui.text.library_messages import told

APPLICATION_ID: Final = 0x424E5455
"""``BNTU`` in ASCII; in the file's header, it identifies an SQLite file as a recording."""
VERSION: Final = 6
"""Format 6 has the scale of gradients."""

MOST_OBJECTS: Final = 100
"""Maximum number of schema entries that are read; a recording has a dozen."""

PLACE: Final = ("run", "step", "epoch", "epoch_end")
"""Columns of the table ``keyframe`` that identify a row."""
FIGURES: Final[Mapping[str, type]] = {
    one.declared.field: one.declared.type
    for one in MEASURES
    if one.declared.kept.place == "row" and one.declared.field not in PLACE
}
"""Columns of the table ``keyframe`` that hold measures, and their types in a keyframe."""
SCALARS: Final = (*PLACE, *FIGURES)
"""Scalar columns of the table ``keyframe``.  NaN is stored as NULL, because SQLite has no NaN."""
LATER: Final[Mapping[str, int]] = {
    one.declared.field: one.declared.kept.since
    for one in MEASURES
    if one.declared.field in FIGURES and one.declared.kept.place == "row" and one.declared.kept.since > 1
}
"""Columns that a later format added to that table, the last ones, and the format."""
_SQL: Final[Mapping[type, str]] = {float: "REAL", int: "INTEGER", bool: "INTEGER", str: "TEXT"}

RUN: Final = ("run", "name", "config", "layers", "steps_per_epoch", "device", "scaling", "fork", "budget")
"""Columns of the table ``run`` that its digest covers, in this order."""

TABLES: Final = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE run (
    run INTEGER PRIMARY KEY, name TEXT NOT NULL, config TEXT NOT NULL, layers TEXT NOT NULL,
    steps_per_epoch INTEGER NOT NULL, device TEXT NOT NULL, scaling BLOB NOT NULL, fork TEXT, budget REAL NOT NULL,
    stride INTEGER NOT NULL, digest BLOB NOT NULL
);
CREATE TABLE keyframe (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES run, step INTEGER NOT NULL, epoch REAL NOT NULL,
    epoch_end INTEGER NOT NULL, {", ".join(f"{name} {_SQL[kind]}" for name, kind in FIGURES.items())},
    layers BLOB, digest BLOB NOT NULL, UNIQUE (run, step)
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
-- figures of successive epochs of a run trained with another seed, in one row once that has ended
CREATE TABLE seed (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, seed INTEGER NOT NULL, first INTEGER NOT NULL, block BLOB NOT NULL,
    ending TEXT, epoch REAL, reason TEXT, ratio REAL, digest BLOB NOT NULL
);
"""


ADDED: Final[Mapping[int, Mapping[str, tuple[str, ...]]]] = {
    2: {"event": ("arguments TEXT NOT NULL",)},
    3: {
        "run": (
            "fork TEXT",
            "budget REAL NOT NULL DEFAULT 0",
            "stride INTEGER NOT NULL DEFAULT 1",
            "digest BLOB NOT NULL DEFAULT x''",
        ),
        "event": ("digest BLOB NOT NULL DEFAULT x''",),
    },
    **{since: {"keyframe": tuple(f"{name} {_SQL[FIGURES[name]]}" for name, of in LATER.items() if of == since)}
       for since in LATER.values()},
}  # fmt: skip
"""Columns that each format added to existing tables, as ``ALTER TABLE`` adds them in an upgrade."""
NEW_TABLES: Final = {3: ("agenda",), 4: ("seed",)}


def creating(table: str) -> str:
    """The statement that creates a table."""
    return next(statement for statement in TABLES.split(";") if f"CREATE TABLE {table} " in statement)


@cache
def tables_of(version: int) -> dict[str, TableDefinition]:
    """The tables of a recording in a format, by name."""
    tables = definitions(TABLES)
    for newer, added in ADDED.items():
        for table, columns in added.items():
            names = [column.split(" ")[0] for column in columns]
            # optional, because an upgrade words them differently, and one was added while its format was in development
            known = tables[table]
            tables[table] = known.with_optional(columns) if newer <= version else known.without(names)
    for newer, new in NEW_TABLES.items():
        tables = {name: table for name, table in tables.items() if newer <= version or name not in new}
    return tables


def _connect(path: Path) -> tuple[Guarded, list[tuple[Any, ...]]]:
    """A read-only connection, and the entries of the file's schema."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    # WAL mode needs a -shm file; where none can be created (read-only media) and no -wal has newer rows,
    # there is no writer, and the file can be opened as immutable
    idle = not path.with_name(path.name + "-wal").exists()
    for attempt in (uri, f"{uri}&immutable=1") if idle else (uri,):
        connection = None
        try:
            connection = sqlite3.connect(
                attempt, uri=True, check_same_thread=False, isolation_level=None, factory=Guarded
            )
            connection.guard(path)
            listed = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchmany(MOST_OBJECTS)
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            last = error
        else:
            return connection, listed
    sentence = _("{path} is not a recording, or is damaged: {reason}")
    raise RecordingError(sentence.format(path=path, reason=told(str(last)))) from last


def _add_later(connection: Guarded, version: int) -> None:
    """Let the table ``keyframe`` of an older format have the columns that were added later, all of them NULL.

    A temporary view hides the table, in this connection alone; nothing is written to the file.
    """
    missing = [name for name, since in LATER.items() if since > version]
    if missing:
        # columns by name, because a trainer may upgrade the file while this connection is open
        there = ["id", *(name for name in SCALARS if name not in missing), "layers", "digest"]
        columns = ", ".join([*there, *(f"NULL AS {name}" for name in missing)])
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA query_only = OFF")
        connection.execute(f"CREATE TEMP VIEW keyframe AS SELECT {columns} FROM main.keyframe")
        connection.execute("PRAGMA query_only = ON")


def open_read_only(path: Path) -> Guarded:
    """A read-only connection with bounded work to a recording, after checking its file type, version and schema.

    Raises:
        RecordingError: the file does not exist, is not a recording, is from a newer bntui, or is damaged.
    """
    refuse_no_file(path)
    connection, listed = _connect(path)
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if not listed and application in (0, APPLICATION_ID):
            sentence = _("{path} is empty: no keyframe was recorded; delete it and start again with: bntui run")
            raise RecordingError(sentence.format(path=path))
        if application != APPLICATION_ID:
            raise RecordingError(_("{path} is not a bntui recording (it is another SQLite file)").format(path=path))
        if version > VERSION:
            sentence = _(
                "{path} was written by a newer bntui (format {version}, this version reads up to {newest});"
                " update bntui"
            )
            raise RecordingError(sentence.format(path=path, version=version, newest=VERSION))
        if version < 1:
            sentence = _("{path} is damaged: format {version} does not exist")
            raise RecordingError(sentence.format(path=path, version=version))
        refuse_foreign_schema(path, listed, tables_of(version))
        _add_later(connection, version)
    except sqlite3.Error as error:
        connection.close()
        sentence = _("{path} is not a recording, or is damaged: {reason}")
        raise RecordingError(sentence.format(path=path, reason=told(str(error)))) from error
    except RecordingError:
        connection.close()
        raise
    return connection

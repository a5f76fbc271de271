"""Upgrades a recording of an older format, so that training can continue in it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from bntui.errors import RecordingError
from bntui.recording.codec import fields_digest
from bntui.recording.schema import ADDED, NEW_TABLES, RUN, VERSION, creating
from bntui.text.language import _

_OLDEST = 2
"""The first format whose events and layers contain enough to resume training."""


def refuse_oldest(path: Path, database: sqlite3.Connection) -> None:
    """Raise RecordingError if a recording's format is too old to be resumed."""
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version < _OLDEST:
        sentence = _("{path} has format {version}: it can be replayed but not resumed; train its scenario again")
        raise RecordingError(sentence.format(path=path, version=version))


def upgrade(database: sqlite3.Connection) -> None:
    """Add the tables and columns that are new in this format, without changing what was recorded.

    The digests that are added attest the current content of the rows, not what was originally written.
    """
    version = database.execute("PRAGMA user_version").fetchone()[0]
    for newer in range(version + 1, VERSION + 1):
        for table in NEW_TABLES.get(newer, ()):
            database.execute(creating(table))
        for table, columns in ADDED.get(newer, {}).items():
            for column in columns:
                database.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    if version < 3:
        _attest(database)
    database.execute(f"PRAGMA user_version = {VERSION}")


def _attest(database: sqlite3.Connection) -> None:
    """Fill the columns that format 3 added."""
    rows = database.execute(f"SELECT {', '.join(RUN[:-1])} FROM run").fetchall()
    for row in rows:
        budget = json.loads(row[2])["record"]["budget"] * 1e6 / len(rows)
        database.execute(
            "UPDATE run SET budget = ?, stride = ?, digest = ? WHERE run = ?",
            (budget, _stride(database, row[0]), fields_digest(*row, budget), row[0]),
        )
    for number, *event in database.execute(
        "SELECT id, run, step, epoch, kind, message, arguments FROM event"
    ).fetchall():
        database.execute("UPDATE event SET digest = ? WHERE id = ?", (fields_digest(*event), number))
    meta = sorted(database.execute("SELECT key, value FROM meta").fetchall())
    database.execute("INSERT INTO meta VALUES ('digest', ?)", (fields_digest(meta).hex(),))


def _stride(database: sqlite3.Connection, run: int) -> int:
    """The smallest power of two such that all keyframes whose number is a multiple of it have evidence."""
    ids = [row for (row,) in database.execute(
        "SELECT id FROM keyframe WHERE run = ? AND layers IS NOT NULL ORDER BY step", (run,)
    )]  # fmt: skip
    kept = {row for (row,) in database.execute("SELECT id FROM evidence")}
    missing = [number for number, row in enumerate(ids) if number and row not in kept]
    stride = 1
    while any(number % stride == 0 for number in missing):
        stride *= 2
    return stride

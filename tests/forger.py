"""Changes a recording as its enemies would: bytes that rot, figures that are edited with their digests made anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bntui.keyframe import COLUMN
from bntui.recording.codec import (
    digest,
    fields_digest,
    metadata_of,
    pack_arrays,
    row_digest,
    unpack_arrays,
)
from bntui.recording.schema import SCALARS

RUN = ("run", "name", "config", "layers", "steps_per_epoch", "device", "scaling", "fork", "budget")
EVENT = ("run", "step", "epoch", "kind", "message", "arguments")

Arrays = dict[str, NDArray[Any]]


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    try:
        with db:
            yield db
    finally:
        db.close()


def row_of(db: sqlite3.Connection, run: int, step: int) -> sqlite3.Row:
    query = "SELECT keyframe.*, block FROM keyframe LEFT JOIN measures USING (id) WHERE run = ? AND step = ?"
    found: sqlite3.Row = db.execute(query, (run, step)).fetchone()
    return found


def attest(db: sqlite3.Connection, run: int, step: int) -> None:
    """Give a keyframe's row the digest of what it holds now."""
    row = row_of(db, run, step)
    made = row_digest([row[name] for name in SCALARS], row["layers"], row["block"])
    db.execute("UPDATE keyframe SET digest = ? WHERE id = ?", (made, row["id"]))


def flip(path: Path, table: str, column: str, at: float = 0.5, which: str = "") -> None:
    """One bit of a blob of the table's last row (or of ``which``)."""
    with opened(path) as db:
        query = f"SELECT rowid AS place, {column} FROM {table} {which} ORDER BY rowid DESC LIMIT 1"
        row = db.execute(query).fetchone()
        block = bytearray(row[column])
        block[int(at * (len(block) - 1))] ^= 0x10
        db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (bytes(block), row["place"]))


def scalar(path: Path, run: int, step: int, column: str, change: Callable[[Any], Any]) -> None:
    with opened(path) as db:
        row = row_of(db, run, step)
        db.execute(f"UPDATE keyframe SET {column} = ? WHERE id = ?", (change(row[column]), row["id"]))
        attest(db, run, step)


def figure(path: Path, run: int, step: int, layer: int, column: str, change: Callable[[float], float]) -> None:
    """A per-layer scalar."""
    with opened(path) as db:
        row = row_of(db, run, step)
        count = len(np.frombuffer(row["layers"])) // len(COLUMN)
        table = np.frombuffer(row["layers"]).reshape(count, -1).copy()
        table[layer, COLUMN[column]] = change(float(table[layer, COLUMN[column]]))
        db.execute("UPDATE keyframe SET layers = ? WHERE id = ?", (table.tobytes(), row["id"]))
        attest(db, run, step)


def measures(path: Path, run: int, step: int, change: Callable[[Arrays], object]) -> None:
    with opened(path) as db:
        row = row_of(db, run, step)
        arrays = {name: values.copy() for name, values in unpack_arrays(row["block"]).items()}
        change(arrays)
        db.execute("UPDATE measures SET block = ? WHERE id = ?", (pack_arrays(arrays), row["id"]))
        attest(db, run, step)


def evidence(path: Path, run: int, step: int, change: Callable[[Arrays], object]) -> None:
    with opened(path) as db:
        at = row_of(db, run, step)["id"]
        block = db.execute("SELECT block FROM evidence WHERE id = ?", (at,)).fetchone()["block"]
        arrays = {name: values.copy() for name, values in unpack_arrays(block).items()}
        change(arrays)
        forged = pack_arrays(arrays, metadata_of(block))
        db.execute("UPDATE evidence SET block = ?, digest = ? WHERE id = ?", (forged, digest(forged), at))


def thin(path: Path, run: int, step: int) -> None:
    """Drop a keyframe's evidence, as the budget does."""
    with opened(path) as db:
        db.execute("DELETE FROM evidence WHERE id = ?", (row_of(db, run, step)["id"],))


def checkpoint(path: Path, run: int, change: Callable[[Arrays], object]) -> None:
    with opened(path) as db:
        block = db.execute("SELECT block FROM checkpoint WHERE run = ?", (run,)).fetchone()["block"]
        arrays = {name: values.copy() for name, values in unpack_arrays(block).items()}
        change(arrays)
        forged = pack_arrays(arrays)
        db.execute("UPDATE checkpoint SET block = ?, digest = ? WHERE run = ?", (forged, digest(forged), run))


def dataset(
    path: Path, name: str, change: Callable[[Arrays], object], checksum: Callable[[Arrays, bytes], bytes]
) -> None:
    with opened(path) as db:
        block = db.execute("SELECT block FROM data WHERE name = ?", (name,)).fetchone()["block"]
        arrays = {key: values.copy() for key, values in unpack_arrays(block).items()}
        change(arrays)
        forged = pack_arrays(arrays, metadata_of(block))
        db.execute("UPDATE data SET block = ?, digest = ? WHERE name = ?", (forged, checksum(arrays, forged), name))


def run_row(path: Path, run: int, column: str, change: Callable[[Any], Any]) -> None:
    with opened(path) as db:
        row = db.execute("SELECT * FROM run WHERE run = ?", (run,)).fetchone()
        db.execute(f"UPDATE run SET {column} = ? WHERE run = ?", (change(row[column]), run))
        row = db.execute("SELECT * FROM run WHERE run = ?", (run,)).fetchone()
        db.execute("UPDATE run SET digest = ? WHERE run = ?", (fields_digest(*(row[name] for name in RUN)), run))


def event(path: Path, kind: str, column: str, change: Callable[[Any], Any]) -> None:
    with opened(path) as db:
        row = db.execute("SELECT * FROM event WHERE kind = ?", (kind,)).fetchone()
        db.execute(f"UPDATE event SET {column} = ? WHERE id = ?", (change(row[column]), row["id"]))
        row = db.execute("SELECT * FROM event WHERE id = ?", (row["id"],)).fetchone()
        made = fields_digest(*(row[name] for name in EVENT))
        db.execute("UPDATE event SET digest = ? WHERE id = ?", (made, row["id"]))


def execute(path: Path, statement: str, *arguments: object) -> None:
    with opened(path) as db:
        db.execute(statement, arguments)

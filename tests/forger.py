"""Tampers with a recording: corrupts bytes, or edits figures and recomputes their digests."""

from __future__ import annotations

import json
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
from bntui.recording.history import Event
from bntui.recording.schema import SCALARS
from bntui.recording.sentences import SENTENCES

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


def kept_step(path: Path, run: int) -> int:
    """The step of the weights that a run keeps."""
    with opened(path) as db:
        return int(db.execute("SELECT step FROM checkpoint WHERE run = ?", (run,)).fetchone()["step"])


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
    """Drop a keyframe's evidence, as a budget that has no room for more than the first does."""
    with opened(path) as db:
        db.execute("DELETE FROM evidence WHERE id = ?", (row_of(db, run, step)["id"],))
        own = db.execute("SELECT count(*) FROM run WHERE fork IS NULL").fetchone()[0]
        db.execute("UPDATE run SET stride = 1048576, budget = ? WHERE run = ?", (1e-6 * 1e6 / own, run))
    config(path, run, lambda told: told["record"].update(budget=1e-6))


def jsoned(change: Callable[[Any], object]) -> Callable[[str], str]:
    """A change of what a text holds as JSON."""

    def changed(text: str) -> str:
        told = json.loads(text)
        change(told)
        return json.dumps(told)

    return changed


def config(path: Path, run: int, change: Callable[[Any], object]) -> None:
    """A run's settings."""
    run_row(path, run, "config", jsoned(change))


def progress(path: Path, run: int, step: int, change: Callable[[Any], object]) -> None:
    """The trainer's state in a keyframe's evidence."""
    with opened(path) as db:
        at = row_of(db, run, step)["id"]
        block = db.execute("SELECT block FROM evidence WHERE id = ?", (at,)).fetchone()["block"]
        metadata = metadata_of(block)
        metadata["progress"] = jsoned(change)(metadata["progress"])
        forged = pack_arrays(unpack_arrays(block), metadata)
        db.execute("UPDATE evidence SET block = ?, digest = ? WHERE id = ?", (forged, digest(forged), at))


def progress_out(path: Path, run: int, step: int) -> None:
    """Evidence without the trainer's state."""
    with opened(path) as db:
        at = row_of(db, run, step)["id"]
        block = db.execute("SELECT block FROM evidence WHERE id = ?", (at,)).fetchone()["block"]
        forged = pack_arrays(unpack_arrays(block))
        db.execute("UPDATE evidence SET block = ?, digest = ? WHERE id = ?", (forged, digest(forged), at))


def meta(path: Path, key: str, change: Callable[[str], str | None]) -> None:
    """A cell of ``meta``, taken out where the change gives nothing."""
    with opened(path) as db:
        value = change(db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()["value"])
        db.execute("DELETE FROM meta WHERE key = ?", (key,))
        if value is not None:
            db.execute("INSERT INTO meta VALUES (?, ?)", (key, value))
        cells = db.execute("SELECT key, value FROM meta WHERE key != 'digest'").fetchall()
        made = fields_digest(sorted(tuple(cell) for cell in cells)).hex()
        db.execute("UPDATE meta SET value = ? WHERE key = 'digest'", (made,))


def happen(path: Path, event: Event, before: str = "") -> None:
    """An event that never was, the last one of all or before that of a kind."""
    row = (event.run, event.step, event.epoch, event.kind, event.message, json.dumps(event.arguments))
    with opened(path) as db:
        rows = [tuple(found) for found in db.execute(f"SELECT {', '.join(EVENT)} FROM event ORDER BY id")]
        at = next((at for at, found in enumerate(rows) if found[3] == before), len(rows))
        rows.insert(at, row)
        db.execute("DELETE FROM event")
        for found in rows:
            columns = f"INSERT INTO event ({', '.join(EVENT)}, digest) VALUES (?, ?, ?, ?, ?, ?, ?)"
            db.execute(columns, (*found, fields_digest(*found)))


def retell(path: Path, kind: str, run: int = 0, **changed: Any) -> None:
    """An event with other figures and the sentence that they make.

    Args:
        changed: ``step``, ``epoch``, ``kind_`` and ``message`` of the event itself, and its figures; those of the same
            name with a ``_``.
    """
    with opened(path) as db:
        row = db.execute("SELECT * FROM event WHERE kind = ? AND run = ? ORDER BY id DESC", (kind, run)).fetchone()
        fields = {name: row[name] for name in EVENT}
        told = {"step": "step", "epoch": "epoch", "kind_": "kind", "message": "message"}
        fields |= {column: changed.pop(name) for name, column in told.items() if name in changed}
        arguments = json.loads(row["arguments"])
        if changed:
            sentence = next(s for s in SENTENCES[kind] if s.format(**arguments) == row["message"])
            arguments |= {name.rstrip("_"): value for name, value in changed.items()}
            fields |= {"arguments": json.dumps(arguments), "message": sentence.format(**arguments)}
        made = [fields[name] for name in EVENT]
        columns = ", ".join(f"{name} = ?" for name in EVENT)
        db.execute(f"UPDATE event SET {columns}, digest = ? WHERE id = ?", (*made, fields_digest(*made), row["id"]))


def remove_row(path: Path, run: int, step: int) -> None:
    """Remove a row with its measures and evidence."""
    with opened(path) as db:
        at = row_of(db, run, step)["id"]
        for table in ("keyframe", "measures", "evidence"):
            db.execute(f"DELETE FROM {table} WHERE id = ?", (at,))


def bare(path: Path, run: int, step: int) -> None:
    """A keyframe becomes a row of scalars alone."""
    with opened(path) as db:
        at = row_of(db, run, step)["id"]
        db.execute("UPDATE keyframe SET layers = NULL, batch_loss = NULL WHERE id = ?", (at,))
        for table in ("measures", "evidence"):
            db.execute(f"DELETE FROM {table} WHERE id = ?", (at,))
        attest(db, run, step)


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


SEED = ("run", "seed", "first", "block", "ending", "epoch", "reason", "ratio")


def attest_seeds(db: sqlite3.Connection) -> None:
    """Give every row of the table ``seed`` the digest of what it holds now."""
    for row in db.execute("SELECT * FROM seed").fetchall():
        made = fields_digest(*(row[name] for name in SEED))
        db.execute("UPDATE seed SET digest = ? WHERE id = ?", (made, row["id"]))


def seeds(path: Path, statement: str) -> None:
    """Change the table ``seed`` with SQL."""
    with opened(path) as db:
        db.execute(statement)
        attest_seeds(db)


def seed_figures(path: Path, run: int, change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
    """The figures of a run's first other seed, shape ``(epochs, 4)``."""
    with opened(path) as db:
        row = db.execute("SELECT id, block FROM seed WHERE run = ? ORDER BY seed LIMIT 1", (run,)).fetchone()
        figures = change(np.frombuffer(row["block"], "<f8").reshape(-1, 4).copy())
        db.execute("UPDATE seed SET block = ? WHERE id = ?", (figures.tobytes(), row["id"]))
        attest_seeds(db)

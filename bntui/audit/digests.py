"""Verifies the digests of each table's rows; a row that does not match is excluded from further checks."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bntui.audit.ledger import Ledger, Place
from bntui.recording.codec import digest, fields_digest, row_digest, unpack_arrays
from bntui.recording.schema import SCALARS
from bntui.recording.tables import rows
from bntui.text.language import N_

DIGESTS: Final = N_("digests")


@dataclass(slots=True)
class Damage:
    """Rows excluded from further checks."""

    keyframes: set[int] = field(default_factory=set)
    """Ids of damaged rows of ``keyframe``."""
    evidence: set[int] = field(default_factory=set)
    checkpoints: set[tuple[int, str]] = field(default_factory=set)
    data: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Checking:
    """The input of each table's check."""

    db: sqlite3.Connection
    ledger: Ledger
    runs: tuple[str, ...]
    """The runs' names."""

    def row(self, table: str, fits: bool, run: int | None = None, step: int | None = None, name: str = "") -> bool:
        """Record whether a row matches its digest."""
        known = run is not None and 0 <= run < len(self.runs)
        place = Place(run=self.runs[run] if known and run is not None else "", step=step)
        figure = f"{table} {name}".rstrip()
        return self.ledger.hold(DIGESTS, place, figure, fits, N_("different bytes"), N_("bytes that match the digest"))


def _keyframes(of: Checking, damage: Damage) -> None:
    query = "SELECT keyframe.*, block FROM keyframe LEFT JOIN measures USING (id) ORDER BY id"
    for row in rows(of.db, query, of="keyframe", joined="measures"):
        fits = row_digest([row[name] for name in SCALARS], row["layers"], row["block"]) == row["digest"]
        if not of.row("keyframe", fits, row["run"], row["step"]):
            damage.keyframes.add(row["id"])
    query = "SELECT id FROM measures WHERE id NOT IN (SELECT id FROM keyframe)"
    for row in rows(of.db, query, of="measures"):
        of.row("measures", False, name=str(row["id"]))


def _evidence(of: Checking, damage: Damage) -> None:
    query = "SELECT evidence.id, block, evidence.digest, run, step FROM evidence LEFT JOIN keyframe USING (id)"
    for row in rows(of.db, query, of="evidence", joined="keyframe"):
        fits = digest(row["block"]) == row["digest"] and row["run"] is not None
        if not of.row("evidence", fits, row["run"], row["step"]):
            damage.evidence.add(row["id"])


def _checkpoints(of: Checking, damage: Damage) -> None:
    for row in rows(of.db, "SELECT * FROM checkpoint", of="checkpoint"):
        if not of.row("checkpoint", digest(row["block"]) == row["digest"], row["run"], row["step"], row["name"]):
            damage.checkpoints.add((row["run"], row["name"]))


def _data(of: Checking, damage: Damage) -> None:
    for row in rows(of.db, "SELECT * FROM data", of="data"):
        if row["block"] is None:
            continue
        fits = row["digest"] in (_content(row["block"]), _plain(row["block"]), digest(row["block"]))
        if not of.row("data", fits, name=row["name"]):
            damage.data.add(row["name"])


def _plain(block: bytes) -> bytes:
    return hashlib.blake2b(block, digest_size=16).digest()


def _content(block: bytes) -> bytes:
    """The checksum of a data set: of its samples and targets, regardless of where they are stored."""
    try:
        arrays = unpack_arrays(block)
        return hashlib.blake2b(arrays["x"].tobytes() + arrays["y"].tobytes(), digest_size=16).digest()
    except (ValueError, LookupError):
        return b""


RUN: Final = ("run", "name", "config", "layers", "steps_per_epoch", "device", "scaling", "fork", "budget")
EVENT: Final = ("run", "step", "epoch", "kind", "message", "arguments")
"""Columns that an event's digest covers, since format 3; older events have no digest."""
SEED: Final = ("run", "seed", "first", "block", "ending", "epoch", "reason", "ratio")


def _rows(table: str, fields: tuple[str, ...]) -> Callable[[Checking, Damage], None]:
    """A check for a table whose rows have a digest over some of their fields."""

    def check(of: Checking, _damage: Damage) -> None:
        for row in rows(of.db, f"SELECT * FROM {table}", of=table):
            if "digest" in row.keys():  # noqa: SIM118 - a Row
                fits = fields_digest(*(row[name] for name in fields)) == row["digest"]
                of.row(table, fits, row["run"], row["step"] if "step" in fields else None)

    return check


def _meta(of: Checking, _damage: Damage) -> None:
    cells = {row["key"]: row["value"] for row in rows(of.db, "SELECT key, value FROM meta", of="meta")}
    attested = cells.pop("digest", None)
    if attested is not None:
        of.row("meta", fields_digest(sorted(cells.items())).hex() == attested)


TABLES: Final[dict[str, Callable[[Checking, Damage], None]]] = {
    "meta": _meta,
    "run": _rows("run", RUN),
    "keyframe": _keyframes,
    "evidence": _evidence,
    "event": _rows("event", EVENT),
    "checkpoint": _checkpoints,
    "data": _data,
    "seed": _rows("seed", SEED),
}
"""The check of each table."""


def check_digests(db: sqlite3.Connection, ledger: Ledger, runs: tuple[str, ...]) -> Damage:
    """Check the digests of all tables in a recording."""
    there = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    damage, of = Damage(), Checking(db, ledger, runs)
    for table, check in TABLES.items():
        if table in there:
            check(of, damage)
    return damage

"""Mutates recordings: bits, pages, cells, JSON, arrays, and schema; most mutations recompute the digests.

Each is a function of a path and a :class:`random.Random`; the file there is changed in place.
"""
# ruff: noqa: E501 - statements of SQL, and lists of odd values

from __future__ import annotations

import contextlib
import json
import math
import random
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from bntui.recording.codec import digest, fields_digest, row_digest
from bntui.recording.schema import RUN, SCALARS
from bntui.recording.seeds import COLUMNS as SEED

PAGE: Final = 4096
EVIL_TEXT: Final = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\r\n\t\x00\ud800"
EXTREMES: Final[tuple[Any, ...]] = (
    None, 0, 1, -1, 2, 3, 7, 100, 2**31 - 1, 2**31, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 0.0, -0.0, 0.5, 1e-308, 5e-324,
    1e308, -1e308, math.inf, -math.inf, math.nan, "", "x", "0", "1e999", "NaN", "y" * 5000, EVIL_TEXT.replace("\ud800", ""),
    b"", b"\x00", b"\xff" * 100, b"\xff\xfe{", "[]", "{}", "null", "[" * 3000, '{"a":' * 2000,
)  # fmt: skip
JSON_EXTREMES: Final[tuple[Any, ...]] = (
    None, True, False, 0, 1, -1, 2, 10, 2**31, 2**53 + 1, 2**63, 10**400, -(10**30), 0.5, 1e308, -1e308, 5e-324, math.inf,
    -math.inf, math.nan, "", "x", EVIL_TEXT, "z" * 3000, "batch", "none", "conv", "recurrent", "relu", "adam", "gru", "same",
    [], {}, [1], [[]], [None], {"a": 1}, {"": None}, [0] * 2000, {str(n): n for n in range(1500)},
)  # fmt: skip
Mutation = Callable[[Path, random.Random], None]


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Changes that SQLite makes, however damaged the file: what it refuses stays undone."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        looks = iter(range(200))
        db.set_progress_handler(lambda: next(looks, None) is None, 100_000)  # damage done before may be a circle
        for pragma in (
            "foreign_keys = OFF",
            "ignore_check_constraints = ON",
            "synchronous = OFF",
            "journal_mode = MEMORY",
        ):
            db.execute(f"PRAGMA {pragma}")
        with contextlib.suppress(sqlite3.Error, OverflowError, UnicodeEncodeError):
            yield db


def attest(db: sqlite3.Connection) -> None:
    """Give every row the digest of what it holds now, as far as it has one that can be made."""
    rows = db.execute("SELECT keyframe.*, block FROM keyframe LEFT JOIN measures USING (id)").fetchall()
    for row in rows:
        with contextlib.suppress(TypeError, ValueError, sqlite3.Error, UnicodeEncodeError):
            made = row_digest([row[name] for name in SCALARS], row["layers"], row["block"])
            db.execute("UPDATE keyframe SET digest = ? WHERE id = ?", (made, row["id"]))
    for table in ("evidence", "checkpoint", "data"):
        for row in db.execute(f"SELECT rowid AS place, block FROM {table}").fetchall():
            if isinstance(row["block"], bytes):
                db.execute(f"UPDATE {table} SET digest = ? WHERE rowid = ?", (digest(row["block"]), row["place"]))
    event = ("run", "step", "epoch", "kind", "message", "arguments")
    there = _tables(db)
    for table, fields in (("run", RUN), ("event", event), ("seed", SEED)):
        if table not in there:
            continue
        for row in db.execute(f"SELECT rowid AS place, * FROM {table}").fetchall():
            if "digest" in row.keys():  # noqa: SIM118 - a Row
                with contextlib.suppress(TypeError, ValueError, UnicodeEncodeError):
                    made = fields_digest(*(row[name] for name in fields))
                    db.execute(f"UPDATE {table} SET digest = ? WHERE rowid = ?", (made, row["place"]))
    cells = [tuple(row) for row in db.execute("SELECT key, value FROM meta WHERE key != 'digest'")]
    with contextlib.suppress(TypeError, ValueError):
        made_hex = fields_digest(sorted(cells)).hex()
        db.execute("UPDATE meta SET value = ? WHERE key = 'digest'", (made_hex,))


def bits(path: Path, dice: random.Random) -> None:
    """Some bits, most of them among the first pages where the schema and the rows are."""
    block = bytearray(path.read_bytes())
    for _ in range(dice.choice((1, 1, 2, 5, 20))):
        at = dice.randrange(min(len(block), dice.choice((120, 2 * PAGE, 12 * PAGE, 10**9))))
        block[at] ^= 1 << dice.randrange(8)
    path.write_bytes(block)


def page(path: Path, dice: random.Random) -> None:
    """A page that is another one, zero, random, or half old."""
    block = bytearray(path.read_bytes())
    pages = len(block) // PAGE
    at, other = dice.randrange(pages) * PAGE, dice.randrange(pages) * PAGE
    match dice.randrange(5):
        case 0:
            block[at : at + PAGE] = block[other : other + PAGE]
        case 1:
            block[at : at + PAGE] = bytes(PAGE)
        case 2:
            block[at : at + PAGE] = dice.randbytes(PAGE)
        case 3:
            size = dice.randrange(1, PAGE)
            block[at + size : at + PAGE] = block[other + size : other + PAGE]
        case _:  # numbers in the page's header: type, cells, where they begin
            start = at + (100 if at == 0 else 0) + dice.randrange(12)
            block[start : start + 2] = dice.randbytes(2)
    path.write_bytes(block)


def cut(path: Path, dice: random.Random) -> None:
    """Fewer bytes, or more."""
    block = path.read_bytes()
    if dice.random() < 0.7:
        path.write_bytes(block[: dice.randrange(len(block))])
    else:
        path.write_bytes(block + dice.randbytes(dice.randrange(1, 3 * PAGE)))


def header(path: Path, dice: random.Random) -> None:
    """Numbers in SQLite's header, among them the file's format and identity."""
    block = bytearray(path.read_bytes())
    at = dice.choice((16, 18, 19, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 68, 92, 96, dice.randrange(100)))
    block[at : at + 4] = struct.pack(">I", dice.choice((0, 1, 2, 3, 4, 99, 2**31, 2**32 - 1, dice.randrange(2**32))))
    path.write_bytes(block)


def _tables(db: sqlite3.Connection) -> list[str]:
    return [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in db.execute(f"PRAGMA table_info({table})")]


def _place(table: str) -> str:
    return "key" if table == "meta" else "rowid"


def cell(path: Path, dice: random.Random) -> None:
    """Cells of any table, of any type, extreme."""
    with _opened(path) as db:
        for _ in range(dice.choice((1, 1, 2, 4))):
            table = dice.choice(_tables(db))
            column, place = dice.choice(_columns(db, table)), _place(table)
            places = db.execute(f"SELECT {place} FROM {table} ORDER BY {place}").fetchall()
            found = dice.choice(places) if places else None
            value = dice.choice((*EXTREMES, dice.randrange(-10, 10), dice.uniform(-2, 2)))
            if found is not None:
                with contextlib.suppress(sqlite3.Error):  # NOT NULL, UNIQUE
                    db.execute(f"UPDATE {table} SET {column} = ? WHERE {place} = ?", (value, found[0]))
        if dice.random() < 0.8:
            attest(db)


def null(path: Path, dice: random.Random) -> None:
    """Cells that may not be NULL: the schema is written without the constraint, and then as it was."""
    with _opened(path) as db:
        table = dice.choice([name for name in _tables(db) if name not in ("meta", "agenda", "checkpoint")])
        sql = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql.replace(" NOT NULL", ""), table))
        db.execute("PRAGMA writable_schema = RESET")
        column = dice.choice(_columns(db, table))
        with contextlib.suppress(sqlite3.Error):
            db.execute(f"UPDATE {table} SET {column} = ?", (dice.choice(EXTREMES),))
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql, table))
        if dice.random() < 0.8:
            attest(db)


TEXTS: Final = (
    ("run", "config"), ("run", "layers"), ("run", "fork"), ("event", "arguments"), ("meta", "value"), ("agenda", "text"),
)  # fmt: skip


def text(path: Path, dice: random.Random) -> None:
    """JSON: any node another one, missing, doubled, deep."""
    with _opened(path) as db:
        table, column = dice.choice(TEXTS[:2] if dice.random() < 0.6 else TEXTS)
        where = "key IN ('translation', 'look_for', 'overrides')" if table == "meta" else f"{column} IS NOT NULL"
        place = _place(table)
        found = db.execute(f"SELECT {place}, {column} FROM {table} WHERE {where} ORDER BY {place}").fetchall()
        if not found:
            return
        key, old = dice.choice(found)
        value = _mutated(json.loads(old), dice)
        new = json.dumps(value)
        if dice.random() < 0.05:
            new = dice.choice(("[" * 100_000, '{"a":' * 50_000 + "1" + "}" * 50_000, new[:-1], new + "x", '{"a": 1e99999}',
                               "9" * 5000, "\ufeff" + new))  # fmt: skip
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {place} = ?", (new, key))
        attest(db)


def _mutated(value: Any, dice: random.Random) -> Any:
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        places = list(_nodes(value))
        if not places:
            return dice.choice(JSON_EXTREMES)
        holder, key = dice.choice(places)
        match dice.randrange(8):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.insert(key, dice.choice(JSON_EXTREMES))
            case 1:
                holder[dice.choice(("x", EVIL_TEXT, "layer", "norm_eps", "stages", "groups", ""))] = dice.choice(
                    JSON_EXTREMES
                )
            case 2:
                deep: Any = 1
                for _level in range(dice.choice((3, 20, 200, 900))):
                    deep = [deep]
                holder[key] = deep
            case 3 if isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
                holder[key] = dice.choice((holder[key] * 2, -holder[key], holder[key] + 1, 0, 1, 2, 3, 1e-3, 1.0))
            case 4:
                other, name = dice.choice(places)
                with contextlib.suppress(LookupError):
                    holder[key] = other[name]
            case _:
                holder[key] = dice.choice(JSON_EXTREMES)
    return value


def _nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in list(entries):
        yield value, key
        yield from _nodes(entry)


BLOCKS: Final = (
    ("measures", "block"), ("evidence", "block"), ("checkpoint", "block"), ("data", "block"), ("run", "scaling"),
)  # fmt: skip
FIGURES: Final = (
    0.0, -0.0, 1.0, -1.0, math.nan, math.inf, -math.inf, 1e308, -1e308, 1e30, 3e38, -3e38, 5e-324, 1e-300, 1e-40, 2.0**31,
)  # fmt: skip
NUMBERS: Final = (0, 1, 2, 7, 63, 64, 100, 255, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, -1, -(2**63))


def arrays(path: Path, dice: random.Random) -> None:
    """The blocks of arrays: their headers, and figures in them."""
    with _opened(path) as db:
        table, column = dice.choice(BLOCKS)
        found = db.execute(f"SELECT rowid, {column} FROM {table} WHERE {column} IS NOT NULL").fetchall()
        if not found:
            return
        for key, block in dice.sample(found, min(len(found), dice.choice((1, 1, 3, 100)))):
            new = _header(block, dice) if dice.random() < 0.5 else _figures(block, dice)
            db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (new, key))
        attest(db)


def _header(block: bytes, dice: random.Random) -> bytes:
    length = int.from_bytes(block[:8], "little")
    told, body = json.loads(block[8 : 8 + length]), block[8 + length :]
    names = [name for name in told if name != "__metadata__"]
    name = dice.choice(names)
    match dice.randrange(12):
        case 0:
            told[name]["shape"] = dice.choice(
                ([], [0], [2**62, 0], [2**63], [-1], [1] * 40, [1] * 64, told[name]["shape"][::-1], [*told[name]["shape"], 1],
                 [math.prod(told[name]["shape"])], "x", None)
            )  # fmt: skip
        case 1:
            told[name]["dtype"] = dice.choice(
                ("F64", "F32", "F16", "BF16", "I64", "I8", "U8", "BOOL", "C64", "F8_E4M3", "X", 1)
            )
        case 2:
            told[name]["data_offsets"] = dice.choice(([0, 0], [0, len(body)], [-1, 4], [2**63, 2**63 + 8], [4, 0], "x"))
        case 3:
            del told[name]
        case 4:
            told[dice.choice((EVIL_TEXT, "x", "stage/99", "stage/-1", "3.mask", "99.eps", "predictions", "0.eps"))] = (
                told.pop(name)
            )
        case 5:
            told["__metadata__"] = dice.choice(({}, {"kind": "x" * 1000}, {"classes": "[" * 3000}, {"classes": "[1]"}, [], None,
                                                {"progress": "{}"}, {"features": '["\\u001b"]'}))  # fmt: skip
        case 6:
            told["__metadata__"] = {key: json.dumps(_mutated(json.loads(entry), dice)) if entry[:1] in "[{" else entry
                                    for key, entry in (told.get("__metadata__") or {}).items()}  # fmt: skip
        case 7:
            return dice.choice((2**63, 2**40, 0, 1, 10**6)).to_bytes(8, "little") + block[8:]
        case 8:
            return block[: dice.randrange(len(block))]
        case 9:
            other = dice.choice(names)
            told[name], told[other] = told[other], told[name]
        case 10:  # the same values, in another shape that fits
            size = math.prod(told[name]["shape"])
            sides = [side for side in range(1, min(size, 64) + 1) if size % side == 0] or [1]
            side = dice.choice(sides)
            told[name]["shape"] = dice.choice(
                ([side, size // side], [size // side, side], [1, size], [size, 1], [1, side, size // side])
            )
        case _:
            at = dice.randrange(len(block))
            return block[:at] + bytes([block[at] ^ 1 << dice.randrange(8)]) + block[at + 1 :]
    with contextlib.suppress(TypeError, ValueError):
        written = json.dumps(told).encode("utf-8", "surrogatepass")
        written += b" " * (-len(written) % 8)
        return len(written).to_bytes(8, "little") + written + body
    return block


def _figures(block: bytes, dice: random.Random) -> bytes:
    length = int.from_bytes(block[:8], "little")
    told, body = json.loads(block[8 : 8 + length]), bytearray(block[8 + length :])
    kinds = {
        "F64": "<f8",
        "F32": "<f4",
        "F16": "<f2",
        "I64": "<i8",
        "I32": "<i4",
        "U8": "u1",
        "U16": "<u2",
        "U32": "<u4",
    }
    names = [name for name in told if name != "__metadata__" and told[name]["dtype"] in kinds]
    for name in dice.sample(names, min(len(names), dice.choice((1, 1, 2, 20)))):
        start, end = told[name]["data_offsets"]
        values = np.frombuffer(body[start:end], kinds[told[name]["dtype"]]).copy()
        if not values.size:
            continue
        at = slice(None) if dice.random() < 0.3 else dice.randrange(values.size)
        with np.errstate(all="ignore"):
            if values.dtype.kind == "f":
                values[at] = dice.choice(FIGURES)
            else:
                values[at] = np.array(dice.choice(NUMBERS)).astype(values.dtype)
        body[start:end] = values.tobytes()
    return block[: 8 + length] + bytes(body)


def scalars(path: Path, dice: random.Random) -> None:
    """Tables of per-layer scalars with extreme figures, and whole columns of the curves."""
    with _opened(path) as db:
        if dice.random() < 0.5:
            column = dice.choice(("lr", "batch_loss", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "best",
                                  "epoch", "wall_time", "wait", "best_epoch", "step"))  # fmt: skip
            change = dice.choice((f"{column} * 1e300", f"-{column}", "1e308 * (id % 3 - 1)", "NULL", "9e999", f"{column} * 2",
                                  "id * 1e-320", f"{column} + 1000000", "4503599627370496", "1e17 + id"))  # fmt: skip
            db.execute(f"UPDATE keyframe SET {column} = {change} {dice.choice(('', 'WHERE id % 2', 'WHERE run = 0'))}")
        else:
            for key, block in db.execute("SELECT id, layers FROM keyframe WHERE layers IS NOT NULL").fetchall():
                values = np.frombuffer(block).copy()
                if dice.random() < 0.5:
                    values[dice.randrange(values.size)] = dice.choice(FIGURES)
                else:
                    values[:] = dice.choice(FIGURES)
                made = values.tobytes()
                if dice.random() < 0.1:
                    made = dice.choice((made[:-8], made + bytes(8), b"", made * 2, made[:-1]))
                db.execute("UPDATE keyframe SET layers = ? WHERE id = ?", (made, key))
        attest(db)


SCHEMA: Final = (
    "CREATE VIEW evil AS SELECT * FROM keyframe",
    "CREATE TRIGGER evil AFTER UPDATE ON run BEGIN DELETE FROM keyframe; END",
    "CREATE INDEX evil ON keyframe (step + 1)",
    "CREATE INDEX evil ON event (message)",
    "CREATE TABLE evil (x)",
    "CREATE VIRTUAL TABLE evil USING fts5 (x)",
    "CREATE VIRTUAL TABLE evil USING rtree (id, a, b)",
    "ALTER TABLE keyframe ADD COLUMN evil AS (step * 2)",
    "ALTER TABLE run ADD COLUMN evil TEXT",
    "ALTER TABLE run RENAME COLUMN name TO evil",
    "DROP TABLE evidence", "DROP TABLE measures", "DROP TABLE data", "DROP TABLE event", "DROP TABLE meta",
    "DROP TABLE checkpoint", "DROP TABLE keyframe", "DROP TABLE run",
    "ALTER TABLE event RENAME TO evil",
    "ALTER TABLE event RENAME TO old; CREATE VIEW event AS SELECT * FROM old",
    "ALTER TABLE meta RENAME TO old; CREATE VIEW meta AS SELECT key, value FROM old UNION ALL SELECT 'x', zeroblob(100000000)",
    "ALTER TABLE keyframe RENAME TO old; CREATE VIEW keyframe AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT old.* FROM old, n",
    "ANALYZE",
    "PRAGMA application_id = 7", "PRAGMA user_version = 0", "PRAGMA user_version = 1", "PRAGMA user_version = 2",
    "PRAGMA user_version = 4", "PRAGMA user_version = -1", "PRAGMA journal_mode = WAL", "PRAGMA encoding = 'UTF-16'",
)  # fmt: skip


def schema(path: Path, dice: random.Random) -> None:
    """Tables, views, triggers and columns that no recording has, and tables that are missing."""
    with _opened(path) as db:
        for statement in dice.choice(SCHEMA).split("; "):
            db.execute(statement)
        if dice.random() < 0.2:
            db.execute("PRAGMA writable_schema = ON")
            name = dice.choice(_tables(db))
            new = dice.choice(("CREATE TABLE x (", EVIL_TEXT[:-1], "", "CREATE VIRTUAL TABLE x USING y", None, 7))
            db.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (new, name))


def rows(path: Path, dice: random.Random) -> None:
    """Rows that are missing, moved, copied, renumbered."""
    changes = (
        "DELETE FROM run WHERE run = {n}", "DELETE FROM keyframe WHERE id % 3 = {n}", "DELETE FROM keyframe",
        "DELETE FROM measures WHERE id % 2 = {n} % 2", "DELETE FROM evidence", "DELETE FROM data", "DELETE FROM meta",
        "DELETE FROM meta WHERE key = 'title'", "DELETE FROM meta WHERE key = 'scenario'", "DELETE FROM data WHERE name = 'grid'",
        "DELETE FROM data WHERE name = 'data'", "DELETE FROM event", "DELETE FROM run", "DELETE FROM checkpoint",
        "UPDATE run SET run = run + {n}", "UPDATE keyframe SET id = id + 1000 * (id % 2)", "UPDATE keyframe SET run = {n} WHERE id = 2",
        "UPDATE measures SET id = 1000 - id", "UPDATE evidence SET id = 1000 + id", "UPDATE event SET run = {n}",
        "UPDATE event SET kind = 'stopped_early'", "UPDATE event SET kind = 'first_bad'", "UPDATE event SET step = step + {n}",
        "UPDATE event SET message = 'first NaN value at step 1: x of layer y', kind = 'first_bad', arguments = '{{}}'",
        "INSERT INTO event SELECT id + 500, run, step, epoch, kind, message, arguments, digest FROM event",
        "INSERT INTO keyframe SELECT id + 500, run, step + 500, epoch + {n}, epoch_end, lr, batch_loss, train_loss, train_accuracy, "
        "val_loss, val_accuracy, wall_time, best, best_epoch, wait, stopped, reason, weights_digest, NULL, digest FROM keyframe",
        "INSERT INTO keyframe SELECT id + 500, run, step + 500, epoch + 50, 1, lr, batch_loss, train_loss, train_accuracy, "
        "val_loss, val_accuracy, wall_time, best, best_epoch, wait, stopped, reason, weights_digest, layers, digest FROM keyframe",
        "UPDATE meta SET value = 'regression' WHERE key = 'task'", "UPDATE meta SET value = 'classification' WHERE key = 'task'",
        "UPDATE meta SET value = 'poetry' WHERE key = 'task'", "UPDATE meta SET value = '-5' WHERE key = 'train_samples'",
        "UPDATE run SET steps_per_epoch = {n}", "UPDATE run SET name = 'same'",
        "UPDATE data SET block = (SELECT block FROM evidence LIMIT 1)", "UPDATE data SET name = 'data' WHERE name = 'grid'",
        "UPDATE evidence SET block = (SELECT block FROM measures LIMIT 1)", "UPDATE measures SET block = (SELECT block FROM evidence LIMIT 1)",
        "UPDATE run SET layers = (SELECT layers FROM run WHERE run = 0), config = (SELECT config FROM run WHERE run = 1)",
    )  # fmt: skip
    with _opened(path) as db:
        for _ in range(dice.choice((1, 1, 2))):
            with contextlib.suppress(sqlite3.Error):
                db.execute(dice.choice(changes).format(n=dice.choice((0, 1, 2, 5, 900, 10**6))))
        if dice.random() < 0.1:
            name, config, layers = db.execute("SELECT name, config, layers FROM run LIMIT 1").fetchone()
            for number in range(3, dice.choice((30, 200, 250, 1200))):
                row = (number, f"{name} {number}", config, layers, 3, "cpu", b"", None, 1.0, 1, b"")
                with contextlib.suppress(sqlite3.Error):
                    db.execute("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        attest(db)


def beside(path: Path, dice: random.Random) -> None:
    """A journal beside it: of SQLite, damaged, random, a folder, or of another file."""
    wal = path.with_name(path.name + "-wal")
    match dice.randrange(4):
        case 0:
            side = path.with_name(path.name + dice.choice(("-wal", "-journal", "-shm")))
            side.write_bytes(dice.choice((b"", dice.randbytes(500), bytes(40_000))))
        case 1:
            path.with_name(path.name + dice.choice(("-wal", "-journal", "-shm"))).mkdir()
        case _:
            copy = path.with_name("copy")
            copy.write_bytes(path.read_bytes())
            with closing(sqlite3.connect(copy, isolation_level=None)) as db:
                db.execute("PRAGMA journal_mode = WAL")
                with contextlib.suppress(sqlite3.Error):
                    db.execute("UPDATE event SET message = ?", (EVIL_TEXT[:-1] * 50,))
                    db.execute("UPDATE keyframe SET val_loss = 1e308")
                block = bytearray(copy.with_name("copy-wal").read_bytes())
                path.write_bytes(copy.read_bytes())
            for _ in range(dice.choice((0, 1, 5))):
                block[dice.randrange(len(block))] ^= 1 << dice.randrange(8)
            wal.write_bytes(block[: dice.choice((len(block), dice.randrange(len(block) + 1)))])
            for left in ("copy", "copy-wal", "copy-shm"):
                copy.with_name(left).unlink(missing_ok=True)


MUTATIONS: Final[dict[Mutation, int]] = {
    bits: 4, page: 3, cut: 1, header: 1, cell: 6, null: 1, text: 8, arrays: 8, scalars: 4, schema: 2, rows: 4, beside: 1,
}  # fmt: skip
"""How often each is chosen, relative to the others."""


def mutate(path: Path, dice: random.Random) -> str:
    """Change a recording; the names of what was done."""
    chosen = dice.choices(list(MUTATIONS), list(MUTATIONS.values()), k=dice.choice((1, 1, 1, 1, 2, 3)))
    for change in chosen:
        with contextlib.suppress(
            sqlite3.Error, IndexError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError
        ):
            change(path, dice)  # one that the change before it made impossible
    return "+".join(change.__name__ for change in chosen)

"""Makes it safe to open an untrusted SQLite file: checks its type and schema, and limits memory and work."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bntui.errors import RecordingError
from bntui.files import refuse_kind
from bntui.recording.kinds import shown
from bntui.text.language import _
from bntui.text.library_messages import reason, told

SIDES: Final = ("-wal", "-shm", "-journal")
"""Suffixes of the files that SQLite opens together with a database."""
LARGEST_CELL: Final = 1_000_000_000
"""Maximum size of a cell in bytes: SQLite's own default.  The file's size is a tighter limit if it is smaller."""
SMALLEST_LIMIT: Final = 1_000_000
"""Size of a cell in bytes that is allowed in any file, however small."""
FEWEST: Final = 50_000_000
"""Instructions of SQLite's virtual machine allowed for any query; about half a second."""
A_KILOBYTE: Final = 20_000
"""Additional instructions for each kilobyte of the file, because whole tables of short rows are read."""
LOOK: Final = 100_000
"""Instructions between two checks of the limit."""

LIMITS: Final = {
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_COLUMN: 100,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 100_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 100,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
}


def refuse_no_file(path: Path) -> None:
    """Check, without opening them, that a recording and the files SQLite opens with it are regular files.

    Raises:
        RecordingError: one of them is a folder, a pipe, a device or a socket, or may not be read, or the recording is
            missing.
    """
    _refuse(path)
    real = path.resolve()
    for side in SIDES:
        beside = real.with_name(real.name + side)
        if beside.exists() or beside.is_symlink():
            _refuse(beside)


def _refuse(path: Path) -> None:
    try:
        refuse_kind(path)
        if not os.access(path, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    except FileNotFoundError as error:
        if path.is_symlink():
            raise RecordingError(_("{path} is a broken link").format(path=path)) from error
        raise RecordingError(_("{path}: no such recording").format(path=path)) from error
    except IsADirectoryError as error:
        raise RecordingError(_("{path} is a folder, not a recording").format(path=path)) from error
    except PermissionError as error:
        sentence = _("{path}: cannot be read: {reason}")
        raise RecordingError(sentence.format(path=path, reason=reason(error))) from error
    except OSError as error:
        raise RecordingError(
            _("{path} is not a recording: {reason}").format(path=path, reason=reason(error))
        ) from error


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """Convert the errors that a damaged file causes in SQLite, JSON or NumPy.

    Raises:
        RecordingError: the block raised such an error.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        words = _("a query does not finish") if code == sqlite3.SQLITE_INTERRUPT else told(str(error))
        sentence = (
            _("{path} is busy, try again: {reason}")
            if code == sqlite3.SQLITE_BUSY
            else _("{path} is damaged: {reason}")
        )
        raise RecordingError(sentence.format(path=path, reason=words)) from error
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, MemoryError, RecursionError) as error:
        sentence = _("{path} is damaged: {reason}")
        raise RecordingError(sentence.format(path=path, reason=told(str(error)))) from error


class Guarded(sqlite3.Connection):
    """A connection whose queries have bounded work, and whose cells are at most as large as the file or a megabyte."""

    _files: Sequence[Path] = ()
    _left: int = 0
    _largest: int = 0
    """The file's largest size so far."""

    def guard(self, path: Path) -> None:
        """Set all limits; call it before the first statement, because that parses the file's schema."""
        real = path.resolve()
        self._files = (real, real.with_name(real.name + SIDES[0]))
        for limit, most in LIMITS.items():
            self.setlimit(limit, most)
        if hasattr(self, "setconfig"):  # Python 3.12
            self.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)  # type: ignore[attr-defined]
        self.set_progress_handler(self._look, LOOK)
        for pragma in ("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON", "mmap_size = 0"):
            self.execute(f"PRAGMA {pragma}")

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Run a statement within limits that depend on the file's size."""
        # a file that was deleted, renamed, or replaced meanwhile is still the one that is read
        size = self._largest = max(self._largest, sum(map(_size, self._files)))
        self.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, min(max(SMALLEST_LIMIT, size), LARGEST_CELL))
        self._left = (FEWEST + A_KILOBYTE * (size >> 10)) // LOOK
        return super().execute(sql, parameters)

    def _look(self) -> int:
        self._left -= 1
        return int(self._left < 0)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def refuse_foreign_schema(path: Path, found: Sequence[tuple[Any, ...]], known: Mapping[str, TableDefinition]) -> None:
    """Check a file's schema against the tables of its format.

    Args:
        found: type, name and SQL of each entry of ``sqlite_master``.
        known: the tables of the format, by name.

    Raises:
        RecordingError: a table or column is missing, or there is something that no recording has: a view, a trigger,
            a virtual table, a generated column, or an index.
    """
    there = set()
    for kind, name, sql in found:
        if kind == "index" and sql is None:
            continue  # SQLite creates these for UNIQUE and PRIMARY KEY
        if kind != "table" or name not in known or not known[name].fits(sql):
            sentence = _("{path} is damaged or not a recording: it has an unexpected {kind} {name}")
            raise RecordingError(sentence.format(path=path, kind=_word(kind), name=shown(name)))
        there.add(name)
    if missing := known.keys() - there:
        raise RecordingError(_("{path} is damaged: its table {table} is missing").format(path=path, table=min(missing)))


def _word(kind: object) -> str:
    return kind if isinstance(kind, str) and kind in ("table", "view", "trigger", "index") else _("thing")


class TableDefinition:
    """The required and optional columns of one table, as ``CREATE TABLE`` writes them."""

    def __init__(self, required: frozenset[str], optional: frozenset[str], tail: str) -> None:
        self.required = required
        self.optional = optional
        self.tail = tail

    def fits(self, sql: object) -> bool:
        """True if a ``CREATE TABLE`` statement has all required columns and constraints, and no unknown ones."""
        parts = _parts(sql) if isinstance(sql, str) else None
        if parts is None:
            return False
        _name, columns, tail = parts
        return self.required <= columns <= self.required | self.optional and tail == self.tail

    def without(self, columns: Sequence[str]) -> TableDefinition:
        """The same table in an older format that does not have these columns."""
        newer = frozenset(text for text in self.required if text.split(" ")[0] in columns)
        return TableDefinition(self.required - newer, self.optional, self.tail)

    def with_optional(self, columns: Sequence[str]) -> TableDefinition:
        """The same table with these columns, as ``ALTER TABLE`` words them, optional."""
        names = {text.split(" ")[0] for text in columns}
        may = frozenset(text for text in self.required if text.split(" ")[0] in names)
        return TableDefinition(self.required - may, self.optional | may | frozenset(columns), self.tail)


def definitions(script: str) -> dict[str, TableDefinition]:
    """The tables that a script creates, by name."""
    found = filter(None, map(_parts, re.sub(r"--[^\n]*", "", script).split(";")))
    return {name: TableDefinition(columns, frozenset(), tail) for name, columns, tail in found}


def _parts(sql: str) -> tuple[str, frozenset[str], str] | None:
    """Name, columns with constraints, and table options of a ``CREATE TABLE`` statement; None for any other text."""
    match = re.fullmatch(r"\s*CREATE TABLE \"?(\w+)\"?\s*\((.*)\)\s*([A-Z ]*)\s*", sql, re.DOTALL)
    if match is None or len(sql) > 10_000:
        return None
    return match[1], frozenset(" ".join(part.split()) for part in _split(match[2])), match[3].strip()


def _split(text: str) -> Iterator[str]:
    """Split at commas outside parentheses."""
    depth, start = 0, 0
    for at, char in enumerate(text):
        depth += {"(": 1, ")": -1}.get(char, 0)
        if char == "," and not depth:
            yield text[start:at]
            start = at + 1
    yield text[start:]

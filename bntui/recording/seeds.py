"""Keeps what is recorded of a run that is trained again with other seeds: the figures of each epoch, and how it ended.

While a seed is trained, its epochs are appended in pieces.  Its last row replaces them, so that a seed whose training
has ended is one row, whatever the pieces were.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from bntui.keyframe import MOST_SEEDS, FloatArray
from bntui.recording.codec import fields_digest
from bntui.recording.kinds import Whole
from bntui.recording.tables import FAILED, LONGEST_REASON, rows
from bntui.text.language import N_, _
from bntui.text.output import clean, shortened

FIGURES: Final = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
"""The rows of a block, in this order."""
COLUMNS: Final = ("run", "seed", "first", "block", "ending", "epoch", "reason", "ratio")
"""Columns of the table ``seed`` that its digest covers, in this order."""
DAMAGED: Final = N_("its row is damaged: its digest does not match")
_WIDTH: Final = 8 * len(FIGURES)
_INSERT: Final = f"INSERT INTO seed ({', '.join(COLUMNS)}, digest) VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"


@dataclass(frozen=True, slots=True)
class SeedEnd:
    """How the training of a run with another seed ended."""

    kind: str
    """The kind of the event that ended it, or ``failed``."""
    epoch: float
    """Completed epochs; a whole number unless it diverged within one."""
    reason: str = ""
    """In an English sentence."""
    ratio: float = math.nan
    """Weight gradient of the first layer over that of the last, in the last keyframe; NaN if it was not measured."""


@dataclass(frozen=True, slots=True)
class SeedPiece:
    """Successive epochs of a run with another seed."""

    run: int
    seed: int
    first: int
    """Number of the first epoch; 0 is the initial state."""
    figures: FloatArray
    """Shape ``(len(FIGURES), epochs)``."""
    end: SeedEnd | None = None
    """If given, the figures are those of all epochs, and replace what was recorded before."""


@dataclass(frozen=True, slots=True, eq=False)
class SeedCourse:
    """What is recorded so far of a run with another seed; never changes, and is compared by identity."""

    seed: int
    first: int
    figures: FloatArray
    """Shape ``(len(FIGURES), epochs)``."""
    end: SeedEnd | None
    """None while it is trained, and if that was interrupted."""

    def figure(self, name: str) -> FloatArray:
        """One figure of every epoch from :attr:`first`."""
        course: FloatArray = self.figures[FIGURES.index(name)]
        return course


def add(db: sqlite3.Connection, piece: SeedPiece) -> None:
    """Insert a piece, in the current transaction; the last one of a seed replaces the others."""
    block = np.ascontiguousarray(piece.figures.T, "<f8").tobytes()  # an epoch's figures together: pieces can be joined
    end: tuple[Any, ...] = (None,) * 4
    if piece.end is not None:
        end = (
            piece.end.kind,
            piece.end.epoch,
            shortened(clean(piece.end.reason), LONGEST_REASON),  # of any library's error
            None if math.isnan(piece.end.ratio) else piece.end.ratio,
        )
    row = (piece.run, piece.seed, piece.first, block, *end)
    cursor = db.execute(_INSERT, (*row, fields_digest(*row)))
    if piece.end is not None:
        # after the insertion, so that ids only grow, and readers find the new row
        db.execute("DELETE FROM seed WHERE run = ? AND seed = ? AND id != ?", (piece.run, piece.seed, cursor.lastrowid))


def ended(db: sqlite3.Connection) -> set[tuple[int, int]]:
    """Run and seed of every training with another seed that has ended, but for those that failed."""
    if not _there(db):
        return set()
    query = "SELECT run, seed FROM seed WHERE ending IS NOT NULL AND ending != ?"
    return {(row["run"], row["seed"]) for row in rows(db, query, (FAILED,), of="seed")}


def asked(db: sqlite3.Connection) -> int:
    """Number of seeds with which every run is to be trained, its own included, as the trainer was asked."""
    if not _there(db):
        return 1
    for row in rows(db, "SELECT text FROM agenda", of="agenda"):
        with suppress(ValueError, RecursionError, AttributeError):  # the trainer says what is wrong with it
            wanted = json.loads(row["text"]).get("seeds")
            if Whole(1, MOST_SEEDS).fits(wanted):
                return int(wanted)
    return 1


def pieces(db: sqlite3.Connection, after: int = 0) -> Iterator[tuple[int, SeedPiece]]:
    """The pieces with an id larger than ``after``, with their ids; none in formats without them.

    Raises:
        ValueError: a row is damaged.
    """
    if not _there(db):
        return
    names = ", ".join(("id", *COLUMNS, "digest"))
    for row in rows(db, f"SELECT {names} FROM seed WHERE id > ? ORDER BY id", (after,), of="seed"):
        if row["id"] <= after:
            raise ValueError(_("the ids of the table {table} do not ascend").format(table="seed"))
        piece = piece_of(row)
        if fields_digest(*(row[name] for name in COLUMNS)) != row["digest"]:  # the rest of the recording stays readable
            piece = replace(piece, figures=piece.figures[:, :0], end=SeedEnd(FAILED, 0.0, DAMAGED))
        yield row["id"], piece


def piece_of(row: sqlite3.Row) -> SeedPiece:
    """The piece in a row of the table ``seed``.

    Raises:
        ValueError: its block has a wrong size, or only a part of its end is there.
    """
    block, end = row["block"], [row[name] for name in ("ending", "epoch", "reason")]
    if len(block) % _WIDTH or end.count(None) not in (0, len(end)):
        sentence = _("the figures of seed {seed} of run {run} are damaged")
        raise ValueError(sentence.format(seed=row["seed"], run=row["run"]))
    figures: FloatArray = np.frombuffer(block, "<f8").reshape(-1, len(FIGURES)).T
    found = None
    if row["ending"] is not None:
        ratio = math.nan if row["ratio"] is None else row["ratio"]
        found = SeedEnd(row["ending"], row["epoch"], clean(row["reason"]), ratio)
    return SeedPiece(row["run"], row["seed"], row["first"], figures, found)


class SeedCourses:
    """The courses of all runs with other seeds, as read so far."""

    def __init__(self) -> None:
        self._last = 0
        """Id of the last row that was read."""
        self.asked = 1
        """Number of seeds with which every run is to be trained, its own included."""
        self._growing: dict[tuple[int, int], _Growing] = {}
        self._courses: dict[int, tuple[SeedCourse, ...]] = {}

    def read(self, db: sqlite3.Connection, runs: int) -> bool:
        """Add what is new in the table; True if there is anything.

        Raises:
            ValueError: a row is damaged, or belongs to no run.
        """
        self.asked = asked(db)
        before, changed = self._last, set()
        for number, piece in pieces(db, before):
            self._last = number
            if piece.run >= runs:
                raise ValueError(
                    _("a seed belongs to run {run}, and there are {count}").format(run=piece.run, count=runs)
                )
            key = piece.run, piece.seed
            if key not in self._growing or not self._growing[key].add(piece):
                self._growing[key] = _Growing(piece)
            changed.add(piece.run)
        for run in changed:
            of_run = sorted(key for key in self._growing if key[0] == run)
            self._courses[run] = tuple(self._growing[key].course() for key in of_run)
        return self._last != before

    def of(self, run: int) -> tuple[SeedCourse, ...]:
        """The courses of a run by ascending seed; the same tuple as before if nothing is new."""
        return self._courses.get(run, ())


class _Growing:
    """The epochs of one seed, in an array that grows by doubling; a course is a view of it."""

    def __init__(self, piece: SeedPiece) -> None:
        self._seed, self._first, self._end = piece.seed, piece.first, piece.end
        self._figures, self._length = piece.figures, piece.figures.shape[1]
        self._course: SeedCourse | None = None

    def add(self, piece: SeedPiece) -> bool:
        """Append a piece; False if it does not follow, because the seed is trained anew or has ended."""
        if self._end is not None or piece.end is not None or piece.first != self._first + self._length:
            return False
        length = self._length + piece.figures.shape[1]
        if length > self._figures.shape[1]:
            wider = np.empty((len(FIGURES), max(length, 2 * self._length, 64)))
            wider[:, : self._length] = self._figures[:, : self._length]
            self._figures = wider
        self._figures[:, self._length : length] = piece.figures
        self._length, self._course = length, None
        return True

    def course(self) -> SeedCourse:
        if self._course is None:
            self._course = SeedCourse(self._seed, self._first, self._figures[:, : self._length], self._end)
        return self._course


def _there(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'seed'").fetchone() is not None

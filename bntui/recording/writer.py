"""Writes keyframes into a recording, each in one transaction, so that a crash loses at most the current one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bntui.keyframe import Keyframe
from bntui.recording import seeds
from bntui.recording.codec import digest, fields_digest
from bntui.recording.file import WritableFile
from bntui.recording.history import Event, RunInfo
from bntui.recording.packed import PackedEvidence, PackedKeyframe, packed
from bntui.recording.schema import APPLICATION_ID, RUN, SCALARS, TABLES, VERSION, open_read_only
from bntui.recording.thinning import Thinning
from bntui.recording.upgrade import refuse_oldest, upgrade

_BEST = """
    SELECT id FROM keyframe WHERE run = :run AND layers IS NOT NULL AND epoch_end
    ORDER BY best_epoch = 0 OR epoch != (SELECT max(best_epoch) FROM keyframe WHERE run = :run), val_loss LIMIT 1
"""
"""Finds the best keyframe: early stopping's, or the one with the smallest validation loss."""

_OF_A_KEYFRAME = "kind NOT IN ('interrupted', 'resumed', 'departed')"
"""Selects events that were recorded with a keyframe, whose evidence is never dropped."""

Pack = Callable[[], bytes | PackedEvidence]
"""Packs evidence into one block; called only if the evidence is written."""

EVENT = ("run", "step", "epoch", "kind", "message")
"""Columns of the table ``event`` except the arguments of its sentence."""

INSERT = f"INSERT INTO keyframe ({', '.join(SCALARS)}, layers, digest) VALUES ({', '.join('?' * (len(SCALARS) + 2))})"


class Writer:
    """The only writer of a recording; see :meth:`create`, :meth:`draft` and :meth:`reopen`."""

    def __init__(self, file: WritableFile) -> None:
        self._file = file
        self.keyframes = 0
        self._thinning: dict[int, Thinning] = {}
        self._pending: dict[tuple[int, str], tuple[int, int, Pack]] = {}

    @property
    def path(self) -> Path:
        """The recording's path, which :meth:`follow` changes."""
        return self._file.path

    @property
    def _db(self) -> sqlite3.Connection:
        return self._file.db

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection, which a process forked from this one must never close."""
        return self._file.db

    def wait_at_most(self, milliseconds: int) -> None:
        """Wait only so long for another program that has locked the file; by default five seconds."""
        self._db.execute(f"PRAGMA busy_timeout = {milliseconds}")

    @classmethod
    def create(cls, path: Path, meta: Mapping[str, str]) -> Writer:
        """Create a recording and publish it at once; existing files are never overwritten.

        Raises:
            NameTakenError: a file with that name exists.
            StorageError: the disk is full, or the folder is missing or read-only.
        """
        writer = cls.draft(path, meta)
        try:
            writer.publish(path)
        except BaseException:
            writer.discard()
            raise
        return writer

    @classmethod
    def draft(cls, path: Path, meta: Mapping[str, str]) -> Writer:
        """Create a recording under a temporary name in the folder of ``path``; :meth:`publish` renames it.

        Raises:
            NameTakenError: a file named ``path`` already exists.
            StorageError: the disk is full, or the folder is missing or read-only.
        """
        writer = cls(WritableFile.draft(path))
        try:
            with writer._changing():
                writer._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                writer._db.execute(f"PRAGMA user_version = {VERSION}")
                for statement in TABLES.split(";"):
                    writer._db.execute(statement)
                whole = {**meta, "digest": fields_digest(sorted(meta.items())).hex()}
                writer._db.executemany("INSERT INTO meta VALUES (?, ?)", whole.items())
        except BaseException:
            writer.discard()
            raise
        return writer

    def publish(self, path: Path) -> None:
        """Give a draft its final name.

        Raises:
            NameTakenError: the name is in use; the caller may try another one.
            StorageError: the disk is full, or the file system refuses.
        """
        self._file.publish(path)

    def follow(self, path: Path) -> None:
        """Continue under the name that the file was moved to, after checkpointing the WAL into the file.

        Raises:
            StorageError: readers block the checkpoint, or the disk is full; nothing has changed, and the caller may
                try again.
        """
        self._file.follow(path)

    @classmethod
    def reopen(cls, path: Path) -> Writer:
        """Open a recording that has no writer, to continue it; an older format is upgraded first.

        Raises:
            RecordingError: the file is not a recording, is damaged, is from a newer version, or has format 1.
            StorageError: the file is read-only, or the disk is full.
        """
        with closing(open_read_only(path)) as database:
            refuse_oldest(path, database)
        writer = cls(WritableFile.open(path))
        try:
            with writer._changing():
                upgrade(writer._db)
            writer._remember()
        except BaseException:
            writer.abandon()
            raise
        return writer

    def _remember(self) -> None:
        """Restore the thinning of each run as it was when the recording was closed or its trainer was killed."""
        self.keyframes = self._db.execute("SELECT count(*) FROM keyframe").fetchone()[0]
        kept = dict(self._db.execute("SELECT id, length(block) FROM evidence"))
        for run, budget, stride in self._db.execute("SELECT run, budget, stride FROM run").fetchall():
            frames = "SELECT id, step FROM keyframe WHERE run = ? AND layers IS NOT NULL ORDER BY step"
            rows = self._db.execute(frames, (run,)).fetchall()
            marked = self._db.execute(f"SELECT step FROM event WHERE run = ? AND {_OF_A_KEYFRAME}", (run,))
            thinning = Thinning.resumed(budget, stride, rows, kept, {step for (step,) in marked})
            best = self._db.execute(_BEST, {"run": run}).fetchone()
            thinning.best = None if best is None else best[0]
            self._thinning[run] = thinning

    def add_run(self, info: RunInfo, scaling: bytes, budget: float) -> None:
        """Add a run before its first keyframe.

        Args:
            scaling: the packed feature scaling.
            budget: bytes available for the run's evidence.
        """
        row = (*_row(info, scaling), budget)
        with self._changing():
            columns = f"{', '.join(RUN)}, stride, digest"
            values = (*row, 1, fields_digest(*row))
            self._db.execute(f"INSERT INTO run ({columns}) VALUES ({', '.join('?' * len(values))})", values)
        self._thinning[info.index] = Thinning(budget)

    def amend_run(self, info: RunInfo) -> None:
        """Replace what the row of a watched run says, once its loop has told more of itself; its layers stay."""
        row = (*_row(info, b""), self.budget(info.index))
        assignments = ", ".join(f"{name} = ?" for name in RUN)
        with self._changing():
            self._db.execute(
                f"UPDATE run SET {assignments}, digest = ? WHERE run = ?", (*row, fields_digest(*row), info.index)
            )

    def budget(self, run: int) -> float:
        """Bytes available for a run's evidence."""
        return self._thinning[run].budget

    def evidence_bytes(self, run: int) -> int:
        """Bytes of the evidence that was written last for a run; 0 if there is none."""
        return next(reversed(self._thinning[run].sizes.values()), 0)

    def numbering(self, run: int) -> tuple[int, int]:
        """The number of a run's next keyframe with evidence, and the stride: evidence of its multiples is due."""
        return self._thinning[run].count, self._thinning[run].stride

    @property
    def agenda(self) -> str:
        """Pending requests, as last stored with :meth:`plan`; empty at first."""
        found = self._db.execute("SELECT text FROM agenda").fetchone()
        return "" if found is None else str(found[0])

    def plan(self, agenda: str) -> None:
        """Store the pending requests, so that those accepted by a trainer survive if it is killed."""
        with self._changing():
            self._db.execute("INSERT OR REPLACE INTO agenda VALUES (1, ?)", (agenda,))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Commit everything written inside in one transaction."""
        with self._changing():
            yield

    def add_data(self, name: str, block: bytes | None, source: str, checksum: bytes) -> None:
        """Store the data set; if it is too large, ``block`` is None, and only its source and checksum are stored."""
        with self._changing():
            self._db.execute("INSERT INTO data VALUES (?, ?, ?, ?)", (name, block, source, checksum))

    def commit(
        self,
        frame: Keyframe | PackedKeyframe,
        *,
        epoch_end: bool,
        best: bool = False,
        evidence: Pack | None = None,
        events: Sequence[Event] = (),
    ) -> None:
        """Add a keyframe, its evidence and its events in one transaction.

        Evidence is packed only when it is written: that of the last and the best keyframe, if it is not due, waits
        until :meth:`flush`.

        Args:
            frame: the keyframe, perhaps packed already; without layers, it has only an epoch's scalars.
            epoch_end: the step is the last one of its epoch; a packed keyframe says so itself.
            best: the weights are the best so far, so the evidence is among the last to be dropped.
            evidence: packs the evidence.
            events: events at this step; with any, the evidence is among the last to be dropped.
        """
        frame = packed(frame, epoch_end=epoch_end) if isinstance(frame, Keyframe) else frame
        run = frame["run"]
        thinning = self._thinning[run]
        with self._changing():
            cursor = self._db.execute(INSERT, (*frame.scalars, frame.layers, frame.digest))
            row = cursor.lastrowid
            assert row is not None
            if frame.measures is not None:
                self._db.execute("INSERT INTO measures VALUES (?, ?)", (row, frame.measures))
            if evidence is not None and thinning.budget > 0:
                number = thinning.next()
                if best:
                    thinning.best = row
                    self._pending.pop((run, "best"), None)
                self._pending.pop((run, "last"), None)
                due = bool(events) or thinning.due(number)
                if not (due and self._add_evidence(run, row, number, evidence, keep=bool(events))):
                    self._pending[run, "best" if best else "last"] = (row, number, evidence)
            self._add_events(events)
        self.keyframes += 1

    def flush(self) -> None:
        """Write the waiting evidence of the last and the best keyframe of each run, when training pauses."""
        if self._pending:
            with self._changing():
                for (run, _which), (row, number, evidence) in self._pending.items():
                    if number == self._thinning[run].count - 1:
                        self._thinning[run].last = row
                    self._add_evidence(run, row, number, evidence, keep=False)
            self._pending.clear()

    def add_seed(self, piece: seeds.SeedPiece) -> None:
        """Add epochs of a run that is trained with another seed."""
        with self._changing():
            seeds.add(self._db, piece)

    def ended_seeds(self) -> set[tuple[int, int]]:
        """Run and seed of every training with another seed that has ended, but for those that failed."""
        return seeds.ended(self._db)

    def add_events(self, events: Sequence[Event]) -> None:
        """Add events that do not belong to a keyframe."""
        with self._changing():
            self._add_events(events)

    def checkpoint(self, run: int, name: str, step: int, block: bytes, events: Sequence[Event] = ()) -> None:
        """Store the parameters that a run ends with under a name: ``final`` for the last or restored ones."""
        with self._changing():
            self._db.execute(
                "INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?, ?, ?)", (run, name, step, block, digest(block))
            )
            self._thinning[run].over = True
            self._drop(run, self._thinning[run].excess())
            self._add_events(events)

    def clear(self) -> None:
        """Delete all runs, their keyframes and the data; the metadata stays."""
        with self._changing():
            for table in ("seed", "evidence", "measures", "keyframe", "event", "checkpoint", "run", "data"):
                self._db.execute(f"DELETE FROM {table}")
        self._thinning, self._pending, self.keyframes = {}, {}, 0

    def abandon(self) -> None:
        """Close the file without writing waiting evidence."""
        self._file.abandon()

    def leave(self) -> None:
        """Close a file that was moved or deleted, after checkpointing its WAL, and remove its journals."""
        self._file.leave()

    def discard(self) -> None:
        """Delete a draft whose training could not begin."""
        self._file.discard()

    def close(self) -> None:
        """Write waiting evidence, checkpoint the WAL, and close, so that the recording is a single file."""
        self.flush()
        self._file.close()

    def _add_evidence(self, run: int, row: int, number: int, evidence: Pack, *, keep: bool) -> bool:
        """Write the evidence of a keyframe, and drop what it displaces; False if it is not kept itself."""
        made = evidence()
        made = PackedEvidence.of(made) if isinstance(made, bytes) else made
        dropped = self._thinning[run].add(row, number, len(made.block), keep=keep)
        self._drop(run, dropped)  # before the new one is written, which then takes its place in the file
        if row in dropped:
            return False
        self._db.execute("INSERT INTO evidence VALUES (?, ?, ?)", (row, made.block, made.digest))
        return True

    def _drop(self, run: int, rows: Iterable[int]) -> None:
        self._db.executemany("DELETE FROM evidence WHERE id = ?", [(row,) for row in rows])
        stride = self._thinning[run].stride
        self._db.execute("UPDATE run SET stride = ? WHERE run = ? AND stride != ?", (stride, run, stride))

    def _add_events(self, events: Sequence[Event]) -> None:
        insert_events(self._db, events)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """A transaction, or a part of the current one."""
        with self._file.changing(intact=self.keyframes > 0):
            yield


def _row(info: RunInfo, scaling: bytes) -> tuple[Any, ...]:
    """The columns of the table ``run`` up to the budget."""
    layers = json.dumps([asdict(layer) for layer in info.layers])
    fork = None if info.fork is None else json.dumps(asdict(info.fork))
    return info.index, info.name, json.dumps(info.config), layers, info.steps_per_epoch, info.device, scaling, fork


def insert_events(db: sqlite3.Connection, events: Sequence[Event]) -> None:
    """Insert events with their digests, in the current transaction."""
    # the database keeps an epoch as a float: the digest of an int would be that of other bytes
    exact = [replace(event, step=int(event.step), epoch=float(event.epoch)) for event in events]
    rows = [(*(getattr(event, name) for name in EVENT), json.dumps(event.arguments)) for event in exact]
    db.executemany(
        "INSERT INTO event (run, step, epoch, kind, message, arguments, digest) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(*row, fields_digest(*row)) for row in rows],
    )

"""Writes keyframes into a recording, each in one transaction: a crash loses at most the current one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path

from bntui.keyframe import Keyframe
from bntui.recording.codec import digest, fields_digest, layer_table, pack_measures, row_digest, scalars_of
from bntui.recording.file import WritableFile
from bntui.recording.history import Event, RunInfo
from bntui.recording.schema import APPLICATION_ID, RUN, SCALARS, TABLES, VERSION, open_read_only
from bntui.recording.thinning import Thinning
from bntui.recording.upgrade import refuse_oldest, upgrade

_BEST = """
    best_epoch = 0 OR epoch != (SELECT max(best_epoch) FROM keyframe AS later WHERE later.run = keyframe.run), val_loss
"""
"""Order of keyframes that begins with the best: early stopping's, or the one with the smallest validation loss."""

_OF_A_KEYFRAME = "kind NOT IN ('interrupted', 'resumed', 'departed')"
"""Events that came with a keyframe, whose evidence is kept for ever."""

Pack = Callable[[], bytes]
"""Gives evidence as one block; called only if it is written."""

EVENT = ("run", "step", "epoch", "kind", "message")
"""Columns of the table ``event`` beside the sentence's arguments."""

INSERT = f"INSERT INTO keyframe ({', '.join(SCALARS)}, layers, digest) VALUES ({', '.join('?' * (len(SCALARS) + 2))})"


class Writer:
    """Adds to a recording; the only writer there is, see :meth:`create` and :meth:`reopen`."""

    def __init__(self, file: WritableFile) -> None:
        self._file = file
        self.keyframes = 0
        self._thinning: dict[int, Thinning] = {}
        self._pending: dict[tuple[int, str], tuple[int, int, Pack]] = {}

    @property
    def path(self) -> Path:
        """The recording's name, which may change while it is written: see :meth:`follow`."""
        return self._file.path

    @property
    def _db(self) -> sqlite3.Connection:
        return self._file.db

    @classmethod
    def create(cls, path: Path, meta: Mapping[str, str]) -> Writer:
        """Begin a new recording and publish it at once; nothing is ever overwritten.

        Raises:
            NameTakenError: there is a file of that name.
            StorageError: the disk is full, the folder is missing or read-only.
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
        """Begin a new recording under a temporary name in the folder of ``path``; :meth:`publish` gives it its own.

        Raises:
            NameTakenError: there is a file of that name already.
            StorageError: the disk is full, the folder is missing or read-only.
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
        """Give a draft its name, with all that it holds.

        Raises:
            NameTakenError: the name is taken; another one may be tried.
            StorageError: the disk is full, or the file system refuses.
        """
        self._file.publish(path)

    def follow(self, path: Path) -> None:
        """Continue under the name that somebody gave the file; what was committed is all in that one file first.

        Raises:
            StorageError: readers are in the way, or the disk is full; nothing is changed, and it can be tried again.
        """
        self._file.follow(path)

    @classmethod
    def reopen(cls, path: Path) -> Writer:
        """Go on with a recording that is not being written; one of an older format is brought to this one's first.

        Raises:
            RecordingError: it is not a recording, damaged, from a newer version, or of the first format.
            StorageError: it is read-only, or the disk is full.
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
        """What the thinning knew of each run when the recording was closed, or its trainer killed."""
        self.keyframes = self._db.execute("SELECT count(*) FROM keyframe").fetchone()[0]
        kept = dict(self._db.execute("SELECT id, length(block) FROM evidence"))
        for run, budget, stride in self._db.execute("SELECT run, budget, stride FROM run").fetchall():
            frames = "FROM keyframe WHERE run = ? AND layers IS NOT NULL"
            rows = self._db.execute(f"SELECT id, step {frames} ORDER BY step", (run,)).fetchall()
            marked = self._db.execute(f"SELECT step FROM event WHERE run = ? AND {_OF_A_KEYFRAME}", (run,))
            thinning = Thinning.resumed(budget, stride, rows, kept, {step for (step,) in marked})
            best = self._db.execute(f"SELECT id {frames} AND epoch_end ORDER BY {_BEST} LIMIT 1", (run,)).fetchone()
            thinning.best = None if best is None else best[0]
            self._thinning[run] = thinning

    def add_run(self, info: RunInfo, scaling: bytes, budget: float) -> None:
        """Note a run before its first keyframe; ``budget`` is its share of the evidence, in bytes."""
        layers = json.dumps([asdict(layer) for layer in info.layers])
        fork = None if info.fork is None else json.dumps(asdict(info.fork))
        row = (info.index, info.name, json.dumps(info.config), layers, info.steps_per_epoch, info.device, scaling, fork)
        with self._changing():
            columns = f"{', '.join(RUN)}, stride, digest"
            values = (*row, budget, 1, fields_digest(*row, budget))
            self._db.execute(f"INSERT INTO run ({columns}) VALUES ({', '.join('?' * len(values))})", values)
        self._thinning[info.index] = Thinning(budget)

    def budget(self, run: int) -> float:
        """A run's share of the evidence, in bytes."""
        return self._thinning[run].budget

    @property
    def agenda(self) -> str:
        """What was asked for and is not yet done, as :meth:`plan` was last given it; empty at first."""
        found = self._db.execute("SELECT text FROM agenda").fetchone()
        return "" if found is None else str(found[0])

    def plan(self, agenda: str) -> None:
        """Keep what was asked for: a trainer that is killed forgets nothing that it had accepted."""
        with self._changing():
            self._db.execute("INSERT OR REPLACE INTO agenda VALUES (1, ?)", (agenda,))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Everything that is written meanwhile is committed at once, or nothing of it is."""
        with self._changing():
            yield

    def add_data(self, name: str, block: bytes | None, source: str, checksum: bytes) -> None:
        """Keep the data set (or, where it is too large, only its checksum and where it came from)."""
        with self._changing():
            self._db.execute("INSERT INTO data VALUES (?, ?, ?, ?)", (name, block, source, checksum))

    def commit(
        self,
        frame: Keyframe,
        *,
        epoch_end: bool,
        best: bool = False,
        evidence: Pack | None = None,
        events: Sequence[Event] = (),
    ) -> None:
        """Add a keyframe, its evidence and what happened at it, in one transaction.

        A keyframe without layers holds an epoch's scalars only.  ``best`` says that its weights are the
        best so far: evidence of the best is never thinned.  Evidence is packed only when it is written:
        what the budget has no room for costs nothing until :meth:`flush` asks for the last and the best.
        """
        scalars = scalars_of(frame, epoch_end)
        layers = layer_table(frame.layers).tobytes() if frame.layers else None
        measures = pack_measures(frame) if frame.layers else None
        thinning = self._thinning[frame.run]
        with self._changing():
            cursor = self._db.execute(INSERT, (*scalars, layers, row_digest(scalars, layers, measures)))
            row = cursor.lastrowid
            assert row is not None
            if measures is not None:
                self._db.execute("INSERT INTO measures VALUES (?, ?)", (row, measures))
            if evidence is not None and thinning.budget > 0:
                number = thinning.count
                thinning.count += 1
                if best:
                    thinning.best = row
                    self._pending.pop((frame.run, "best"), None)
                self._pending.pop((frame.run, "last"), None)
                if events or thinning.due(number):
                    self._add_evidence(thinning, row, number, evidence, keep=bool(events))
                else:
                    self._pending[frame.run, "best" if best else "last"] = (row, number, evidence)
            self._add_events(events)
        self.keyframes += 1

    def flush(self) -> None:
        """Write the evidence of the last and the best keyframe of each run: training pauses here."""
        if self._pending:
            with self._changing():
                for (run, _which), (row, number, evidence) in self._pending.items():
                    self._add_evidence(self._thinning[run], row, number, evidence, keep=False)
            self._pending.clear()

    def add_events(self, events: Sequence[Event]) -> None:
        """Note what happened outside a keyframe."""
        with self._changing():
            self._add_events(events)

    def checkpoint(self, run: int, name: str, step: int, block: bytes, events: Sequence[Event] = ()) -> None:
        """Keep parameters under a name (``final``: what early stopping restored, or the last ones)."""
        with self._changing():
            self._db.execute(
                "INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?, ?, ?)", (run, name, step, block, digest(block))
            )
            self._add_events(events)

    def clear(self) -> None:
        """Take everything back but what describes the recording as a whole: it begins again."""
        with self._changing():
            for table in ("evidence", "measures", "keyframe", "event", "checkpoint", "run", "data"):
                self._db.execute(f"DELETE FROM {table}")
        self._thinning, self._pending, self.keyframes = {}, {}, 0

    def abandon(self) -> None:
        """Let go of the file as it is: what is held back is not written."""
        self._file.abandon()

    def leave(self) -> None:
        """Let go of a file that was moved or deleted, with all that was committed in it, and nothing beside it."""
        self._file.leave()

    def discard(self) -> None:
        """Take a draft back, when training could not begin."""
        self._file.discard()

    def close(self) -> None:
        """Write what is held back, and make the recording one file that can be copied and lies on any media."""
        self.flush()
        self._file.close()

    def _add_evidence(self, thinning: Thinning, row: int, number: int, evidence: Pack, *, keep: bool) -> None:
        block = evidence()
        self._db.execute("INSERT INTO evidence VALUES (?, ?, ?)", (row, block, digest(block)))
        stride = thinning.stride
        dropped = thinning.add(row, number, len(block), keep=keep)
        self._db.executemany("DELETE FROM evidence WHERE id = ?", [(gone,) for gone in dropped])
        if thinning.stride != stride:
            run = self._db.execute("SELECT run FROM keyframe WHERE id = ?", (row,)).fetchone()[0]
            self._db.execute("UPDATE run SET stride = ? WHERE run = ?", (thinning.stride, run))

    def _add_events(self, events: Sequence[Event]) -> None:
        rows = [(*(getattr(event, name) for name in EVENT), json.dumps(event.arguments)) for event in events]
        self._db.executemany(
            "INSERT INTO event (run, step, epoch, kind, message, arguments, digest) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(*row, fields_digest(*row)) for row in rows],
        )

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """A transaction, or the part of one that is under way."""
        with self._file.changing(intact=self.keyframes > 0):
            yield

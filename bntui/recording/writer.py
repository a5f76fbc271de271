"""The trainer's pen: one transaction per keyframe, so that a crash loses at most the one under way."""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bntui.errors import NameTakenError, StorageError
from bntui.foreign import reason, told
from bntui.keyframe import Keyframe
from bntui.language import _
from bntui.recording.codec import digest, fields_digest, layer_table, pack_measures, row_digest
from bntui.recording.evidence import Thinning
from bntui.recording.history import Event, RunInfo
from bntui.recording.schema import APPLICATION_ID, RUN, SCALARS, TABLES, VERSION, open_read_only
from bntui.recording.upgrade import refuse_oldest, upgrade

_BEST = """
    best_epoch = 0 OR epoch != (SELECT max(best_epoch) FROM keyframe AS later WHERE later.run = keyframe.run), val_loss
"""
"""Order of keyframes that begins with the best: early stopping's, or the one with the smallest validation loss."""

_OF_A_KEYFRAME = "kind NOT IN ('interrupted', 'resumed', 'departed')"
"""Events that came with a keyframe, whose evidence is kept for ever."""

NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph", "lustre")

Pack = Callable[[], bytes]
"""Gives evidence as one block; called only if it is written."""

EVENT = ("run", "step", "epoch", "kind", "message")
"""Columns of the table ``event`` beside the sentence's arguments."""

INSERT = f"INSERT INTO keyframe ({', '.join(SCALARS)}, layers, digest) VALUES ({', '.join('?' * (len(SCALARS) + 2))})"


def file_system(path: Path) -> str:
    """Type of the file system that holds ``path``, as the kernel names it; empty where it does not say."""
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    folder = path.resolve().parent
    points = [(mount.split()[1], mount.split()[2]) for mount in mounts]
    inside = [(point, kind) for point, kind in points if folder.is_relative_to(point)]
    return max(inside, key=lambda entry: len(entry[0]), default=("", ""))[1]


def on_network(path: Path) -> bool:
    """Whether other machines may have a file open, too: neither shared memory nor its locks can be relied on."""
    return file_system(path) in NETWORK_FILE_SYSTEMS


def name_taken(path: Path) -> NameTakenError:
    """That a recording would overwrite something."""
    return NameTakenError(_("{path} exists already: choose another name with -o").format(path=path))


def _take_name(path: Path) -> None:
    """The name is taken before anything is written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sentence = _("cannot write the recording {path}: {reason}")
        raise StorageError(sentence.format(path=path, reason=reason(error))) from error
    try:
        path.open("xb").close()
    except FileExistsError as error:
        raise name_taken(path) from error
    except OSError as error:
        sentence = _("cannot write the recording {path}: {reason}")
        raise StorageError(sentence.format(path=path, reason=reason(error))) from error


def _cell(value: Any) -> Any:
    """A value as SQLite gives it back: NaN is NULL there, a truth value an integer."""
    if isinstance(value, float) and math.isnan(value):
        return None
    return int(value) if isinstance(value, bool) else value


def scalars_of(frame: Keyframe, epoch_end: bool) -> tuple[Any, ...]:
    """The row's scalar columns, in the order of ``SCALARS``."""
    stopping = frame.early_stopping
    early = {"best": math.nan, "best_epoch": 0, "wait": 0, "stopped": False, "reason": ""}
    if stopping is not None:
        early = {name: getattr(stopping, name) for name in early}
    values = early | {"epoch_end": epoch_end}
    return tuple(_cell(values[name] if name in values else getattr(frame, name)) for name in SCALARS)


class Writer:
    """Adds to a recording; the only writer there is, see :meth:`create` and :meth:`reopen`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.keyframes = 0
        with self._storage():
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA page_size = 4096")  # of a new file; an old one keeps its own
            # readers of a WAL share memory with the writer, which a network cannot do
            self._journal = "DELETE" if on_network(path) else "WAL"
        self._thinning: dict[int, Thinning] = {}
        self._pending: dict[tuple[int, str], tuple[int, int, Pack]] = {}

    @classmethod
    def create(cls, path: Path, meta: Mapping[str, str]) -> Writer:
        """Begin a new recording; nothing is ever overwritten.

        Raises:
            NameTakenError: there is a file of that name.
            StorageError: the disk is full, the folder is missing or read-only.
        """
        _take_name(path)
        writer = cls(path)
        with writer._storage():
            writer._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            writer._db.execute(f"PRAGMA user_version = {VERSION}")
            writer._begin()
            with writer._transaction():
                for statement in TABLES.split(";"):
                    writer._db.execute(statement)
                whole = {**meta, "digest": fields_digest(sorted(meta.items())).hex()}
                writer._db.executemany("INSERT INTO meta VALUES (?, ?)", whole.items())
        return writer

    @classmethod
    def reopen(cls, path: Path) -> Writer:
        """Go on with a recording that is not being written; one of an older format is brought to this one's first.

        Raises:
            RecordingError: it is not a recording, damaged, from a newer version, or of the first format.
            StorageError: it is read-only, or the disk is full.
        """
        with closing(open_read_only(path)) as database:
            refuse_oldest(path, database)
        writer = cls(path)
        with writer._storage():
            try:
                writer._begin()
                with writer._transaction():
                    upgrade(writer._db)
                writer._remember()
            except BaseException:
                writer._db.close()
                raise
        return writer

    def _begin(self) -> None:
        self._db.execute(f"PRAGMA journal_mode = {self._journal}")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA wal_autocheckpoint = 4000")  # 16 MB: each time the disk is waited for

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
        with self._storage(), self._changing():
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
        with self._storage(), self._changing():
            self._db.execute("INSERT OR REPLACE INTO agenda VALUES (1, ?)", (agenda,))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Everything that is written meanwhile is committed at once, or nothing of it is."""
        with self._storage(), self._changing():
            yield

    def add_data(self, name: str, block: bytes | None, source: str, checksum: bytes) -> None:
        """Keep the data set (or, where it is too large, only its checksum and where it came from)."""
        with self._storage(), self._changing():
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
        with self._storage(), self._changing():
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
            with self._storage(), self._changing():
                for (run, _which), (row, number, evidence) in self._pending.items():
                    self._add_evidence(self._thinning[run], row, number, evidence, keep=False)
            self._pending.clear()

    def add_events(self, events: Sequence[Event]) -> None:
        """Note what happened outside a keyframe."""
        with self._storage(), self._changing():
            self._add_events(events)

    def checkpoint(self, run: int, name: str, step: int, block: bytes, events: Sequence[Event] = ()) -> None:
        """Keep parameters under a name (``final``: what early stopping restored, or the last ones)."""
        with self._storage(), self._changing():
            self._db.execute(
                "INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?, ?, ?)", (run, name, step, block, digest(block))
            )
            self._add_events(events)

    def abandon(self) -> None:
        """Let go of the file as it is: what is held back is not written."""
        self._db.close()

    def discard(self) -> None:
        """Take the recording back, when training could not begin."""
        self._db.close()
        for path in (self.path, *self.path.parent.glob(f"{self.path.name}-*")):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Fold the journal in, so that the recording is one file that can be copied and lies on any media.

        A reader that holds the file open keeps that from happening; it is asked to let go by the trainer's
        last message, hence the patience.  Where it stays, the file remains a valid recording with a journal.
        """
        self.flush()
        with self._storage():
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            for _ in range(20):
                try:
                    self._db.execute("PRAGMA journal_mode = DELETE")
                    break
                except sqlite3.OperationalError:
                    time.sleep(0.1)
            self._db.close()

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
        if self._db.in_transaction:
            yield
        else:
            with self._transaction():
                yield

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite has rolled back by itself where the disk was full
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _storage(self) -> Iterator[None]:
        """What the disk refuses, said in a sentence."""
        try:
            yield
        except (OSError, sqlite3.OperationalError) as error:
            words = reason(error) if isinstance(error, OSError) else told(str(error))
            sentence = _("cannot write the recording {path}: {reason}").format(path=self.path, reason=words)
            intact = _("what was recorded before is intact")
            raise StorageError(f"{sentence}; {intact}" if self.keyframes else sentence) from error

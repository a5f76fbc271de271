"""The trainer's pen: one transaction per keyframe, so that a crash loses at most the one under way."""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bntui.errors import NameTakenError, StorageError
from bntui.foreign import reason, told
from bntui.keyframe import Keyframe
from bntui.language import _
from bntui.recording.codec import digest, layer_table, pack_measures, row_digest
from bntui.recording.evidence import Thinning
from bntui.recording.history import Event, RunInfo
from bntui.recording.schema import APPLICATION_ID, SCALARS, TABLES, VERSION

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
    """Creates a recording and adds to it; the only writer there is.

    Raises:
        StorageError: the disk is full, the folder is missing or read-only; what was committed stays.
    """

    def __init__(self, path: Path, meta: Mapping[str, str]) -> None:
        self.path = path
        self.keyframes = 0
        with self._storage():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._take_name()
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA page_size = 16384")
            self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._db.execute(f"PRAGMA user_version = {VERSION}")
            # readers of a WAL share memory with the writer, which a network cannot do
            network = file_system(path) in NETWORK_FILE_SYSTEMS
            self._db.execute(f"PRAGMA journal_mode = {'DELETE' if network else 'WAL'}")
            self._db.execute("PRAGMA synchronous = NORMAL")
            with self._transaction():
                for statement in TABLES.split(";"):
                    self._db.execute(statement)
                self._db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        self._thinning: dict[int, Thinning] = {}
        self._pending: dict[tuple[int, str], tuple[int, int, Pack]] = {}

    def _take_name(self) -> None:
        """Never overwrite: the name is taken before anything is written."""
        try:
            self.path.open("xb").close()
        except FileExistsError as error:
            sentence = _("{path} exists already: choose another name with -o")
            raise NameTakenError(sentence.format(path=self.path)) from error

    def add_run(self, info: RunInfo, scaling: bytes, budget: float) -> None:
        """Note a run before its first keyframe; ``budget`` is its share of the evidence, in bytes."""
        layers = json.dumps([asdict(layer) for layer in info.layers])
        row = (info.index, info.name, json.dumps(info.config), layers, info.steps_per_epoch, info.device, scaling)
        with self._storage(), self._transaction():
            self._db.execute("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        self._thinning[info.index] = Thinning(budget)

    def add_data(self, name: str, block: bytes | None, source: str, checksum: bytes) -> None:
        """Keep the data set (or, where it is too large, only its checksum and where it came from)."""
        with self._storage(), self._transaction():
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
        with self._storage(), self._transaction():
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
            with self._storage(), self._transaction():
                for (run, _which), (row, number, evidence) in self._pending.items():
                    self._add_evidence(self._thinning[run], row, number, evidence, keep=False)
            self._pending.clear()

    def add_events(self, events: Sequence[Event]) -> None:
        """Note what happened outside a keyframe."""
        with self._storage(), self._transaction():
            self._add_events(events)

    def checkpoint(self, run: int, name: str, step: int, block: bytes, events: Sequence[Event] = ()) -> None:
        """Keep parameters under a name (``final``: what early stopping restored, or the last ones)."""
        with self._storage(), self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?, ?, ?)", (run, name, step, block, digest(block))
            )
            self._add_events(events)

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
        dropped = thinning.add(row, number, len(block), keep=keep)
        self._db.executemany("DELETE FROM evidence WHERE id = ?", [(gone,) for gone in dropped])

    def _add_events(self, events: Sequence[Event]) -> None:
        self._db.executemany(
            "INSERT INTO event (run, step, epoch, kind, message, arguments) VALUES (?, ?, ?, ?, ?, ?)",
            [(*(getattr(event, name) for name in EVENT), json.dumps(event.arguments)) for event in events],
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:  # SQLite has rolled back by itself where the disk was full
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

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

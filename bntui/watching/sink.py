"""Writes what a training loop records into a file, and keeps its own trouble from the loop."""

from __future__ import annotations

import ctypes
import errno
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bntui.errors import BntuiError, StorageError
from bntui.link import registry
from bntui.link.lock import Hold
from bntui.recording.history import Event, RunInfo
from bntui.recording.packed import PackedKeyframe, packed
from bntui.recording.writer import Writer
from bntui.text.language import _, ngettext
from bntui.watching.bad import FirstBad
from bntui.watching.row import LoopRow
from bntui.watching.trouble import warn

BUSY_MS: Final = 200
"""Milliseconds that a commit waits for another program that has locked the file; then the next one tries again."""
MOST_WAITING: Final = 1000
"""Rows that wait for such a program at most."""


@dataclass(frozen=True, slots=True)
class Loop:
    """The training loop that is recorded."""

    process: int
    """Its process, as readers are told."""
    tell: Callable[[str], None] = warn
    """Warns it."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a file has already."""

    step: int = -1
    """Its last step."""
    events: frozenset[str] = frozenset()
    """Kinds of its events; a loop has each of them once."""


class Sink:
    """The one writer of a recording of somebody's own loop.

    The first row publishes the file under its name.  Nothing but :meth:`__init__` raises: trouble is warned of once,
    what was recorded stays, and later calls do nothing; only from a full disk on, rows are left out until there is
    space again.  A process forked from this one neither writes nor closes it.

    See :func:`created` and :func:`continued`.

    Args:
        hold: the lock on its name.
        loop: whose loop it is.
        written: what the file has already; None of a draft.
    """

    def __init__(self, hold: Hold, writer: Writer, loop: Loop, written: Written | None = None) -> None:
        self._process = os.getpid()
        self._hold, self._writer = hold, writer
        self._loop, self._tell = loop.process, loop.tell
        self._turn = threading.RLock()
        self._waiting: list[tuple[PackedKeyframe, tuple[Event, ...]]] = []
        self._written = written or Written()
        self._first_bad = FirstBad(found="first_bad" in self._written.events)
        self._full = False
        """The disk has been full, which was warned of."""
        self._lost = 0
        """Rows that were left out since."""
        self._owed: list[Event] = []
        """Events that wait: of these rows, or of none."""
        self._info: RunInfo | None = None
        """What the row of the run does not say yet."""
        self._published = written is not None
        self._noted = 0.0
        self._over = False
        _SINKS.add(self)

    @property
    def open(self) -> bool:
        """False once nothing more will be recorded; and in a process forked from the recorder's."""
        return not self._over and os.getpid() == self._process

    @property
    def waits(self) -> bool:
        """True if something that was told is not in the file yet, or if that has no name yet."""
        return not self._published or bool(self._waiting or self._owed or self._info)

    @property
    def path(self) -> Path:
        """Where the recording is."""
        return self._hold.recording

    def begin(self, info: RunInfo, budget: float) -> None:
        """Add the run, before its first row."""
        if not self._published:
            self._safely(lambda: self._writer.add_run(info, b"", budget))

    def amend(self, info: RunInfo) -> None:
        """Replace what is known of the run."""

        def amend() -> None:
            self._info = info
            self._write()

        self._safely(amend)

    def commit(self, row: LoopRow) -> None:
        """Write a row; the first one publishes the file."""
        if row.frame.step > self._written.step:
            self._safely(lambda: self._commit(row))

    def add_events(self, events: Sequence[Event]) -> None:
        """Write events that belong to no row."""

        def add() -> None:
            self._owed += [event for event in events if event.kind not in self._written.events]
            self._write()

        self._safely(add)

    behind: Final = False

    def push(self) -> None:
        """Do nothing: all that was told is written, or waits for a disk."""

    def lend(self) -> None:
        """Remove the draft and keep the name, for another process that is to write this recording."""
        self._over = True
        self._writer.discard()
        _SINKS.discard(self)

    def close(self) -> None:
        """Write what waits, and close the file as a single one; without a row there is no file."""
        self._safely(self._close)

    def _safely(self, act: Callable[[], None]) -> None:
        if not self.open:
            return
        with self._turn:
            try:
                if not self._over:
                    act()
            except Exception as error:
                if self._published and _full(error):
                    self._leave_out(error)
                else:
                    self._give_up(error)

    def _leave_out(self, error: Exception) -> None:
        """Forget the rows that a full disk has no room for; their events are written once there is."""
        self._lost += len(self._waiting)
        self._owed += [event for _frame, events in self._waiting for event in events]
        del self._owed[MOST_WAITING:]
        self._waiting.clear()
        if not self._full:
            self._full = True
            sentence = _("{reason}; nothing is recorded until there is space again, training goes on")
            self._tell(sentence.format(reason=error))

    def _give_up(self, error: Exception) -> None:
        self._over = True
        with suppress(Exception):
            if self._published and self._hold.moved():
                self._writer.leave()
            elif self._published:
                self._writer.abandon()
            else:
                self._writer.discard()
        with suppress(Exception):
            self._release()
        reason = str(error) if isinstance(error, BntuiError) else f"{type(error).__name__}: {error}"
        self._tell(_("{reason}; nothing more is recorded, training goes on").format(reason=reason))

    def _commit(self, row: LoopRow) -> None:
        if self._published and self._hold.moved():
            self._follow()
        layers = row.layers.measured()
        frame = packed(replace(row.frame, layers=layers), epoch_end=row.epoch_end)
        self._waiting.append((frame, self._first_bad.events(row.events, layers, row.layers.absent)))
        self._write()
        if not self._published:
            self._writer.publish(self.path)
            self._hold.hold_file(locked=True)
            self._writer.wait_at_most(BUSY_MS)
            self._published = True
        if (now := time.monotonic()) - self._noted > registry.RENEWED:
            self._noted = now
            registry.write_recorder(self.path, self._loop)

    def _write(self) -> None:
        """Write what waits, unless another program has locked the file for a moment."""
        try:
            self._write_waiting()
        except StorageError as error:
            if not _busy(error) or len(self._waiting) > MOST_WAITING:
                raise

    def _write_waiting(self) -> None:
        with self._writer.together():
            if self._info is not None:
                self._writer.amend_run(self._info)
            if self._owed:
                self._writer.add_events(self._owed)
            for frame, events in self._waiting:
                self._writer.commit(frame, epoch_end=bool(frame["epoch_end"]), events=events)
        self._waiting.clear()
        self._owed, self._info = [], None

    def _follow(self) -> None:
        """Continue at the name that the file was moved to."""
        try:
            place = self._hold.place()
        except StorageError as error:
            raise StorageError(_("{path} was deleted or moved away").format(path=self.path)) from error
        registry.erase_recorder(self.path, self._loop)
        self._hold.rename(place)
        self._writer.follow(place)
        self._noted = 0.0

    def _close(self) -> None:
        if self._published:
            self._unless_full(self._write_waiting)
            if not self._unless_full(self._writer.close):
                self._writer.abandon()  # as it is, with its journal
        else:
            self._writer.discard()
        self._over = True
        self._release()
        if self._lost:
            sentence = ngettext(
                "{path}: {count} row was not recorded, because the disk was full",
                "{path}: {count} rows were not recorded, because the disk was full",
                self._lost,
            )
            self._tell(sentence.format(path=self.path, count=self._lost))

    def _unless_full(self, act: Callable[[], None]) -> bool:
        """Do something that closes the file; False if the disk has no room for it."""
        try:
            act()
        except StorageError as error:
            if not _full(error):
                raise
            self._leave_out(error)
            return False
        return True

    def _release(self) -> None:
        registry.erase_recorder(self.path, self._loop)
        self._hold.release()
        _SINKS.discard(self)

    def _disown(self) -> None:
        """Leave everything to the parent, in a process that was just forked from it."""
        self._over = True
        # SQLite would end the parent's transaction if this process closed its copy of the connection
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._writer.connection))


def created(hold: Hold, metadata: Mapping[str, str], loop: Loop) -> Sink:
    """Begin a recording.

    Args:
        hold: the lock on its name, which is released if there is an error.

    Raises:
        NameTakenError: the file exists.
        StorageError: the folder cannot be written.
    """
    try:
        return Sink(hold, Writer.draft(hold.recording, metadata), loop)
    except BaseException:
        hold.release()
        raise


def continued(hold: Hold, loop: Loop) -> Sink:
    """Continue the file of a writer that has ended before its loop; what it has already is not written again.

    Raises:
        RecordingError: it is not a recording, or another process has locked it.
        StorageError: it cannot be written.
    """
    hold.hold_file()
    writer = Writer.reopen(hold.recording)
    step = writer.connection.execute("SELECT max(step) FROM keyframe").fetchone()[0]
    kinds = writer.connection.execute("SELECT kind FROM event").fetchall()
    writer.wait_at_most(BUSY_MS)
    return Sink(hold, writer, loop, Written(-1 if step is None else step, frozenset(kind for (kind,) in kinds)))


def keyframes_in(path: Path) -> int:
    """Number of keyframes in a recording that is closed; 0 if there is none."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            ((count,),) = database.execute("SELECT count(*) FROM keyframe")
            return int(count)
    except sqlite3.Error:
        return 0


_SINKS: weakref.WeakSet[Sink] = weakref.WeakSet()
"""Every sink of this process that is open."""


def _disown_all() -> None:
    for sink in list(_SINKS):
        sink._disown()


os.register_at_fork(after_in_child=_disown_all)


def _full(error: Exception) -> bool:
    """True if the disk, or what the user may have of it, is full."""
    cause = error.__cause__
    # what SQLite says of a quota and of the limit of ulimit -f, and of a disk that may be back later
    full = getattr(cause, "sqlite_errorcode", None) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)
    there = getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return isinstance(error, StorageError) and (full or there)


def _busy(error: StorageError) -> bool:
    """True if another program has locked the file for a moment."""
    code = getattr(error.__cause__, "sqlite_errorcode", None)
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

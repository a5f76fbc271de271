"""Hands rows over to a second process, which measures and writes them, so that the loop waits for neither.

What was handed over and is not in the file yet is kept here.  If the second process dies, or hangs for long, this one
continues the file with that; if none can be started, it writes from the beginning.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from bntui.cpu import cores
from bntui.errors import BntuiError, StorageError
from bntui.link.lock import Hold
from bntui.recording.history import Event, RunInfo
from bntui.text.language import _, spoken
from bntui.text.output import clean
from bntui.watching.line import Line, LostError, Opening, WriterReport, packed
from bntui.watching.name import hold_name
from bntui.watching.row import LoopRow, RowWriter
from bntui.watching.sink import Loop, Sink, continued, created
from bntui.watching.subject import LoopDescription
from bntui.watching.trouble import warn

COMMAND: Final = ("-P", "-m", "bntui.watching.writer_process")
MOST_KEPT: Final = 64_000_000
"""Bytes that are handed over and not in the file yet; beyond it, the loop waits."""
MOST_MESSAGES: Final = 1000
"""So many messages at most; as many answers fit into a pipe."""
PATIENCE: Final = 30.0
"""Seconds without a sign of the second process after which it counts as hung."""
LISTENS: Final = 0.1
"""Seconds between two looks at what it has said, unless the loop waits for it."""
_LARGE: Final = 0.1
"""Seconds that a row larger than the pipe waits at most for a second process that reads."""


def row_writer(path: Path | None, subject: LoopDescription) -> RowWriter:
    """Begin a recording that a second process writes, where that helps and there is one to be had.

    Args:
        path: its name; None for a new one in the user's folder.

    Raises:
        NameTakenError: the file exists.
        RecordingError: another process writes it.
        StorageError: the folder cannot be written.
    """
    hold, metadata = hold_name(path, subject.title), subject.metadata()
    here = created(hold, metadata, Loop(os.getpid()))
    process = _started(hold) if _helps(hold) else None
    if process is None:
        return here
    here.lend()
    return HandedOver(hold, metadata, process)


def _helps(hold: Hold) -> bool:
    """True if a second process has a core of its own, would be Python, and can inherit the lock."""
    program = Path(sys.executable or "").name.lower()
    return (
        cores() > 1
        and hold.descriptor > 2
        and program.startswith(("python", "pypy"))
        and not getattr(sys, "frozen", False)
    )


def _started(hold: Hold) -> subprocess.Popen[bytes] | None:
    """The second process, in a session of its own, so that Ctrl+C in a terminal is not meant for it; or None."""
    # it imports what this process does, whose first place may be the current folder, or a relative one
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if isinstance(entry, str))
    environment = {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONINSPECT", None)
    try:
        return subprocess.Popen(
            [sys.executable, *COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            bufsize=0, env=environment, pass_fds=(hold.descriptor,), start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


class HandedOver:
    """A recording that a second process writes; see :class:`bntui.watching.row.RowWriter`."""

    def __init__(self, hold: Hold, metadata: Mapping[str, str], process: subprocess.Popen[bytes]) -> None:
        self._own = os.getpid()
        self._hold, self._metadata, self._process = hold, metadata, process
        self._path = hold.recording
        self._turn = threading.RLock()
        self._kept: deque[tuple[str, tuple[Any, ...], int]] = deque()
        """Calls that are not in the file yet, with their sizes; the oldest has the number ``_done``."""
        self._done = self._size = 0
        self._listened = -LISTENS
        self._heard = False
        """The second process has begun."""
        self._over = False
        self._here: Sink | None = None
        """What writes in this process, once the second one is lost."""
        assert process.stdin is not None
        assert process.stdout is not None
        self._line = Line(os.dup(process.stdin.fileno()), os.dup(process.stdout.fileno()))
        process.stdin.close()
        process.stdout.close()
        opening = Opening(hold.recording, metadata, hold.holder, hold.descriptor, self._own, spoken())
        with suppress(LostError):  # which the first row finds
            self._line.send(packed(opening))
        _OPEN.add(self)

    @property
    def open(self) -> bool:
        """False once nothing more will be recorded; and in a process forked from the recorder's."""
        if self._here is not None:
            return self._here.open
        return not self._over and os.getpid() == self._own

    @property
    def path(self) -> Path:
        """Where the recording is, as far as the second process has told."""
        with self._turn:
            if self._here is None and self.open:
                self._listen()
            return self._path if self._here is None else self._here.path

    def begin(self, info: RunInfo, budget: float) -> None:
        """Add the run, before its first row."""
        self._call("begin", info, budget)

    def amend(self, info: RunInfo) -> None:
        """Replace what is known of the run."""
        self._call("amend", info)

    def commit(self, row: LoopRow) -> None:
        """Hand over a row."""
        self._call("commit", row)

    def add_events(self, events: Sequence[Event]) -> None:
        """Hand over events that belong to no row."""
        self._call("add_events", tuple(events))

    @property
    def behind(self) -> bool:
        """True if the pipe had no room for all that was handed over; see :meth:`push`."""
        return self._here is None and not self._over and self._line.behind

    def push(self) -> None:
        """Hand over what the pipe had no room for, as far as it has now."""
        with self._turn:
            if self.open and self._here is None:
                try:
                    self._line.push()
                except LostError:
                    self._continue_here()

    def close(self) -> None:
        """Wait until the second process has closed the file."""
        with self._turn:
            self._call("close")
            if self.open and self._here is None:
                self._wait_until(lambda: self._over)

    def _call(self, name: str, *arguments: Any) -> None:
        with self._turn:
            if self._here is None and self.open and time.monotonic() > self._listened + LISTENS:
                self._listen()
            if self._here is not None:
                getattr(self._here, name)(*arguments)
            elif self.open:
                self._hand_over(name, arguments)

    def _hand_over(self, name: str, arguments: tuple[Any, ...]) -> None:
        pieces = packed((name, arguments))
        size = sum(piece.nbytes for piece in pieces)
        if not self._room(size):
            self._wait_until(lambda: self._room(size))
        if self._here is not None:  # the second process was lost meanwhile
            getattr(self._here, name)(*arguments)
        if self._here is not None or not self.open:
            return
        self._line.certain = False  # until it is both kept and sent
        self._kept.append((name, arguments, size))
        self._size += size
        behind = self._line.behind
        try:
            self._line.send(pieces)
            until = time.monotonic() + _LARGE
            while self._heard and not behind and self._line.behind and (left := until - time.monotonic()) > 0:
                self._line.wait(left)
                self._line.push()
        except LostError:
            self._continue_here()

    def _room(self, size: int) -> bool:
        return not self._kept or (self._size + size <= MOST_KEPT and len(self._kept) < MOST_MESSAGES)

    def _listen(self) -> bool:
        """Hear how far the second process has got; False if it said nothing."""
        self._listened = time.monotonic()
        try:
            reports = self._line.reports()
        except LostError:
            self._continue_here()
            return True
        for report in reports:
            self._hear(report)
        return bool(reports)

    def _hear(self, report: WriterReport) -> None:
        self._heard = True
        if report.path is not None:
            self._path = Path(report.path)
        while self._done < report.done:
            self._size -= self._kept.popleft()[2]
            self._done += 1
        if not report.open:
            self._end()
        for sentence in report.warnings:
            warn(sentence)

    def _wait_until(self, fulfilled: Callable[[], bool]) -> None:
        """Wait as long as there are signs of the second process; without one for long, this process continues."""
        until = time.monotonic() + PATIENCE
        while not fulfilled() and self.open and self._here is None:
            left = until - time.monotonic()
            if left <= 0:
                self._continue_here()
                return
            self._line.wait(left)
            try:
                pushed = self._line.push()
            except LostError:
                self._continue_here()
                return
            if self._listen() or pushed:
                until = time.monotonic() + PATIENCE

    def _continue_here(self) -> None:
        """Write what is kept, and all that follows, in this process, unless the other one crashed by what it did."""
        code = self._killed()
        with suppress(LostError):  # it may have said before that it has closed the file
            while reports := self._line.reports():
                for report in reports:
                    self._hear(report)
        if self._over:
            return
        self._line.close()
        _OPEN.discard(self)
        try:
            if code is None:
                raise OSError(_("the process that writes it does not answer"))
            if -code in _CRASHES:
                raise OSError(_("the process that writes it has crashed"))
            self._here = self._taken_over()
        except Exception as error:
            self._over = True
            with suppress(Exception):
                self._hold.leave() if code is None else self._hold.release()
            reason = str(error) if isinstance(error, BntuiError) else clean(f"{self._path}: {error}")
            warn(_("{reason}; nothing more is recorded, training goes on").format(reason=reason))
            return
        self._replay()

    def _killed(self) -> int | None:
        """The exit status of the second process, which is ended if it still runs; None if that is impossible."""
        try:
            return self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
        try:
            return self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            return None

    def _taken_over(self) -> Sink:
        if self._path != self._hold.recording:
            self._hold.rename(self._path)
        loop = Loop(self._own)
        if self._path.exists():
            return continued(self._hold, loop)
        if self._done:
            raise StorageError(_("{path} was deleted or moved away").format(path=self._path))
        return created(self._hold, self._metadata, loop)

    def _replay(self) -> None:
        assert self._here is not None
        while self._kept:
            name, arguments, _size = self._kept.popleft()
            getattr(self._here, name)(*arguments)

    def _end(self) -> None:
        """The second process has closed the file, or given up; it ends at once."""
        self._over = True
        _OPEN.discard(self)
        self._line.close()
        self._killed()
        self._hold.leave()

    def disown(self) -> None:
        """Leave everything to the parent, in a process that was just forked from it: above all its pipes."""
        self._over = True
        self._process.returncode = 0  # it is no child of this process
        self._line.close()


_CRASHES: Final = frozenset({4, 6, 7, 8, 10, 11})
"""Signals by which a process ends that does what it must not: this one is not to do the same."""
_OPEN: weakref.WeakSet[HandedOver] = weakref.WeakSet()
"""Every recording of this process that a second process writes."""


def _disown_all() -> None:
    for one in list(_OPEN):
        one.disown()


os.register_at_fork(after_in_child=_disown_all)

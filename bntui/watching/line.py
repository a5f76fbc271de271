"""The two pipes between a recorder and the process that writes for it: what is sent, and what comes back.

A message is a pickle without the memory of its arrays, which follows: handing it over copies each array once, into the
pipe.  The pipes are inherited by the one process that the recorder started, so that nobody else can write to them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pickle
import select
import struct
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PIPE: Final = 2**20
"""Bytes that a pipe holds, where the system allows it."""
_AT_ONCE: Final = 512
"""Pieces of memory that are written with one call."""
_MOST_READ: Final = 2**16
_LENGTH: Final = struct.Struct("<Q")


@dataclass(frozen=True)
class Opening:
    """The first message: what is to be recorded, and where."""

    path: Path
    metadata: Mapping[str, str]
    holder: str
    descriptor: int
    """The lock on the name, which was inherited; see :meth:`bntui.link.lock.Hold.shared`."""
    loop: int
    """The process of the loop."""
    language: str


@dataclass(frozen=True)
class WriterReport:
    """How far the writer has got; each report replaces the one before, but for its warnings."""

    done: int
    """Messages that are in the file."""
    path: str | None
    """Where the file is, if it was moved."""
    open: bool
    """False once nothing more will be recorded."""
    warnings: tuple[str, ...] = ()
    """Sentences for the loop."""


class LostError(Exception):
    """The process at the other end has gone, or what was sent to it is uncertain."""


def packed(message: object) -> list[memoryview]:
    """A message in the pieces that are written one after another; arrays are not copied and must stay as they are."""
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(message, 5, buffer_callback=buffers.append)
    pieces = [memoryview(data), *(buffer.raw() for buffer in buffers)]
    head = struct.pack(f"<{len(pieces) + 1}Q", len(pieces), *(piece.nbytes for piece in pieces))
    return [memoryview(head), *(piece for piece in pieces if piece.nbytes)]


class Line:
    """A recorder's end.

    Args:
        to: where it writes.
        back: where it reads.
    """

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._unsent: deque[memoryview] = deque()
        self._received = bytearray()
        self.certain = True
        """False if sending or receiving was interrupted, as by Ctrl+C: then nobody knows how much of a message went."""
        for end in (to, back):
            os.set_blocking(end, False)
        with contextlib.suppress(AttributeError, OSError):  # only Linux can, and not beyond a user's share
            fcntl.fcntl(to, fcntl.F_SETPIPE_SZ, PIPE)

    @property
    def behind(self) -> bool:
        """True if the pipe had no room for all that was sent."""
        return bool(self._unsent)

    def send(self, pieces: Sequence[memoryview]) -> None:
        """Send a message; what the pipe has no room for waits for :meth:`push`.

        Raises:
            LostError: the process at the other end has gone.
        """
        self.certain = False
        self._unsent.extend(pieces)
        self._push()
        self.certain = True

    def push(self) -> bool:
        """Send what waits, as far as the pipe has room; True if some of it was sent.

        Raises:
            LostError: the process at the other end has gone, or what it was sent is uncertain.
        """
        if not self.certain:
            raise LostError
        self.certain = False
        pushed = self._push()
        self.certain = True
        return pushed

    def _push(self) -> bool:
        pushed = False
        while self._unsent:
            try:
                count = os.writev(self._to, [self._unsent[at] for at in range(min(_AT_ONCE, len(self._unsent)))])
            except BlockingIOError:
                break
            except OSError as error:
                raise LostError from error
            self._sent(count)
            pushed = True
        return pushed

    def _sent(self, count: int) -> None:
        while count:
            first = self._unsent.popleft()
            if count < first.nbytes:
                self._unsent.appendleft(first[count:])
                return
            count -= first.nbytes

    def reports(self) -> list[WriterReport]:
        """What has come back.

        Raises:
            LostError: nothing did, and the process at the other end has gone, or what it was sent is uncertain.
        """
        if not self.certain:
            raise LostError
        self.certain = False
        gone = False
        try:
            piece = os.read(self._back, _MOST_READ)
            self._received += piece
            gone = not piece
        except BlockingIOError:
            pass
        except OSError:
            gone = True
        found = []
        while len(self._received) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._received)
            if len(self._received) < _LENGTH.size + length:
                break
            found.append(pickle.loads(self._received[_LENGTH.size : _LENGTH.size + length]))
            del self._received[: _LENGTH.size + length]
        self.certain = True
        if gone and not found:
            raise LostError
        return found

    def wait(self, seconds: float) -> None:
        """Wait until something comes back, or something that waits can be sent."""
        watched = select.poll()
        watched.register(self._back, select.POLLIN)
        if self._unsent:
            watched.register(self._to, select.POLLOUT)
        watched.poll(1000 * seconds)

    def close(self) -> None:
        """Close both ends; the process at the other one closes its file."""
        ends, self._to, self._back = {self._to, self._back} - {-1}, -1, -1
        for end in ends:
            os.close(end)


class FarEnd:
    """The end of the process that writes.

    Args:
        inbox: where it reads.
        outbox: where it writes.
    """

    def __init__(self, inbox: int, outbox: int) -> None:
        self._inbox, self._outbox = inbox, outbox
        self._parent = os.getppid()

    def receive(self) -> Any:
        """The next message.

        Raises:
            EOFError: the recorder's process has gone.
        """
        (count,) = _LENGTH.unpack(self._read(_LENGTH.size))
        lengths = struct.unpack(f"<{count}Q", self._read(count * _LENGTH.size))
        data, *buffers = [self._read(length) for length in lengths]
        return pickle.loads(data, buffers=buffers)

    def _read(self, length: int) -> bytearray:
        found = bytearray(length)
        view = memoryview(found)
        while view:
            self._wait()
            count = os.readv(self._inbox, [view])
            if not count:
                raise EOFError
            view = view[count:]
        return found

    def _wait(self) -> None:
        """Wait for something to read, or for the death of the recorder's process, whose pipe a process forked from it
        may hold open."""
        watched = select.poll()
        watched.register(self._inbox, select.POLLIN)
        while not watched.poll(2000):
            if os.getppid() != self._parent:
                raise EOFError

    def report(self, report: WriterReport) -> None:
        """Tell the recorder how far the file is, if it still runs."""
        data = pickle.dumps(report, 5)
        with contextlib.suppress(OSError):
            _write_all(self._outbox, _LENGTH.pack(len(data)) + data)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]

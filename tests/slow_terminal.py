"""Runs a program behind a slow line: a pseudo-terminal with delayed output to an emulated screen, and delayed keys.

Between the two ends lies a buffer without bounds, like those of sshd and of the network: the program never blocks, and
nothing tells it that its bytes wait, except the far terminal's own answers.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

import pyte

from tests.terminal import KEYS

PIECE_SECONDS = 0.01
"""The line delivers in pieces of so much time."""


class Way:
    """One direction of a line: ``rate`` bytes a second, each ``latency`` seconds on the way."""

    def __init__(self, rate: float, latency: float) -> None:
        self.rate = rate
        self.latency = latency
        self._free = 0.0
        self._coming: deque[tuple[float, bytes]] = deque()
        self.waiting = 0
        """Bytes that have not arrived."""

    def put(self, data: bytes, now: float) -> None:
        size = max(1, round(self.rate * PIECE_SECONDS))
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            self._free = max(self._free, now) + len(piece) / self.rate
            self._coming.append((self._free + self.latency, piece))
        self.waiting += len(data)

    def receive(self, now: float) -> bytes:
        """What has arrived."""
        arrived = []
        while self._coming and self._coming[0][0] <= now:
            arrived.append(self._coming.popleft()[1])
        out = b"".join(arrived)
        self.waiting -= len(out)
        return out

    def next(self) -> float | None:
        """When the next piece arrives."""
        return self._coming[0][0] if self._coming else None


class _Screen(pyte.Screen):
    """Answers through ``answer``, or never."""

    answer: Callable[[bytes], None] | None = None

    def write_process_input(self, data: str) -> None:
        if self.answer is not None:
            self.answer(data.encode())


class SlowTerminal:
    """Runs a program at the near end of a line; the screen stands at its far end.

    Args:
        rate: bytes a second, in each direction.
        latency: seconds that a byte is on the way, in each direction.
        answers: the terminal reports its cursor when it is asked to.
        block: the line takes no more bytes than it has sent on, as a serial one does, so that the program's writes
            block; by default all that the program writes is taken at once.
    """

    def __init__(
        self,
        command: Sequence[str],
        rate: float,
        latency: float = 0.075,
        *,
        answers: bool = True,
        block: bool = False,
        columns: int = 160,
        rows: int = 48,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        inherited = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
        environment = {**inherited, "TERM": "xterm-256color", **(env or {})}
        environment.pop("COLORTERM", None)  # SSH does not forward it
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self.down, self.up = Way(rate, latency), Way(rate, latency)
        self.screen = _Screen(columns, rows)
        if answers:
            self.screen.answer = lambda data: self.up.put(data, time.monotonic())
        self._stream = pyte.ByteStream(self.screen)
        self._block = block
        self.lock = threading.Condition()
        self._wake, self._waker = os.pipe()
        self._ended = False
        self.received = 0
        self.most_waiting = 0
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def __enter__(self) -> SlowTerminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._ended = True
        os.write(self._waker, b"x")
        self._thread.join()
        for handle in (self._master, self._wake, self._waker):
            os.close(handle)

    def row(self, y: int) -> str:
        """One line of the far screen."""
        line = self.screen.buffer[y]
        return "".join(line[x].data for x in range(self.screen.columns))

    @property
    def text(self) -> str:
        with self.lock:
            return "\n".join(self.row(y) for y in range(self.screen.lines))

    def press(self, key: str) -> float:
        """Type at the far end; the moment."""
        with self.lock:
            now = time.monotonic()
            self.up.put(KEYS.get(key, key).encode(), now)
        os.write(self._waker, b"x")
        return now

    def until(self, seen: Callable[[SlowTerminal], object], timeout: float = 60) -> float:
        """Wait until something is so on the far screen; the moment."""
        with self.lock:
            if self.lock.wait_for(lambda: seen(self), timeout):
                return time.monotonic()
        raise AssertionError(f"it never came; exit code {self.process.poll()}; the screen:\n{self.text}")

    def shows(self, words: str, timeout: float = 60) -> float:
        """Wait for words anywhere on the far screen."""
        return self.until(lambda far: any(words in far.row(y) for y in range(far.screen.lines)), timeout)

    def _carry(self) -> None:
        while not self._ended:
            with self.lock:
                times = [at for at in (self.down.next(), self.up.next()) if at is not None]
                full = self._block and self.down.waiting > self.down.rate * PIECE_SECONDS
            wait = max(0.0, min(times) - time.monotonic()) if times else 1.0
            watched = [self._wake] if full or self.process.poll() is not None else [self._wake, self._master]
            ready, _, _ = select.select(watched, [], [], wait)
            if self._wake in ready:
                os.read(self._wake, 4096)
            piece = b""
            if self._master in ready:
                with contextlib.suppress(OSError):  # the program has ended
                    piece = os.read(self._master, 1 << 16)
            with self.lock:
                now = time.monotonic()
                if piece:
                    self.down.put(piece, now)
                    self.most_waiting = max(self.most_waiting, self.down.waiting)
                arrived = self.down.receive(now)
                if arrived:
                    self.received += len(arrived)
                    self._stream.feed(arrived)
                typed = self.up.receive(now)
                if arrived:
                    self.lock.notify_all()
            if typed:
                with contextlib.suppress(OSError):
                    os.write(self._master, typed)

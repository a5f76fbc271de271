"""Runs a program in a real pseudo-terminal: types keys, reads the screen, counts the bytes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyte

KEYS = {
    "left": "\x1b[D", "right": "\x1b[C", "up": "\x1b[A", "down": "\x1b[B", "home": "\x1b[H", "end": "\x1b[F",
    "enter": "\r", "tab": "\t", "escape": "\x1b", "space": " ",
}  # fmt: skip


class Terminal:
    """Runs a program in a pseudo-terminal of ``columns`` by ``rows`` and emulates its screen."""

    def __init__(
        self,
        command: Sequence[str],
        columns: int = 160,
        rows: int = 48,
        env: Mapping[str, str | None] | None = None,
        *,
        controlling: bool = False,
    ) -> None:
        """Start the program.

        Args:
            env: variables to set; None removes one.
            controlling: the terminal is that of the program's session, so that its keys send signals.
        """
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        # a test runner may export the size of its own terminal, which would be believed before ours
        inherited = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
        wanted = {**inherited, "TERM": "xterm-256color", "COLORTERM": "truecolor", **(env or {})}
        environment = {key: value for key, value in wanted.items() if value is not None}
        self.settings_before = termios.tcgetattr(slave)  # before the program runs, which may change them at once
        self.started = self._heard = time.monotonic()
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
            preexec_fn=(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) if controlling else None,
        )
        os.close(slave)
        self._master = master
        self._screen = pyte.Screen(columns, rows)
        self._screen.write_process_input = self._answer  # type: ignore[method-assign]
        self._stream = pyte.ByteStream(self._screen)
        self.received = 0
        self.raw = b""
        self.transcript = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        if self._master >= 0:
            os.close(self._master)

    @property
    def text(self) -> str:
        """The screen as lines of text."""
        return "\n".join(self._screen.display)

    def read(self, timeout: float) -> bool:
        """Take in one piece of output; False if there was none in time."""
        ready, _, _ = select.select([self._master], [], [], timeout)
        if not ready:
            return False
        try:
            piece = os.read(self._master, 1 << 16)
        except OSError:  # the program has ended
            return False
        self._heard = time.monotonic()
        self.received += len(piece)
        self.raw += piece
        self.transcript += piece
        if b"\x1b[6n" in self.raw:  # answered when it arrives, as a terminal does
            self.emulate()
        return bool(piece)

    def _answer(self, data: str) -> None:
        """What the terminal says when it is asked where its cursor stands."""
        with contextlib.suppress(OSError):  # the program has ended
            os.write(self._master, data.encode())

    def settings(self) -> list[Any]:
        """The terminal's settings, as ``termios`` has them."""
        return termios.tcgetattr(self._master)

    def modes(self) -> set[int]:
        """DEC private modes that are on: 1049 is the alternate screen, 25 the cursor, 1000 and more the mouse."""
        on = {7, 25}
        for numbers, what in re.findall(rb"\x1b\[\?([\d;]+)([hl])", self.transcript):
            change = on.update if what == b"h" else on.difference_update
            change(map(int, numbers.split(b";")))
        return on

    def kitty_levels(self) -> int:
        """Pushed levels of Kitty's keyboard protocol."""
        return len(re.findall(rb"\x1b\[>\d*u", self.transcript)) - len(re.findall(rb"\x1b\[<\d*u", self.transcript))

    def children(self, pid: int | None = None) -> list[int]:
        """Processes that the program started, by default those of the process that was started here."""
        threads = Path(f"/proc/{self.process.pid if pid is None else pid}/task")  # each has children of its own
        return [int(child) for file in threads.glob("*/children") for child in file.read_text("ascii").split()]

    def hang_up(self) -> None:
        """Close the terminal; who watches it reads its end."""
        os.close(self._master)
        self._master = -1

    def emulate(self) -> None:
        """Bring the screen up to date with what was received."""
        self._stream.feed(self.raw)
        self.raw = b""

    def until(self, wanted: str | Callable[[str], object], timeout: float = 60) -> float:
        """Wait until a text is on the screen, or the screen is as wanted; seconds from the start to the last output.

        The screen is shown if that never comes.
        """
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            self.emulate()
            if wanted in self.text if isinstance(wanted, str) else wanted(self.text):
                return self._heard - self.started
            if not self.read(0.05) and self.process.poll() is not None:
                break
        self.emulate()
        raise AssertionError(f"{wanted!r} never came; exit code {self.process.poll()}; the screen:\n{self.text}")

    def turn(self, key: str, timeout: float = 60) -> None:
        """Press a key that changes the screen, and read until it has done so."""
        before, end = self.received, time.monotonic() + timeout
        self.press(key)
        while self.received == before:
            assert time.monotonic() < end, f"{key} changed nothing; the screen:\n{self.text}"
            self.read(0.05)
        self.settle()

    def press(self, key: str) -> None:
        os.write(self._master, KEYS.get(key, key).encode())

    def settle(self, quiet: float = 0.15) -> float:
        """Read until nothing comes for ``quiet`` seconds; the moment of the last piece."""
        last = time.monotonic()
        while self.read(quiet):
            last = time.monotonic()
        return last

    def exit_code(self, timeout: float = 30) -> int:
        """Wait for the program's end, reading on so that it never blocks."""
        end = time.monotonic() + timeout
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it did not end; the screen:\n{self.text}"
            self.read(0.05)
        while self.read(0):
            pass
        self.emulate()
        return self.process.returncode

"""Restores the terminal, whatever ends the viewer.

The viewer runs in a forked child.  Its parent, the guard, keeps the terminal's settings, passes signals on, stops and
continues with the child, and restores the terminal if the child died before it could.  Python cannot do that in one
process: nothing runs after ``abort()`` or SIGKILL.  If the guard itself is killed, the child notices and leaves.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import sys
import termios
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final, NoReturn

from bntui.text.language import _

RESTORED: Final = (
    "\x18\x1b\\"  # ends a sequence that was cut in the middle
    "\x1b[?2026l\x1b[0m"  # shows what was held back; colours
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l"  # mouse
    "\x1b[?1004l\x1b[?2004l\x1b[?2048l\x1b[?7h"  # focus, bracketed paste, in-band resize; line wrap
    "\x1b]22;default\x07\x1b[<u"  # pointer; Kitty's keyboard protocol, which the alternate screen has for itself
    "\x1b[?1049l\x1b[?25h"
)
"""Ends every mode that the viewer or Textual turns on."""
PASSED_ON: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals to the guard that are meant for the viewer."""
_LEFT, _ENTERED, _TAKEN = 0, 1, 2
_MARGIN: Final = 128
"""A shell's exit code for a process that died by a signal: this and the signal's number."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What the viewer knows of its guard, and tells it."""

    screen: mmap.mmap
    """One byte that both processes see."""
    guard: int
    """Readable, at its end, when the guard is gone."""
    suspendable: bool
    """A shell with job control waits for us."""

    def entered(self) -> None:
        """Call before the first byte of the full screen is sent."""
        self.screen[0] = _ENTERED

    def left(self) -> None:
        """Call after the terminal was restored."""
        self.screen[0] = _LEFT

    @property
    def taken(self) -> bool:
        """True if the guard restored the terminal while the viewer was stopped."""
        return self.screen[0] == _TAKEN


_watch: Watch | None = None


def watch() -> Watch | None:
    """The guard of this process; None without one, as in tests of the application."""
    return _watch


def guard() -> None:
    """Fork the viewer from its guard: returns in the child only, and does nothing the second time.

    Call it early: a guard needs no imports, and no thread may be running.  Without a terminal there is nothing to do.
    """
    global _watch
    if _watch is not None or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    sys.stdout.flush()
    sys.stderr.flush()
    screen = mmap.mmap(-1, 1)
    alive, held = os.pipe()
    suspendable = _under_a_shell()
    child = os.fork()
    if child:
        os.close(alive)
        _wait(child, screen)
    os.close(held)
    _watch = Watch(screen, alive, suspendable)


def _under_a_shell() -> bool:
    """True if our parent can continue us: it is of our session, but not of our process group."""
    parent = os.getppid()
    with contextlib.suppress(OSError):
        return os.getsid(parent) == os.getsid(0) and os.getpgid(parent) != os.getpgrp()
    return False


def _wait(child: int, screen: mmap.mmap) -> NoReturn:
    """The guard's life: ends with the exit code of the child."""
    terminal = sys.stdout.fileno()
    try:
        settings = termios.tcgetattr(terminal)
    except termios.error:
        settings = None

    def pass_on(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    def interrupt(number: int, frame: FrameType | None) -> None:
        if screen[0] == _ENTERED:  # else it is a key, and the child has got it as well
            pass_on(number, frame)

    for number in PASSED_ON:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, pass_on)
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # the shell may have the terminal back already
    while True:
        _pid, status = os.waitpid(child, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            break
        if screen[0] == _ENTERED:  # by SIGSTOP, which it cannot handle
            _restore(terminal, settings)
            screen[0] = _TAKEN
        os.kill(os.getpid(), signal.SIGSTOP)
        pass_on(signal.SIGCONT, None)
    died = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    if screen[0] == _ENTERED:
        _restore(terminal, settings)
    if died is not None:
        sentence = _("the screen was ended by {signal}; recordings are intact and trainers keep running (bntui list)")
        with contextlib.suppress(OSError):
            sys.stderr.write(f"bntui: {sentence.format(signal=_name(died))}\n")
            sys.stderr.flush()
    os._exit(_MARGIN + died if died is not None else os.WEXITSTATUS(status))


def _restore(terminal: int, settings: list[Any] | None) -> None:
    with contextlib.suppress(OSError):  # the terminal has vanished
        os.write(terminal, RESTORED.encode("ascii"))
    with contextlib.suppress(termios.error):
        termios.tcflush(terminal, termios.TCIFLUSH)  # reports of the mouse that nobody reads any more
        if settings is not None:
            termios.tcsetattr(terminal, termios.TCSANOW, settings)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return str(number)

"""Restores the terminal, whatever ends the viewer.

The viewer runs in a forked child.  Its parent, the guard, saves the terminal's settings, passes signals on, stops and
continues together with the child, and restores the terminal if the child dies before it can.  A single process cannot
do that, because nothing runs after ``abort()`` or SIGKILL.  If the guard itself is killed, the child notices and exits.
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
    "\x18\x1b\\"  # ends an incomplete sequence
    "\x1b[?2026l\x1b[0m"  # ends a synchronized update; resets styles
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l"  # mouse
    "\x1b[?1004l\x1b[?2004l\x1b[?2048l\x1b[?7h"  # focus, bracketed paste, in-band resize; line wrap
    "\x1b]22;default\x07\x1b[<u"  # pointer; Kitty's keyboard protocol, whose state the alternate screen has separately
    "\x1b[?1049l\x1b[?25h"
)
"""Ends every mode that the viewer or Textual turns on."""
PASSED_ON: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that the guard passes on to the viewer."""
_LEFT, _ENTERED, _STOPPED = 0, 1, 2
_MARGIN: Final = 128
"""A shell's exit code for a process that died by a signal is the number of the signal plus this."""


@dataclass(frozen=True, slots=True)
class GuardClient:
    """The viewer's side of the guard."""

    screen: mmap.mmap
    """One byte of memory shared by both processes."""
    guard: int
    """File descriptor that becomes readable (at its end) when the guard is gone."""
    suspendable: bool
    """The process was started by a shell with job control."""

    def entered(self) -> None:
        """Call before the first byte of the full screen is sent."""
        self.screen[0] = _ENTERED

    def left(self) -> None:
        """Call after the terminal was restored."""
        self.screen[0] = _LEFT

    @property
    def restored(self) -> bool:
        """True if the guard restored the terminal while the viewer was stopped."""
        return self.screen[0] == _STOPPED


_watch: GuardClient | None = None


def watch() -> GuardClient | None:
    """The guard of this process; None if there is none, as in tests of the application."""
    return _watch


def guard() -> None:
    """Fork the viewer from its guard; returns only in the child.

    Call it early, because the guard needs no imports, and no threads may be running.  It does nothing without a
    terminal, or if it has been called before.
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
    _watch = GuardClient(screen, alive, suspendable)


def _under_a_shell() -> bool:
    """True if the parent process can continue this one: it is in the same session, but in another process group."""
    parent = os.getppid()
    with contextlib.suppress(OSError):
        return os.getsid(parent) == os.getsid(0) and os.getpgid(parent) != os.getpgrp()
    return False


def _wait(child: int, screen: mmap.mmap) -> NoReturn:
    """Run the guard, until it exits with the exit code of the child."""
    terminal = sys.stdout.fileno()
    try:
        settings = termios.tcgetattr(terminal)
    except termios.error:
        settings = None

    def pass_on(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    def interrupt(number: int, frame: FrameType | None) -> None:
        if screen[0] == _ENTERED:  # otherwise it comes from ctrl+c, and the child has received it as well
            pass_on(number, frame)

    for number in PASSED_ON:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, pass_on)
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # the shell may already own the terminal again
    while True:
        _pid, status = os.waitpid(child, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            break
        if screen[0] == _ENTERED:  # stopped by SIGSTOP, which the child cannot handle
            restore(terminal, settings)
            screen[0] = _STOPPED
        os.kill(os.getpid(), signal.SIGSTOP)
        pass_on(signal.SIGCONT, None)
    died = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    if screen[0] == _ENTERED:
        restore(terminal, settings)
    if died is not None:
        sentence = _("the screen was ended by {signal}; recordings are intact and trainers keep running (bntui list)")
        with contextlib.suppress(OSError):
            sys.stderr.write(f"bntui: {sentence.format(signal=_name(died))}\n")
            sys.stderr.flush()
    os._exit(_MARGIN + died if died is not None else os.WEXITSTATUS(status))


def restore(terminal: int, settings: list[Any] | None) -> None:
    """End the modes of a full screen, and set the terminal's settings (None: leave them) as before it."""
    with contextlib.suppress(OSError):  # the terminal has gone away
        os.write(terminal, RESTORED.encode("ascii"))
    with contextlib.suppress(termios.error):
        termios.tcflush(terminal, termios.TCIFLUSH)  # discard mouse reports that were not read
        if settings is not None:
            termios.tcsetattr(terminal, termios.TCSANOW, settings)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return str(number)

"""Sets up and restores the terminal, suspends and resumes, and detects that the terminal has gone away.

Textual's driver turns modes on and off and reads keys.  This one also informs the guard (``guard.py``), ends the
program when the terminal or the guard is gone, handles any input and any SIGCONT, and writes ASCII if the terminal
does not support more.  ``line.py`` decides how often and how much is written.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import select
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from bntui.text.characters import UTF8, Replacements, charset
from bntui.viewer.terminal.guard import restore, watch
from bntui.viewer.terminal.textual_private import TextualDriver, TextualParser

if TYPE_CHECKING:
    from textual.app import App

WAIT: Final = 0.1
"""Seconds between two checks whether to stop reading; also the delay of the escape key."""
PATIENCE: Final = 3.0
"""Seconds that a regular exit may take after the terminal or the guard has gone away."""
HANG_UP: Final = 129
"""Exit code after the terminal has gone away, which is a shell's for SIGHUP."""


class TerminalDriver(TextualDriver):
    """The driver described above; ``LabApp`` passes its class to Textual."""

    def __init__(self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: Any = None) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        assert sys.__stdout__ is not None
        self.output = sys.__stdout__  # is known to be a terminal, while stderr may be a log
        self.debug = debug
        self.loop = asyncio.get_running_loop()
        self.app = app
        self._watch = watch()
        self._suspended = False
        self._resuming = False
        self._silent = False
        self._codec = charset(stream=sys.__stdout__)
        self._replacements = None if self._codec == UTF8 else Replacements(self._codec)

    # --- entering and leaving ---

    def start_application_mode(self) -> None:
        if self._watch is not None:
            self._watch.entered()
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def stop_application_mode(self) -> None:
        self.write("\x1b[?2026l\x1b[0m")  # end a synchronized update and reset styles
        if self.mouse_in_pixels:
            self.write("\x1b[?1016l")
        super().stop_application_mode()

    def close(self) -> None:
        super().close()
        if self._watch is not None:
            self._watch.left()

    # --- writing ---

    def write(self, data: str) -> None:
        if not self._silent:
            super().write(data if self._replacements is None else data.translate(self._replacements))

    # --- suspending ---

    @property
    def can_suspend(self) -> bool:
        """False if there is no shell that could continue the process, as with ``ssh host bntui`` or in a container."""
        return self._watch is None or self._watch.suspendable

    def suspend_application_mode(self) -> None:
        self._suspended = True
        super().suspend_application_mode()

    def resume_application_mode(self) -> None:
        self._suspended = False
        super().resume_application_mode()

    def continued(self) -> None:
        """Return to full screen after a suspension, once the process is in the foreground."""
        if self._resuming or not self.restarts:
            return
        self._resuming = True  # first, because another signal may interrupt this method at any point
        if self._watch is not None and self._watch.restored:  # stopped by SIGSTOP: the guard restored the terminal
            self._silent = True
            self.suspend_application_mode()
            self._silent = False
        if self._suspended:
            while self._in_background():  # bg
                os.kill(os.getpid(), signal.SIGSTOP)
            self.tell_of_resumption()
            self.resume_application_mode()
        self._resuming = False

    def _in_background(self) -> bool:
        """True after ``bg``, when the shell owns the terminal until ``fg``."""
        try:
            return os.tcgetpgrp(self.fileno) != os.getpgrp()
        except OSError:  # no job control, because the terminal belongs to another session
            return False

    # --- reading ---

    def parser(self) -> TextualParser:
        """The parser of the input."""
        return TextualParser(self.debug)

    def run_input_thread(self) -> None:
        """Read keys until told to stop, or until the terminal or the guard is gone."""
        parser = self.parser()
        decoder = codecs.getincrementaldecoder(self._codec)(errors="ignore")
        guard = () if self._watch is None else (self._watch.guard,)
        try:
            while not self.exit_event.is_set():
                ready, _, _ = select.select([self.fileno, *guard], [], [], WAIT)
                if any(end in ready for end in guard):
                    self._hang_up()
                    return
                if ready:
                    try:
                        piece = os.read(self.fileno, 4096)
                    except OSError:  # the terminal has gone away; otherwise its input never ends
                        piece = b""
                    if not piece:
                        self._hang_up()
                        return
                    if text := decoder.decode(piece):  # empty for an incomplete multi-byte character
                        for message in parser.feed(text):
                            self.process_message(message)
                for message in parser.tick():
                    self.process_message(message)
        finally:
            parser.end()

    def _hang_up(self) -> None:
        """End the program like a detach, without a message."""
        timer = threading.Timer(PATIENCE, self._abandon)
        timer.daemon = True
        timer.start()
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self.loop.call_soon_threadsafe(self._leave)

    def _abandon(self) -> None:
        """End the program where a regular exit takes too long, and restore the terminal if there is one that reads."""
        with contextlib.suppress(OSError, ValueError):  # the terminal has gone away
            if select.select([], [self.fileno], [], 0)[1]:
                restore(self.fileno, self.attrs_before)
        os._exit(HANG_UP)

    def _leave(self) -> None:
        # a shell may own the terminal, and restoring its modes must not stop this process
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        self.app.exit(return_code=HANG_UP)

"""The process that writes what a training loop records, so that measuring and writing cost the loop nothing.

    python -m bntui.watching.writer_process

``hand_over.py`` starts it, with a pipe as its standard input and another one as its output.  It ends with its first
pipe: when the loop's process is killed, it writes what it was told before, and closes the file.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

from bntui.errors import BntuiError
from bntui.link.lock import Hold
from bntui.text.language import _, use
from bntui.watching.line import FarEnd, Opening, WriterReport
from bntui.watching.sink import Loop, Sink, created

CALLS: Final = frozenset({"begin", "amend", "commit", "add_events", "close"})
"""Methods of a sink that a recorder calls."""


class _Writing:
    """A sink, and what its recorder is told of it."""

    def __init__(self, end: FarEnd) -> None:
        self._end = end
        self._warnings: list[str] = []
        self._received = self._done = 0
        self._told: Path | None = None
        """Where the recorder knows the file to be."""

    def run(self) -> None:
        opening: Opening = self._end.receive()
        use(opening.language)
        self._told = opening.path
        os.set_inheritable(opening.descriptor, False)
        hold = Hold.shared(opening.path, opening.holder, opening.descriptor)
        try:
            sink = created(hold, opening.metadata, Loop(opening.loop, self._warnings.append))
        except BntuiError as error:  # the recorder could create the file, and this process cannot
            sentence = _("{reason}; nothing more is recorded, training goes on").format(reason=error)
            self._end.report(WriterReport(0, None, False, (sentence,)))
            return
        self._report(sink)
        try:
            while sink.open:
                name, arguments = self._end.receive()
                if name in CALLS:
                    getattr(sink, name)(*arguments)
                self._received += 1
                self._report(sink)
        except EOFError:
            sink.close()

    def _report(self, sink: Sink) -> None:
        if not sink.waits:
            self._done = self._received
        warnings, self._warnings[:] = tuple(self._warnings), ()
        moved = None if sink.path == self._told else str(sink.path)
        self._told = sink.path
        self._end.report(WriterReport(self._done, moved, sink.open, warnings))


def main() -> None:
    """Write until the recorder closes the file, or its process ends."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # it ends with its pipe
        signal.signal(name, signal.SIG_IGN)
    with suppress(AttributeError, OSError):  # the loop, which wakes this process with each row, is not to wait for it
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    end = FarEnd(os.dup(0), os.dup(1))
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nothing, descriptor)
    os.chdir("/")
    with suppress(EOFError):
        _Writing(end).run()


if __name__ == "__main__":
    main()

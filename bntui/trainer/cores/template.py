"""Forks worker processes from a process that has imported PyTorch and does nothing else.

A fork is ready within milliseconds, while importing PyTorch takes a second.  The trainer itself cannot be forked: it
has threads, a database and locks by the time when it needs workers.  So it is forked once before that, and its copy
forks the workers.
"""

from __future__ import annotations

import os
import signal
import socket
import traceback
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Final

from bntui.text.language import _

_FORK: Final = b"f"
_WAIT: Final = b"w"
_WORD: Final = 8
"""Bytes of a number on the socket."""

Serve = Callable[[Connection], None]
"""What a worker does with its end of the pipe."""


class Template:
    """The process that forks the workers; it ends with the one that started it."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    @classmethod
    def start(cls, serve: Serve, close: Sequence[int] = ()) -> Template:
        """Fork this process, which must have started no other thread.

        Args:
            serve: what each worker does, given its end of the pipe.
            close: descriptors that belong to this process alone.
        """
        ours, theirs = socket.socketpair()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # OpenBLAS has idle threads, and sees to forks itself
            pid = os.fork()
        if not pid:
            ours.close()
            for descriptor in close:
                os.close(descriptor)
            _exit_after(lambda: _fork_on_request(theirs, serve))
        theirs.close()
        return cls(ours)

    def worker(self) -> tuple[int, Connection]:
        """Fork a worker; gives its process id, and this end of its pipe.

        Raises:
            OSError: the template is gone, or cannot fork.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._control, [_FORK], [theirs.fileno()])
            pid = self._number()
            if pid < 0:
                raise OSError(_("the system has no room for another process"))
        except OSError:
            ours.close()
            raise
        return pid, Connection(ours.detach())

    def exit_code(self, pid: int) -> int | None:
        """Wait for the end of a worker; its exit code, that of a signal negative, or None if it is not known."""
        try:
            self._control.sendall(_WAIT + pid.to_bytes(_WORD, "big"))
            return self._number()
        except OSError:
            return None

    def close(self) -> None:
        """End the template.  Its workers end when their pipes are closed."""
        self._control.close()

    def _number(self) -> int:
        told = self._control.recv(_WORD, socket.MSG_WAITALL)
        if len(told) < _WORD:
            raise OSError(_("the process that starts workers has died"))
        return int.from_bytes(told, "big", signed=True)


def _fork_on_request(control: socket.socket, serve: Serve) -> None:
    """Fork workers, and tell how they ended, until the other end is closed."""
    while True:
        asked, descriptors, *_more = socket.recv_fds(control, 1, 1)
        if not asked:
            return
        if asked == _WAIT:
            pid = int.from_bytes(control.recv(_WORD, socket.MSG_WAITALL), "big")
            answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        else:
            [pipe] = descriptors
            answer = _forked(control, pipe, serve)
            os.close(pipe)
        control.sendall(answer.to_bytes(_WORD, "big", signed=True))


def _forked(control: socket.socket, pipe: int, serve: Serve) -> int:
    try:
        pid = os.fork()
    except OSError:
        return -1
    if not pid:
        control.close()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _exit_after(lambda: serve(Connection(pipe)))
    return pid


def _exit_after(work: Callable[[], None]) -> None:
    """End this process after its work, whatever its callers would do next."""
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()  # goes to the trainer's log
    finally:
        os._exit(code)

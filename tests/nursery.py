"""Forks trainer processes from one that has imported torch: importing it takes each trainer two seconds of computing.

Tests that start a trainer by ``IdleTrainer.start`` get such a one, unless they use the fixture ``real_trainers``.
Commands that run in a process of their own start a real one always.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final, NoReturn

ROOT: Final = Path(__file__).parents[1]


class Forked:
    """A trainer process, with what its starter uses of a ``subprocess.Popen``."""

    def __init__(self, ended: int) -> None:
        self._ended = ended  # a plain number: no warning if nobody waits for the trainer
        self._lock = threading.Lock()
        self.pid = int(os.read(ended, 32))
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, as of ``Popen.wait``."""
        while self.returncode is None:
            if not select.select([self._ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a forked trainer", timeout or 0.0)
            with self._lock:
                if self.returncode is None:
                    self.returncode = int(os.read(self._ended, 32))
        return self.returncode

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def __del__(self) -> None:
        os.close(self._ended)


class Nursery:
    """Takes the place of the module ``subprocess`` in ``bntui.link.client``."""

    DEVNULL = subprocess.DEVNULL

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None

    def Popen(  # noqa: N802 - the name that the client uses
        self,
        command: Sequence[str],
        *,
        stdin: int,
        stdout: IO[bytes],
        stderr: IO[bytes],
        pass_fds: tuple[int],
        start_new_session: bool,
    ) -> Forked:
        """Fork a trainer as the client would start it."""
        assert command[:5] == [sys.executable, "-P", "-m", "bntui.trainer_process", str(pass_fds[0])]
        assert (stdin, stderr, start_new_session) == (self.DEVNULL, stdout, True)
        ended, report = os.pipe()
        with self._lock:
            if self._control is None:
                self._start()
            assert self._control is not None
            asked = {"log": command[5], "folder": os.getcwd(), "environment": dict(os.environ)}
            fds = [pass_fds[0], stdout.fileno(), report]
            socket.send_fds(self._control, [json.dumps(asked).encode() + b"\n"], fds)
            os.close(report)
            return Forked(ended)

    def _start(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.nursery", str(theirs.fileno())], pass_fds=(theirs.fileno(),), cwd=ROOT
            )

    def close(self) -> None:
        """End the process that forks; trainers that live go on."""
        if self._control is not None:
            self._control.close()
            self._process.wait()


def serve(control: socket.socket) -> None:
    """Fork a trainer for each request, until the tests have ended."""
    import bntui.trainer.service  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait for trainers
    while True:
        line = b""
        fds: list[int] = []
        while not line.endswith(b"\n"):
            piece, more, _flags, _address = socket.recv_fds(control, 1 << 16, 3)
            if not piece:
                return
            line, fds = line + piece, [*fds, *more]
        if not os.fork():
            control.close()
            _wait(line, *fds)
        for fd in fds:
            os.close(fd)


def _wait(line: bytes, job: int, output: int, report: int) -> NoReturn:
    """Fork a trainer, and report its number and its exit code: the tests are not its parent."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    trainer = os.fork()
    if not trainer:
        os.close(report)
        _train(line, job, output)
    for fd in (job, output):
        os.close(fd)
    os.write(report, f"{trainer}\n".encode())
    code = os.waitstatus_to_exitcode(os.waitpid(trainer, 0)[1])
    with contextlib.suppress(BrokenPipeError):  # the tests have ended
        os.write(report, f"{code}\n".encode())
    os._exit(0)


def _train(line: bytes, job: int, output: int) -> NoReturn:
    """Be a trainer that was started with an environment and a folder of its own."""
    from bntui.trainer_process import main

    asked = json.loads(line)
    os.setsid()
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    tempfile.tempdir = None  # it depends on the environment
    null = os.open(os.devnull, os.O_RDONLY)
    for fd, number in ((null, 0), (output, 1), (output, 2)):
        os.dup2(fd, number)
    for fd in (null, output):
        os.close(fd)
    sys.argv = ["bntui.trainer_process", str(job), asked["log"]]
    code = 1
    try:
        code = main()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as tests:
        serve(tests)
    os._exit(0)  # taking PyTorch's modules apart takes as long as importing some of them

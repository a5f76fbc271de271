"""Carries out trials in worker processes, which may die without harm to the others.

Workers are forked from a server process that has imported torch once.  They ignore Ctrl+C, which the terminal sends to
all processes; this process ends them.  If it is killed, they notice, and end.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from typing import Any, Final

from bntui.errors import BntuiError
from bntui.study.trial import Outcome, Trial
from bntui.text.endings import how_ended

_WORKER: Final = "bntui.study.train"
_PATIENCE: Final = 5.0
"""Seconds that a worker has to end, before it is killed."""


class _Worker:
    """A worker process, and the trial that it is training."""

    def __init__(self) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload([_WORKER])
        self.pipe, theirs = context.Pipe()
        self.process: Any = context.Process(target=serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.trial: int | None = None

    def give(self, number: int, trial: Trial) -> None:
        self.trial = number
        with suppress(OSError):  # it has died; its end is noticed next
            self.pipe.send(trial)

    def end(self) -> None:
        """End the process at once."""
        self.pipe.close()
        self.process.terminate()
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    def why_dead(self) -> str:
        """How the process ended."""
        self.process.join(_PATIENCE)
        return how_ended(self.process.exitcode)


def outcomes(trials: Iterable[Trial], jobs: int) -> Iterator[tuple[int, Outcome]]:
    """Carry out trials, and yield the number and the outcome of each as it is done.

    A trial whose worker dies has failed, with the reason; another worker goes on with the others.  All workers end with
    the iterator.
    """
    waiting = deque(enumerate(trials))
    workers: list[_Worker] = []
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # each worker has a core of its own
    try:
        while waiting or any(worker.trial is not None for worker in workers):
            for idle in [worker for worker in workers if worker.trial is None and not worker.process.is_alive()]:
                workers.remove(idle)
                idle.end()
            while waiting and len(workers) < jobs:
                workers.append(_Worker())
            for worker in workers:
                if worker.trial is None and waiting:
                    worker.give(*waiting.popleft())
            ready = connection.wait([worker.pipe for worker in workers if worker.trial is not None])
            for worker in [worker for worker in workers if worker.pipe in ready]:
                number = worker.trial
                assert number is not None
                try:
                    done: Outcome = worker.pipe.recv()
                except (EOFError, OSError):
                    done = Outcome({}, failure=worker.why_dead())
                    workers.remove(worker)
                    worker.end()
                worker.trial = None
                yield number, done
    finally:
        for worker in workers:
            worker.end()


def serve(pipe: Connection) -> None:
    """Carry out trials in this process until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from bntui.study.train import carried_out

    with suppress(EOFError, OSError):
        while True:
            trial: Trial = pipe.recv()
            try:
                done = carried_out(trial)
            except BntuiError as error:
                done = Outcome({}, failure=str(error))
            except Exception as error:
                done = Outcome({}, failure=f"{type(error).__name__}: {error}")
            pipe.send(done)


def _end_with_parent() -> None:
    """Wait until the process that asked for the trials is gone, and end this one: it would train for nobody."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)

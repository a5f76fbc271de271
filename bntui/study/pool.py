"""Trains seeds in worker processes, which may die without harm to the others.

Workers are forked from a server process that has imported torch once.  They ignore Ctrl+C, which the terminal sends to
all processes; this process ends them.  If it is killed, they notice, and end.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing import connection, forkserver, get_context, parent_process
from multiprocessing.connection import Connection
from typing import Any, Final

from bntui.cpu import cores, spread
from bntui.errors import BntuiError
from bntui.study.interrupts import interrupted_later
from bntui.study.trial import Epochs, Over, Read, SeedsJob
from bntui.text.endings import how_ended
from bntui.text.language import use

_WORKER: Final = ("bntui.study.preloaded", "bntui.study.together")
_PATIENCE: Final = 5.0
"""Seconds that a worker has to end, before it is killed."""
_LOOK: Final = 0.2
"""Seconds between two looks whether to stop."""


class _Worker:
    """A worker process, and the job that it is doing."""

    def __init__(self, nice: int) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload(list(_WORKER))
        self.pipe, theirs = context.Pipe()
        self.process: Any = context.Process(target=serve, args=(theirs, nice), daemon=True)
        with interrupted_later():
            forkserver.ensure_running()
        self.process.start()
        theirs.close()
        self.job: int | None = None

    def give(self, number: int, job: SeedsJob) -> bool:
        """Send it a job; False if it has died."""
        self.job = number
        try:
            self.pipe.send(job)
        except OSError:
            return False
        return True

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


def answers(
    work: Iterable[SeedsJob], jobs: int, *, nice: int = 0, stopped: Callable[[], bool] | None = None
) -> Iterator[tuple[int, Epochs | Read | Over]]:
    """Do jobs, and yield the number of a job with what it reports as it comes, and with its end.

    A job whose worker dies has failed, with the reason; another worker goes on with the others.  All workers end with
    the iterator.

    Args:
        jobs: number of workers, unless each of them has threads for several cores.
        nice: how much the workers give way to other processes.
        stopped: ends the iterator early if true; called a few times a second.
    """
    waiting = deque(enumerate(work))
    threads = max((job.threads for _number, job in waiting), default=1)
    jobs = jobs if threads == 1 else max(1, min(jobs, cores() // threads))
    workers: list[_Worker] = []
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # each worker has a core of its own
    try:
        while waiting or any(worker.job is not None for worker in workers):
            for idle in [worker for worker in workers if worker.job is None]:
                if waiting and idle.give(*waiting[0]):
                    waiting.popleft()
                elif waiting:  # it died while it waited: the job is another one's
                    workers.remove(idle)
                    idle.end()
            while waiting and len(workers) < jobs:
                workers.append(_Worker(nice))
                if threads == 1:
                    spread([worker.process.pid for worker in workers])
                workers[-1].give(*waiting.popleft())  # the end of one that has died by now is noticed next
            waits = None if stopped is None else _LOOK
            ready = connection.wait([worker.pipe for worker in workers if worker.job is not None], waits)
            if stopped is not None and stopped():
                return
            for worker in [worker for worker in workers if worker.pipe in ready]:
                number = worker.job
                assert number is not None
                try:
                    told: Epochs | Read | Over = worker.pipe.recv()
                except (EOFError, OSError):
                    told = Over(failure=worker.why_dead())
                    workers.remove(worker)
                    worker.end()
                if isinstance(told, Over):
                    worker.job = None
                yield number, told
    finally:
        for worker in workers:
            worker.end()


def serve(pipe: Connection, nice: int = 0) -> None:
    """Do jobs in this process until the pipe is closed."""
    os.nice(nice)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from bntui.study.together import read_together, trained_together

    use("en")  # why a seed failed is recorded, and a recording is bound to no language
    with suppress(EOFError, OSError):
        while True:
            job: SeedsJob = pipe.recv()
            started, failure = time.process_time(), ""
            try:
                (read_together if job.quantities else trained_together)(job, pipe.send)
            except BntuiError as error:
                failure = str(error)
            except Exception as error:
                failure = f"{type(error).__name__}: {error}"
            pipe.send(Over(time.process_time() - started, failure))


def _end_with_parent() -> None:
    """Wait until the process that asked for the trials is gone, and end this one: it would train for nobody."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
